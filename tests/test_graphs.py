"""From masks to graphs, against shapes whose answer a formula gives."""

from __future__ import annotations

import json
import math
from collections import Counter

import numpy as np
import pytest
import shapes
from scipy import ndimage
from skimage.measure import euler_number

from bundle.graphs import VascularGraph, fill_pinholes, thin, vessel_graph
from bundle.measurements import clip_graph
from bundle.phantoms import make_phantom, tube_field


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


@pytest.mark.parametrize("prune", [0.0, 2.5])
def test_pieces_and_loops_of_the_graph_are_those_of_the_mask(prune):
    for seed in range(20):
        mask = blobs(seed)
        graph = vessel_graph(mask, prune=prune, pinholes=0)
        cavities = ndimage.label(np.pad(~mask, 1, constant_values=True))[1] - 1 if mask.ndim == 3 else 0
        assert graph.pieces == pieces(mask)
        assert graph.cycle_rank == pieces(mask) + cavities - euler_number(mask, mask.ndim)


SHAPES = {
    "bar of 21 pixels": (np.pad(np.ones((21, 100), bool), 20), None, 100, {"end": 2}),
    "bar through the field": (np.pad(np.ones((21, 100), bool), ((20, 20), (0, 0))), None, 100, {"border": 2}),
    "rod of 4 x 4 voxels": (np.pad(np.ones((4, 4, 100), bool), ((10, 16), (10, 16), (0, 0))), None, 100, {"border": 2}),
    "line of one pixel": (shapes.line((130, 230), (10, 10), (110, 210)), None, 223.6, {"end": 2}),
    "bar askew": (shapes.tube((140, 240), (20.3, 20.4), (120.3, 220.4), 4), None, 223.607, {"end": 2}),
    "tube askew": (shapes.tube((20, 80, 140), (10, 20.3, 20.4), (10, 70.3, 120.4), 4), None, 111.80, {"end": 2}),
    "half circle": (shapes.curve((80, 140), shapes.semicircle((20.5, 70.2), 50), 4), None, 157.08, {"end": 2}),
    "sine": (shapes.curve((60, 330), shapes.sine((30.2, 15.3), 10, 100, 3), 3), None, 327.715, {"end": 2}),
    "helix": (shapes.curve((110, 60, 60), shapes.helix((15.2, 30, 30), 20, 40, 2), 4), None, 263.753, {"end": 2}),
    "helix, thick slices": (
        shapes.curve((28, 60, 60), shapes.helix((15.2, 30, 30), 20, 40, 2), 4, (4, 1, 1)),
        (4, 1, 1),
        263.753,
        {"end": 2},
    ),
    "torus": (shapes.curve((18, 76, 76), shapes.circle((9, 38, 38), 30), 4, closed=True), None, 188.496, {"loop": 1}),
    "ring": (shapes.curve((76, 76), shapes.circle((38, 38), 30), 2.5, closed=True), None, 188.496, {"loop": 1}),
    "cone": (shapes.tube((30, 30, 130), (15, 15, 15.5), (15, 15, 115.4), (2, 6)), None, 100, {"end": 2}),
}


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_without_branches_has_its_length_within_one_per_cent(name):
    mask, spacing, expected, kinds = SHAPES[name]
    graph = vessel_graph(mask, spacing)
    assert Counter(graph.node_kinds) == kinds and len(graph.edges) == 1
    assert graph.lengths.sum() == pytest.approx(expected, rel=0.01)


def test_no_tube_is_lost_whatever_its_phase_tilt_and_width():
    """scikit-image's thinning loses 24 of 60 that are parallel to an axis."""
    rng = np.random.default_rng(0)
    for number in range(60):
        tilt = 0.0 if number % 2 else math.tan(math.radians(1.0))
        start = np.array([9.5, 9.5, 5.2]) + [*rng.uniform(-0.5, 0.5, 2), 0]
        stop = start + np.array([tilt * 30, 0, 30])
        axes = [(0, 1, 2), (2, 0, 1), (1, 2, 0)][number % 3]
        graph = vessel_graph(shapes.tube((20, 20, 40), start, stop, rng.uniform(0.8, 5)).transpose(axes))
        assert graph.node_kinds == ["end", "end"]
        assert graph.lengths.sum() == pytest.approx(np.linalg.norm(stop - start), abs=1)


def test_tubes_in_any_direction_have_their_length_and_width():
    rng = np.random.default_rng(1)
    found = []
    for _ in range(30):
        direction = rng.normal(size=3)
        direction /= np.linalg.norm(direction)
        radius, centre = rng.uniform(1.5, 5), 27 + rng.random(3)
        mask = shapes.tube((55, 55, 55), centre - 20 * direction, centre + 20 * direction, radius)
        graph = vessel_graph(mask)
        assert graph.node_kinds == ["end", "end"]
        found.append((graph.lengths.sum() - 40, 2 * graph.radii[0] - 2 * radius))
    length, width = np.transpose(found)
    assert abs(length.mean()) < 0.3 and length.std() < 0.5
    assert abs(width.mean()) < 0.08 and width.std() < 0.15


def test_turning_flipping_and_padding_change_no_count_and_hardly_a_length():
    directions = [(0.3, 1, 0.2), (-0.2, -0.5, 1), (0.1, -0.6, -0.8), (1, 0.1, 0)]
    mask = shapes.star((56, 60, 64), (28.2, 30.1, 31.7), directions, 24, 2.6)
    first = vessel_graph(mask)
    assert Counter(first.node_kinds) == {"branch": 1, "end": 4}
    assert first.lengths.sum() == pytest.approx(4 * 24, rel=0.02)
    others = [mask.transpose(2, 0, 1), mask[::-1], mask[:, ::-1, ::-1], np.rot90(mask, axes=(1, 2)), np.pad(mask, 3)]
    for other in others:
        graph = vessel_graph(other)
        assert Counter(graph.node_kinds) == Counter(first.node_kinds)
        assert graph.lengths.sum() == pytest.approx(first.lengths.sum(), rel=0.01)


def within(shape: tuple[int, ...], centre: np.ndarray, direction: np.ndarray) -> float:
    """The length of a straight line in a field, whose border is half a voxel beyond the last voxels' centres."""
    ways = np.stack([(-0.5 - centre) / direction, (np.array(shape) - 0.5 - centre) / direction])
    return max(0.0, float(ways.max(axis=0).min() - ways.min(axis=0).max()))


@pytest.mark.parametrize("degrees", [20, 30, 45, 60, 80])
@pytest.mark.parametrize("radius", [1.5, 2.5, 4, 6])
def test_a_tube_that_the_border_cuts_askew_ends_where_its_axis_does(radius, degrees):
    """The deepest voxels of what is left of it run on along the border, up to 16 voxels of some 40."""
    angle, shape, centre = math.radians(degrees), (22, 44, 64), np.array([-0.5, 20.2, 30.3])
    direction = np.array([math.sin(angle), math.cos(angle) * math.sin(0.4), math.cos(angle) * math.cos(0.4)])
    mask = shapes.tube(shape, centre - 300 * direction, centre + 300 * direction, radius)
    for turned in (mask, mask[::-1, :, ::-1].transpose(1, 2, 0)):
        graph = vessel_graph(turned)
        assert graph.node_kinds == ["border", "border"]
        assert graph.lengths.sum() == pytest.approx(within(shape, centre, direction), abs=2)


@pytest.mark.parametrize("degrees", [15, 25, 45, 65, 85])
@pytest.mark.parametrize("radius", [2, 5])
def test_a_bar_that_the_border_cuts_askew_ends_where_its_middle_does(radius, degrees):
    direction, centre = np.array([math.sin(math.radians(degrees)), math.cos(math.radians(degrees))]), np.array([40, 50])
    mask = shapes.tube((81, 101), centre - 300 * direction, centre + 300 * direction, radius)
    graph = vessel_graph(mask)
    assert graph.node_kinds == ["border", "border"]
    assert graph.lengths.sum() == pytest.approx(within(mask.shape, centre, direction), abs=0.7)


@pytest.mark.parametrize("radius", [2.5, 4])
def test_of_a_tube_along_the_border_the_length_counts_if_its_axis_is_inside(radius):
    for height, length in ((1.2, 70), (0.3, 70), (-1.4, 0), (-1.8, 0)):
        graph = vessel_graph(shapes.tube((20, 30, 70), (height, 14.8, -9), (height, 14.8, 99), radius))
        assert graph.lengths.sum() == pytest.approx(length, abs=1) and graph.pieces == 1


def test_a_network_in_a_small_field_has_its_length_whichever_way_it_is_turned():
    """0.8 radii of vessel for each pixel of surface would be too much: 9, 18 and 31 % here."""
    ratios = []
    for index in range(4):
        graph = make_phantom((24, 96, 96), seed=41, index=index).graph
        mask = tube_field(graph, (58, 96, 96), (0.8,) * 3).mask
        true = clip_graph(graph, np.ones_like(mask), (0.8,) * 3).lengths.sum()
        ways = mask, mask[::-1, :, ::-1], mask.transpose(2, 0, 1)
        ratios.append([vessel_graph(way, (0.8,) * 3).lengths.sum() / true for way in ways])
    assert np.median(ratios) == pytest.approx(1, abs=0.03) and max(map(max, ratios)) < 1.08
    assert np.median(np.ptp(ratios, axis=1)) < 0.035


@pytest.mark.parametrize("radius", [2, 4, 6])
@pytest.mark.parametrize("axes", [2, 3])
def test_three_arms_have_one_branch_point_and_three_ends(axes, radius):
    directions = [(0, 0, 1), (0, math.sqrt(3) / 2, -0.5), (0, -math.sqrt(3) / 2, -0.5)]
    centre = (10.3, 55.2, 55.6)
    shape = (21, 110, 110)
    mask = shapes.star(shape[-axes:], centre[-axes:], [d[-axes:] for d in directions], 49.8, radius)
    graph = vessel_graph(mask)
    assert Counter(graph.node_kinds) == {"branch": 1, "end": 3}
    assert graph.lengths.sum() == pytest.approx(3 * 49.8, rel=0.01)


def test_bumps_and_spurs_shorter_than_the_radius_are_no_vessels_and_a_branch_is():
    mask = np.zeros((60, 160), bool)
    mask[20:31] = True
    for column in range(20, 150, 26):  # spurs of three pixels, up to four high
        mask[31 : 32 + column % 4, column : column + 3] = True
    graph = vessel_graph(mask)
    assert len(graph.edges) == 1 and graph.lengths.sum() == pytest.approx(160, rel=0.01)
    mask[31:50, 80:84] = True
    assert Counter(vessel_graph(mask).node_kinds) == {"branch": 1, "end": 1, "border": 2}


def test_vessels_one_above_another_are_not_joined():
    mask = np.zeros((22, 50, 50), bool)
    mask[4:9, 22:27, :] = mask[4:9, :, 22:27] = True  # a crossing of four
    mask[10:15, 22:27, :] = mask[10:15, :, 22:27] = True  # and another, one voxel above
    graph = vessel_graph(mask)
    assert Counter(graph.node_kinds) == {"branch": 2, "border": 8} and graph.pieces == 2
    assert abs(np.diff(graph.nodes[graph.degrees == 4, 0])[0]) == pytest.approx(6, abs=0.5)


def test_two_vessels_between_the_same_nodes_stay_two():
    ring = shapes.curve((70, 130), shapes.circle((35, 65), 20), 2.5, closed=True)
    ring[33:38, :45] = ring[33:38, 85:] = True
    graph = vessel_graph(ring)
    assert Counter(graph.node_kinds) == {"branch": 2, "border": 2}
    assert sorted(map(tuple, np.sort(graph.edges, axis=1).tolist()))[1] == tuple(np.flatnonzero(graph.degrees == 3))
    assert (len(graph.edges), graph.cycle_rank, graph.closed.sum()) == (4, 1, 0)


def test_four_voxels_around_a_hole_with_a_line_at_each_are_a_loop():
    mask = np.zeros((21, 21), bool)
    mask[10, :10] = mask[10, 11:] = mask[:10, 10] = mask[11:, 10] = True
    graph = vessel_graph(mask, pinholes=0)
    assert Counter(graph.node_kinds) == {"branch": 4, "border": 4}
    assert graph.cycle_rank == 1 and len(graph.edges) == 8


def test_short_vessels_are_left_out_on_request_but_not_those_that_the_border_cuts():
    mask = np.zeros((60, 100), bool)
    mask[10:13, 20:80] = True
    mask[30:33, 40:50] = mask[30:33, :10] = mask[13:24, 50:53] = True
    lengths = np.sort(vessel_graph(mask).lengths)
    assert lengths == pytest.approx([10, 10, 12, 30, 30], abs=2)
    kept = vessel_graph(mask, min_length=20)
    assert np.sort(kept.lengths) == pytest.approx([10, 60], abs=1) and kept.cut.sum() == 1


@pytest.mark.parametrize("mask", [np.zeros((9, 9)), np.ones((900, 900)), np.zeros((3, 9, 9)), np.ones((4, 9, 9))])
def test_masks_of_nothing_and_of_nothing_else_give_a_graph(mask):
    graph = vessel_graph(mask)
    assert graph.pieces == int(mask.any()) and graph.cycle_rank == 0


def test_a_measured_graph_survives_json():
    graph = vessel_graph(np.pad(np.ones((5, 20), bool), ((5, 5), (0, 5))))
    read = VascularGraph.from_dict(json.loads(json.dumps(graph.as_dict())))
    assert read.as_dict() == graph.as_dict() and read.unit == "pixel"
    assert sorted(read.node_kinds) == ["border", "end"]


def test_a_spacing_that_does_not_fit_is_refused():
    for mask, spacing in ((np.ones((4, 4)), (1.0,)), (np.ones((4, 4)), (1, -1)), (np.ones(4), (1,))):
        with pytest.raises(ValueError):
            vessel_graph(mask, spacing)


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("width", [1, 2, 5, 8])
def test_a_lattice_has_as_many_branch_points_segments_and_loops_as_it_was_drawn_with(axes, width):
    nodes, branches, segments, loops = {2: (4, 12, 20, 9), 3: (3, 27, 54, 28)}[axes]
    graph = vessel_graph(shapes.lattice(nodes, 30, width, axes))
    assert Counter(graph.node_kinds) == {"branch": branches}
    assert (len(graph.edges), graph.cycle_rank, graph.pieces) == (segments, loops, 1)
    assert graph.lengths.sum() == pytest.approx(30 * (24 if axes == 2 else 54), rel=0.01)


@pytest.mark.parametrize("radius", [2, 5])
def test_a_side_branch_is_as_long_as_its_axis_is_up_to_the_axis_that_it_leaves(radius):
    shape, middle = (2 * radius + 9, 80, 120), radius + 4.0
    trunk = shapes.tube(shape, (middle, 20.3, -9), (middle, 20.3, 129), radius)
    graph = vessel_graph(trunk | shapes.tube(shape, (middle, 20.3, 60.2), (middle, 70.6, 60.2), radius))
    assert Counter(graph.node_kinds) == {"branch": 1, "border": 2, "end": 1}
    assert graph.lengths.sum() == pytest.approx(120 + 50.3, rel=0.01)
    np.testing.assert_allclose(graph.nodes[graph.degrees == 3][0], (middle, 20.3, 60.2), atol=1)


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


@pytest.mark.parametrize("mask", [np.zeros((3, 9, 9)), np.ones((3, 40, 9))])
def test_by_bricks_a_mask_of_nothing_and_of_nothing_else_too(mask):
    assert vessel_graph(Rows(mask), brick=100).as_dict() == vessel_graph(mask).as_dict()
