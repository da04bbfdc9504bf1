"""From the fused probability to the mask, of arrays: hysteresis threshold, closing of gaps, removal of fragments.

All three see a stack as one volume, and take pixels that touch at a corner as connected: a vessel one pixel wide that
runs diagonally is one vessel. Of NumPy alone: :mod:`~bundle.transforms.binarization` makes MONAI's transforms of it,
whose import takes seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy.ndimage import binary_closing, generate_binary_structure, label

from ..volumes import dilated, eroded

__all__ = ["Closing", "Hysteresis", "Removal", "Unit", "ball", "pixels_of_fragment"]

Unit = Literal["pixel", "micrometer"]

# sizes in micrometres are quotients of decimal fractions: one that is meant to be whole must not fall short by rounding
_TOLERANCE = 1e-6


def hysteresis(probability: np.ndarray, low: float, high: float) -> np.ndarray:
    """Keep what is above `low` and connected to something above `high`.

    As :func:`skimage.filters.apply_hysteresis_threshold`, except that corners connect; there only faces do, which cuts
    a thin diagonal vessel into its pixels.

    Args:
        probability: 2D or 3D.
        low: lower threshold.
        high: upper threshold, at least `low`.

    Returns:
        bool, the same shape.
    """
    components, count = _components(probability > low)
    kept = np.zeros(count + 1, bool)
    kept[components[probability > high]] = True
    return kept[components]


def ball(size: float, spacing: Sequence[float]) -> np.ndarray:
    """Make the disk or ball with which gaps are closed.

    Args:
        size: diameter, in the unit of `spacing`.
        spacing: length of a pixel along each axis.

    Returns:
        bool, as many dimensions as `spacing` has lengths, each side odd.
    """
    steps = np.asarray(spacing, float)
    radius = size / 2 * (1 + _TOLERANCE)
    reach = (radius // steps).astype(int)
    offsets = np.indices(tuple(2 * reach + 1)).T - reach
    return (np.square(offsets * steps).sum(-1) <= radius**2).T


def close_gaps(mask: np.ndarray, size: float, spacing: Sequence[float] | None = None) -> np.ndarray:
    """Close a mask with a disk (2D) or ball (3D) of diameter `size`.

    Args:
        mask: bool, 2D or 3D.
        size: diameter, in the unit of `spacing`.
        spacing: length of a pixel along each axis; 1 if None.

    Returns:
        bool, the same shape: `mask` and what was filled.
    """
    element = ball(size, (1.0,) * mask.ndim if spacing is None else spacing)
    # what lies outside the image is background, with room for the ball: nothing is filled because a border is near
    border = [side // 2 + 1 for side in element.shape]
    padded = np.pad(mask, [(b, b) for b in border])
    closed = eroded(dilated(padded, element), element) if mask.ndim == 2 else binary_closing(padded, element)
    return closed[tuple(slice(b, -b) for b in border)]


def remove_fragments(mask: np.ndarray, size: float) -> np.ndarray:
    """Remove the connected components with fewer than `size` pixels.

    Args:
        mask: bool, 2D or 3D.
        size: the smallest component that stays, in pixels.

    Returns:
        bool, the same shape.
    """
    components, _ = _components(mask)
    kept = np.bincount(components.ravel()) >= size
    kept[0] = False
    return kept[components]


def _components(mask: np.ndarray) -> tuple[np.ndarray, int]:
    return label(mask, structure=generate_binary_structure(mask.ndim, mask.ndim))


def pixels_of_fragment(size: float, spacing: Sequence[float]) -> float:
    """The least number of pixels of a component that is large enough to stay.

    Args:
        size: in the unit of the spacing, to the power of the dimensions.
        spacing: length of a pixel along each axis; none where the size is in pixels.
    """
    return float(size / np.prod(spacing) * (1 - _TOLERANCE))


class Hysteresis:
    """The step of :class:`bundle.transforms.HysteresisThreshold`, whose arguments it takes."""

    def __init__(self, low: float = 0.45, high: float = 0.95) -> None:
        if not 0 <= low <= high <= 1:
            raise ValueError(f"0 <= low <= high <= 1 must hold, not low={low}, high={high}")
        self.low = low
        self.high = high

    def of(self, probability: np.ndarray, spacing: Sequence[float] | None = None) -> np.ndarray:
        """The mask of a probability, 2D or 3D; the spacing counts for nothing."""
        return hysteresis(probability, self.low, self.high)


class Closing:
    """The step of :class:`bundle.transforms.CloseGaps`, whose arguments it takes."""

    def __init__(self, size: float = 3, unit: Unit = "pixel") -> None:
        _check(size, unit)
        self.size = size
        self.unit = unit

    def of(self, mask: np.ndarray, spacing: Sequence[float] | None = None) -> np.ndarray:
        """The closed mask, 2D or 3D; spacing is the length of a pixel along each axis, for sizes in micrometres."""
        return close_gaps(mask, self.size, spacing if self.unit == "micrometer" else None) if self.size else mask


class Removal:
    """The step of :class:`bundle.transforms.RemoveFragments`, whose arguments it takes."""

    def __init__(self, size: float = 30, unit: Unit = "pixel") -> None:
        _check(size, unit)
        self.size = size
        self.unit = unit

    def of(self, mask: np.ndarray, spacing: Sequence[float] | None = None) -> np.ndarray:
        """The mask, 2D or 3D, without fragments; spacing as of :meth:`Closing.of`."""
        if not self.size:
            return mask
        return remove_fragments(
            mask, pixels_of_fragment(self.size, (spacing or ()) if self.unit == "micrometer" else ())
        )


def _check(size: float, unit: str) -> None:
    if not size >= 0:
        raise ValueError(f"size must be 0 or more, not {size}")
    if unit not in ("pixel", "micrometer"):
        raise ValueError(f"unit must be 'pixel' or 'micrometer', not {unit!r}")
