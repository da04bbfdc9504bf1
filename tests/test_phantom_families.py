"""Families of phantoms: every artefact has the property it is named for, the whole keeps its truth."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from bundle.__main__ import main
from bundle.errors import InputError
from bundle.phantoms import FAMILIES, Range, grow_network, make_phantom, optics, processing, tissue
from bundle.phantoms.families import NEVER, Artefacts, draw

RNG = np.random.default_rng


# The whole


FAMILY_SHAPE = (5, 40, 48)


@pytest.fixture(scope="module", params=list(FAMILIES))
def member(request):
    return make_phantom(FAMILY_SHAPE, family=request.param, seed=3, index=1)


def test_a_family_gives_the_same_bytes_for_the_same_seed_and_others_for_another(member):
    name = member.settings["family"]
    again = make_phantom(FAMILY_SHAPE, family=name, seed=3, index=1)
    other = make_phantom(FAMILY_SHAPE, family=name, seed=3, index=2)
    for part in ("stack", "mask", "slab_mask", "light", "depth", "focus"):
        assert getattr(again, part).tobytes() == getattr(member, part).tobytes()
    assert again.settings == member.settings
    assert other.stack.tobytes() != member.stack.tobytes()
    assert json.loads(json.dumps(member.settings)) == member.settings


def test_slab_holds_the_plane(member):
    assert member.slab_mask.shape == member.mask.shape == member.stack.shape == member.light.shape == FAMILY_SHAPE
    assert not (member.mask & ~member.slab_mask).any()
    assert member.spacing[0] > 0


def test_an_unknown_family_is_refused():
    with pytest.raises(InputError, match="two-photon"):
        make_phantom(FAMILY_SHAPE, family="x-ray")


def test_command_makes_families_with_their_slabs_and_their_own_spacing(tmp_path):
    words = ["phantom", str(tmp_path), "--family", "random", "--count", "3", "--seed", "2", "--shape", "4", "40", "40"]
    assert main(words) == 0
    for n in range(3):
        made = make_phantom((4, 40, 40), family="random", seed=2, index=n)
        name = f"phantom-{n:04d}"
        np.testing.assert_array_equal(tifffile.imread(tmp_path / f"images/{name}.ome.tif"), made.stack)
        slab = tifffile.imread(tmp_path / f"slabs/{name}.ome.tif")
        np.testing.assert_array_equal(slab, 255 * made.slab_mask.astype(np.uint8))
        graph = json.loads((tmp_path / f"graphs/{name}.json").read_text())
        assert graph["settings"] == made.settings and graph["spacing"] == list(made.spacing)


def test_random_families_are_the_named_ones():
    made = make_phantom(FAMILY_SHAPE, family="random", seed=2, index=1)
    named = make_phantom(FAMILY_SHAPE, family=made.settings["family"], seed=2, index=1)
    assert made.stack.tobytes() == named.stack.tobytes()
    other = make_phantom(FAMILY_SHAPE, family="random", seed=2, index=2)
    assert made.settings["family"] != other.settings["family"]


def only(name: str, monkeypatch: pytest.MonkeyPatch, **artefacts: Range) -> None:
    """Leave a family with these artefacts alone."""
    none = {each.name: NEVER for each in fields(Artefacts)}
    monkeypatch.setitem(FAMILIES, name, replace(FAMILIES[name], artefacts=Artefacts(**none | artefacts)))


@pytest.mark.parametrize("name", FAMILIES)
def test_stack_of_endless_light_is_the_light(name, monkeypatch):
    only(name, monkeypatch)
    bright = replace(FAMILIES[name].optics, photons=Range(1e8, 1e8), read_noise=NEVER, looks=NEVER)
    monkeypatch.setitem(FAMILIES, name, replace(FAMILIES[name], optics=bright))
    made = make_phantom(FAMILY_SHAPE, family=name, seed=1)
    assert made.light.max() > 20
    assert np.abs(made.stack - np.clip(made.light, 0, 255)).max() < 0.6, "rounding, and the noise of 1e8 photons"


def test_displaced_slices_take_their_truth_along_and_lost_ones_are_skipped(monkeypatch):
    """The same specimen with and without: the pictures of the middle of a slice are the same but for the place."""
    only("confocal", monkeypatch)
    calm = make_phantom((8, 60, 64), family="confocal", seed=4)
    only("confocal", monkeypatch, jitter=Range(3, 3))
    moved = make_phantom((8, 60, 64), family="confocal", seed=4)
    shifts = np.array(moved.settings["shifts"])
    assert np.abs(shifts).max() > 2 and np.abs(shifts).max() <= 12
    for part in ("mask", "slab_mask"):
        for z, (dy, dx) in enumerate(shifts):
            there = getattr(calm, part)[z, 12 + dy : 48 + dy, 12 + dx : 52 + dx]
            np.testing.assert_array_equal(getattr(moved, part)[z, 12:48, 12:52], there)
    only("confocal", monkeypatch, lost=Range(2, 2))
    fewer = make_phantom((6, 60, 64), family="confocal", seed=4)
    kept = fewer.settings["slices"]
    assert len(kept) == 6 and kept[0] == 0 and kept[-1] == 7
    np.testing.assert_array_equal(fewer.mask, calm.mask[kept])


def test_black_slices_have_no_vessels(monkeypatch):
    only("two-photon", monkeypatch, blank=Range(2, 2))
    made = make_phantom((6, 40, 40), family="two-photon", seed=1)
    black = made.settings["blank"]
    assert len(black) == 2 and not made.slab_mask[black].any() and not made.mask[black].any()
    assert (np.ptp(made.light[black], axis=(1, 2)) == 0).all()


def test_vessels_of_one_stack_differ_tenfold_and_typical_ones_are_dim():
    """Over a few stacks: half of the light inside vessels is below a third of the brightest somewhere."""
    shares = []
    for index in range(4):
        made = make_phantom((6, 80, 80), family="two-photon-denoised", seed=2, index=index)
        light = made.light[made.slab_mask]
        shares.append(np.median(light) / np.percentile(made.light, 99.5))
    assert min(shares) < 0.33


def test_ranges_are_drawn_within_their_bounds_and_as_often_as_they_say():
    rng = RNG(0)
    values = np.array([Range(2, 200, log=True, chance=0.25).draw(rng) for _ in range(4000)])
    there = values[values > 0]
    assert len(there) / 4000 == pytest.approx(0.25, abs=0.03)
    assert there.min() >= 2 and there.max() <= 200 and np.median(there) == pytest.approx(20, rel=0.1)
    one, other = draw(FAMILIES["confocal"].optics, RNG(1)), draw(FAMILIES["oct-a"].optics, RNG(1))
    assert one["flicker"] == other["flicker"], "what one range draws moves no other"


# Tissue


@pytest.mark.parametrize("sigma", [(0.3, 0.4, 0.4), (1.0, 2.0, 3.0), (2.0, 9.0, 15.0)])
def test_rough_noise_has_unit_size_and_hills_of_the_size_given(sigma):
    rng = RNG(0)
    noise = np.concatenate([tissue.rough((12, 80, 80), sigma, rng) for _ in range(30)])
    assert noise.shape == (360, 80, 80) and noise.dtype == np.float32
    assert abs(noise.mean()) < 0.15 and noise.std() == pytest.approx(1, abs=0.15)
    step = max(int(sigma[2]), 1)
    alike = (noise[:, :, step:] * noise[:, :, :-step]).mean() / noise.var()
    assert alike == pytest.approx(np.exp(-((step / (2 * sigma[2])) ** 2)), abs=0.15)


def test_tissue_lies_between_its_surfaces_and_not_in_holes():
    top, bottom = tissue.surfaces((20, 60, 80), 2.0, 0.25, 0.25, 3.0, 0.3, RNG(0))
    hole = np.isinf(top)
    assert hole.mean() == pytest.approx(0.3, abs=0.01)
    inside = tissue.within(top, bottom, np.arange(20) * 2.0)
    assert (inside[:, hole] == 0).all()
    thickness = inside[:, ~hole].sum(axis=0) * 2.0
    np.testing.assert_allclose(thickness, (bottom - top)[~hole], atol=0.1)
    top, bottom = tissue.surfaces((20, 60, 80), 2.0, 0, 0, 3.0, 0, RNG(0))
    assert (tissue.within(top, bottom, np.arange(20) * 2.0) == 1).all()


def test_cell_has_a_nucleus_and_a_rim_of_their_own_brightness():
    volume = np.zeros((21, 41, 41), dtype=np.float32)
    radii, place = np.array([[8.0, 15, 10]]), np.array([[10.0, 20, 20]])
    one = np.ones(1)
    tissue.add_cells(volume, (1.0, 1.0, 1.0), place, radii, 0.5 * one, 0.1 * one, 0.8 * one, 0 * one)
    assert volume[10, 20, 20] == pytest.approx(0.1, abs=0.01)
    assert volume[10, 20 + 12, 20] == pytest.approx(0.5, abs=0.15)
    assert volume[10, 20 + 15, 20] == pytest.approx(0.8 + 0.25, abs=0.05), "half of the body and all of the rim"
    assert volume[10, 20, 20 + 10] == pytest.approx(volume[10, 20 + 15, 20], abs=0.05), "it is longer than wide"
    assert volume[0, 0, 0] == 0


def test_points_add_up_and_strands_go_on_step_by_step():
    volume = np.zeros((3, 5, 5), dtype=np.float32)
    points = np.array([[2.0, 2, 2], [2.2, 2.1, 1.9], [-9, 0, 0], [0, 0, 99]])
    tissue.add_points(volume, (2.0, 1.0, 1.0), points, np.array([1.0, 2.0, 4.0, 8.0]))
    assert volume[1, 2, 2] == 3 and volume.sum() == 3
    strand = tissue.strands(np.zeros((4, 3)), 60.0, 0.2, 0.5, RNG(0))
    assert strand.shape == (4, 120, 3)
    np.testing.assert_allclose(np.linalg.norm(np.diff(strand, axis=1), axis=2), 0.5, rtol=1e-6)


def test_brightness_spreads_from_vessel_to_vessel_but_not_along_a_wide_one():
    graph = grow_network(
        (60.0, 300.0, 300.0), RNG(3), length_density=1.0, capillary_radius=2.5, trunks=[("venule", 14.0)], flatness=1.5
    )
    light = tissue.vessel_light(graph, 2.5, 1.0, 0.0, 0.0, 0.0, 0.0, RNG(1))
    parts = np.split(light, np.cumsum([len(path) - 1 for path in graph.paths])[:-1])
    means = np.array([part.mean() for part in parts])
    assert np.percentile(means, 95) > 10 * np.percentile(means, 5)
    trunk = means[graph.radii > 12]
    assert len(trunk) > 3 and trunk.max() == pytest.approx(trunk.min(), rel=1e-5)


# Light


def point(shape=(21, 64, 64)) -> np.ndarray:
    volume = np.zeros(shape, dtype=np.float32)
    volume[tuple(n // 2 for n in shape)] = 1000.0
    return volume


def width(image: np.ndarray, step: float) -> float:
    profile = image.sum(axis=0, dtype=float)
    place = np.arange(len(profile)) * step
    mean = (profile * place).sum() / profile.sum()
    return float(np.sqrt((profile * (place - mean) ** 2).sum() / profile.sum()))


def test_wide_field_loses_no_light_and_spreads_it_as_a_cone():
    light = optics.wide_field(point(), (1.0, 0.5, 0.5), 1, 0.7, 0.3, 1.0)
    np.testing.assert_allclose(light.sum(axis=(1, 2)), 1000, rtol=1e-3)
    for away in (0, 2, 6):
        assert width(light[10 + away], 0.5) == pytest.approx(np.hypot(0.7, 0.3 * away), rel=0.02)
    np.testing.assert_allclose(light[10 + 3], light[10 - 3], atol=1e-3)


def test_wide_field_is_focused_on_the_middle_of_the_planes_of_a_slice():
    whole = optics.wide_field(point(), (1.0, 0.5, 0.5), 1, 0.7, 0.3, 1.0)
    slices = optics.wide_field(point(), (1.0, 0.5, 0.5), 3, 0.7, 0.3, 1.0)
    np.testing.assert_allclose(slices, whole[1::3], atol=1e-3)


def test_thin_sections_do_not_see_each_other():
    sections = optics.thin_sections(point((9, 64, 64)), (2.0, 0.5, 0.5), 3, 0.7, 0.2, 0.3, 5.0)
    assert sections.shape == (3, 64, 64)
    assert sections[0].max() == sections[2].max() == 0
    assert sections[1].sum() == pytest.approx(1000 / 3, rel=0.02)


def test_moving_blood_throws_tails_down_and_shadows():
    flow = np.zeros((30, 1, 1), dtype=np.float32)
    flow[10:14] = 1.0
    tails = optics.projection(flow, 5.0, 0.5, 50.0)[:, 0, 0]
    assert (tails[:11] == 0).all() and tails[11] > 0
    assert tails[14] == pytest.approx(0.5, rel=0.25), "20 µm of blood throw half of their own light"
    np.testing.assert_allclose(tails[15:] / tails[14:-1], np.exp(-5 / 50), rtol=1e-5)
    left = optics.shadow(flow, 5.0, 0.02)[:, 0, 0]
    assert (left[:11] == 1).all()
    np.testing.assert_allclose(left[14:], np.exp(-0.02 * 20), rtol=1e-5)


def test_speckle_is_exponential_averaged_and_long_along_the_beam():
    even = np.full((40, 100, 100), 3.0, dtype=np.float32)
    one = optics.speckle(even, 1, (2.0, 0.5, 0.5), RNG(0)) / 3
    assert one.mean() == pytest.approx(1, abs=0.03) and one.std() == pytest.approx(1, abs=0.05)
    assert (one > 1).mean() == pytest.approx(np.exp(-1), abs=0.02)
    assert np.corrcoef(one[1:].ravel(), one[:-1].ravel())[0, 1] > 0.8
    assert np.corrcoef(one[:, 2:].ravel(), one[:, :-2].ravel())[0, 1] < 0.1
    four = optics.speckle(even, 4, (2.0, 0.5, 0.5), RNG(0)) / 3
    assert four.std() == pytest.approx(0.5, abs=0.03)


def test_corners_stripes_and_the_sheets_way_darken_as_declared():
    corners = optics.vignette((50, 60), 0.4, RNG(0))
    assert corners.max() == pytest.approx(1, abs=0.01) and corners.min() == pytest.approx(0.6, abs=0.01)
    striped = optics.stripes((6, 200, 80), 0.2, RNG(0))
    assert striped.mean() == pytest.approx(1, abs=0.05) and striped.min() >= 0.1
    across, along = np.diff(striped[:, :, -20:], axis=1).std(), np.diff(striped[:, :, -20:], axis=2).std()
    assert across > 10 * along, "they run along x"
    side = optics.side_loss(70, 0.5, RNG(0))
    assert sorted((side[0], side[-1])) == pytest.approx([0.5, 1.0])


# What befalls the images


def test_denoising_takes_noise_and_leaves_edges():
    clean = np.zeros((6, 80, 80), dtype=np.float32) + np.float32(0.2)
    clean[:, :, 40:] = 0.8
    noisy = clean + 0.04 * RNG(0).standard_normal(clean.shape, dtype=np.float32)
    smooth = processing.denoise(noisy, 1.0)
    assert smooth[:, 8:-8, 8:30].std() < 0.25 * noisy[:, 8:-8, 8:30].std()
    assert np.abs(smooth.mean(axis=(0, 1)) - clean[0, 0]).max() < 0.05
    np.testing.assert_array_equal(processing.denoise(noisy, 0.0), noisy)


def test_resampling_moves_nothing_and_makes_neighbours_alike():
    y, x = np.mgrid[:60, :60].astype(np.float32)
    slope = ((y + 2 * x) / 200)[None]
    np.testing.assert_allclose(processing.resample(slope, 0.5)[:, 3:-3, 3:-3], slope[:, 3:-3, 3:-3], atol=1e-5)
    np.testing.assert_allclose(processing.resample(slope, 1.0), slope, atol=1e-6)
    noise = processing.resample(RNG(0).random((1, 200, 200), dtype=np.float32), 0.5)
    assert np.corrcoef(noise[0, :, 1:].ravel(), noise[0, :, :-1].ravel())[0, 1] > 0.5


def test_stretch_turns_as_many_pixels_black_and_white_as_it_says():
    ramp = np.linspace(0.3, 0.5, 10000, dtype=np.float32).reshape(1, 100, 100)
    wide = processing.stretch(ramp, 2.0)
    assert (wide == 1).mean() == pytest.approx(0.02, abs=1e-3)
    assert (wide == 0).mean() == pytest.approx(0.2, abs=1e-3)
    np.testing.assert_array_equal(processing.stretch(ramp[:, :1, :1], 2.0), ramp[:, :1, :1])


def test_equalising_and_compressing_leave_8_bits_and_the_picture():
    picture = ndimage.gaussian_filter(RNG(0).random((2, 64, 64)), (0, 2, 2)).astype(np.float32)
    picture = (picture - picture.min()) / np.ptp(picture) * 0.5
    for treated in (processing.equalise(picture, 0.01), processing.compress(picture, 90)):
        assert treated.shape == picture.shape and treated.dtype == np.float32
        np.testing.assert_allclose(treated * 255, np.rint(treated * 255), atol=1e-3)
        assert np.corrcoef(treated.ravel(), picture.ravel())[0, 1] > 0.85
    assert np.ptp(processing.equalise(picture, 0.01)) > 1.5 * np.ptp(picture)
    good, poor = (np.abs(processing.compress(picture, quality) - picture).mean() for quality in (95, 20))
    assert good < poor and good < 0.01
    black = np.zeros((1, 64, 64), dtype=np.float32)
    np.testing.assert_array_equal(processing.equalise(black, 0.01), black)
