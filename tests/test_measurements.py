"""Measurements of shapes whose numbers are known in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from bundle.measurements import crofton_length_density, tissue_distances
from bundle.measurements.boxes import fractal_dimension, lacunarity
from bundle.measurements.branching import (
    angles_between,
    is_crossing,
    murray_exponent,
    murray_ratio,
    strahler_orders,
)
from bundle.measurements.lines import (
    arc_length,
    curvature,
    direction,
    inclination,
    orientation,
    surface,
    tortuosity,
    volume,
)
from bundle.measurements.profiles import blurred_cylinder, blurred_slab, fit_profile
from bundle.measurements.sections import section_radii, tangents
from bundle.measurements.survival import censored_mean, censored_median


def helix(radius: float = 20, pitch: float = 40, turns: float = 2, points: int = 600) -> np.ndarray:
    t = np.linspace(0, 2 * np.pi * turns, points)
    return np.stack([pitch * t / (2 * np.pi), radius * np.sin(t), radius * np.cos(t)], axis=1)


def ring(radius: float = 30, points: int = 800) -> np.ndarray:
    t = np.linspace(0, 2 * np.pi, points)
    return np.stack([np.zeros_like(t), radius * np.sin(t), radius * np.cos(t)], axis=1)


def grid(shape: tuple[int, ...], spacing: tuple[float, ...]) -> np.ndarray:
    return np.stack(np.meshgrid(*(np.arange(n) * s for n, s in zip(shape, spacing, strict=True)), indexing="ij"), -1)


def cylinder(shape, spacing, through, along, radius):
    """The voxels whose centre is within a radius of a line."""
    away = grid(shape, spacing) - through
    along = np.asarray(along, dtype=float) / np.linalg.norm(along)
    return (away**2).sum(-1) - (away @ along) ** 2 <= radius**2


def test_a_line_s_length_tortuosity_and_curvature_are_those_of_its_curve():
    straight = np.array([[0.0, 0, 0], [0, 100, 200]])
    assert arc_length(straight) == pytest.approx(223.607, abs=1e-3) and tortuosity(straight) == pytest.approx(1)
    t = np.linspace(0, np.pi, 400)
    half = 50 * np.stack([0 * t, np.sin(t), np.cos(t)], axis=1)
    assert arc_length(half) == pytest.approx(157.080, rel=1e-4) and tortuosity(half) == pytest.approx(1.5708, rel=1e-4)
    assert arc_length(helix()) == pytest.approx(263.753, rel=1e-3)
    assert tortuosity(helix()) == pytest.approx(3.2969, rel=1e-3)
    assert curvature(helix(), 3) == pytest.approx(0.0454, rel=0.01)
    assert curvature(ring(), 3, closed=True) == pytest.approx(1 / 30, rel=0.01)
    assert math.isnan(tortuosity(ring()))
    assert curvature(straight, 5) == pytest.approx(0, abs=1e-6)


def test_volume_and_surface_are_integrals_of_the_radius_and_not_of_its_mean():
    torus = ring(30), np.full(800, 4.0)
    assert volume(*torus) == pytest.approx(9474.8, rel=1e-4) and surface(*torus) == pytest.approx(4737.4, rel=1e-4)
    cone = np.linspace([0.0, 0, 0], [0, 0, 100], 7), np.linspace(2, 6, 7)
    assert volume(*cone) == pytest.approx(5445.4, rel=1e-4)
    assert 2 * cone[1].mean() == pytest.approx(8)


def test_directions_are_measured_in_the_plane_and_against_it():
    assert orientation(np.array([[0.0, 0, 0], [0, 0, 9]])) == pytest.approx(0)
    assert orientation(np.array([[0.0, 5, 0], [0, 0, 0]])) == pytest.approx(90)
    assert orientation(np.array([[0.0, 0, 0], [0, -2, 2]])) == pytest.approx(135)
    assert inclination(np.array([[0.0, 0, 0], [3, 4, 0]])) == pytest.approx(math.degrees(math.atan(3 / 4)))
    bent = np.array([[0.0, 0, 0], [0, 0, 10], [0, 10, 10]])
    np.testing.assert_allclose(direction(bent, 1, 9), (0, 0, 1), atol=1e-12)
    np.testing.assert_allclose(direction(bent, 12, 18), (0, 1, 0), atol=1e-12)
    closed = ring(30)
    np.testing.assert_allclose((tangents(closed, 2, closed=True) * closed).sum(1), 0, atol=0.01 * 30)


def test_segments_cut_by_the_border_count_as_longer():
    """Lines broken every 20, seen through a window of 100 at every phase."""
    lengths, cut = [], []
    for first in np.arange(0.5, 20):
        lengths += [first, 20, 20, 20, 20, 20 - first]
        cut += [True, False, False, False, False, True]
    assert np.mean(lengths) == pytest.approx(16.67, abs=0.01)
    assert censored_mean(np.array(lengths), np.array(cut)) == pytest.approx(20)
    assert censored_median(np.array(lengths), np.array(cut)) == pytest.approx(20)
    assert math.isnan(censored_mean(np.array([5.0]), np.array([True])))
    # a longest one that is cut: the area up to what is seen of it, by hand 4 · 1 + (10 - 4) · 1/2
    assert censored_mean(np.array([4.0, 10.0]), np.array([False, True])) == pytest.approx(7)


def test_distances_to_parallel_vessels_and_in_a_krogh_cylinder():
    y, x = np.mgrid[:420, :420] + 0.25
    lattice = np.hypot(y % 60 - 30, x % 60 - 30) <= 5
    found = tissue_distances(lattice, (1, 1))
    assert found.mean == pytest.approx(18.39, rel=0.025)
    assert found.p95 == pytest.approx(31.01, rel=0.025)
    assert found.maximum == pytest.approx(37.43, abs=0.7)
    y, x = np.mgrid[-100:101, -100:101]
    away = np.hypot(y, x)
    krogh = tissue_distances(away <= 5.2, (1, 1), region=away <= 50)
    assert krogh.mean == pytest.approx(28.636, rel=0.015) and krogh.left_out == 0


def test_distances_do_not_depend_on_the_shape_of_a_pixel():
    fine = cylinder((80, 80, 80), (1, 1, 1), (40, 40, 40), (1, 2, 3), 5)
    coarse = cylinder((20, 80, 80), (4, 1, 1), (40, 40, 40), (1, 2, 3), 5)
    same, other = tissue_distances(fine, (1, 1, 1)), tissue_distances(coarse, (4, 1, 1))
    assert other.mean == pytest.approx(same.mean, rel=0.03) and other.p95 == pytest.approx(same.p95, rel=0.03)


def test_tissue_nearer_to_the_border_than_to_a_vessel_does_not_count():
    mask = np.zeros((101, 101), dtype=bool)
    mask[50, 50] = True
    found = tissue_distances(mask, (1, 1))
    assert found.maximum <= 30 and found.left_out > 0.5
    assert math.isnan(tissue_distances(~mask & mask, (1, 1)).mean)
    assert math.isnan(tissue_distances(np.ones_like(mask), (1, 1)).mean)


@pytest.mark.parametrize("spacing", [(1, 1, 1), (2, 1, 1)])
def test_crofton_s_formula_gives_the_length_of_cylinders_at_any_angle(spacing):
    """A lattice of parallel cylinders; how many of them a window holds near its faces sways a single ratio."""
    rng = np.random.default_rng(0)
    shape = tuple(int(64 / step) for step in spacing)
    points = grid(shape, spacing)
    ratios = []
    for _ in range(8):
        along = rng.normal(size=3)
        along /= np.linalg.norm(along)
        first = np.cross(along, (0.3, 0.5, 0.8))
        first /= np.linalg.norm(first)
        second = np.cross(along, first)
        offsets = np.stack([(points @ first + 3) % 16 - 8, (points @ second + 7) % 16 - 8])
        mask = (offsets**2).sum(0) <= 9
        ratios.append(crofton_length_density(mask, spacing) / (mask.mean() / (np.pi * 9)))
    assert np.mean(ratios) == pytest.approx(1, abs=0.02)


def test_crofton_s_formula_gives_the_length_of_lines_in_a_plane():
    points = grid((300, 300), (1, 1))
    for angle in (0, 0.3, 0.7854, 1.2):
        mask = np.abs((points @ (np.cos(angle), np.sin(angle)) + 5) % 20 - 10) <= 2.5
        expected = mask.mean() / 5
        assert crofton_length_density(mask, (1, 1)) == pytest.approx(expected, rel=0.04)
        region = np.zeros_like(mask)
        region[40:260, 30:200] = True
        assert crofton_length_density(mask, (1, 1), region) == pytest.approx(mask[region].mean() / 5, rel=0.05)


def test_a_section_s_width_is_area_by_length_in_a_plane_and_the_circle_s_in_space():
    rng = np.random.default_rng(1)
    errors = []
    for _ in range(20):
        angle, width = rng.uniform(0, np.pi), rng.uniform(3, 9)
        along, across = np.array([np.sin(angle), np.cos(angle)]), np.array([np.cos(angle), -np.sin(angle)])
        mask = np.abs((grid((120, 120), (1, 1)) - 60) @ across) <= width / 2
        points = 60 + np.arange(-40, 40.0)[:, None] * along
        radii = section_radii(mask, (1, 1), points, np.tile(along, (80, 1)), np.full(80, width / 2))
        errors.append(2 * radii.mean() - width)
    assert np.mean(errors) == pytest.approx(0, abs=0.03)
    bar = np.zeros((30, 30, 100), dtype=bool)
    bar[10:14, 10:14] = True
    points = np.stack([np.full(90, 11.5), np.full(90, 11.5), np.arange(5, 95.0)], axis=1)
    radii = section_radii(bar, (1, 1, 1), points, np.tile((0.0, 0, 1), (90, 1)), np.full(90, 2.0))
    assert 2 * radii.mean() == pytest.approx(4.51, abs=0.05)
    for spacing in ((1, 1, 1), (3, 1, 1)):
        shape = (int(60 / spacing[0]), 60, 60)
        errors = []
        for _ in range(8):
            along, radius = rng.normal(size=3), rng.uniform(2.5, 4)
            along /= np.linalg.norm(along)
            mask = cylinder(shape, spacing, (30, 30, 30), along, radius)
            points = 30 + np.arange(-20, 20.0)[:, None] * along
            radii = section_radii(mask, spacing, points, np.tile(along, (40, 1)), np.full(40, radius))
            errors.append(2 * np.nanmean(radii) - 2 * radius)
        assert np.mean(errors) == pytest.approx(0, abs=0.1)


def test_a_section_that_a_second_vessel_opens_has_no_width():
    mask = np.zeros((60, 60), dtype=bool)
    mask[28:33] = True
    mask[:, 28:33] = True
    points = np.array([[30.0, 10], [30, 30]])
    radii = section_radii(mask, (1, 1), points, np.tile((0.0, 1), (2, 1)), np.full(2, 2.5))
    assert radii[0] == pytest.approx(2.5, abs=0.1) and math.isnan(radii[1])


@pytest.mark.parametrize("model", [blurred_slab, blurred_cylinder])
def test_a_blurred_profile_gives_back_its_radius_and_blur(model):
    rng = np.random.default_rng(2)
    offset = np.linspace(-9, 9, 49)
    for radius, blur in ((2, 0.7), (3, 1.5), (4, 1)):
        values = 40 + 100 * model(offset - 0.4, radius, blur) + 0.8 * offset
        found = fit_profile(offset, values, model)
        assert found[0] == pytest.approx(radius, rel=1e-3) and found[1] == pytest.approx(blur, rel=1e-2)
        noisy = fit_profile(offset, values + rng.normal(0, 1, len(offset)), model)
        assert noisy[0] == pytest.approx(radius, rel=0.06)
    assert math.isnan(fit_profile(offset, np.full(49, 3.0)).radius)


def test_the_blurred_cylinder_is_the_blurred_chord():
    fine = np.arange(-60, 60.005, 0.01)
    chord = gaussian_filter(np.sqrt(np.clip(9 - fine**2, 0, None)) / 3, 120)
    np.testing.assert_allclose(blurred_cylinder(fine[::50], 3, 1.2), chord[::50], atol=3e-3)


def test_branch_points_angles_murray_and_crossings():
    thirds = np.array([[np.cos(a), np.sin(a)] for a in np.radians([0, 120, 240])])
    np.testing.assert_allclose(angles_between(thirds), 120)
    cross = np.array([[1.0, 0], [0, 1], [-1, 0.1], [0.1, -1]])
    assert is_crossing(cross / np.linalg.norm(cross, axis=1, keepdims=True)) and not is_crossing(thirds)
    star = np.array([[np.cos(a), np.sin(a)] for a in np.radians([0, 40, 80, 200])])
    assert not is_crossing(star)
    assert murray_exponent([1, 2 ** (1 / 3), 1]) == pytest.approx(3)
    assert murray_ratio([1, 2 ** (1 / 3), 1]) == pytest.approx(1)
    assert math.isnan(murray_exponent([2, 2, 1]))


def test_strahler_orders_of_a_tree_and_none_of_a_loop():
    edges = np.array([[0, 1], [1, 2], [1, 3], [3, 4], [3, 5], [6, 7], [7, 8], [8, 6]])
    orders = strahler_orders(edges, np.array([5, 1, 3, 1, 1, 1, 1, 1]), 9)
    assert orders[:5] == [2, 1, 2, 1, 1] and all(math.isnan(order) for order in orders[5:])


def test_box_counting_of_a_plane_and_of_a_line():
    plane = np.ones((128, 128), dtype=bool)
    assert fractal_dimension(plane) == pytest.approx(2) and lacunarity(plane) == pytest.approx(1, abs=1e-4)
    line = np.zeros_like(plane)
    line[40] = True
    assert fractal_dimension(line) == pytest.approx(1) and lacunarity(line) > 5
    assert math.isnan(fractal_dimension(~plane)) and math.isnan(fractal_dimension(plane[:8, :8]))
