"""Planes in bands of rows, and the smaller copies of a large plane that viewers show from afar."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

TILE = 512  # pixels a side that are stored together, and on which the smallest copy fits
COLUMNS = 4096  # of a wide band that are halved at once, an even number: sums in float64 take much memory


def level_sizes(plane: tuple[int, int]) -> list[tuple[int, int]]:
    """Rows and columns of a plane and of its copies, each half as large, the last no longer than a tile."""
    sizes = [plane]
    while max(sizes[-1]) > TILE:
        height, width = sizes[-1]
        sizes.append((-(-height // 2), -(-width // 2)))
    return sizes


def in_bands(parts: Iterable[np.ndarray], height: int, rows: int = TILE) -> Iterator[tuple[int, np.ndarray]]:
    """Cut planes that come one after the other, whole or in parts, to bands.

    Args:
        parts: ``[n, X]``, no part with rows of two planes.
        height: rows of a plane.
        rows: of a band; the last of a plane may have fewer.

    Yields:
        The first row of a band in its plane, and the band.
    """
    held: list[np.ndarray] = []
    start = 0
    for part in parts:
        while len(part):
            missing = min(rows, height - start) - sum(map(len, held))
            held.append(part[:missing])
            if len(part) >= missing:
                yield start, held[0] if len(held) == 1 else np.concatenate(held)
                held, start = [], start + rows if start + rows < height else 0
            part = part[missing:]


def halved(band: np.ndarray, mask: bool) -> np.ndarray:
    """Half the rows and columns: two by two pixels become their mean, of a mask their maximum.

    So thin vessels stay, and 0 and 255 are all a mask holds; an odd last row or column counts twice.

    Args:
        band: ``[n, X]``, an even number of rows unless it is a plane's last.
        mask: whether it is one.
    """
    columns = range(0, band.shape[1], COLUMNS)
    return np.concatenate([_halved(band[:, left : left + COLUMNS], mask) for left in columns], axis=1)


def _halved(band: np.ndarray, mask: bool) -> np.ndarray:
    even = np.pad(band, [(0, n % 2) for n in band.shape], "edge")
    quarters = [even[y::2, x::2] for y in (0, 1) for x in (0, 1)]
    if mask:
        return np.maximum.reduce(quarters)
    mean = np.sum([quarter.astype(np.float64) for quarter in quarters], axis=0) / 4
    return mean.astype(band.dtype) if band.dtype.kind == "f" else np.rint(mean).astype(band.dtype)
