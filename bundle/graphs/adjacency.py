"""Which of a few voxels of a large field touch."""

from __future__ import annotations

from itertools import product

import numpy as np

__all__ = ["CORNERS", "SIDES", "touching"]

# one of each two opposite steps to a neighbour
CORNERS = np.array([step for step in product((-1, 0, 1), repeat=3) if step > (0, 0, 0)])
SIDES = np.array([(1, 0, 0), (0, 1, 0), (0, 0, 1)])


def touching(voxels: np.ndarray, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of voxels that are one of some steps apart.

    Args:
        voxels: whole coordinates ``[N, 3]``, not negative, in the order in which an array holds them.
        steps: ``[K, 3]``, each coordinate −1, 0 or 1.

    Returns:
        The indices of the first and of the second voxel of each pair, ``[P]`` each.
    """
    _, height, width = voxels.max(axis=0, initial=0) + 3  # a free voxel at either side
    strides = np.array([height * width, width, 1], np.int64)
    at = (voxels + 1) @ strides
    first, second = [], []
    for step in steps @ strides:
        place = np.searchsorted(at, at + step)
        hit = np.flatnonzero(place < len(at))
        hit = hit[at[place[hit]] == at[hit] + step]
        first.append(hit)
        second.append(place[hit])
    return np.concatenate(first), np.concatenate(second)
