"""Smooth centre lines through the voxels of a skeleton."""

from __future__ import annotations

import numpy as np
from scipy.linalg import solveh_banded

__all__ = ["smooth"]

_RESIDUAL = 0.5  # voxels: how far a line is from the middle of the voxel that it goes through
_ORDER = 2  # of the differences that are penalised
_HALVINGS = 12


def smooth(lines: list[np.ndarray], spacing: np.ndarray, closed: list[bool]) -> list[np.ndarray]:
    """Smooth each line as far as no point moves by more than half a voxel along any axis.

    A chain of voxels is a staircase, 5 % too long; a fixed smoothing that straightens it shortens bends. Here each
    line has the strongest that the bound allows (Whittaker's smoother, all lines in one banded system).

    Args:
        lines: points ``[P, 3]``, micrometres.
        spacing: of the voxels, micrometres.
        closed: whether a line is a ring; its first point is also its last.

    Returns:
        The smoothed points of each line.
    """
    if not lines:
        return []
    around = [len(line) - 1 if ring else 0 for line, ring in zip(lines, closed, strict=True)]
    whole = [np.concatenate([line[:-1]] * 3) if ring else line for line, ring in zip(lines, closed, strict=True)]
    sizes = np.array([len(line) for line in whole])
    owner = np.repeat(np.arange(len(sizes)), sizes)
    points = np.concatenate(whole) / spacing
    # the middle copy of a ring counts; its neighbours are there so that it has no ends
    counts = np.ones(len(points), bool)
    for first, extra in zip(np.cumsum(sizes) - sizes, around, strict=True):
        counts[first : first + extra] = counts[first + 2 * extra : first + 3 * extra] = False
    least, most = np.full(len(sizes), -2.0), np.full(len(sizes), 9.0)  # log10 of the penalty
    best = points.copy()
    for halving in range(_HALVINGS + 1):
        power = most if halving == 0 else (least + most) / 2
        smoothed = _whittaker(points, owner, 10.0**power)
        worst = np.zeros(len(sizes))
        np.maximum.at(worst, owner[counts], np.abs(smoothed - points).max(axis=1)[counts])
        good = worst <= _RESIDUAL
        best = np.where(good[owner][:, None], smoothed, best)
        least, most = np.where(good, power, least), np.where(good, most, power)
    parts = np.split(best * spacing, np.cumsum(sizes)[:-1])
    return [part[extra : 2 * extra + 1] if extra else part for part, extra in zip(parts, around, strict=True)]


def _whittaker(points: np.ndarray, owner: np.ndarray, penalty: np.ndarray) -> np.ndarray:
    """Points that differ little from the given ones, and whose differences within a line are small."""
    count = len(points)
    weights = np.array([1.0])
    for _ in range(_ORDER):
        weights = np.convolve(weights, [-1.0, 1.0])
    whole = np.flatnonzero(owner[_ORDER:] == owner[:-_ORDER]) if count > _ORDER else np.zeros(0, int)
    strength = penalty[owner[whole]]
    bands = np.zeros((_ORDER + 1, count))
    bands[_ORDER] = 1
    for i in range(_ORDER + 1):
        for j in range(i, _ORDER + 1):
            np.add.at(bands[_ORDER - (j - i)], whole + j, strength * weights[i] * weights[j])
    return solveh_banded(bands, points, overwrite_ab=True, check_finite=False)
