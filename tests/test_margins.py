"""Margins that show nothing: where they are, what stands in for them, and that tissue comes out as if they were not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from bundle.engines import WholeOrWindowsInferer
from bundle.transforms import AdaptiveHistogramEqualization
from bundle.transforms.margins import empty_margin, mirrored


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
