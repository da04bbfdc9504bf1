"""Shapes whose length, volume and branch points follow from a formula, drawn as masks.

Coordinates are micrometres, (z, y, x) or (y, x), and the centre of the first voxel is 0. A voxel belongs to a shape if
its centre does. Ends are flat unless a function says otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial import cKDTree


def grid(shape: Sequence[int], spacing: Sequence[float] | None = None) -> np.ndarray:
    """The centres of all voxels, ``[*shape, D]``."""
    spacing = np.ones(len(shape)) if spacing is None else np.asarray(spacing, float)
    return np.stack(np.indices(shape), axis=-1) * spacing


def tube(
    shape: Sequence[int],
    start: Sequence[float],
    stop: Sequence[float],
    radius: float | tuple[float, float],
    spacing: Sequence[float] | None = None,
) -> np.ndarray:
    """A straight tube, or with two radii a cone, in a volume; a bar or a wedge in an image."""
    start, stop = np.asarray(start, float), np.asarray(stop, float)
    length = np.linalg.norm(stop - start)
    offset = grid(shape, spacing) - start
    along = offset @ ((stop - start) / length)
    across = np.sqrt(np.maximum((offset**2).sum(axis=-1) - along**2, 0))
    first, last = (radius, radius) if np.isscalar(radius) else radius
    return (along >= 0) & (along <= length) & (across <= first + (last - first) * along / length)


def curve(
    shape: Sequence[int],
    points: np.ndarray,
    radius: float,
    spacing: Sequence[float] | None = None,
    closed: bool = False,
) -> np.ndarray:
    """All within a radius of a curve, without the caps beyond its ends.

    Args:
        shape: of the mask.
        points: of the curve, much closer to each other than voxels, ``[P, D]``.
        radius: micrometres.
        spacing: micrometres; 1 if absent.
        closed: whether the curve comes back to its start, and has no ends.
    """
    centres = grid(shape, spacing)
    distance, nearest = cKDTree(points).query(centres.reshape(-1, len(shape)), distance_upper_bound=radius)
    inside = distance <= radius
    if not closed:
        for end, before in ((0, 1), (len(points) - 1, len(points) - 2)):
            beyond = (centres.reshape(-1, len(shape)) - points[end]) @ (points[end] - points[before]) > 0
            inside &= ~((nearest == end) & beyond)
    return inside.reshape(shape)


def length(points: np.ndarray) -> float:
    """Of a curve given by points."""
    return float(np.linalg.norm(np.diff(points, axis=0), axis=1).sum())


def semicircle(centre: Sequence[float], radius: float) -> np.ndarray:
    """Points of a half circle in the plane of the last two axes."""
    angle = np.linspace(0, np.pi, 4000)
    points = np.zeros((len(angle), len(centre)))
    points[:, -2], points[:, -1] = radius * np.sin(angle), radius * np.cos(angle)
    return points + np.asarray(centre, float)


def circle(centre: Sequence[float], radius: float) -> np.ndarray:
    """Points of a circle in the plane of the last two axes."""
    angle = np.linspace(0, 2 * np.pi, 8000)
    points = np.zeros((len(angle), len(centre)))
    points[:, -2], points[:, -1] = radius * np.sin(angle), radius * np.cos(angle)
    return points + np.asarray(centre, float)


def sine(start: Sequence[float], amplitude: float, wavelength: float, periods: float) -> np.ndarray:
    """Points of a sine along the last axis that swings along the last but one."""
    x = np.linspace(0, wavelength * periods, 12000)
    points = np.zeros((len(x), len(start)))
    points[:, -2], points[:, -1] = amplitude * np.sin(2 * np.pi * x / wavelength), x
    return points + np.asarray(start, float)


def helix(start: Sequence[float], radius: float, pitch: float, turns: float) -> np.ndarray:
    """Points of a helix around the z axis through ``start``."""
    angle = np.linspace(0, 2 * np.pi * turns, 12000)
    points = np.stack([pitch * angle / (2 * np.pi), radius * np.sin(angle), radius * np.cos(angle)], axis=1)
    return points + np.asarray(start, float)


def line(shape: Sequence[int], start: Sequence[int], stop: Sequence[int]) -> np.ndarray:
    """A line one voxel wide between two voxels, both included."""
    start, stop = np.asarray(start), np.asarray(stop)
    steps = int(np.abs(stop - start).max())
    points = np.rint(start + (stop - start) * np.linspace(0, 1, steps + 1)[:, None]).astype(int)
    mask = np.zeros(shape, bool)
    mask[tuple(points.T)] = True
    return mask


def star(
    shape: Sequence[int], centre: Sequence[float], directions: Sequence[Sequence[float]], arm: float, radius: float
) -> np.ndarray:
    """Arms of one length and radius from a centre; with three of them 120 degrees apart, a Y."""
    mask = np.zeros(shape, bool)
    for direction in np.asarray(directions, float):
        mask |= tube(shape, centre, centre + arm * direction / np.linalg.norm(direction), radius)
    return mask | (np.linalg.norm(grid(shape) - np.asarray(centre, float), axis=-1) <= radius)


def lattice(nodes: int, step: int, width: int, axes: int) -> np.ndarray:
    """Bars along the axes between ``nodes`` places along each axis, with a free margin of ``step`` around them."""
    side = (nodes + 1) * step
    mask = np.zeros((side,) * axes, bool)
    places = step * (np.arange(nodes) + 1)
    half = width // 2
    near = np.zeros(side, bool)
    for place in places:
        near[place - half : place - half + width] = True
    between = np.zeros(side, bool)
    between[places[0] - half : places[-1] - half + width] = True
    for along in range(axes):
        bar = np.ones((1,) * axes, bool)
        for axis in range(axes):
            line_ = between if axis == along else near
            bar = bar & line_.reshape([-1 if a == axis else 1 for a in range(axes)])
        mask |= bar
    return mask
