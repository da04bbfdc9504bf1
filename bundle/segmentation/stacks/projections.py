"""Maximum projections of a volume that is read by rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np

from ...volumes import band_rows
from ..windows import middle_of
from .reading import SliceRows

__all__ = ["PICTURE_SIDE", "middle_projection", "picture_projection"]

# pixels of a side of a picture: a page of 60,000 is shown by the maxima of squares
PICTURE_SIDE = 8192

VolumeRows = Callable[[int, int, int], np.ndarray]  # (z, start, stop) -> rows [stop - start, X]


def middle_projection(slices: Iterable[SliceRows], plane: tuple[int, int]) -> np.ndarray:
    """The projection of a volume's middle, ``[Y, X]``, in which the widths of vessels are measured.

    Args:
        slices: of each, at least one, what gives its rows.
        plane: Y, X of the volume.
    """
    (top, bottom), (left, right) = (middle_of(side) for side in plane)
    projection = np.zeros(0)
    for number, rows in enumerate(slices):
        part = rows(top, bottom)[:, left:right]
        projection = np.maximum(projection, part, out=projection) if number else part.copy()
    return projection


def picture_projection(read: VolumeRows, shape: tuple[int, int, int]) -> np.ndarray:
    """The projection of a volume, ``[Y, X]``, by the maxima of squares where it is too wide for a picture.

    Args:
        read: gives rows of a slice.
        shape: Z, Y, X of the volume.
    """
    depth, height, width = shape
    square = math.ceil(max(height, width) / PICTURE_SIDE)
    step = height if square == 1 and height <= band_rows(width) else max(square, band_rows(width) // square * square)
    bands = []
    for start in range(0, height, step):
        band = np.zeros(0)
        for z in range(depth):
            rows = read(z, start, min(start + step, height))
            if square > 1:
                rows = np.maximum.reduceat(rows, np.arange(0, len(rows), square), axis=0)
                rows = np.maximum.reduceat(rows, np.arange(0, width, square), axis=1)
            band = np.maximum(band, rows, out=band) if z else rows.copy()
        bands.append(band)
    return np.concatenate(bands)
