"""A stack as its slices, one at a time, and reading it along a depth map."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

Planes = Callable[[], Iterable[np.ndarray]]


def along(planes: Planes, depth: np.ndarray) -> np.ndarray:
    """Read a stack along a depth map, of its own or of another channel.

    Args:
        planes: gives the slices in order, 2D arrays of one type and size, whenever it is called.
        depth: `[Y, X]`, index of the slice to read at each pixel, counted from 0; the nearest slice is read.

    Returns:
        The plane read, of the slices' type. Two planes are held beside the depth.

    Raises:
        ValueError: the depth map has another size than the slices, or leaves the stack.
    """
    nearest = np.rint(depth)
    if not (np.isfinite(nearest).all() and (nearest >= 0).all()):
        raise ValueError("the depth map holds values that are no slice's index")
    fused, count = np.zeros(0), 0
    for index, plane in enumerate(planes()):
        if plane.shape != depth.shape:
            raise ValueError(f"the depth map has {_by(depth.shape)} pixels, the slices {_by(plane.shape)}")
        if not index:
            fused = plane.copy()
        else:
            np.copyto(fused, plane, where=nearest == index)
        count += 1
    if nearest.max() >= count:
        raise ValueError(f"the depth map goes down to slice {nearest.max():.0f}, the stack ends at {count - 1}")
    return fused


def _by(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))
