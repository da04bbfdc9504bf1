"""Images that look otherwise than those the weights have learned from: another magnification, less sharp."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch
from scipy.ndimage import gaussian_filter
from torch.nn import functional as F

from bundle.segmentation import WholeOrWindowsInferer

from ..tables.result_files import Row
from .images import probabilities, scored, seen_otherwise, shipped

MAGNIFICATIONS = {"half": 0.5, "as_it_is": 1.0, "twice": 2.0}
SCALES = ("as_given", "matched", "auto")
DEVIATIONS = ("0", "0.7", "1", "1.5")  # of the Gaussian, in pixels


@torch.inference_mode()
def rescaled(folder: Path, magnification: float, scale: str) -> list[Row]:
    """Scores of the test images as another lens would show them, resampled before equalisation.

    Args:
        folder: dataset folder.
        magnification: by how much; masks are compared at this size.
        scale: ``as_given``, ``matched``, which undoes it, or ``auto``, as ``segment --scale`` has it.
    """
    factor = {"as_given": 1.0, "matched": 1 / magnification, "auto": "auto"}[scale]
    inferer, network = WholeOrWindowsInferer(scale=factor), shipped()
    items = seen_otherwise(folder, "test", partial(resampled, factor=magnification))
    maps = {name: inferer(item["image"][None], network)[0].numpy() for name, item in items.items()}
    return scored(maps, items)


def resampled(image: torch.Tensor, factor: float) -> torch.Tensor:
    """``[C, X, Y]`` by a factor, averaged where it shrinks."""
    if factor == 1:
        return image
    options = {"mode": "bilinear", "align_corners": False, "antialias": factor < 1}
    return F.interpolate(image[None], scale_factor=factor, **options)[0]


def less_sharp(folder: Path, deviation: float) -> list[Row]:
    """Scores of the validation images, blurred before equalisation."""
    items = seen_otherwise(folder, "val", partial(blurred, deviation=deviation), torch.clone)
    return scored(probabilities(shipped(), items), items)


def blurred(image: torch.Tensor, deviation: float) -> torch.Tensor:
    """``[C, X, Y]`` through a Gaussian of the given standard deviation in pixels."""
    return torch.from_numpy(gaussian_filter(image.numpy(), (0, deviation, deviation)))


SCALE = {
    f"{name}-{scale}": partial(rescaled, magnification=magnification, scale=scale)
    for name, magnification in MAGNIFICATIONS.items()
    for scale in SCALES
    if not (name == "as_it_is" and scale == "matched")
}
SHARPNESS = {f"shipped-{each}": partial(less_sharp, deviation=float(each)) for each in DEVIATIONS}
