"""Fractal dimension and lacunarity by boxes, which users of AngioTool and RAVE look for."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.ndimage import uniform_filter1d

__all__ = ["box_sides", "fractal_dimension", "lacunarity"]


def box_sides(shape: Sequence[int], spacing: Sequence[float]) -> list[tuple[int, ...]]:
    """The boxes that are counted: sides of 2, 4, 8 … of the finest pixels, up to a quarter of the plane's shorter side.

    Args:
        shape: of the image, ``[Y, X]`` or ``[Z, Y, X]``.
        spacing: of its pixels along each axis; along a coarser axis a box has as many fewer, at least one.

    Returns:
        The sides of each box along each axis, in pixels; fewer than two for an image of less than 16 pixels.
    """
    finest = min(spacing)
    sides = []
    side = 2
    while side <= min(shape[-2:]) // 4:
        sides.append(tuple(max(1, round(side * finest / step)) for step in spacing))
        side *= 2
    return sides


def fractal_dimension(mask: np.ndarray, spacing: Sequence[float] | None = None) -> float:
    """Box-counting dimension of a mask: minus the slope of log(boxes that hold vessel) over log(side).

    A straight line has 1, a filled plane 2. In a slab that is thinner than the largest boxes the dimension lies between
    that of its planes and that of its volume.

    Args:
        mask: bool, ``[Y, X]`` or ``[Z, Y, X]``.
        spacing: of its pixels; all equal if None.

    Returns:
        The dimension over :func:`box_sides`; NaN for an empty mask, or one too small for two sizes.
    """
    spacing = spacing or (1.0,) * mask.ndim
    sides = box_sides(mask.shape, spacing)
    if len(sides) < 2 or not mask.any():
        return math.nan
    counts = [_occupied(mask, side) for side in sides]
    lengths = 2.0 ** np.arange(1, len(sides) + 1)
    return float(-np.polyfit(np.log(lengths), np.log(counts), 1)[0])


def lacunarity(mask: np.ndarray, spacing: Sequence[float] | None = None) -> float:
    """How unevenly a mask fills space: mean over box sizes of E[M²] / E[M]², M the vessel in a gliding box.

    1 where every box holds the same; the more gaps of all sizes, the more. Allain & Cloitre, Characterizing the
    lacunarity of random and deterministic fractal sets, Phys. Rev. A 1991, doi:10.1103/PhysRevA.44.3552.

    Args:
        mask: bool, ``[Y, X]`` or ``[Z, Y, X]``.
        spacing: of its pixels; all equal if None.

    Returns:
        At least 1, over :func:`box_sides`; NaN for an empty mask, or one too small for a box.
    """
    sides = box_sides(mask.shape, spacing or (1.0,) * mask.ndim)
    if not sides or not mask.any():
        return math.nan
    found = []
    for side in sides:
        mass = mask.astype(np.float32)
        for axis, n in enumerate(side):
            n = min(n, mask.shape[axis])
            mass = uniform_filter1d(mass, n, axis=axis, mode="constant")
            inside = slice(n // 2, n // 2 + mask.shape[axis] - n + 1)  # boxes that lie in the image whole
            mass = mass[(slice(None),) * axis + (inside,)]
        mean = float(mass.mean(dtype=float))
        if mean > 0:
            found.append(float(np.square(mass, dtype=np.float32).mean(dtype=float)) / mean**2)
    return float(np.mean(found)) if found else math.nan


def _occupied(mask: np.ndarray, side: tuple[int, ...]) -> int:
    """How many boxes of a grid hold vessel."""
    for axis, n in enumerate(side):
        mask = np.logical_or.reduceat(mask, np.arange(0, mask.shape[axis], n), axis=axis)
    return int(np.count_nonzero(mask))
