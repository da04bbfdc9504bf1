"""Dilation and erosion of planes by shifting them as a whole, faster than asking around every pixel."""

from __future__ import annotations

import numpy as np

__all__ = ["dilated", "eroded"]


def dilated(mask: np.ndarray, element: np.ndarray) -> np.ndarray:
    """Dilate a plane; beyond its border is background.

    Args:
        mask: bool ``[Y, X]``.
        element: bool, of odd sides, each of its rows a run about the middle or empty, as those of a disk are, or of a
            slice of a ball.

    Returns:
        bool, the same shape.
    """
    out = np.zeros_like(mask)
    halves = np.where(element.any(1), element.sum(1) // 2, -1)
    middle, height = len(element) // 2, len(mask)
    wide, reached = mask, 0
    for half in np.unique(halves[halves >= 0]):
        while reached < half:  # moved by no more than the half of a run that the border may leave, none has a gap
            step = min(reached + 1, int(half) - reached)
            wide, reached = _widened(wide, step), reached + step
        for down in np.flatnonzero(halves == half) - middle:
            if 0 <= down < height:
                out[down:] |= wide[: height - down]
            elif -height < down < 0:
                out[:down] |= wide[-down:]
    return out


def eroded(mask: np.ndarray, element: np.ndarray) -> np.ndarray:
    """Erode a plane; what is beyond its border takes nothing away.

    Args:
        mask: bool ``[Y, X]``.
        element: as of :func:`dilated`, the same when turned by half.

    Returns:
        bool, the same shape.
    """
    return ~dilated(~mask, element)


def _widened(mask: np.ndarray, step: int) -> np.ndarray:
    wide = mask.copy()
    wide[:, step:] |= mask[:, :-step]
    wide[:, :-step] |= mask[:, step:]
    return wide
