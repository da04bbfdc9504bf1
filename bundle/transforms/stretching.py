"""How the contrast of planes is enhanced: adaptive histogram equalisation, and linear stretching.

Of NumPy alone: :mod:`~bundle.transforms.contrast` makes MONAI's transforms of it, whose import takes seconds.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Literal

import numpy as np

from ..volumes import HERE, Workers, ahead, percentiles
from .margins import Blocks, empty_margin, hidden_pixels, mirrored

__all__ = ["Equalization", "Stretching", "stretch"]

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


class Equalization:
    """The steps of :class:`bundle.transforms.AdaptiveHistogramEqualization`, whose arguments it takes."""

    def __init__(self, tile_size: int = 64, clip_limit: float = 0.01) -> None:
        if tile_size < 1:
            raise ValueError(f"tile_size must be at least 1 pixel, not {tile_size}")
        if not 0 < clip_limit <= 1:
            raise ValueError(f"clip_limit must lie in (0, 1], not {clip_limit}")
        self.tile_size = tile_size
        self.clip_limit = clip_limit

    def of_plane(self, plane: np.ndarray, path: str | None = None) -> np.ndarray:
        """Equalise a plane ``[X, Y]`` of any real type: float32 in [0, 1]; the path is for messages."""
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
        from .equalizing import equalized  # slices do without

        return equalized(scaled.T, self.tile_size, self.clip_limit).T


class Stretching:
    """The steps of :class:`bundle.transforms.LinearContrast`, whose arguments it takes."""

    def __init__(self, lower: float = 1.0, upper: float = 99.0, per: Literal["slice", "volume"] = "slice") -> None:
        if not 0 <= lower < upper <= 100:
            raise ValueError(f"0 <= lower < upper <= 100 must hold, not lower={lower}, upper={upper}")
        if per not in ("slice", "volume"):
            raise ValueError(f"per must be 'slice' or 'volume', not {per!r}")
        self.percentiles = (lower, upper)
        self.per = per

    def limits(
        self, planes: Sequence[Blocks], shape: tuple[int, int], workers: Workers = HERE
    ) -> tuple[float, float, float | None]:
        """What :func:`stretch` is given for planes that are stretched alike, with but a part in memory at a time.

        Args:
            planes: for each plane, what gives its rows ``[n, columns]`` whenever it is called.
            shape: rows and columns.
            workers: who looks at the planes.

        Returns:
            The values that become 0 and 1, and that of a margin.
        """
        hidden, least = hidden_pixels(planes, shape, workers)
        slabs = [partial(_chained, planes[start:stop]) for start, stop in workers.slabs(len(planes))]
        low, high = percentiles(slabs, self.percentiles, hidden, workers)
        return low, high, least if hidden else None


def _chained(planes: Sequence[Blocks]) -> Iterator[np.ndarray]:
    return ahead(chain.from_iterable(blocks() for blocks in planes))
