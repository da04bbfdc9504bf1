"""Binary closing of a volume with a window of slices in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from .blocks import StoredVolume, Volume
from .shifting import dilated, eroded
from .workers import HERE, Slab, Workers


def close_gaps(mask: Volume, ball: np.ndarray, out: StoredVolume, workers: Workers = HERE) -> None:
    """Close a mask with a ball; what lies outside the volume is background.

    Args:
        mask: a volume of bool.
        ball: bool, of odd sides, symmetric: :func:`bundle.transforms.binarization.ball`, axes ZYX.
        out: of bool, where the result goes.
        workers: who does it.
    """
    workers.each("closing gaps", partial(_close, mask, ball, out), out.missing(workers))


def _close(mask: Volume, ball: np.ndarray, out: StoredVolume, slab: Slab) -> None:
    reach = [side // 2 for side in ball.shape]
    for start, stop in out.bands:
        height = stop - start
        planes = _padded(mask, start, stop, slab, reach)
        grown = _through(planes, ball, dilated, np.logical_or)
        closed = _through(grown, ball, eroded, np.logical_and)
        for z, plane in enumerate(closed, start=slab[0]):
            rows = slice(2 * reach[1], 2 * reach[1] + height)
            out.write(z, start, plane[rows, 2 * reach[2] : plane.shape[1] - 2 * reach[2]])


def _padded(mask: Volume, start: int, stop: int, slab: Slab, reach: list[int]) -> Iterator[np.ndarray]:
    """Rows of a slab's slices, and twice the ball's reach around them; of slices before and behind as well."""
    depth, height, width = mask.shape
    z_pad, y_pad, x_pad = (2 * r for r in reach)
    first, last = max(0, start - y_pad), min(height, stop + y_pad)
    for z in range(slab[0] - z_pad, slab[1] + z_pad):
        block = np.zeros((stop - start + 2 * y_pad, width + 2 * x_pad), bool)
        if 0 <= z < depth:
            top = first - (start - y_pad)
            block[top : top + last - first, x_pad : x_pad + width] = mask.rows(z, first, last)
        yield block


def _through(
    planes: Iterator[np.ndarray],
    ball: np.ndarray,
    operation: Callable[[np.ndarray, np.ndarray], np.ndarray],
    combine: np.ufunc,
) -> Iterator[np.ndarray]:
    """Dilate or erode in three dimensions, slice by slice of the ball; gives as many slices fewer as it has but one."""
    window: deque[list[np.ndarray]] = deque(maxlen=len(ball))
    middle = len(ball) // 2
    for plane in planes:
        # a ball is the same above and below its middle
        window.append([operation(plane, disk) for disk in ball[: middle + 1]])
        if len(window) == len(ball):
            yield combine.reduce([window[k][middle - abs(k - middle)] for k in range(len(ball))])
