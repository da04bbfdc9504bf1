"""Margins that show nothing: where they are, what stands in for them, and that tissue comes out as if they were not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from bundle.pictures import mask_overlay
from bundle.segmentation import WholeOrWindowsInferer, vessel_share
from bundle.transforms import AdaptiveHistogramEqualization, LinearContrast, margins
from bundle.transforms.margins import empty_margin, hidden_pixels, mirrored


def tissue(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    """Lines on a camera's offset and noise, 8 bits; 0 does not occur."""
    rng = np.random.default_rng(seed)
    x, y = np.indices(shape)
    lines = (np.sin(x / 9) + np.sin(y / 7 + x / 30) > 1.4).astype(float)
    return np.clip(rng.normal(40 + 120 * gaussian_filter(lines, 1), 6), 1, 255).astype(np.uint8)


x, y = np.indices((200, 260))
SHAPES = {
    "half": y >= 130,
    "both sides": (y < 40) | (y >= 220),
    "corners of a mosaic": ((x < 90) & (y < 100)) | ((x >= 140) & (y >= 200)),
    "turned": x + y > 300,
    "hole": (abs(x - 100) < 30) & (abs(y - 100) < 40),
    "frame": (x < 4) | (x >= 197) | (y < 2) | (y >= 255),
    "round": (x - 100) ** 2 + (y - 130) ** 2 > 90**2,
}


@pytest.mark.parametrize("margin", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("value", [0, -1.5])
def test_margins_of_any_shape_are_found(margin: np.ndarray, value: float):
    image = np.where(margin, value, tissue(margin.shape).astype(np.float32))
    found = empty_margin(image)
    np.testing.assert_array_equal(found, margin)


def test_background_is_no_margin():
    """That of an image whose background was taken off, of a drawing, and of tissue whose darkest pixels are few."""
    thin = tissue((200, 260)).astype(float)
    thin[:, 60:] = 40  # a background without noise
    subtracted = np.clip(thin - 50, 0, None)
    assert (subtracted == 0).mean() > 0.5
    assert empty_margin(subtracted) is None
    drawing = np.zeros((200, 260), np.uint8)
    drawing[:, 100:110] = 255
    assert empty_margin(drawing) is None
    assert empty_margin(tissue((200, 260))) is None


@pytest.mark.parametrize(("width", "blur"), [(8, 0), (30, 0), (60, 0), (8, 2), (30, 2), (60, 2), (120, 2)])
def test_a_clean_background_around_one_vessel_is_no_margin(width: int, blur: float):
    """Narrow ones are no field, and wide ones fade."""
    x, y = np.indices((300, 400))
    noise = np.random.default_rng(0).normal(0, 8, x.shape)
    vessel = abs(y - 200 - 30 * np.sin(x / 40)) < width / 2
    image = np.where(vessel, 150 + noise, 0)
    image = gaussian_filter(image, blur) if blur else image
    assert empty_margin(image.clip(0).astype(np.uint8)) is None


def test_dark_tissue_of_few_grey_levels_is_no_margin():
    """As a denoised stack has it: wide parts of exactly the lowest value, with frayed borders."""
    noise = gaussian_filter(np.random.default_rng(1).normal(size=(400, 400)), 2)
    x, y = np.indices(noise.shape)
    smooth = 3.2 + 0.3 * noise / noise.std() - 2.6 * np.exp(-(x**2 + (y - 200) ** 2) / 60**2)
    image = np.round(smooth).clip(1)
    assert margins.opened(image == 1, margins.SIDE).any() and (image == 1).mean() < 0.05
    assert empty_margin(image) is None


@pytest.mark.parametrize("share", [0.03, 0.1, 0.3])
def test_black_pixels_within_the_tissue_do_not_hide_a_margin(share: float):
    image = tissue((200, 260))
    image[np.random.default_rng(0).random(image.shape) < share] = 0
    image[:, 150:] = 0
    margin = empty_margin(image)
    assert margin[:, 150:].all() and margin[:, :140].mean() < 0.001  # black that adjoins is margin too


def test_an_image_of_a_single_value_is_all_margin():
    assert empty_margin(np.full((5, 7), 3.0)).all()


def test_a_margin_is_filled_by_the_image_mirrored_again_and_again():
    row = np.array([[1, 2, 3, 0, 0, 0, 0, 0]] * 2)
    np.testing.assert_array_equal(mirrored(row, row == 0), [[1, 2, 3, 2, 1, 2, 3, 2]] * 2)
    one = np.array([[0, 0, 5, 0]])
    np.testing.assert_array_equal(mirrored(one, one == 0), [[5, 5, 5, 5]])


def test_tissue_beside_black_has_the_contrast_that_it_has_alone():
    alone = tissue((256, 256))
    beside = np.zeros((256, 512), np.uint8)
    beside[:, :256] = alone
    equalize = AdaptiveHistogramEqualization()
    expected, found = equalize(alone[None]), equalize(beside[None])
    np.testing.assert_allclose(found[..., :256], expected, atol=0.02)
    assert not found[..., 256:].any()


def test_a_network_sees_no_margin_and_finds_nothing_there():
    """One that answers by the whole image gives the tissue, mirrored in a margin, the same answer everywhere."""
    image = torch.zeros(2, 1, 96, 127)
    image[..., :64] = torch.rand(2, 1, 96, 64, generator=torch.Generator().manual_seed(0)) + 0.1
    given = image.clone()
    whole = torch.cat([image[..., :64], image[..., :63].flip(-1)], -1)
    output = WholeOrWindowsInferer()(image, lambda x: x.mean((-1, -2), keepdim=True).expand_as(x).clone())
    means = whole.mean((-1, -2), keepdim=True)
    torch.testing.assert_close(output[..., :64], means.expand(2, 1, 96, 64))
    assert not output[..., 64:].any()
    assert torch.equal(image, given)


@pytest.mark.parametrize("empty", [0, 2])
def test_a_channel_that_shows_nothing_does_not_empty_the_others(empty: int):
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) + 0.1
    image[:, empty] = 0
    assert WholeOrWindowsInferer()(image, lambda x: torch.ones_like(x[:, :1])).all()
    image[..., 32:] = 0
    found = WholeOrWindowsInferer()(image, lambda x: torch.ones_like(x[:, :1]))
    assert found[..., :32].all() and not found[..., 32:].any()


def test_filling_around_a_few_specks_takes_no_longer_than_around_tissue(monkeypatch):
    """Each mirror reaches no further than what is shown, so that specks would take hundreds."""
    calls = []
    plain = margins.distance_transform_edt
    monkeypatch.setattr(margins, "distance_transform_edt", lambda *a, **k: calls.append(1) or plain(*a, **k))
    image = np.zeros((128, 128))
    image[[20, 20, 90], [30, 31, 70]] = 1, 2, 3
    filled = mirrored(image, image == 0)
    assert (filled > 0).all() and len(calls) < 12


def mosaic(offset: int) -> np.ndarray:
    """Tissue of a camera's offset beside black, ``[1, X, Y]``, 16 bits."""
    image = np.zeros((1, 200, 300), np.uint16)
    image[..., :180] = tissue((200, 180)).astype(np.uint16) + offset
    return image


@pytest.mark.parametrize("offset", [0, 200, 5000])
@pytest.mark.parametrize("per", ["slice", "volume"])
def test_linear_contrast_of_tissue_beside_black_is_that_of_the_tissue_alone(offset: int, per: str):
    image = mosaic(offset)
    alone = LinearContrast(per=per)(image[..., :180])
    found = LinearContrast(per=per)(image)
    np.testing.assert_allclose(found[..., :180], alone, atol=2e-6)
    assert (empty_margin(found[0]) == (image[0] == 0)).all()
    stack = np.stack([image, image, np.zeros_like(image)], -1)
    together = LinearContrast(per=per)(stack)
    np.testing.assert_array_equal(together[..., 0], found)
    assert not together[..., 2].any()


def test_margins_of_images_in_blocks_are_those_of_whole_ones(monkeypatch):
    image = mosaic(100)[0]
    other = np.where(image > 0, image, 7)  # brighter than the lowest of both: no margin of both
    blocks = [lambda plane=plane: iter(np.split(plane, [30, 77, 78])) for plane in (image, other)]
    assert hidden_pixels(blocks[:1], image.shape) == ((image == 0).sum(), 0)
    assert hidden_pixels(blocks, image.shape) == ((image == 0).sum(), 0)
    assert hidden_pixels([lambda: [np.full((9, 9), 3)]], (9, 9)) == (0, 3)
    monkeypatch.setattr(margins, "LOOKED_AT", image.size // 8)  # squares of three pixels
    whole, cut = (hidden_pixels([rows], image.shape) for rows in (lambda: [image], blocks[0]))
    assert whole == cut == (200 * 120, 0)


def test_the_share_of_vessels_is_that_of_what_is_shown():
    image = mosaic(100)[0]
    assert vessel_share(1800, image.shape, image) == "5.0 % vessel of what is shown"
    assert vessel_share(2 * 1800, (2, *image.shape), image) == "5.0 % vessel of what is shown"
    assert vessel_share(1800, (200, 180), image[:, :180]) == "5.0 % vessel"
    assert vessel_share(0, (200, 180), np.zeros((200, 180))) == "0.0 % vessel"


def test_the_overlay_shows_tissue_beside_black_as_it_shows_it_alone():
    image = mosaic(300)[0]
    beside, alone = (mask_overlay(part, np.zeros(part.shape)) for part in (image, image[:, :180]))
    np.testing.assert_array_equal(beside[:, :180], alone)
    assert not beside[:, 180:].any() and alone.std() > 20
