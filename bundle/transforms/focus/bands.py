"""Fusion of slices that are larger than memory, by bands of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from ...volumes import StoredVolume, band_rows, order_statistics, percentiles
from .depth import REACH, STRONG, DepthOfFocus, diagonal_details, noise_of_median, regularized
from .measures import brightness, noise_gain

VolumeRows = Callable[[int, int, int], np.ndarray]  # (z, start, stop) -> rows of a slice

# rows that the brightness of a row depends on, above and below: a Gaussian of one pixel ends at four
BESIDE = 4
LEAST_ROWS = 256  # of a band, so that the tiles of a file are not decoded for a few rows of each


def fuse_maximum(
    read: VolumeRows, shape: tuple[int, int, int], fused: StoredVolume, depth: StoredVolume, work: Path
) -> None:
    """Fuse by the maximum projection as :func:`~bundle.transforms.focus.fuse` does, to the last bit, by any bands.

    The stack is read three times, twice for its noise and once by bands; some fifteen bands are held.

    Args:
        read: gives rows of a slice.
        shape: Z, Y, X.
        fused: of one slice and the stack's type, where the fused plane goes, by the bands in which the stack is read.
        depth: of one slice and float32, where the depth map goes.
        work: folder for what is made on the way.
    """
    count, height, width = shape
    noise = [_noise(partial(_parts, read, z, height, width), height, width) for z in range(count)]
    rows = fused.bands[0][1]
    peak, contrast = (StoredVolume(work / name, (1, height, width), np.float32, rows) for name in ("peak", "contrast"))
    followed = DepthOfFocus()
    for start, stop in peak.bands:
        first, last = max(0, start - BESIDE), min(height, stop + BESIDE)
        inside = slice(start - first, stop - first)
        followed, brightest = DepthOfFocus(), np.zeros(0)
        for z in range(count):
            band = read(z, first, last)
            brightest = np.maximum(brightest, band[inside], out=brightest) if z else band[inside].copy()
            followed.add(brightness(band)[inside], noise[z] * noise_gain(brightness))
        fused.write(0, start, brightest)
        peak.write(0, start, followed.peak())
        contrast.write(0, start, followed.contrast())
    strong = percentiles(lambda: (contrast.rows(0, *band) for band in contrast.bands), [STRONG])
    floor = followed.floor(float(strong[0]))
    for start, stop in depth.bands:
        first, last = max(0, start - REACH), min(height, stop + REACH)
        found = regularized(peak.rows(0, first, last), contrast.rows(0, first, last), floor, count)
        depth.write(0, start, found[start - first : stop - first])


def _noise(parts: Callable[[], Iterator[np.ndarray]], height: int, width: int) -> float:
    """:func:`~bundle.transforms.focus.depth.noise_of` a slice that comes in parts of an even number of rows."""
    details = (height // 2) * (width // 2)
    if not details:
        return 0.0
    middle = order_statistics(lambda: map(diagonal_details, parts()), [(details - 1) // 2, details // 2])
    return noise_of_median(float(np.mean(middle)))


def _parts(read: VolumeRows, z: int, height: int, width: int) -> Iterator[np.ndarray]:
    rows = max(LEAST_ROWS, band_rows(width) // 2 * 2)
    return (read(z, start, min(start + rows, height)) for start in range(0, height - 1, rows))
