"""Contrast enhancement before the networks: adaptive histogram equalisation (2D) and linear stretching (slices)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from itertools import chain
from typing import Literal

import numpy as np
from monai.config import NdarrayOrTensor
from monai.transforms import Transform
from monai.utils import TransformBackends, convert_to_dst_type
from skimage.exposure import equalize_adapthist

from ..volumes import ahead, percentiles
from .arrays import DictionaryTwin, channels_first, source
from .margins import Blocks, empty_margin, hidden_pixels, mirrored

logger = logging.getLogger(__name__)


# of what is not margin, so that a margin's 0 remains its own
DARKEST = np.float32(1e-6)
# pixels of an image, at either end, that may be no grey values; and how far beyond the others they are then
FEW, FEW_SHARE, BEYOND = 4, 1e-5, 4096


def stretch(image: np.ndarray, low: float, high: float, margin: float | None = None) -> np.ndarray:
    """Map `low` to 0 and `high` to 1 linearly, and clip.

    Args:
        image: values of any real type.
        low: the value that becomes 0.
        high: the value that becomes 1.
        margin: the lowest value, if it is that of a margin, which alone becomes 0 then.

    Returns:
        float32 in [0, 1]; 0 everywhere if `high` is not above `low`.
    """
    if not high > low:
        return np.zeros(image.shape, np.float32)
    out = np.clip((image.astype(np.float64) - low) / (float(high) - float(low)), 0, 1).astype(np.float32)
    return out if margin is None else np.where(image == margin, np.float32(0), np.maximum(out, DARKEST))


def _range(values: np.ndarray, path: str | None) -> tuple[float, float]:
    """The values that become black and white: the lowest and the highest, but for a few that no detector counts.

    A handful of pixels thousands of times beyond all others (a marker, a broken value) would leave the others a single
    grey.
    """
    low, high = values.min(), values.max()
    few = max(FEW, round(FEW_SHARE * values.size))
    if values.size <= 2 * few + 2:
        return low, high
    ordered = np.partition(values, (few, -few - 1), axis=None)
    inner_low, inner_high = float(ordered[few]), float(ordered[-few - 1])
    if inner_low == inner_high or float(high) - float(low) < BEYOND * (inner_high - inner_low):
        return low, high
    logger.warning("%s: a few pixels, of %g to %g, are far beyond all others, and cut to them", path, low, high)
    return inner_low, inner_high


class AdaptiveHistogramEqualization(Transform):
    """Contrast-limited adaptive histogram equalisation (CLAHE) of the whole image.

    The paper's contrast enhancement of fused images (section II-A). Grey values are first scaled by the image's own
    minimum and maximum, not by its type, so that 12-bit data in a 16-bit file come out as they should; each channel,
    and each slice of a stack, is an image of its own. Source: K. Zuiderveld, Contrast limited adaptive histogram
    equalization, Graphics Gems IV, 1994, as in :func:`skimage.exposure.equalize_adapthist`. A margin that shows nothing
    (:func:`~bundle.transforms.margins.empty_margin`) has no part in it and is 0 after it: otherwise the tissue beside
    black comes out as a bright grey.

    Args:
        tile_size: side of the square tiles whose histograms are equalised, in pixels.
        clip_limit: share of a tile's pixels that one of its 256 grey levels may hold, in (0, 1]; what is above is
            spread over all levels. It bounds the gain in contrast at 256 * `clip_limit`.
    """

    backend = [TransformBackends.NUMPY]

    def __init__(self, tile_size: int = 64, clip_limit: float = 0.01) -> None:
        if tile_size < 1:
            raise ValueError(f"tile_size must be at least 1 pixel, not {tile_size}")
        if not 0 < clip_limit <= 1:
            raise ValueError(f"clip_limit must lie in (0, 1], not {clip_limit}")
        self.tile_size = tile_size
        self.clip_limit = clip_limit

    def __call__(self, img: NdarrayOrTensor) -> NdarrayOrTensor:
        """Equalise.

        Args:
            img: `[C, X, Y]` or `[C, X, Y, Z]`, any real type.

        Returns:
            The same shape, float32 in [0, 1]; 0 everywhere in a constant image.

        Raises:
            InputError: if a value is NaN or infinite.
        """
        image = channels_first(img)
        out = np.empty(image.shape, np.float32)
        for index in np.ndindex(image.shape[:1] + image.shape[3:]):
            plane = (index[0], slice(None), slice(None), *index[1:])
            out[plane] = self._equalize(image[plane], source(img))
        return convert_to_dst_type(out, img, dtype=np.float32)[0]

    def _equalize(self, plane: np.ndarray, path: str | None) -> np.ndarray:
        margin = empty_margin(plane)
        if margin is None:
            return self._equalize_all(stretch(plane, *_range(plane, path)))
        if margin.all():
            return np.zeros(plane.shape, np.float32)
        share = 100 * margin.mean()
        logger.info("%s: %.0f %% of it is a margin that shows nothing, and left out", path or "an image", share)
        shown = plane[~margin]
        equalized = self._equalize_all(mirrored(stretch(plane, *_range(shown, path)), margin))
        return np.where(margin, np.float32(0), equalized)

    def _equalize_all(self, scaled: np.ndarray) -> np.ndarray:
        return equalize_adapthist(scaled, kernel_size=self.tile_size, clip_limit=self.clip_limit)


class LinearContrast(Transform):
    """Linear contrast enhancement: map two percentiles of the grey values to 0 and 1, and clip.

    The paper's preparation of the single slices of a stack (section III-D), which it does not detail: one per cent is
    clipped at either end, as is customary.

    Args:
        lower: percentile that becomes 0, in [0, 100).
        upper: percentile that becomes 1, in (0, 100], above `lower`.
        per: "slice" takes the percentiles in every slice of a stack, which brings out the dim vessels of deep slices
            and the noise of empty ones; "volume" in the whole stack, which keeps the slices comparable. Of a single
            image the two are the same. Channels are treated each on its own.

    A margin that shows nothing (:func:`~bundle.transforms.margins.empty_margin`) has no part in the percentiles, and is
    0: otherwise it would be what is dark, and the tissue a bright grey.
    """

    backend = [TransformBackends.NUMPY]

    def __init__(self, lower: float = 1.0, upper: float = 99.0, per: Literal["slice", "volume"] = "slice") -> None:
        if not 0 <= lower < upper <= 100:
            raise ValueError(f"0 <= lower < upper <= 100 must hold, not lower={lower}, upper={upper}")
        if per not in ("slice", "volume"):
            raise ValueError(f"per must be 'slice' or 'volume', not {per!r}")
        self.percentiles = (lower, upper)
        self.per = per

    def __call__(self, img: NdarrayOrTensor) -> NdarrayOrTensor:
        """Stretch.

        Args:
            img: `[C, X, Y]` or `[C, X, Y, Z]`, any real type.

        Returns:
            The same shape, float32 in [0, 1]; 0 where the two percentiles are equal.

        Raises:
            InputError: if a value is NaN or infinite.
        """
        image = channels_first(img)
        parts = (0, 3) if self.per == "slice" and image.ndim == 4 else (0,)
        out = np.empty(image.shape, np.float32)
        for index in np.ndindex(*(image.shape[axis] for axis in parts)):
            part = (index[0], slice(None), slice(None), *index[1:])
            planes = np.moveaxis(np.atleast_3d(image[part]), -1, 0)
            limits = self.limits([partial(iter, [plane]) for plane in planes], image.shape[1:3])
            out[part] = stretch(image[part], *limits)
        return convert_to_dst_type(out, img, dtype=np.float32)[0]

    def limits(self, planes: Sequence[Blocks], shape: tuple[int, int]) -> tuple[float, float, float | None]:
        """What :func:`stretch` is given for planes that are stretched alike, with but a part in memory at a time.

        Args:
            planes: for each plane, what gives its rows ``[n, columns]`` whenever it is called.
            shape: rows and columns.

        Returns:
            The values that become 0 and 1, and that of a margin.
        """
        hidden, least = hidden_pixels(planes, shape)
        low, high = percentiles(
            lambda: ahead(chain.from_iterable(blocks() for blocks in planes)), self.percentiles, hidden
        )
        return low, high, least if hidden else None


class EnhanceContrast(Transform):
    """The paper's enhancement for what comes: adaptive equalisation of an image, linear contrast of a stack's slices.

    For programs that do not know beforehand which of the two they will be given.
    """

    backend = [TransformBackends.NUMPY]

    def __init__(self) -> None:
        self.image = AdaptiveHistogramEqualization()
        self.stack = LinearContrast()

    def __call__(self, img: NdarrayOrTensor) -> NdarrayOrTensor:
        """Enhance.

        Args:
            img: `[C, X, Y]` or `[C, X, Y, Z]`, any real type.

        Returns:
            The same shape, float32 in [0, 1].

        Raises:
            InputError: if a value is NaN or infinite.
        """
        return (self.stack if img.ndim == 4 else self.image)(img)


class AdaptiveHistogramEqualizationd(DictionaryTwin, of=AdaptiveHistogramEqualization):
    """Dictionary twin of :class:`AdaptiveHistogramEqualization`."""


class LinearContrastd(DictionaryTwin, of=LinearContrast):
    """Dictionary twin of :class:`LinearContrast`."""


class EnhanceContrastd(DictionaryTwin, of=EnhanceContrast):
    """Dictionary twin of :class:`EnhanceContrast`."""
