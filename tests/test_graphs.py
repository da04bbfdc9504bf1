"""From masks to graphs, against shapes whose answer a formula gives."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import shapes
from scipy import ndimage
from skimage.measure import euler_number

from bundle.graphs import fill_pinholes, thin, vessel_graph


def blobs(seed: int) -> np.ndarray:
    """A random mask with pieces, loops and, in 3D, cavities."""
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.random((12, 14, 16)), rng.uniform(0, 1.5))
    mask = field > np.quantile(field, rng.uniform(0.3, 0.9))
    return mask if seed % 3 else mask[0]


def pieces(mask: np.ndarray) -> int:
    return ndimage.label(mask, np.ones((3,) * mask.ndim))[1]


@pytest.mark.parametrize("spacing", [1.0, 3.0])
def test_thinning_keeps_every_piece_loop_and_cavity_and_thins_no_further(spacing):
    for seed in range(36):
        mask = blobs(seed)
        voxel = (spacing, 1.0, 1.3)[-mask.ndim :]
        skeleton = thin(mask, voxel)
        assert not (skeleton & ~mask).any()
        assert euler_number(skeleton, mask.ndim) == euler_number(mask, mask.ndim)
        assert pieces(skeleton) == pieces(mask)
        assert (thin(skeleton, voxel) == skeleton).all()


def test_pinholes_are_filled_by_size_where_the_wall_is_wider_and_a_loop_stays():
    bar = np.zeros((30, 60), bool)
    bar[10:19] = True
    for row in range(11, 18):
        hole = bar.copy()
        hole[row, 20] = False
        assert (fill_pinholes(hole) == bar).all()
    hole = bar.copy()
    hole[13:15, 20:22] = False
    assert (fill_pinholes(hole) == bar).all()
    assert (fill_pinholes(hole, 3) == hole).all() and (fill_pinholes(hole, 0) == hole).all()
    loop = np.zeros((5, 5), bool)
    loop[1:4, 1:4] = True
    loop[2, 2] = False
    assert (fill_pinholes(loop) == loop).all()


def test_three_pixels_around_a_hole_and_a_corner_are_one_loop_without_a_branch():
    graph = vessel_graph(np.array([[0, 1, 0], [1, 0, 1], [0, 1, 1]]), pinholes=0)
    assert graph.cycle_rank == len(graph.edges) == 1 and graph.node_kinds == ["loop"]


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("width", [1, 2, 5, 8])
def test_a_lattice_has_as_many_branch_points_segments_and_loops_as_it_was_drawn_with(axes, width):
    nodes, branches, segments, loops = {2: (4, 12, 20, 9), 3: (3, 27, 54, 28)}[axes]
    graph = vessel_graph(shapes.lattice(nodes, 30, width, axes))
    assert Counter(graph.node_kinds) == {"branch": branches}
    assert (len(graph.edges), graph.cycle_rank, graph.pieces) == (segments, loops, 1)


class Rows:
    """A volume that is read by rows, as one on disk is."""

    def __init__(self, array: np.ndarray) -> None:
        self.array, self.shape = array, array.shape

    def rows(self, z: int, start: int, stop: int) -> np.ndarray:
        return self.array[z, start:stop]


@pytest.mark.parametrize(("seed", "depth"), [(0, 40), (1, 40), (2, 1)])
def test_a_mask_that_is_read_by_bricks_has_the_graph_of_the_whole(tmp_path, seed, depth):
    """Field for field; the bricks are smaller than what is read around them, and cut vessels, loops and pinholes."""
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.random((depth, 80, 12)), (1.8, 1.8, 1.8) if depth > 1 else (0, 1.8, 1.8))
    mask = field > np.quantile(field, 0.8)
    mask[rng.random(mask.shape) < 0.002] = False
    spacing = (1.7, 1.0, 1.3)
    whole = vessel_graph(mask, spacing)
    assert len(whole.edges) > 5
    read = vessel_graph(Rows(mask), spacing, work=tmp_path, brick=mask.size // 4)
    assert read.as_dict() == whole.as_dict()
    assert not list(tmp_path.iterdir())
