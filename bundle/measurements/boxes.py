"""Fractal dimension and lacunarity by boxes, which users of AngioTool and RAVE look for."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

import numpy as np

from ..volumes import HERE, SLAB, Volume, Workers
from .grids import Grid, as_grid

__all__ = ["box_sides", "fractal_dimension", "lacunarity"]

# sides of a box in z, y and x; the first slice at which one begins, and the one after the last
Part = tuple[tuple[int, ...], int, int]
_KEPT = 1 << 24  # pixels of slices that are kept, rather than summed again when a gliding box leaves them


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


def fractal_dimension(
    mask: np.ndarray | Volume | Grid,
    spacing: Sequence[float] | None = None,
    region: np.ndarray | Volume | Grid | None = None,
    workers: Workers = HERE,
) -> float:
    """Box-counting dimension of a mask: minus the slope of log(boxes that hold vessel) over log(side).

    A straight line has 1, a filled plane 2. In a slab that is thinner than the largest boxes the dimension lies between
    that of its planes and that of its volume.

    Args:
        mask: bool, ``[Y, X]`` or ``[Z, Y, X]``.
        spacing: of its pixels; all equal if None.
        region: of the same shape, outside which nothing is vessel; all if None.
        workers: who counts.

    Returns:
        The dimension over :func:`box_sides`; NaN for an empty mask, or one too small for two sizes.
    """
    shown = _Shown(mask, region)
    sides = box_sides(shown.mask.shape, spacing or (1.0,) * shown.mask.ndim)
    if len(sides) < 2:
        return math.nan
    counts = [sum(workers.each("counting boxes", shown.occupied, _runs(side, shown.mask.depth))) for side in sides]
    if not counts[0]:
        return math.nan
    lengths = 2.0 ** np.arange(1, len(sides) + 1)
    return float(-np.polyfit(np.log(lengths), np.log(counts), 1)[0])


def lacunarity(
    mask: np.ndarray | Volume | Grid,
    spacing: Sequence[float] | None = None,
    region: np.ndarray | Volume | Grid | None = None,
    workers: Workers = HERE,
) -> float:
    """How unevenly a mask fills space: mean over box sizes of E[M²] / E[M]², M the vessel in a gliding box.

    1 where every box holds the same; the more gaps of all sizes, the more. Allain & Cloitre, Characterizing the
    lacunarity of random and deterministic fractal sets, Phys. Rev. A 1991, doi:10.1103/PhysRevA.44.3552.

    Args:
        mask: bool, ``[Y, X]`` or ``[Z, Y, X]``.
        spacing: of its pixels; all equal if None.
        region: of the same shape, outside which nothing is vessel; all if None.
        workers: who counts.

    Returns:
        At least 1, over :func:`box_sides`; NaN for an empty mask, or one too small for a box.
    """
    shown = _Shown(mask, region)
    found = []
    for side in box_sides(shown.mask.shape, spacing or (1.0,) * shown.mask.ndim):
        lower = tuple(min(n, size) for n, size in zip(side, shown.mask.shape, strict=True))
        parts = _runs(lower, shown.mask.depth - _of_volume(lower)[0] + 1)
        counted = [row for rows in workers.each("gliding boxes", shown.gliding, parts) for row in rows]
        mass, squares = sum(mass for mass, _ in counted), math.fsum(square for _, square in counted)
        if mass > 0:
            places = math.prod(size - n + 1 for n, size in zip(lower, shown.mask.shape, strict=True))
            found.append(squares / places / (mass / places) ** 2)
    return float(np.mean(found)) if found else math.nan


class _Shown:
    """The part of a mask that lies in a region, slice by slice."""

    def __init__(self, mask: np.ndarray | Volume | Grid, region: np.ndarray | Volume | Grid | None) -> None:
        self.mask = as_grid(mask)
        self.region = None if region is None else as_grid(region)

    def plane(self, z: int) -> np.ndarray:
        """What is vessel of a slice, bool."""
        plane = self.mask.plane(z) != 0
        return plane if self.region is None else plane & (self.region.plane(z) != 0)

    def occupied(self, part: Part) -> int:
        """How many boxes of a grid hold vessel, of those that begin in some slices."""
        (depth, height, width), start, stop = part
        rows, columns = (np.arange(0, n, side) for n, side in zip(self.mask.plane_shape, (height, width), strict=True))
        count = 0
        for first in range(start, stop, depth):
            held = np.zeros((len(rows), len(columns)), bool)
            for z in range(first, min(first + depth, stop)):
                held |= np.logical_or.reduceat(np.logical_or.reduceat(self.plane(z), rows, axis=0), columns, axis=1)
            count += int(np.count_nonzero(held))
        return count

    def gliding(self, part: Part) -> list[tuple[int, float]]:
        """For each slice at which boxes begin, what vessel they hold in all, and the sum of the squares of that."""
        (depth, height, width), start, stop = part
        inside: deque[np.ndarray] = deque()
        keeps = depth * math.prod(self.mask.plane_shape) <= _KEPT
        held, found = np.zeros(1, np.int64), []
        for z in range(start, stop + depth - 1):
            entering = _sums(self.plane(z), height, width)
            held = held + entering
            if keeps:
                inside.append(entering)
            if z < start + depth - 1:
                continue
            mass = held.astype(float)
            found.append((int(held.sum()), float(np.square(mass, out=mass).sum())))
            held -= inside.popleft() if keeps else _sums(self.plane(z - depth + 1), height, width)
        return found


def _runs(side: tuple[int, ...], slices: int) -> list[Part]:
    """Runs of the slices at which boxes may begin: of a whole number of boxes."""
    side = _of_volume(side)
    run = side[0] * -(-SLAB // side[0])
    return [(side, start, min(start + run, slices)) for start in range(0, slices, run)]


def _of_volume(side: tuple[int, ...]) -> tuple[int, ...]:
    """Sides along z, y and x; an image has one slice."""
    return (1, *side)[-3:]


def _sums(plane: np.ndarray, height: int, width: int) -> np.ndarray:
    """What a plane holds in each box that lies in it whole, int64."""
    upto = np.zeros([n + 1 for n in plane.shape], np.int64)
    np.cumsum(plane, axis=0, out=upto[1:, 1:])
    np.cumsum(upto[1:, 1:], axis=1, out=upto[1:, 1:])
    rows = upto[height:] - upto[:-height]
    return rows[:, width:] - rows[:, :-width]
