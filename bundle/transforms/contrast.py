"""Contrast enhancement before the networks: adaptive histogram equalisation (2D) and linear stretching (slices)."""

from __future__ import annotations

from functools import partial

import numpy as np
from monai.config import NdarrayOrTensor
from monai.transforms import Transform
from monai.utils import TransformBackends, convert_to_dst_type

from .arrays import DictionaryTwin, channels_first, source
from .stretching import Equalization, Stretching, stretch


class AdaptiveHistogramEqualization(Equalization, Transform):
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
            out[plane] = self.of_plane(image[plane], source(img))
        return convert_to_dst_type(out, img, dtype=np.float32)[0]


class LinearContrast(Stretching, Transform):
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
