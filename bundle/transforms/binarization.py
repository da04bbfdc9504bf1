"""From the fused probability to the mask: hysteresis threshold, closing of gaps, removal of fragments.

All three see a stack as one volume, and take pixels that touch at a corner as connected: a vessel one pixel wide that
runs diagonally is one vessel.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
from monai.config import NdarrayOrTensor
from monai.data import MetaTensor
from monai.data.utils import affine_to_spacing
from monai.transforms import Transform
from monai.utils import TransformBackends, convert_to_dst_type

from ..errors import InputError
from .arrays import DictionaryTwin, channels_first, source
from .masks import Closing, Hysteresis, Removal, Unit


def _spacing(image: NdarrayOrTensor) -> tuple[float, ...]:
    """Return the length of a pixel along each spatial axis in micrometres, or refuse if the image does not know it."""
    if not isinstance(image, MetaTensor) or image.meta.get("spacing") is None:
        problem = "a size in micrometres was asked for, but the image has no pixel spacing"
        raise InputError(source(image), problem, "give --spacing, or sizes in pixels")
    return tuple(float(s) for s in affine_to_spacing(image.affine, r=image.ndim - 1))


class HysteresisThreshold(Hysteresis, Transform):
    """Hysteresis threshold of the fused probability S (section II-C of the paper; 0.45 and 0.95 in section III-C).

    Source: J. Canny, A computational approach to edge detection, 1986, DOI 10.1109/TPAMI.1986.4767851.

    Args:
        low: what is above it, and connected to something above `high`, is vessel; in [0, `high`].
        high: what is above it is vessel; in [`low`, 1]. A value equal to a threshold is not above it.
    """

    backend = [TransformBackends.NUMPY]

    def __call__(self, img: NdarrayOrTensor) -> NdarrayOrTensor:
        """Threshold.

        Args:
            img: probability `[C, X, Y]` or `[C, X, Y, Z]` in [0, 1], each channel on its own; a stack is one volume.

        Returns:
            The same shape, uint8, 0 or 1.

        Raises:
            InputError: if a value is NaN or infinite.
        """
        out = np.stack([self.of(channel) for channel in channels_first(img)])
        return convert_to_dst_type(out, img, dtype=np.uint8)[0]


class _OfMask(Transform):
    """A step on a mask that goes by a size."""

    backend = [TransformBackends.NUMPY]
    size: float
    unit: Unit

    @abstractmethod
    def of(self, mask: np.ndarray, spacing: Sequence[float] | None = None) -> np.ndarray:
        """One channel's mask, changed."""

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
            mask = np.stack([self.of(channel, spacing) for channel in mask])
        return convert_to_dst_type(mask, img, dtype=np.uint8)[0]


class CloseGaps(Closing, _OfMask):
    """Fill small gaps of a mask: binary closing with a disk, or in a stack a ball, of a given diameter.

    A gap between two pieces is closed if it is narrower than `size` and stays open if it is wider. Foreground is never
    removed, and nothing is filled merely because it is near the border. "Fill small gaps" in section II-C of the paper.

    Args:
        size: diameter of the disk; 0 does nothing. In pixels the smallest that does something is 2.
        unit: "pixel" (voxel in 3D), or "micrometer", which follows the spacing of each axis.
    """


class RemoveFragments(Removal, _OfMask):
    """Remove small fragments of a mask: connected components with fewer than `size` pixels.

    A component of exactly `size` stays. "Remove small fragments" in section II-C of the paper.

    Args:
        size: the smallest component that stays; 0 does nothing.
        unit: "pixel" (voxel in 3D), or "micrometer": `size` is then an area in µm² (a volume in µm³ in 3D).
    """


class HysteresisThresholdd(DictionaryTwin, of=HysteresisThreshold):
    """Dictionary twin of :class:`HysteresisThreshold`."""


class CloseGapsd(DictionaryTwin, of=CloseGaps):
    """Dictionary twin of :class:`CloseGaps`."""


class RemoveFragmentsd(DictionaryTwin, of=RemoveFragments):
    """Dictionary twin of :class:`RemoveFragments`."""
