"""Colours of depth, renderings and surfaces, against what is known of simple bodies."""

from __future__ import annotations

import numpy as np
import pytest

from bundle.pictures import brightest_vessel, depth_colours, depth_picture, rendering_picture, write_surface
from bundle.pictures.depth import hue
from bundle.pictures.rendering import reduced, render
from bundle.pictures.surface import slabs


def surface(mask: np.ndarray, spacing=None, slab: int = 64) -> tuple[np.ndarray, np.ndarray]:
    parts = [part for part, _ in slabs(mask, spacing, slab)]
    return np.concatenate([part.points for part in parts]), np.concatenate([part.triangles for part in parts])


def volume_and_area(points: np.ndarray, triangles: np.ndarray) -> tuple[float, float]:
    a, b, c = (points[triangles[:, k]] for k in range(3))
    normals = np.cross(b - a, c - a)
    return float((a * normals).sum() / 6), float(np.linalg.norm(normals, axis=1).sum() / 2)


def assert_closed(triangles: np.ndarray) -> None:
    """Every edge is passed as often in one direction as in the other."""
    edges = np.concatenate([triangles[:, [a, b]] for a, b in ((0, 1), (1, 2), (2, 0))])
    there, back = edges @ (triangles.max() + 1, 1), edges @ (1, triangles.max() + 1)
    np.testing.assert_array_equal(np.sort(there), np.sort(back))


def ball(radius: float, spacing: tuple[float, float, float]) -> np.ndarray:
    axes = [np.arange(-np.ceil(radius / s) - 1, np.ceil(radius / s) + 2) * s for s in spacing]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    return z**2 + y**2 + x**2 <= radius**2


def test_vessels_of_the_first_and_last_slice_have_the_bars_end_colours():
    stack = np.full((5, 4, 6), 7, np.uint8)
    mask = np.zeros((5, 4, 6), bool)
    mask[0, 1, :3], mask[4, 1, 3:] = True, True
    picture = depth_colours(*brightest_vessel(stack, mask), len(stack))
    assert picture.dtype == np.uint8
    assert not picture[[0, 2, 3]].any()
    first, last = np.round(255 * hue(np.array([0.0, 1.0]))).tolist()
    assert picture[1, :3].tolist() == [first] * 3
    assert picture[1, 3:].tolist() == [last] * 3
    assert first[0] > first[2] and last[2] > last[1], "near is yellow, far is violet"


def test_of_vessels_behind_each_other_the_brighter_one_is_seen_and_no_bright_tissue():
    stack = np.zeros((5, 1, 2), np.uint16)
    mask = np.zeros((5, 1, 2), bool)
    stack[:, 0, 0] = 100, 500, 300, 100, 600
    mask[[0, 2, 3], 0, 0] = True
    grey, depth = brightest_vessel(stack, mask)
    assert grey.tolist() == [[300, 0]]
    np.testing.assert_allclose(depth, [[2.25, np.nan]], rtol=1e-5)


def test_the_depth_of_one_vessel_is_smooth_whatever_the_noise():
    """A tilted tube of nine slices, evenly bright but for noise: its axis, and no leap over slices."""
    z, y, x = np.mgrid[:24, :21, :80]
    axis = 6 + 10 * x[0] / 79
    mask = (z - axis) ** 2 + (y - 10) ** 2 <= 4.5**2
    stack = np.random.default_rng(0).poisson(np.where(mask, 40, 10)).astype(np.uint8)
    _, depth = brightest_vessel(stack, mask)
    seen = ~np.isnan(depth)
    assert seen.sum() == mask.any(0).sum()
    assert np.abs(depth - axis)[seen].max() < 1
    leaps = np.abs(np.diff(depth[8:13], axis=1))
    assert np.nanmax(leaps) < 1.5 and np.nanmean(leaps) < 0.3


def test_colours_darken_with_depth_so_that_a_grey_print_keeps_the_order():
    grey = hue(np.linspace(0, 1, 50)) @ (0.2126, 0.7152, 0.0722)
    assert (np.diff(grey) < 0).all()


def test_colour_picture_holds_the_pixels_as_they_are_and_a_bar_beside_them():
    stack = np.full((5, 300, 300), 9, np.uint8)
    mask = np.zeros(stack.shape, bool)
    mask[0, 100:200, 50:60] = True
    pair = brightest_vessel(stack, mask)
    for spacing in (None, (2.0, 0.5, 0.5)):
        picture = depth_picture(*pair, 5, spacing)
        assert picture.shape[1] > 900 <= picture.shape[0]
        np.testing.assert_array_equal(picture[300:600:3, 150:180:3], depth_colours(*pair, 5)[100:200, 50:60])
        bar = picture[:, 900:].reshape(-1, 3)
        for end in hue(np.array([0.02, 0.5, 0.98])):
            assert np.abs(bar - 255 * end).max(axis=1).min() < 8
    assert (picture[-60:, 600:900] == 255).all(axis=-1).any(), "a scale bar where µm are known"


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 3, 5), (2, 40, 3000)])
def test_every_shape_has_its_pictures_with_and_without_vessels(shape):
    for mask in (np.zeros(shape, bool), np.ones(shape, bool)):
        stack = mask.astype(np.float32)
        assert depth_picture(*brightest_vessel(stack, mask), shape[0], (1.0, 1.0, 1.0)).ndim == 3
        assert rendering_picture(mask, shape).dtype == np.uint8


def test_reduction_keeps_what_a_cell_holds_and_where():
    mask = np.zeros((8, 64, 64), bool)
    mask[2:4, 16:32, 32:40] = True
    volume, cell = reduced(mask, mask.shape, (4.0, 1.0, 1.0), cells=32)
    assert volume.shape == (8, 32, 32) and cell.tolist() == [4, 2, 2]
    assert volume.sum() * 4 == mask.sum()
    assert volume[2:4, 8:16, 16:20].all() and set(np.unique(volume)) == {0, 1}


def test_rendering_shows_a_ball_as_a_disk_of_its_size_in_its_depths_colour_lit_from_the_left():
    spacing = (2.0, 1.0, 1.0)
    mask = np.zeros((41, 81, 81), bool)
    inside = ball(20, spacing)
    start = [(n - k) // 2 for n, k in zip(mask.shape, inside.shape, strict=True)]
    mask[tuple(slice(a, a + k) for a, k in zip(start, inside.shape, strict=True))] = inside
    picture, pixel = render(mask.astype(np.float32), spacing, pixels=200)
    rows, columns = np.nonzero(picture.any(axis=-1))
    diameter = [pixel * (np.ptp(found) + 1) for found in (rows, columns)]
    np.testing.assert_allclose(diameter, 40, atol=3)
    np.testing.assert_allclose([rows.mean(), columns.mean()], np.array(picture.shape[:2]) / 2, atol=2)
    middle = picture[round(rows.mean()), round(columns.mean())].astype(float)
    expected = hue(np.array(0.3))
    assert np.argmin(middle) == np.argmin(expected)
    left, right = columns < columns.mean(), columns > columns.mean()
    assert picture[rows[left], columns[left]].mean() > 1.2 * picture[rows[right], columns[right]].mean()


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 0.5, 0.5)])
def test_surface_of_a_ball_has_its_volume_and_area_and_faces_outwards(spacing):
    points, triangles = surface(ball(10, spacing), spacing)
    assert_closed(triangles)
    volume, area = volume_and_area(points, triangles)
    assert volume == pytest.approx(4 / 3 * np.pi * 10**3, rel=0.02)
    assert area == pytest.approx(4 * np.pi * 10**2, rel=0.1)
    centre = points.mean(axis=0)
    a, b, c = (points[triangles[:, k]] - centre for k in range(3))
    assert ((np.cross(b - a, c - a) * a).sum(axis=1) > 0).mean() > 0.999


def test_surface_of_a_tube_is_closed_where_the_tube_leaves_the_volume():
    y, x = np.ogrid[:30, :40]
    mask = np.repeat(((y - 12) ** 2 + (x - 20) ** 2 <= 64)[None], 80, 0)
    points, triangles = surface(mask)
    assert_closed(triangles)
    volume, area = volume_and_area(points, triangles)
    assert volume == pytest.approx(np.pi * 64 * 80, rel=0.03)
    assert area == pytest.approx(2 * np.pi * 8 * 80 + 2 * np.pi * 64, rel=0.1)  # steps are not smoothed wholly
    assert points[:, 2].min() < 0 and points[:, 2].max() > 79, "z comes last, and the ends stand at the borders"
    np.testing.assert_allclose(points.mean(axis=0)[:2], (20, 12), atol=0.1)


@pytest.mark.parametrize("slab", [7, 32])
def test_slabs_of_any_height_give_the_surface_of_the_whole(slab):
    mask = np.random.default_rng(0).random((45, 9, 11)) > 0.6
    mask[20:24] = False
    whole, slabwise = surface(mask, slab=100), surface(mask, slab=slab)
    for expected, found in zip(whole, slabwise, strict=True):
        np.testing.assert_array_equal(found, expected)
    assert_closed(whole[1])


def test_files_hold_the_surface_in_both_formats(tmp_path):
    mask = np.random.default_rng(0).random((12, 9, 11)) > 0.5
    spacing = (2.0, 0.5, 0.5)
    points, triangles = surface(mask, spacing)
    counts = {write_surface(tmp_path / f"a.{form}", mask, spacing, slab=5) for form in ("stl", "ply")}
    assert counts == {len(triangles)}
    stl = (tmp_path / "a.stl").read_bytes()
    assert np.frombuffer(stl, "<u4", 1, 80) == len(triangles)
    records = np.frombuffer(stl, [("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("end", "<u2")], offset=84)
    np.testing.assert_array_equal(records["corners"], points[triangles].astype(np.float32))
    head, body = (tmp_path / "a.ply").read_bytes().split(b"end_header\n", 1)
    assert f"element vertex {len(points):010}\n".encode() in head and b"unit micrometer" in head
    np.testing.assert_array_equal(np.frombuffer(body, "<f4", 3 * len(points)).reshape(-1, 3), points.astype(np.float32))
    faces = np.frombuffer(body, [("count", "u1"), ("corners", "<i4", 3)], offset=12 * len(points))
    assert (faces["count"] == 3).all()
    np.testing.assert_array_equal(faces["corners"], triangles)
    with pytest.raises(ValueError, match="obj"):
        write_surface(tmp_path / "a.obj", mask)


def test_nothing_has_no_surface(tmp_path):
    assert write_surface(tmp_path / "a.stl", np.zeros((3, 4, 5), bool)) == 0
    assert (tmp_path / "a.stl").stat().st_size == 84
