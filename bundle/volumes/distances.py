"""How deep inside a mask its voxels lie."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import distance_transform_edt

__all__ = ["depth"]

# where more than this share of the mask lies deeper than so many voxels, SciPy's transform of the field is faster
_DEEP, _MANY = 64, 0.1


def depth(mask: np.ndarray, spacing: tuple[float, float, float]) -> np.ndarray:
    """Distance of each voxel of a mask to the centre of the nearest background voxel.

    What lies beyond the field is unknown, and no background. The time is that of the mask's voxels times their depth,
    not that of the field: vessels fill a twentieth of it.

    Args:
        mask: bool ``[Z, Y, X]``.
        spacing: of the voxels, in micrometres.

    Returns:
        float32, of the mask's voxels in their order in memory (as ``mask[mask]``); infinite without any background.
    """
    count = np.count_nonzero(mask)
    if count == mask.size:
        return np.full(count, np.inf, np.float32)
    at = np.flatnonzero(mask)
    squares = np.zeros(mask.size, np.float32)
    squares[at] = _along_rows(at, mask.shape[2]) * np.float32(spacing[2]) ** 2
    row, x = np.divmod(at, mask.shape[2])
    z, y = np.divmod(row, mask.shape[1])
    for place, axis in ((y, 1), (z, 0)):
        stride = int(np.prod(mask.shape[axis + 1 :]))
        nearer = _along(squares, at, place, mask.shape[axis], stride, spacing[axis])
        if nearer is None:
            return distance_transform_edt(mask, sampling=spacing)[mask].astype(np.float32)
        squares[at] = nearer
    return np.sqrt(squares[at])


def _along_rows(at: np.ndarray, width: int) -> np.ndarray:
    """Squared distance, in voxels, of each place of the mask to the nearest background in its row of the field."""
    if not at.size:
        return np.zeros(0, np.float32)
    x = at % width
    first = np.flatnonzero((np.diff(at, prepend=-2) != 1) | (x == 0))  # of each run of places in one row
    length = np.diff(first, append=len(at))
    run = np.repeat(np.arange(len(first)), length)
    left = np.where(x[first] == 0, np.inf, 1).astype(np.float32)[run] + (np.arange(len(at)) - first[run])
    last = first + length - 1
    right = np.where(x[last] == width - 1, np.inf, 1).astype(np.float32)[run] + (last[run] - np.arange(len(at)))
    return np.minimum(left, right) ** 2


def _along(
    squares: np.ndarray, at: np.ndarray, place: np.ndarray, size: int, stride: int, spacing: float
) -> np.ndarray | None:
    """The least of a column's squared distances, each enlarged by that along the column, at each place of the mask.

    None if that takes too long.
    """
    best = squares[at]
    active = np.arange(len(at))
    for distance in range(1, size):
        added = np.float32(distance * spacing) ** 2
        active = active[best[active] > added]
        if not active.size:
            break
        if distance == _DEEP and active.size > _MANY * len(at):
            return None
        for step in (-distance, distance):
            inside = active[(place[active] + step >= 0) & (place[active] + step < size)]
            best[inside] = np.minimum(best[inside], squares[at[inside] + step * stride] + added)
    return best
