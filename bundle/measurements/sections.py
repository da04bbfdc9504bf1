"""How wide vessels are, by the mask's section normal to their centre lines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..volumes import HERE, Volume, Workers
from .grids import Grid, as_grid
from .lines import along, steps

__all__ = ["normals", "section_radii", "tangents"]

RAYS = 24  # of a section in 3D
GOLDEN = (math.sqrt(5) - 1) / 2
STEP = 0.2  # of the finest pixel: how far a ray goes at a time
WIDEST = 3.0  # times the inscribed radius: what goes on beyond has left the vessel through a neighbour
SAMPLES = 1 << 20  # at a time


def tangents(path: np.ndarray, reach: float | np.ndarray, closed: bool = False) -> np.ndarray:
    """The direction of a path at each of its points, over a piece of it that hides the pixels.

    Args:
        path: points ``[P, D]``.
        reach: the arc length before and behind a point that is looked at, one or ``[P]``, in the path's unit.
        closed: the path returns to its first point.

    Returns:
        Unit vectors ``[P, D]``; zero for a single point.
    """
    at = np.concatenate([[0.0], np.cumsum(steps(path))])
    here, whole = at, at[-1]
    if closed:  # once around before it and once after
        path = np.concatenate([path[:-1], path, path[1:]])
        at = np.concatenate([at[:-1] - whole, at, at[1:] + whole])
    ahead = along(path, at, np.minimum(here + reach, at[-1]))
    way = ahead - along(path, at, np.maximum(here - reach, at[0]))
    return way / np.maximum(np.sqrt((way**2).sum(axis=1, keepdims=True)), 1e-12)


def normals(tangent: np.ndarray) -> np.ndarray:
    """Directions normal to lines: the one in the plane of rows and columns, and what completes it.

    Args:
        tangent: unit vectors ``[P, 2]`` or ``[P, 3]``, z, y, x.

    Returns:
        ``[P, 1, 2]`` or ``[P, 2, 3]``: first the normal that lies in the plane (along x for a line along z).
    """
    if tangent.shape[1] == 2:
        return np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)[:, None]
    flat = np.stack([np.zeros(len(tangent)), -tangent[:, 2], tangent[:, 1]], axis=1)
    size = np.sqrt((flat**2).sum(axis=1, keepdims=True))
    flat = np.where(size > 1e-6, flat / np.maximum(size, 1e-6), np.array([0.0, 0.0, 1.0]))
    return np.stack([flat, np.cross(tangent, flat)], axis=1)


def section_radii(
    mask: np.ndarray | Volume | Grid,
    spacing: Sequence[float],
    points: np.ndarray,
    tangent: np.ndarray,
    inscribed: np.ndarray,
    workers: Workers = HERE,
) -> np.ndarray:
    """The radius of the mask's section normal to a line, at points of that line.

    In 2D half the chord; along a straight vessel its mean is area / length / 2. In 3D the radius of the circle that has
    the section's area, seen from the point; both to the outline of the pixels; beyond the image's edge
    a vessel is taken to be as wide as on its other side.

    Args:
        mask: bool, ``[Y, X]`` or ``[Z, Y, X]``.
        spacing: along each axis.
        points: ``[P, D]`` in the spacing's unit; (0, …) is the centre of the first pixel.
        tangent: unit vectors ``[P, D]``.
        inscribed: about how far the nearest wall is, ``[P]``, in the same unit.
        workers: who looks; what is around the points of a brick is read at once.

    Returns:
        ``[P]``; NaN outside the mask, and where the section is no vessel's: more than three times as far in some
        direction than the nearest wall, as where two vessels meet.
    """
    radii = np.full(len(points), math.nan)
    if not len(points):
        return radii
    sections = _Sections(as_grid(mask), np.asarray(spacing, float), points, tangent, inscribed)
    bricks = sections.bricks
    found = workers.each("looking across vessels", sections.radii, list(range(len(bricks))))
    for some, values in zip(bricks, found, strict=True):
        radii[some] = values
    return radii


@dataclass
class _Sections:
    """The sections of a mask at points, as of :func:`section_radii`."""

    mask: Grid
    spacing: np.ndarray
    points: np.ndarray
    tangent: np.ndarray
    inscribed: np.ndarray

    @property
    def furthest(self) -> np.ndarray:
        """How far is looked from each point, ``[P]``."""
        return WIDEST * self.inscribed + max(self.spacing)

    @cached_property
    def bricks(self) -> list[np.ndarray]:
        """The numbers of the points in each brick that has some; the points that need least around them first."""
        index = np.clip(np.rint(self.points / self.spacing).astype(int), 0, np.array(self.mask.shape) - 1)
        brick = self.mask.brick_of(index)
        order = np.lexsort((self.furthest, brick))
        return np.split(order, np.flatnonzero(np.diff(brick[order])) + 1)

    def radii(self, number: int) -> np.ndarray:
        """The radii at the points of one of the bricks."""
        some = self.bricks[number]
        points, tangent, furthest = self.points[some], self.tangent[some], self.furthest[some]
        step = STEP * min(self.spacing)
        reach = furthest[-1] + 2 * step + max(self.spacing)
        low = np.maximum(np.floor((points.min(axis=0) - reach) / self.spacing).astype(int), 0)
        high = np.minimum(np.ceil((points.max(axis=0) + reach) / self.spacing).astype(int) + 1, self.mask.shape)
        block = self.mask.read(tuple(map(slice, low.tolist(), high.tolist()))) != 0
        radii = np.full(len(points), math.nan)
        rays = 2 if self.mask.ndim == 2 else RAYS
        start = 0
        while start < len(points):
            stop, size = start, 0
            while stop < len(points) and (stop == start or size <= SAMPLES):
                stop += max(1, int(SAMPLES / (rays * (furthest[stop] / step + 2))) // 4)
                stop = min(stop, len(points))
                size = (stop - start) * rays * (furthest[stop - 1] / step + 2)
            now = slice(start, stop)
            # turned a little from point to point, so that no shape of section is favoured
            turn = some[now] * GOLDEN % 1
            away = np.arange(0, furthest[stop - 1] + 2 * step, step)
            out = self._way_out(block, low, points[now], _rays(tangent[now], turn), away)
            out[out > furthest[now][:, None]] = math.nan
            with np.errstate(invalid="ignore"):
                radii[now] = out.mean(axis=1) if rays == 2 else np.sqrt((out**2).mean(axis=1))
            start = stop
        return radii

    def _way_out(
        self, block: np.ndarray, low: np.ndarray, points: np.ndarray, rays: np.ndarray, away: np.ndarray
    ) -> np.ndarray:
        """How far it is along each ray ``[P, R, D]`` to where the mask ends, ``[P, R]``; infinite if it does not.

        A ray that leaves the image is as long as the one opposite, of which half the rays are, in the same order.
        """
        index = np.zeros((*rays.shape[:2], len(away)), dtype=np.intp)
        shown = np.ones(index.shape, dtype=bool)
        for axis, (n, size) in enumerate(zip(self.mask.shape, self.spacing, strict=True)):
            at = np.rint((points[:, None, axis, None] + rays[..., axis, None] * away) / size).astype(np.intp)
            shown &= (at >= 0) & (at < n)
            index *= block.shape[axis]
            index += np.clip(at - low[axis], 0, block.shape[axis] - 1)
        inside = block.ravel()[index] & shown
        first = inside.argmin(axis=2)
        out = np.where(inside.all(axis=2), math.inf, (first - 0.5) * away[1])
        left = ~np.take_along_axis(shown, first[..., None], axis=2)[..., 0] & np.isfinite(out)
        half = rays.shape[1] // 2
        opposite, other = np.roll(out, half, axis=1), np.roll(left, half, axis=1)
        out = np.where(left & ~other, np.maximum(out, opposite), out)
        out[~inside[..., 0]] = math.nan
        return out


def _rays(tangent: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Directions normal to lines, ``[P, R, D]``: the two of an image, or a star that is turned by a share of a ray."""
    across = normals(tangent)
    if tangent.shape[1] == 2:
        return np.concatenate([across, -across], axis=1)
    angle = (np.arange(RAYS) + turn[:, None]) * (2 * math.pi / RAYS)
    return np.cos(angle)[..., None] * across[:, None, 0] + np.sin(angle)[..., None] * across[:, None, 1]
