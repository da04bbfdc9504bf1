"""Adaptive histogram equalisation of a plane of which a few rows at a time are in memory.

To the last bit what :class:`~bundle.transforms.stretching.Equalization` gives of the whole plane, by the steps of
:func:`skimage.exposure.equalize_adapthist`, if the plane has no margin. A margin is found by squares and filled by its
surroundings of a few tiles, so that what lies within two tiles of it may differ.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
from skimage.exposure import rescale_intensity
from skimage.exposure._adapthist import NR_OF_GRAY, clip_histogram, map_histogram
from skimage.util import img_as_uint

from ..volumes import StoredVolume, order_statistics
from .margins import hidden_squares, mirrored
from .stretching import BEYOND, FEW, FEW_SHARE, Equalization, stretch

__all__ = ["EqualizedPlane", "PlaneRows", "equalized"]

logger = logging.getLogger(__name__)

PlaneRows = Callable[[int, int], np.ndarray]  # (start, stop) -> rows [stop - start, X] of a plane

BINS = 256  # grey levels of a tile, as skimage has them by default
BAND = 512  # rows, about, that are read at a time
CHUNK = 1024  # columns of which a margin is filled at a time
AROUND = 2  # tiles around them from which it is filled


class EqualizedPlane:
    """A plane with its contrast enhanced, ``[Y, X]``; made once, and stored as 16 bits.

    Args:
        read: gives rows of the plane, of any real type.
        shape: rows and columns.
        equalization: says how large the tiles are, and how far they are equalised.
        stored: of uint16 and the plane's shape, one slice; what is made goes there.
        path: the file, for messages.
    """

    def __init__(
        self,
        read: PlaneRows,
        shape: tuple[int, int],
        equalization: Equalization,
        stored: StoredVolume,
        path: str | None = None,
    ) -> None:
        self.shape = shape
        self._read = read
        self._stored = stored
        self._tile = equalization.tile_size
        self._clip = equalization.clip_limit
        self._margin, self._square, self._least = hidden_squares(self._parts, shape)
        self._range: tuple[int, int] | None = None  # of what is stored
        if self._margin is not None and self._margin.all():
            return
        hidden = 0 if self._margin is None else self._pixels_of_margin(self._margin)
        if hidden:
            share = 100 * hidden / math.prod(shape)
            logger.info("%s: %.0f %% of it is a margin that shows nothing, and left out", path or "an image", share)
        self._limits = self._grey_range(hidden, path)
        self._levels = _bin_of_level()
        self._range = self._make()

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Rows ``[stop - start, X]``, float32 in [0, 1]; 0 in a margin."""
        if self._range is None:
            return np.zeros((stop - start, self.shape[1]), np.float32)
        values = brought_to_one(self._stored.rows(0, start, stop), *self._range)
        margin = self._margin_of(start, stop)
        if margin is not None:
            values[margin] = 0
        return values

    def _parts(self) -> Iterator[np.ndarray]:
        return (self._read(start, min(start + BAND, self.shape[0])) for start in range(0, self.shape[0], BAND))

    def _pixels_of_margin(self, margin: np.ndarray) -> int:
        heights, widths = (np.diff([*range(0, side, self._square), side]) for side in self.shape)
        return int(heights @ margin @ widths)

    def _margin_of(self, start: int, stop: int) -> np.ndarray | None:
        """Rows of the margin, pixel by pixel."""
        if self._margin is None:
            return None
        squares = self._margin[np.arange(start, stop) // self._square]
        return squares[:, np.arange(self.shape[1]) // self._square]

    def _grey_range(self, hidden: int, path: str | None) -> tuple[float, float]:
        """The values that become black and white, as of the whole plane."""
        count = math.prod(self.shape) - hidden
        few = max(FEW, round(FEW_SHARE * count))
        some = count > 2 * few + 2
        ranks = [0, count - 1, *([few, count - few - 1] if some else [])]
        low, high, *inner = (float(v) for v in order_statistics(self._parts, [hidden + rank for rank in ranks]))
        if not inner or inner[0] == inner[1] or high - low < BEYOND * (inner[1] - inner[0]):
            return low, high
        logger.warning("%s: a few pixels, of %g to %g, are far beyond all others, and cut to them", path, low, high)
        return inner[0], inner[1]

    def _make(self) -> tuple[int, int]:
        """Equalise and store; the lowest and the highest of what is stored."""
        least, most = NR_OF_GRAY, 0
        rows: list[np.ndarray] = []
        waiting = list(reversed(self._stored.bands))
        binned = _Bands(self._binned, self.shape[0], max(self._tile, BAND // self._tile * self._tile))
        for part in _equalized(binned.rows, self.shape, self._tile, self._clip):
            least, most = min(least, int(part.min())), max(most, int(part.max()))
            rows.append(part)
            while waiting and sum(map(len, rows)) >= waiting[-1][1] - waiting[-1][0]:
                start, stop = waiting.pop()
                held = rows[0] if len(rows) == 1 else np.concatenate(rows)
                self._stored.write(0, start, held[: stop - start])
                rows = [held[stop - start :]]
        return least, most

    def _binned(self, start: int, stop: int) -> np.ndarray:
        """Rows as numbers of grey levels, margins filled."""
        reach = AROUND * self._tile
        margin = self._margin_of(max(0, start - reach), min(stop + reach, self.shape[0]))
        if margin is None or not margin.any():
            return self._levelled(start, stop)
        top = min(start, reach)
        bins = self._levelled(start - top, min(stop + reach, self.shape[0]))
        out = bins[top : top + stop - start].copy()
        for left in range(0, self.shape[1], CHUNK):
            begins = max(0, left - reach)
            around = slice(begins, min(left + CHUNK + reach, self.shape[1]))
            if margin[:, around].any() and not margin[:, around].all():
                filled = mirrored(bins[:, around], margin[:, around])
                inside = filled[top : top + stop - start, left - begins :][:, :CHUNK]
                out[:, left : left + inside.shape[1]] = inside
        return out

    def _levelled(self, start: int, stop: int) -> np.ndarray:
        return self._levels[img_as_uint(stretch(self._read(start, stop), *self._limits))]


def equalized(scaled: np.ndarray, tile: int, clip: float) -> np.ndarray:
    """What :func:`skimage.exposure.equalize_adapthist` gives of a whole plane turned, to the last bit, in half of
    its time.

    Args:
        scaled: ``[Y, X]`` in [0, 1].
        tile: side of the tiles.
        clip: share of a tile's pixels that a grey level may hold.

    Returns:
        float32 in [0, 1].
    """
    bins = _bin_of_level()[img_as_uint(scaled)]
    values = np.concatenate(list(_equalized(bins.__getitem__, bins.shape, tile, clip)))
    return brought_to_one(values, int(values.min()), int(values.max()))


def brought_to_one(values: np.ndarray, low: int, high: int) -> np.ndarray:
    """float32 in [0, 1] of whole numbers, of which ``low`` becomes 0 and ``high`` 1."""
    made = values.astype(np.float32)
    if low == high:
        return np.clip(made, 0, 1, out=made)
    made -= float(low)  # in place, since rows of a wide page are many
    made /= float(high - low)
    return made


def _equalized(
    binned: Callable[[np.ndarray], np.ndarray], shape: tuple[int, int], tile: int, clip: float
) -> Iterator[np.ndarray]:
    """A plane from top to bottom, a row of tiles at a time, before it is brought to [0, 1].

    Args:
        binned: gives rows by their numbers, as numbers of grey levels.
        shape: of the plane.
        tile: side of the tiles.
        clip: share of a tile's pixels that a grey level may hold.
    """
    down, across = (_reflected(side, tile) for side in shape)
    count, wide = len(down) // tile - 1, len(across) // tile  # rows of tiles that have a histogram
    first = tile // 2  # of the padded plane: half a tile comes before it
    maps: dict[int, np.ndarray] = {}
    share = np.arange(tile) / tile
    # products of a map's values and such weights are the same in single precision, where the weights are exact
    kind = np.float32 if tile & (tile - 1) == 0 else np.float64
    weights = [[(up[:, None, None] * left).astype(kind) for up in (1 - share, share)] for left in (1 - share, share)]
    starts = BINS * np.arange(wide)[:, None]
    for number in range(count + 1):
        if number < count:
            of_tile = binned(down[first + number * tile :][:tile])[:, across[first:][: (wide - 1) * tile]]
            inner = _maps(of_tile, tile, clip).astype(kind)
            maps[number] = np.concatenate([inner[:1], inner, inner[-1:]])
            maps.pop(number - 2, None)
        bins = binned(down[number * tile :][:tile])[:, across].reshape(tile, wide, tile) + starts
        result = np.zeros(bins.shape, np.float32)
        for right in (0, 1):
            for below in (0, 1):
                of = maps[min(max(number - 1 + below, 0), count - 1)][right : right + wide]
                result += (np.take(of, bins) * weights[right][below]).astype(np.float32, copy=False)
        start = number * tile - first
        part = result.astype(np.uint16).reshape(tile, -1)[:, first : first + shape[1]]
        shown = part[max(0, -start) : max(0, shape[0] - start)]
        if len(shown):
            yield shown


def _maps(bins: np.ndarray, tile: int, clip: float) -> np.ndarray:
    """For each tile of a row, what its bins become: ``[tiles, 256]``."""
    tiles = bins.shape[1] // tile
    numbers = bins.reshape(tile, tiles, tile) + BINS * np.arange(tiles)[:, None]
    histograms = np.bincount(numbers.ravel(), minlength=BINS * tiles).reshape(tiles, BINS)
    most = int(np.clip(clip * tile**2, 1, None))
    clipped = np.array([clip_histogram(histogram, most) for histogram in histograms])
    return map_histogram(clipped, 0, NR_OF_GRAY - 1, tile**2)


class _Bands:
    """Rows in any order out of bands, of which the last few are kept."""

    def __init__(self, read: PlaneRows, height: int, band: int) -> None:
        self._read, self._height, self._band = read, height, band
        self._kept: dict[int, np.ndarray] = {}

    def rows(self, wanted: np.ndarray) -> np.ndarray:
        needed = range(int(wanted.min()) // self._band, int(wanted.max()) // self._band + 1)
        for number in needed:
            if number not in self._kept:
                start = number * self._band
                self._kept[number] = self._read(start, min(start + self._band, self._height))
        for number in [number for number in self._kept if number < needed[0] - 1]:
            del self._kept[number]
        held = np.concatenate([self._kept[number] for number in needed]) if len(needed) > 1 else self._kept[needed[0]]
        return held[wanted - needed[0] * self._band]


def _reflected(side: int, tile: int) -> np.ndarray:
    """Which pixels stand along a side that is padded by half a tile before, and to whole tiles and a half behind."""
    return np.pad(np.arange(side), (tile // 2, -side % tile + -(-tile // 2)), mode="reflect")


@cache
def _bin_of_level() -> np.ndarray:
    """The bin of each of the 65536 levels of :func:`skimage.util.img_as_uint`."""
    levels = np.arange(1 << 16, dtype=np.uint16)
    grey = np.round(rescale_intensity(levels, out_range=(0, NR_OF_GRAY - 1))).astype(np.uint16)
    return (grey // (1 + NR_OF_GRAY // BINS)).astype(np.uint8)
