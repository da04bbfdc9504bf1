"""All metrics of one image or stack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..io import Foreground, vessels_of, why_no_mask
from .confusion import Confusion
from .surface import hausdorff_distance_95
from .topology import betti_numbers, centerline_dice

if TYPE_CHECKING:
    from monai.config import NdarrayOrTensor


def as_mask(array: NdarrayOrTensor, foreground: Foreground = None) -> np.ndarray:
    """Tell vessel from background.

    Args:
        array: any shape; 0 is background, one other value (1, 254 or 255, say) is vessel.
        foreground: of labels, the one that is vessel, or ``any`` for all but 0; see :func:`bundle.io.vessels_of`.

    Returns:
        bool, the same shape.

    Raises:
        ValueError: the array has more than two values, as an image or a map of probabilities has, or none is 0 or
            the vessel's, as with labels 1 and 2.
    """
    array = np.asarray(array.detach().cpu() if hasattr(array, "detach") else array)
    wrong = why_no_mask(array, foreground)
    if wrong is not None:
        raise ValueError("; ".join(wrong).removeprefix("is "))
    return vessels_of(array, foreground)


def score(
    prediction: NdarrayOrTensor, truth: NdarrayOrTensor, spacing: Sequence[float] | None = None
) -> dict[str, float]:
    """Compare the mask of one image or stack with the true mask.

    Args:
        prediction: ``[X, Y]`` or ``[X, Y, Z]``, in any order of the axes, with or without a leading channel of length
            one; values as in :func:`as_mask`. A stack of one slice counts as an image.
        truth: the same.
        spacing: size of a pixel in µm along each axis but the channel; hd95 is in pixels if None.

    Returns:
        dice, sensitivity, precision, specificity, accuracy, cldice, betti0_error and betti1_error (absolute
        differences of the numbers of pieces and of loops in the whole image), hd95. NaN where a metric is undefined:
        a share of nothing, the overlap of two empty masks, the distance to an empty mask.

    Raises:
        ValueError: sizes differ, a mask is not binary, or there are not as many pixel sizes as axes.
    """
    predicted, true = _squeezed(as_mask(prediction)), _squeezed(as_mask(truth))
    if predicted.shape != true.shape:
        raise ValueError(f"the mask has {size(predicted.shape)} pixels, the true mask {size(true.shape)}")
    if spacing is not None:
        spacing = _squeezed_spacing(spacing, tuple(truth.shape), true.ndim)
    pixels = Confusion.between(predicted, true)
    pieces, loops = np.abs(np.subtract(betti_numbers(predicted), betti_numbers(true)))[:2]
    return {
        "dice": pixels.dice,
        "sensitivity": pixels.sensitivity,
        "precision": pixels.precision,
        "specificity": pixels.specificity,
        "accuracy": pixels.accuracy,
        "cldice": centerline_dice(predicted, true),
        "betti0_error": float(pieces),
        "betti1_error": float(loops),
        "hd95": hausdorff_distance_95(predicted, true, spacing),
    }


def size(shape: Sequence[int]) -> str:
    """A shape in words, ``16 × 512 × 512``."""
    return " × ".join(map(str, shape))


def _squeezed(mask: np.ndarray) -> np.ndarray:
    if mask.ndim == 4 and mask.shape[0] == 1:
        mask = mask[0]
    if mask.ndim == 3 and 1 in mask.shape:
        mask = mask.squeeze(mask.shape.index(1))
    if mask.ndim not in (2, 3):
        raise ValueError(f"a mask of {size(mask.shape)} is neither an image nor a stack")
    return mask


def _squeezed_spacing(spacing: Sequence[float], shape: tuple[int, ...], axes: int) -> list[float]:
    spacing, shape = list(spacing), shape[-len(spacing) :]
    if len(spacing) == axes + 1 and 1 in shape:
        del spacing[shape.index(1)]
    if len(spacing) != axes:
        raise ValueError(f"{len(spacing)} pixel sizes for {axes} axes")
    return spacing
