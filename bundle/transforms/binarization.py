"""From the fused probability to the mask: hysteresis threshold, closing of gaps, removal of fragments.

All three see a stack as one volume, and take pixels that touch at a corner as connected: a vessel one pixel wide that
runs diagonally is one vessel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from monai.config import NdarrayOrTensor
from monai.data import MetaTensor
from monai.data.utils import affine_to_spacing
from monai.transforms import Transform
from monai.utils import TransformBackends, convert_to_dst_type
from scipy.ndimage import binary_closing, generate_binary_structure, label

from ..errors import InputError
from .arrays import DictionaryTwin, channels_first, source

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


def close_gaps(mask: np.ndarray, size: float, spacing: tuple[float, ...] | None = None) -> np.ndarray:
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
    closed = binary_closing(np.pad(mask, [(b, b) for b in border]), element)
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


def _spacing(image: NdarrayOrTensor) -> tuple[float, ...]:
    """Return the length of a pixel along each spatial axis in micrometres, or refuse if the image does not know it."""
    if not isinstance(image, MetaTensor) or image.meta.get("spacing") is None:
        problem = "a size in micrometres was asked for, but the image has no pixel spacing"
        raise InputError(source(image), problem, "give --spacing, or sizes in pixels")
    return tuple(float(s) for s in affine_to_spacing(image.affine, r=image.ndim - 1))


class HysteresisThreshold(Transform):
    """Hysteresis threshold of the fused probability S (section II-C of the paper; 0.45 and 0.95 in section III-C).

    Source: J. Canny, A computational approach to edge detection, 1986, DOI 10.1109/TPAMI.1986.4767851.

    Args:
        low: what is above it, and connected to something above `high`, is vessel; in [0, `high`].
        high: what is above it is vessel; in [`low`, 1]. A value equal to a threshold is not above it.
    """

    backend = [TransformBackends.NUMPY]

    def __init__(self, low: float = 0.45, high: float = 0.95) -> None:
        if not 0 <= low <= high <= 1:
            raise ValueError(f"0 <= low <= high <= 1 must hold, not low={low}, high={high}")
        self.low = low
        self.high = high

    def __call__(self, img: NdarrayOrTensor) -> NdarrayOrTensor:
        """Threshold.

        Args:
            img: probability `[C, X, Y]` or `[C, X, Y, Z]` in [0, 1], each channel on its own; a stack is one volume.

        Returns:
            The same shape, uint8, 0 or 1.

        Raises:
            InputError: if a value is NaN or infinite.
        """
        out = np.stack([hysteresis(channel, self.low, self.high) for channel in channels_first(img)])
        return convert_to_dst_type(out, img, dtype=np.uint8)[0]


class _BySize(Transform):
    """A step on a mask that goes by a size.

    Args:
        size: 0 does nothing.
        unit: of the size.
    """

    backend = [TransformBackends.NUMPY]

    def __init__(self, size: float, unit: Unit) -> None:
        if not size >= 0:
            raise ValueError(f"size must be 0 or more, not {size}")
        if unit not in ("pixel", "micrometer"):
            raise ValueError(f"unit must be 'pixel' or 'micrometer', not {unit!r}")
        self.size = size
        self.unit = unit

    def of_channel(self, mask: np.ndarray, spacing: tuple[float, ...] | None) -> np.ndarray:
        """One channel's mask, changed; `spacing` is None where the size is in pixels."""
        raise NotImplementedError

    def __call__(self, img: NdarrayOrTensor) -> NdarrayOrTensor:
        """Change each channel.

        Args:
            img: mask `[C, X, Y]` or `[C, X, Y, Z]`, vessel where positive.

        Returns:
            The same shape, uint8, 0 or 1.

        Raises:
            InputError: if a value is NaN or infinite, or `unit` is "micrometer" and the image has no spacing.
        """
        mask = channels_first(img) > 0
        if self.size:
            spacing = _spacing(img) if self.unit == "micrometer" else None
            mask = np.stack([self.of_channel(channel, spacing) for channel in mask])
        return convert_to_dst_type(mask, img, dtype=np.uint8)[0]


class CloseGaps(_BySize):
    """Fill small gaps of a mask: binary closing with a disk, or in a stack a ball, of a given diameter.

    A gap between two pieces is closed if it is narrower than `size` and stays open if it is wider. Foreground is never
    removed, and nothing is filled merely because it is near the border. "Fill small gaps" in section II-C of the paper.

    Args:
        size: diameter of the disk; 0 does nothing. In pixels the smallest that does something is 2.
        unit: "pixel" (voxel in 3D), or "micrometer", which follows the spacing of each axis.
    """

    def __init__(self, size: float = 3, unit: Unit = "pixel") -> None:
        super().__init__(size, unit)

    def of_channel(self, mask: np.ndarray, spacing: tuple[float, ...] | None) -> np.ndarray:
        return close_gaps(mask, self.size, spacing)


class RemoveFragments(_BySize):
    """Remove small fragments of a mask: connected components with fewer than `size` pixels.

    A component of exactly `size` stays. "Remove small fragments" in section II-C of the paper.

    Args:
        size: the smallest component that stays; 0 does nothing.
        unit: "pixel" (voxel in 3D), or "micrometer": `size` is then an area in µm² (a volume in µm³ in 3D).
    """

    def __init__(self, size: float = 30, unit: Unit = "pixel") -> None:
        super().__init__(size, unit)

    def of_channel(self, mask: np.ndarray, spacing: tuple[float, ...] | None) -> np.ndarray:
        return remove_fragments(mask, pixels_of_fragment(self.size, spacing or ()))


class HysteresisThresholdd(DictionaryTwin, of=HysteresisThreshold):
    """Dictionary twin of :class:`HysteresisThreshold`."""


class CloseGapsd(DictionaryTwin, of=CloseGaps):
    """Dictionary twin of :class:`CloseGaps`."""


class RemoveFragmentsd(DictionaryTwin, of=RemoveFragments):
    """Dictionary twin of :class:`RemoveFragments`."""
