"""Phantoms: the networks obey their laws, the truth is exact, the microscope has the statistics it declares."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from bundle.__main__ import main
from bundle.phantoms import (
    Microscope,
    VascularGraph,
    add_blobs,
    depth_of_focus,
    detect,
    digitize,
    emit,
    expose,
    grow_network,
    make_phantom,
    part_vessels,
    slabs,
    stain_vessels,
    tube_field,
    tubes_between,
)

SMALL = ("--shape", "12", "48", "64")
SPACING = (2.0, 0.8, 0.8)


@pytest.fixture(scope="module")
def phantom():
    return make_phantom((16, 96, 112), SPACING, seed=5, index=2, density="dense")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A set of three small phantoms, made by the command."""
    output = tmp_path_factory.mktemp("set")
    assert main(["phantom", str(output), "--count", "3", "--seed", "11", *SMALL]) == 0
    return output


def grow(seed: int = 0, extent=(60.0, 200.0, 200.0), length_density=1.0, tortuosity=0.1) -> VascularGraph:
    return grow_network(
        extent,
        np.random.default_rng(seed),
        length_density=length_density,
        capillary_radius=2.5,
        trunks=[("arteriole", 6.0), ("venule", 4.0)],
        tortuosity=tortuosity,
        flatness=1.5,
    )


def vessel(*points, radius=2.0) -> VascularGraph:
    """One vessel along the given points."""
    path = np.array(points, dtype=float)
    return VascularGraph(
        path[[0, -1]], np.array([[0, 1]]), np.array([radius]), ["capillary"], [path], [np.full(len(path), radius)]
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


# The network


@pytest.mark.parametrize("seed", range(5))
def test_murrays_law_holds_at_every_branch_point(seed):
    graph = grow(seed)
    cubes = graph.radii**3
    branch_points = np.flatnonzero(graph.degrees == 3)
    assert len(branch_points) > 20
    assert graph.degrees.max() == 3, "a node of four vessels would have no parent and two children"
    for node in branch_points:
        small, middle, large = np.sort(cubes[(graph.edges == node).any(axis=1)])
        assert large == pytest.approx(small + middle, rel=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_flow_passes_every_branch_point_as_one_into_two_or_two_into_one(seed):
    """The larger vessel is alone on its side: radii that only happened to fit would not be a vessel tree's."""
    graph = grow(seed)
    for node in np.flatnonzero(graph.degrees == 3):
        into, out = graph.radii[graph.edges[:, 1] == node], graph.radii[graph.edges[:, 0] == node]
        assert {len(into), len(out)} == {1, 2}
        assert (into**3).sum() == pytest.approx((out**3).sum(), rel=1e-12)


def test_radii_along_a_vessel_meet_the_law_at_its_ends():
    graph = grow()
    for radius, along in zip(graph.radii, graph.path_radii, strict=True):
        assert along[0] == pytest.approx(radius, rel=1e-12) and along[-1] == pytest.approx(radius, rel=1e-12)
        assert (along > 0.75 * radius).all() and (along < 1.25 * radius).all()


@pytest.mark.parametrize("seed", range(5))
def test_network_is_connected_and_has_closed_loops_and_trees(seed):
    graph = grow(seed)
    count = len(graph.nodes)
    links = sparse.coo_matrix((np.ones(len(graph.edges)), graph.edges.T), shape=(count, count))
    assert connected_components(links, directed=False)[0] == 1
    assert graph.cycle_rank == len(graph.edges) - count + 1 > 3
    kinds = np.array(graph.kinds)
    for kind, trunk in (("arteriole", 6.0), ("venule", 4.0)):
        tree = graph.edges[kinds == kind]
        nodes = np.unique(tree)
        branches = (np.bincount(tree.ravel())[nodes] == 3).sum()
        assert branches >= 1 and len(tree) == len(nodes) - 1, "a tree has no loop of its own"
        assert graph.radii[kinds == kind].max() >= 0.98 * trunk


def test_vessels_end_only_outside_the_stack():
    extent = np.array([60.0, 200.0, 200.0])
    for seed in range(5):
        graph = grow(seed, extent)
        ends = graph.nodes[graph.degrees == 1]
        assert ((ends < 0) | (ends > extent)).any(axis=1).all()


@pytest.mark.parametrize(
    ("wanted", "extent"), [(0.5, (200.0, 350.0, 350.0)), (1.0, (150.0, 250.0, 250.0)), (2.0, (100.0, 200.0, 200.0))]
)
def test_capillaries_have_the_length_per_volume_asked_for(wanted, extent):
    extent = np.array(extent)
    lengths = []
    for seed in range(6):
        graph = grow(seed, extent, wanted)
        for kind, path in zip(graph.kinds, graph.paths, strict=True):
            middle = (path[1:] + path[:-1]) / 2
            inside = ((middle >= 0) & (middle <= extent)).all(axis=1) & (kind == "capillary")
            lengths.append(np.linalg.norm(np.diff(path, axis=0), axis=1)[inside].sum())
    meters_per_cubic_millimeter = 1e3 * sum(lengths) / (6 * extent.prod())
    assert meters_per_cubic_millimeter == pytest.approx(wanted, rel=0.15)


def test_tortuosity_lengthens_vessels_and_bends_them_smoothly():
    def tortuosity(graph):
        length = np.array([np.linalg.norm(np.diff(path, axis=0), axis=1).sum() for path in graph.paths])
        chord = np.array([np.linalg.norm(path[-1] - path[0]) for path in graph.paths])
        return np.median(length / chord)

    calm, winding = grow(tortuosity=0.0), grow(tortuosity=0.3)
    assert 1.0 < tortuosity(calm) < tortuosity(winding) - 0.05
    turns = []
    for path in winding.paths:
        step = np.diff(path, axis=0)
        step /= np.linalg.norm(step, axis=1, keepdims=True)
        turns.append(np.degrees(np.arccos(np.clip((step[1:] * step[:-1]).sum(axis=1), -1, 1))))
    assert np.percentile(np.concatenate(turns), 95) < 25, "degrees in 2 µm"


def test_vessels_that_cross_are_pushed_apart_and_keep_their_ends():
    """Two vessels of radius 2 whose lines pass each other at 1 µm, which would make them one in the mask."""
    t = np.linspace(-30, 30, 31)
    paths = [np.stack([0 * t, 0 * t, t], axis=1), np.stack([0 * t + 1, t, 0 * t], axis=1)]
    radii = [np.full(31, 2.0)] * 2
    parted = part_vessels(paths, radii, np.array([[0, 1], [2, 3]]))
    assert cKDTree(parted[0]).query(parted[1])[0].min() > 4.0
    for before, after in zip(paths, parted, strict=True):
        np.testing.assert_array_equal(after[[0, -1]], before[[0, -1]])
    for before, after in zip(paths, part_vessels(paths, radii, np.array([[0, 1], [1, 2]])), strict=True):
        np.testing.assert_array_equal(after, before, "vessels with a common node meet")


def test_capillaries_hardly_ever_run_through_each_other():
    """The mask has the graph's topology: in five networks, at most one pair of capillaries in a hundred overlaps that
    neither shares a node nor has neighbouring ones.
    """
    overlapping = capillaries = 0
    for seed in range(5):
        graph = grow(seed)
        chosen = [e for e, kind in enumerate(graph.kinds) if kind == "capillary"]
        trees = {e: cKDTree(graph.paths[e]) for e in chosen}
        capillaries += len(chosen)
        for n, e in enumerate(chosen):
            for f in chosen[n + 1 :]:
                ends = graph.nodes[graph.edges[e]][:, None] - graph.nodes[graph.edges[f]]
                if np.linalg.norm(ends, axis=-1).min() > 20 and trees[e].count_neighbors(trees[f], 6.0):
                    distance, point = trees[e].query(graph.paths[f])
                    overlapping += (distance < graph.path_radii[e][point] + graph.path_radii[f] - 0.2).any()
    assert capillaries > 300
    assert overlapping <= 0.01 * capillaries


def test_graph_survives_json():
    graph = grow()
    read = VascularGraph.from_dict(json.loads(json.dumps(graph.as_dict())))
    for name in ("nodes", "edges", "radii"):
        np.testing.assert_array_equal(getattr(read, name), getattr(graph, name))
    assert read.kinds == graph.kinds
    for name in ("paths", "path_radii"):
        for one, other in zip(getattr(read, name), getattr(graph, name), strict=True):
            np.testing.assert_array_equal(one, other)


# The mask


def test_straight_vessel_is_a_cylinder_with_round_ends():
    """A vessel of radius 2 along x, 1 µm voxels: the 13 lattice points of the disc, and caps of 9, 5 and 1 points."""
    mask = tube_field(vessel((4, 4, 4), (4, 4, 12)), (9, 9, 17), (1.0, 1.0, 1.0)).mask
    disc = [[0, 0, 1, 0, 0], [0, 1, 1, 1, 0], [1, 1, 1, 1, 1], [0, 1, 1, 1, 0], [0, 0, 1, 0, 0]]
    np.testing.assert_array_equal(mask[2:7, 2:7, 8], np.array(disc, dtype=bool))
    assert mask.sum(axis=(0, 1)).tolist() == [0, 0, 1, 9] + [13] * 9 + [9, 1, 0, 0]


def test_anisotropic_voxels_see_the_same_cylinder():
    """Planes 2 µm apart and pixels of 0.5 µm: of the disc of radius 2 µm remain a row of 9 and two single points."""
    mask = tube_field(vessel((4, 2.5, 0), (4, 2.5, 8)), (5, 11, 9), (2.0, 0.5, 1.0)).mask
    assert mask[:, :, 4].sum(axis=1).tolist() == [0, 1, 9, 1, 0]


def test_tapering_vessel_narrows_linearly():
    graph = vessel((5, 5, 0), (5, 5, 10))
    graph.path_radii[0][:] = (4.0, 1.0)
    distance = tube_field(graph, (11, 11, 11), (1.0, 1.0, 1.0), reach=5.0).distance
    np.testing.assert_allclose(distance[5, 5], -np.linspace(4, 1, 11), rtol=1e-6)


def test_mask_is_what_the_graph_says(folder):
    """The 3D mask is computed again from the JSON file alone, voxel by voxel, by another formula."""
    file = json.loads((folder / "graphs/phantom-0001.json").read_text())
    grid = np.indices(file["shape"]).reshape(3, -1).T * np.array(file["spacing"])
    inside = np.zeros(len(grid), dtype=bool)
    for edge in file["edges"]:
        points, radii = np.array(edge["points"]), np.array(edge["radii"])
        near = ((grid > points.min(0) - radii.max() - 1) & (grid < points.max(0) + radii.max() + 1)).all(axis=1)
        voxels = grid[near]
        if not len(voxels):
            continue
        for (a, b), (ra, rb) in zip(
            zip(points, points[1:], strict=False), zip(radii, radii[1:], strict=False), strict=True
        ):
            share = np.clip(((voxels - a) @ (b - a)) / ((b - a) @ (b - a)), 0, 1)
            foot = a + share[:, None] * (b - a)
            inside[np.flatnonzero(near)[np.linalg.norm(voxels - foot, axis=1) <= ra + share * (rb - ra)]] = True
    mask = tifffile.imread(folder / "masks3d/phantom-0001.ome.tif")
    assert inside.any() and not inside.all()
    np.testing.assert_array_equal(mask, 255 * inside.reshape(file["shape"]).astype(np.uint8))


def test_projected_mask_is_the_maximum_of_the_volume(folder):
    for n in range(3):
        mask = tifffile.imread(folder / f"masks/phantom-{n:04d}.tif")
        assert mask.dtype == np.uint8 and set(np.unique(mask)) == {0, 255}
        np.testing.assert_array_equal(mask, tifffile.imread(folder / f"masks3d/phantom-{n:04d}.ome.tif").max(axis=0))


def test_denser_networks_cover_more():
    covered = [
        np.mean(
            [make_phantom((32, 128, 128), SPACING, seed=n, density=density).projected_mask.mean() for n in range(5)]
        )
        for density in ("sparse", "medium", "dense")
    ]
    assert 1.2 * covered[0] < covered[1] < covered[2] / 1.2


def test_slab_is_what_brute_force_finds():
    """Vessels of uneven radius in all directions, searched on 400 planes for each slice."""
    shape, spacing = (4, 24, 26), (3.0, 0.9, 0.7)
    graph = vessel((-2, 4, 3), (3, 9, 8), (11, 9, 8), (11, 18, 15), (4, 18, 15.5), radius=1.0)
    graph.path_radii[0][:] = (0.4, 2.5, 1.0, 3.0, 0.6)
    found = tubes_between(graph, shape, spacing, *slabs(shape[0], spacing[0]))
    fine = np.zeros(shape, dtype=bool)
    for z in range(shape[0]):
        for depth in np.linspace((z - 0.5) * spacing[0], (z + 0.5) * spacing[0], 401):
            plane = tube_field(graph, (1, *shape[1:]), spacing, origin=(depth, 0.0, 0.0)).mask[0]
            fine[z] |= plane
    assert 100 < fine.sum() < 0.6 * fine.size
    assert not (fine & ~found).any(), "what any plane meets is in the slab"
    assert (found & ~fine).sum() <= 2, "and no more than what slips between 400 planes"


def test_slab_ends_where_the_tissue_ends():
    graph = vessel((6, 10, -5), (6, 10, 25), radius=2.0)
    above, below = slabs(6, 3.0)
    cut = tubes_between(graph, (6, 21, 21), (3.0, 1.0, 1.0), above, np.minimum(below, 5.0))
    whole = tubes_between(graph, (6, 21, 21), (3.0, 1.0, 1.0), above, below)
    assert whole.any(axis=(1, 2)).tolist() == [False, True, True, True, False, False]
    assert cut.any(axis=(1, 2)).tolist() == [False, True, True, False, False, False]
    assert not (cut & ~whole).any()


# Depth and focus


def test_depth_is_that_of_the_brightest_vessel_of_the_column():
    light = np.array([[[9.0, 1, 5]], [[2, 3, 5]], [[4, 7, 1]], [[8, 2, 0]]])
    mask = np.array([[[0, 1, 1]], [[1, 1, 1]], [[1, 0, 1]], [[0, 0, 0]]], dtype=bool)
    np.testing.assert_array_equal(depth_of_focus(light, mask, 2.5), np.array([[5.0, 2.5, 0.0]], dtype=np.float32))
    assert np.isnan(depth_of_focus(light, np.zeros_like(mask), 2.5)).all()


def test_depth_of_a_level_vessel_is_its_own_depth():
    shape, spacing = (21, 21, 21), (2.0, 1.0, 1.0)
    graph = vessel((16, 10, -5), (16, 10, 25))
    field = tube_field(graph, shape, spacing, reach=1.0)
    rng = np.random.default_rng(0)
    emission = emit(field, stain_vessels(graph, 0.0, rng), "lumen", 1.0, 1.0, 0.0, rng)
    scope = Microscope(haze=0.0, attenuation_length=1e9)
    _, in_focus = expose(scope, emission, np.zeros(shape, np.float32), spacing)
    depth = depth_of_focus(in_focus, field.mask, spacing[0])
    np.testing.assert_array_equal(depth[10], np.full(21, 16.0, dtype=np.float32))


def test_depth_is_given_on_the_projected_mask_and_lies_in_a_vessel(phantom):
    known = np.isfinite(phantom.depth)
    np.testing.assert_array_equal(known, phantom.projected_mask)
    y, x = np.nonzero(known)
    slices = phantom.depth[y, x] / SPACING[0]
    np.testing.assert_array_equal(slices, np.rint(slices))
    assert phantom.mask[slices.astype(int), y, x].all()


def test_focus_is_the_maximum_of_the_stack_where_nothing_disturbs_it():
    """Without haze and noise, fusing by maximum gives the truth to within the rounding of the digits."""
    rng = np.random.default_rng(3)
    graph = grow(3, (30.0, 60.0, 60.0))
    field = tube_field(graph, (16, 76, 76), SPACING, reach=1.0)
    emission = emit(field, stain_vessels(graph, 0.3, rng), "lumen", 1.0, 0.8, 0.2, rng)
    scope = Microscope(haze=0.0, photons=1e9, read_noise=0.0, gain=0.2, bits=8)
    light, in_focus = expose(scope, emission, np.full(emission.shape, 0.2, np.float32), SPACING)
    stack, focus = detect(scope, light, rng), digitize(scope, in_focus.max(axis=0))
    assert 60 < stack.max() < 255
    assert np.abs(stack.max(axis=0) - focus).max() < 0.51


def test_vessels_stand_out_of_the_focus_image(phantom):
    seen = phantom.projected_mask
    assert phantom.focus.dtype == np.float32
    assert np.median(phantom.focus[seen]) > 1.2 * np.median(phantom.focus[~seen])


# The stain


def test_dye_fills_the_lumen_and_antibody_lines_the_wall():
    graph = vessel((15, 15, -20), (15, 15, 50), radius=10.0)
    field = tube_field(graph, (31, 31, 31), (1.0, 1.0, 1.0), reach=2.0)
    even = stain_vessels(graph, 0.0, np.random.default_rng(0))
    lumen, wall = (
        emit(field, even, staining, 1.5, 1.0, 0.0, np.random.default_rng(0))[15, :, 15]
        for staining in ("lumen", "wall")
    )
    np.testing.assert_allclose(lumen[6:25], 1.0, rtol=1e-6)
    assert lumen[5] == lumen[25] == 0.5, "the voxel that the wall parts is half full"
    assert wall[6] > 3 * wall[15] and wall[24] > 3 * wall[15]
    assert lumen[:4].max() == 0 and wall[:3].max() == 0


def test_stain_varies_along_each_vessel():
    graph = grow()
    brightness = stain_vessels(graph, 0.4, np.random.default_rng(1))
    ends = np.cumsum([len(path) - 1 for path in graph.paths])
    long = [part for part in np.split(brightness, ends[:-1]) if len(part) > 20]
    assert len(long) > 20
    assert all(part.max() > 1.1 * part.min() for part in long)
    assert all(np.abs(np.diff(np.log(part))).max() < 0.5 for part in long), "it wanders, it does not flicker"


def test_leak_is_a_bell_of_the_size_given():
    volume = np.zeros((41, 41, 41), dtype=np.float32)
    add_blobs(volume, (1.0, 1.0, 1.0), np.array([[20.0, 20, 20]]), np.array([4.0]), np.array([0.5]))
    assert volume[20, 20, 20] == np.float32(0.5)
    assert volume[24, 20, 20] == pytest.approx(0.5 * np.exp(-0.5), rel=1e-6)
    assert volume[20, 28, 20] == pytest.approx(0.5 * np.exp(-2.0), rel=1e-6)


# The microscope


def point_image(scope: Microscope, shape=(41, 61, 61), spacing=(1.0, 0.5, 0.5)) -> np.ndarray:
    specimen = np.zeros(shape, dtype=np.float32)
    specimen[tuple(n // 2 for n in shape)] = 1000.0
    return expose(scope, specimen, np.zeros_like(specimen), spacing)[0]


def spread(image: np.ndarray, axis: int, step: float) -> float:
    """Standard deviation of the light along an axis, in µm."""
    profile = image.sum(axis=tuple({0, 1, 2} - {axis}), dtype=float)
    place = np.arange(len(profile)) * step
    mean = (profile * place).sum() / profile.sum()
    return np.sqrt((profile * (place - mean) ** 2).sum() / profile.sum())


def test_point_spreads_as_declared_and_more_along_z():
    image = point_image(Microscope(lateral_blur=1.0, axial_blur=3.0, haze=0.0, attenuation_length=1e9))
    assert spread(image, 0, 1.0) == pytest.approx(3.0, rel=0.005)
    assert spread(image, 1, 0.5) == pytest.approx(1.0, rel=0.005)
    assert spread(image, 2, 0.5) == pytest.approx(1.0, rel=0.005)


def test_light_out_of_focus_is_moved_and_not_made():
    sharp = point_image(Microscope(lateral_blur=0.5, axial_blur=1.5, haze=0.0, attenuation_length=1e9))
    hazy = point_image(Microscope(lateral_blur=0.5, axial_blur=1.5, haze=0.25, haze_blur=2.5, attenuation_length=1e9))
    assert hazy.sum(dtype=float) == pytest.approx(sharp.sum(dtype=float), rel=1e-4) == pytest.approx(1000, rel=1e-4)
    middle = tuple(n // 2 for n in hazy.shape)
    assert 0.75 <= hazy[middle] / sharp[middle] < 0.78
    assert spread(hazy, 0, 1.0) > 1.2 * spread(sharp, 0, 1.0)


def test_light_is_lost_with_depth_as_an_exponential():
    flat = np.ones((30, 8, 8), dtype=np.float32)
    scope = Microscope(attenuation_length=50.0, haze=0.2)
    light, _ = expose(scope, flat, flat, (2.0, 1.0, 1.0))
    np.testing.assert_allclose(light[:, 4, 4], 2 * np.exp(-2.0 * np.arange(30) / 50.0), rtol=1e-5)


def test_noise_is_poisson_noise_of_the_light_and_gaussian_noise_of_the_reading():
    """Var = gain² (photons + read²) + 1/12, the last for rounding; the mean is the noise-free digital number."""
    scope = Microscope(photons=40.0, read_noise=3.0, gain=0.25, offset=0.05, bits=16)
    gain = 65535 * scope.gain / scope.photons
    for level in (0.5, 1.0, 2.0):
        light = np.full((16, 256, 256), level, dtype=np.float32)
        numbers = detect(scope, light, np.random.default_rng(1)).astype(float)
        assert numbers.mean() == pytest.approx(65535 * (0.25 * level + 0.05), rel=1e-3)
        assert numbers.mean() == pytest.approx(float(digitize(scope, light).mean()), rel=1e-3)
        assert numbers.var() == pytest.approx(gain**2 * (40 * level + 9) + 1 / 12, rel=0.01)


def test_noise_of_neighbours_is_independent():
    noise = detect(Microscope(bits=16), np.ones((4, 256, 256), np.float32), np.random.default_rng(0)).astype(float)
    noise -= noise.mean()
    for axis in range(3):
        a, b = np.moveaxis(noise, axis, 0)[:-1].ravel(), np.moveaxis(noise, axis, 0)[1:].ravel()
        assert abs(np.corrcoef(a, b)[0, 1]) < 0.01


@pytest.mark.parametrize(("bits", "dtype"), [(8, np.uint8), (16, np.uint16)])
def test_bits_set_type_and_range(bits, dtype):
    """The same phantom in 8 and in 16 bit shows the same picture; light beyond the range saturates."""
    stack = make_phantom((8, 64, 64), SPACING, seed=1, bits=bits).stack
    assert stack.dtype == dtype
    assert 0.1 < stack.max() / np.iinfo(dtype).max <= 1
    if bits == 16:
        coarse = make_phantom((8, 64, 64), SPACING, seed=1, bits=8).stack
        unclipped = (coarse > 0) & (coarse < 255)
        assert np.abs(stack[unclipped] / 257 - coarse[unclipped]).max() <= 0.51
        assert len(np.unique(stack)) > 256
    glare = detect(Microscope(bits=bits), np.full((1, 4, 4), 1e4, np.float32), np.random.default_rng(0))
    assert (glare == np.iinfo(dtype).max).all()


# The whole


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 64, 64), (3, 8, 200)])
def test_any_shape_of_stack_can_be_made(shape):
    phantom = make_phantom(shape, SPACING, seed=2)
    assert phantom.stack.shape == phantom.mask.shape == shape
    assert phantom.depth.shape == phantom.focus.shape == phantom.projected_mask.shape == shape[1:]


def test_phantoms_of_a_set_differ_and_their_settings_span_what_microscopes_give():
    settings = [make_phantom((4, 32, 32), SPACING, index=n).settings for n in range(12)]
    assert {s["staining"] for s in settings} == {"lumen", "wall"}
    assert {s["density"] for s in settings} == {"sparse", "medium", "dense"}
    photons = [s["microscope"]["photons"] for s in settings]
    assert max(photons) > 3 * min(photons)


@pytest.mark.parametrize(
    ("words", "digest"),
    [
        (
            {"seed": 5, "index": 2, "density": "dense"},
            "0287c7569965d4aea1a5a16bdea1199a6eeec2a67ca0eeaadf203c14b25b516b",
        ),
        (dict(seed=0, index=1), "f8093b10d41c488f08f0ead9266ed6c30b2d86d6fa07a16894380a60c681626e"),
        (
            {"seed": 3, "index": 7, "staining": "wall", "bits": 16},
            "0ffe758d4198f58ecacd8a1b9a4e9c2ac4c9787913a3801de95f0092b2a45cab",
        ),
    ],
)
def test_old_seeds_give_what_they_gave(words, digest):
    """The masks of the first recipe, before there were families: sets are named by their seeds."""
    made = make_phantom((6, 40, 48), SPACING, **words)
    assert hashlib.sha256(made.mask.tobytes()).hexdigest() == digest


def test_set_is_a_dataset_folder(folder):
    stems = [f"phantom-{n:04d}" for n in range(3)]
    for part, suffix in {
        "images": ".ome.tif",
        "masks": ".tif",
        "masks3d": ".ome.tif",
        "slabs": ".ome.tif",
        "depth": ".ome.tif",
        "focus": ".ome.tif",
        "graphs": ".json",
    }.items():
        assert sorted(path.name for path in (folder / part).iterdir()) == [stem + suffix for stem in stems]


def test_spacing_is_in_the_files(tmp_path):
    spacing = (3.0, 0.5, 0.25)
    words = ["--spacing", *map(str, spacing), "--shape", "6", "20", "30"]
    assert main(["phantom", str(tmp_path), *words]) == 0
    name = "phantom-0000.ome.tif"
    for file, axes in (("images", "ZYX"), ("masks3d", "ZYX"), ("depth", "YX"), ("focus", "YX")):
        with tifffile.TiffFile(tmp_path / file / name) as tiff:
            assert tiff.series[0].axes == axes
            assert tiff.series[0].shape == (6, 20, 30)[-len(axes) :]
            pixels = tifffile.xml2dict(tiff.ome_metadata)["OME"]["Image"]["Pixels"]
        for axis, size in zip("ZYX", spacing, strict=True):
            if axis in axes:
                assert pixels[f"PhysicalSize{axis}"] == size
                assert pixels.get(f"PhysicalSize{axis}Unit", "µm") == "µm"
    assert json.loads((tmp_path / "graphs/phantom-0000.json").read_text())["spacing"] == list(spacing)


def test_same_seed_gives_the_same_bytes_however_many_work_at_it(folder, tmp_path):
    again = tmp_path / "again"
    assert main(["phantom", str(again), "--count", "3", "--seed", "11", "--jobs", "2", *SMALL]) == 0
    assert contents(again) == contents(folder)


def test_another_seed_gives_another_set(folder, tmp_path):
    assert main(["phantom", str(tmp_path), "--seed", "12", *SMALL]) == 0
    for path in ("images/phantom-0000.ome.tif", "masks/phantom-0000.tif", "graphs/phantom-0000.json"):
        assert (tmp_path / path).read_bytes() != (folder / path).read_bytes()


def test_interrupted_or_extended_set_becomes_the_whole_set(folder, tmp_path, capsys):
    words = ["--seed", "11", *SMALL]
    assert main(["phantom", str(tmp_path), "--count", "2", *words]) == 0
    (tmp_path / "depth/phantom-0001.ome.tif").unlink()
    kept = tmp_path / "images/phantom-0000.ome.tif"
    before = kept.stat().st_mtime_ns
    assert main(["phantom", str(tmp_path), "--count", "3", *words]) == 0
    assert contents(tmp_path) == contents(folder)
    assert kept.stat().st_mtime_ns == before
    assert "2 phantoms made, 1 kept" in capsys.readouterr().out


def test_other_settings_do_not_mix_into_a_set(folder, tmp_path, capsys):
    assert main(["phantom", str(tmp_path), "--seed", "11", *SMALL]) == 0
    before = contents(tmp_path)
    assert main(["phantom", str(tmp_path), "--seed", "12", *SMALL]) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert contents(tmp_path) == before
    assert main(["phantom", str(tmp_path), "--seed", "12", "--overwrite", *SMALL]) == 0
    assert contents(tmp_path) != before


def test_split_is_80_10_10_and_moves_no_phantom_when_the_set_grows(tmp_path):
    words = ["phantom", str(tmp_path), "--shape", "2", "16", "16"]
    assert main([*words, "--count", "9"]) == 0
    assert not (tmp_path / "split.csv").exists()
    assert main([*words, "--count", "10"]) == 0
    ten = (tmp_path / "split.csv").read_text().splitlines()
    assert ten[0] == "stem,split"
    assert sorted(row.split(",")[1] for row in ten[1:]) == ["test", "train", "train", *["train"] * 6, "val"]
    assert main([*words, "--count", "12"]) == 0
    assert (tmp_path / "split.csv").read_text().splitlines()[:11] == ten


@pytest.mark.parametrize(
    "words", [("--count", "0"), ("--shape", "0", "9", "9"), ("--spacing", "1", "nan", "1"), ("--seed", "-1")]
)
def test_senseless_words_are_refused_before_anything_is_written(tmp_path, words):
    with pytest.raises(SystemExit) as stop:
        main(["phantom", str(tmp_path / "out"), *words])
    assert stop.value.code == 2
    assert not (tmp_path / "out").exists()


def test_output_that_cannot_be_written_is_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("no folder")
    assert main(["phantom", str(tmp_path / "file"), *SMALL]) == 1
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.slow
def test_large_stack_takes_at_most_30_seconds_of_one_core(tmp_path):
    start = time.process_time()
    assert main(["phantom", str(tmp_path), "--shape", "64", "512", "512", "--density", "dense", "--bits", "16"]) == 0
    assert time.process_time() - start < 30
