"""What a centre line tells of its vessel: length, chord, tortuosity, curvature, direction, and what its radii add.

A centre line is a path of points ``[P, D]`` in a unit of length, from one node to the other; its radii are ``[P]``.
"""

from __future__ import annotations

import math

import numpy as np

__all__ = [
    "arc_length",
    "chord_length",
    "curvature",
    "direction",
    "inclination",
    "orientation",
    "resample",
    "surface",
    "tortuosity",
    "volume",
    "weights_along",
    "without_ends",
]


def steps(path: np.ndarray) -> np.ndarray:
    """The length of each piece between two points of a path, ``[P - 1]``."""
    return np.sqrt((np.diff(path, axis=0) ** 2).sum(axis=1))


def arc_length(path: np.ndarray) -> float:
    """The length of a path ``[P, D]`` along itself, in its unit; 0 for a single point."""
    return float(steps(path).sum())


def chord_length(path: np.ndarray) -> float:
    """The distance between the ends of a path ``[P, D]``, in its unit; 0 for a closed one."""
    return float(np.sqrt(((path[-1] - path[0]) ** 2).sum()))


def tortuosity(path: np.ndarray) -> float:
    """Arc over chord of a path ``[P, D]``: 1 if it is straight; NaN if it is closed, or a single point."""
    arc, chord = arc_length(path), chord_length(path)
    return arc / chord if chord > 1e-6 * arc else math.nan


def curvature(path: np.ndarray, step: float, closed: bool = False) -> float:
    """Mean curvature along a path: by how many radians it turns for each unit of its length.

    The turns between straight pieces of equal length are summed. The pieces are as long as ``step``, since what a
    centre line turns within a pixel is the grid's doing and not the vessel's.

    Args:
        path: points ``[P, D]``.
        step: the least length of a piece, in the path's unit.
        closed: the path returns to its first point, where it turns too.

    Returns:
        1 / unit, not negative; NaN for a path that is shorter than two pieces.
    """
    arc = arc_length(path)
    pieces = int(arc / step)
    if pieces < 2:
        return math.nan
    chords = np.diff(resample(path, pieces + 1), axis=0)
    if closed:
        chords = np.concatenate([chords, chords[:1]])
    unit = chords / np.maximum(np.sqrt((chords**2).sum(axis=1, keepdims=True)), 1e-12)
    turns = np.arccos(np.clip((unit[:-1] * unit[1:]).sum(axis=1), -1, 1))
    # the turns lie between the middles of the first and the last piece
    return float(turns.mean() * pieces / arc)


def resample(path: np.ndarray, points: int) -> np.ndarray:
    """Points at equal distances along a path ``[P, D]``, its ends among them, ``[points, D]``."""
    at = np.concatenate([[0.0], np.cumsum(steps(path))])
    return along(path, at, np.linspace(0, at[-1], points))


def along(values: np.ndarray, at: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Values ``[P, D]`` known at arc lengths ``at`` ``[P]``, between them linearly, at others ``[W]``: ``[W, D]``."""
    return np.stack([np.interp(wanted, at, column) for column in values.T], axis=1)


def without_ends(path: np.ndarray, first: float, last: float) -> np.ndarray:
    """A path ``[P, D]`` without so much of its arc at either end; as it is where that would leave less than half."""
    at = np.concatenate([[0.0], np.cumsum(steps(path))])
    if first + last > at[-1] / 2:
        return path
    start, stop = first, at[-1] - last
    return along(path, at, np.concatenate([[start], at[(at > start) & (at < stop)], [stop]]))


def direction(path: np.ndarray, start: float, stop: float) -> np.ndarray:
    """The direction of a path between two arc lengths from its first point.

    Args:
        path: points ``[P, D]``.
        start: arc length where the piece begins, in the path's unit.
        stop: where it ends; what lies beyond the path counts as its end.

    Returns:
        Unit vector ``[D]``, away from the first point; that of the whole chord where the path is shorter than
        ``start``; NaN for a single point or a path that has come back.
    """
    at = np.concatenate([[0.0], np.cumsum(steps(path))])
    start, stop = (0.0, at[-1]) if start >= at[-1] else (start, min(stop, at[-1]))
    first, last = along(path, at, np.array([start, stop]))
    length = math.sqrt(((last - first) ** 2).sum())
    return (last - first) / length if length > 1e-9 * max(at[-1], 1e-300) else np.full(path.shape[1], math.nan)


def orientation(path: np.ndarray) -> float:
    """The angle of a path's chord within the plane of rows and columns.

    Args:
        path: points ``[P, D]``, the last two coordinates y and x.

    Returns:
        Degrees from 0, along x, by 90, along y (down in the picture), to below 180, since a vessel has no forward; NaN
        for a closed path or one that goes straight through the plane.
    """
    y, x = path[-1, -2:] - path[0, -2:]
    if math.hypot(y, x) <= 1e-6 * arc_length(path):
        return math.nan
    return math.degrees(math.atan2(y, x)) % 180.0


def inclination(path: np.ndarray) -> float:
    """The angle between a path's chord ``[P, 3]`` and the plane of rows and columns: 0 in it, 90 degrees along z."""
    z, y, x = path[-1] - path[0]
    if chord_length(path) <= 1e-6 * arc_length(path):
        return math.nan
    return math.degrees(math.atan2(abs(z), math.hypot(y, x)))


def weights_along(path: np.ndarray) -> np.ndarray:
    """The length of path that each point stands for, ``[P]``: half of each piece beside it. They sum to the arc."""
    pieces = steps(path)
    return (np.append(pieces, 0.0) + np.insert(pieces, 0, 0.0)) / 2


def volume(path: np.ndarray, radii: np.ndarray) -> float:
    """∫πr² ds of a vessel of round section whose radius changes linearly between points.

    Not π·(mean r)²·L, which is less wherever the radius changes.

    Args:
        path: points ``[P, D]``.
        radii: at the points, ``[P]``, in the same unit.
    """
    a, b = radii[:-1], radii[1:]
    return float(np.pi / 3 * (steps(path) * (a * a + a * b + b * b)).sum())


def surface(path: np.ndarray, radii: np.ndarray) -> float:
    """∫2πr ds of a vessel of round section: the area of its wall, in the square of the unit.

    Args:
        path: points ``[P, D]``.
        radii: at the points, ``[P]``, in the same unit.
    """
    return float(np.pi * (steps(path) * (radii[:-1] + radii[1:])).sum())
