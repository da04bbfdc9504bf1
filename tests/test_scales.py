"""How wide vessels are, and the scale at which the weights are at home."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from bundle.metrics import median_width
from bundle.segmentation import USUAL_WIDTH, WholeOrWindowsInferer, fitting_scale
from bundle.segmentation.inferers import SCALE


def bars(width: int, size: int = 240) -> np.ndarray:
    """Vertical vessels of one width, three widths apart, across the whole image."""
    mask = np.zeros((size, size), bool)
    for start in range(2 * width, size - width, 4 * width):
        mask[:, start : start + width] = True
    return mask


@pytest.mark.parametrize("width", [1, 3, 5, 9, 21])
def test_a_straight_vessel_is_as_wide_as_its_pixels(width):
    assert median_width(bars(width)) == width
    assert median_width(bars(width).T) == width


def test_no_vessel_has_no_width_and_asks_for_no_scale():
    empty = np.zeros((9, 9), bool)
    assert math.isnan(median_width(empty))
    assert fitting_scale(empty) == 1.0


def test_a_vessel_that_fills_the_image_has_some_width():
    assert not math.isnan(median_width(np.ones((9, 9), bool)))


@pytest.mark.parametrize("width", [3, 5, 11])
def test_familiar_widths_are_left_at_their_scale(width):
    assert fitting_scale(bars(width)) == 1.0


@pytest.mark.parametrize("width", [1, 15, 19])
def test_other_widths_are_brought_to_the_usual_one(width):
    scale = fitting_scale(bars(width))
    assert scale == pytest.approx(max(0.25, min(4.0, USUAL_WIDTH / width)))


def test_auto_segments_wide_vessels_at_the_scale_that_their_width_asks_for():
    mask = torch.from_numpy(bars(20).astype(np.float32))[None, None]
    seen = []

    def network(image: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(image.shape[-2:]))
        return image

    output = WholeOrWindowsInferer(scale="auto")(MetaTensor(mask), network)
    scale = fitting_scale(bars(20))
    assert seen == [(240, 240), (round(240 * scale),) * 2]
    assert output.shape == mask.shape and output.meta[SCALE] == scale
    assert ((output > 0.5) == (mask > 0.5)).float().mean() > 0.95


def test_slices_of_a_stack_share_one_scale():
    stack = torch.zeros(1, 1, 240, 240, 3)
    stack[..., 1] = torch.from_numpy(bars(21).astype(np.float32))
    seen = []

    def network(image: torch.Tensor) -> torch.Tensor:
        seen.append(image.shape[-1])
        return image

    assert WholeOrWindowsInferer(scale="auto")(stack, network).shape == stack.shape
    assert seen[0] == 240 and len(set(seen[1:])) == 1 and len(seen) == 4
