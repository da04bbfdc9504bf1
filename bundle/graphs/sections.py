"""What of a mask lies around each point of a centre line: it tells where the middle is, and how wide the vessel."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from scipy.spatial import cKDTree

from ..volumes import HERE, Workers
from .borders import room
from .fields import Box, Field

__all__ = ["Course", "centred", "radii", "shares"]

# over how long a stretch the middle is found: over 2.45 radii of a bent vessel, what its outer side has more of mask
# balances the sag of the stretch; in a thin vessel it takes some voxels to average over
_STRETCH, _LEAST_VOXELS = 2.45, 8


@dataclass
class Course:
    """A centre line.

    Args:
        points: ``[P, 3]``, micrometres; of a ring the first is also the last.
        ring: whether it is closed, and nothing branches from it.
        junctions: how far the ball around the branch point at its first and at its last point reaches, micrometres; 0
            at a free end.
        depth: distance of its points to the background, the median, micrometres.
        reach: what is further from it belongs to no vessel of the graph, micrometres.
    """

    points: np.ndarray
    ring: bool
    junctions: tuple[float, float]
    depth: float
    reach: float

    @property
    def along(self) -> np.ndarray:
        """The length of the line up to each point."""
        return np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(self.points, axis=0), axis=1))])

    def clear(self, margin: float) -> np.ndarray:
        """Which points have no branch point's ball within this distance."""
        far = np.ones(len(self.points), bool)
        for reach, place in zip(self.junctions, (0, -1), strict=True):
            if reach:
                far &= np.linalg.norm(self.points - self.points[place], axis=1) > reach + margin
        return far


def shares(
    courses: list[Course], field: Field, spacing: np.ndarray, workers: Workers = HERE
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Give each voxel of a mask to the nearest point of all lines, if that line reaches so far.

    Args:
        courses: the lines.
        field: the mask.
        spacing: micrometres.
        workers: who goes through the bricks of the mask.

    Returns:
        Of each line how many voxels each point has, ``[P]``, and the sum of their positions, ``[P, 3]``, micrometres.
    """
    if not courses:
        return [], []
    lengths = [len(course.points) for course in courses]
    tree = cKDTree(np.concatenate([course.points for course in courses]))
    reach = np.repeat([course.reach for course in courses], lengths)
    counts, sums = np.zeros(tree.n), np.zeros((tree.n, 3))
    share = partial(_shared, tree, reach, field, spacing)
    for points, number, total in workers.each("sharing out the mask", share, list(field.bricks())):
        counts[points] += number
        sums[points] += total
    cuts = np.cumsum(lengths)[:-1]
    return np.split(counts, cuts), np.split(sums * spacing, cuts)


def _shared(
    tree: cKDTree, reach: np.ndarray, field: Field, spacing: np.ndarray, box: Box
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which points have voxels of a brick, how many, and the sums of their indices: whole numbers."""
    voxels = np.argwhere(field.read(box)) + [side.start for side in box]
    away, nearest = tree.query(voxels * spacing)
    near = away <= reach[nearest]
    points, owner = np.unique(nearest[near], return_inverse=True)
    sums = [np.bincount(owner, voxels[near, axis], minlength=len(points)) for axis in range(3)]
    return points, np.bincount(owner, minlength=len(points)), np.stack(sums, axis=1)


def centred(
    course: Course, counts: np.ndarray, sums: np.ndarray, spacing: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray:
    """Move a line to the middle of the mask around it.

    A point moves by what the mask's mean position over a stretch differs from the line's own, and by as much as the
    stretch's sag is larger than what a bent vessel has more of mask on its outer side (r²/4R of a round one, r²/3R in
    an image). Near branch points, whose other vessels would pull, the move fades out. Where the border cuts the vessel
    lengthwise, the middle of what is left of it is not on the axis: there the line moves across as it does before.

    Args:
        course: the line.
        counts: voxels of each of its points.
        sums: of their positions, micrometres.
        spacing: micrometres.
        shape: of the field; of one slice it is an image.

    Returns:
        The new points.
    """
    image = shape[0] == 1
    count = len(course.points)
    if course.ring:
        counts, sums = (np.concatenate([part[:-1]] * 3 + [part[:1]]) for part in (counts, sums))
        thrice = np.concatenate([course.points[:-1]] * 3 + [course.points[:1]])
        course = replace(course, points=thrice, ring=False)
    points, along = course.points, course.along
    stretch = max(_STRETCH * course.depth, _LEAST_VOXELS * spacing.min())
    half = np.minimum(stretch / 2, np.minimum(along, along[-1] - along))
    still = course.clear(stretch / 2) & (half >= stretch / 4)
    if still.any():
        cells = _cells(along)
        number = _between(cells, counts[:, None], along, half)
        steps = np.diff(cells)[:, None]
        middle = _between(cells, points * steps, along, half)[still] / (2 * half[still, None])
        centre = _between(cells, sums, along, half)[still] / np.maximum(number[still], 1)
        bend = np.minimum(1, (8 if image else 6) * (course.depth / (2 * half[still, None])) ** 2)
        shift = np.where(number[still] > 0, centre - middle, 0) + bend * (middle - points[still])
        tangent = np.gradient(points, axis=0)[still]
        tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-12)
        shift -= (shift * tangent).sum(axis=1, keepdims=True) * tangent
        uncut = room(points[still], shape, spacing) >= course.depth
        moved = points.copy()
        for axis in range(3):
            at, by = along[still][uncut[:, axis]], shift[uncut[:, axis], axis]
            for reach, end in zip(course.junctions, (0, -1), strict=True):
                if reach:
                    at = np.insert(at, len(at) if end else 0, along[end])
                    by = np.insert(by, len(by) if end else 0, 0)
            if at.size:
                moved[:, axis] += np.interp(along, at, by)
        points = moved
    if len(points) == count:
        return points
    return np.concatenate([points[count - 1 : 2 * count - 2], points[count - 1 : count]])


def radii(course: Course, counts: np.ndarray, spacing: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The radius of the round vessel that has as much mask to its length, in an image half the width, at each point.

    Near branch points, where vessels share the mask, and where the border cuts the vessel lengthwise it is that of the
    nearest point that is clear of them. A vessel without such a point has the radius that its depth tells.
    """
    image = shape[0] == 1
    along, cells = course.along, _cells(course.along)
    half = max(course.depth, 1.5 * spacing.min())
    low, high = np.maximum(along - half, 0), np.minimum(along + half, along[-1])
    upto = np.concatenate([[0], np.cumsum(counts)])
    voxels = np.interp(high, cells, upto) - np.interp(low, cells, upto)
    clear = course.clear(half) & (high > low)
    uncut = clear & (room(course.points, shape, spacing) >= course.depth).all(axis=1)
    clear = uncut if uncut.any() else clear
    if not clear.any():
        return np.full(len(along), max(course.depth - spacing.min() / 2, spacing.min() / 2))
    area = np.prod(spacing[1:] if image else spacing) * voxels[clear] / (high - low)[clear]
    return np.interp(along, along[clear], area / 2 if image else np.sqrt(area / np.pi))


def _cells(along: np.ndarray) -> np.ndarray:
    """Where along a line what belongs to each point begins and ends."""
    return np.concatenate([along[:1], (along[1:] + along[:-1]) / 2, along[-1:]])


def _between(cells: np.ndarray, values: np.ndarray, middle: np.ndarray, half: np.ndarray) -> np.ndarray:
    """The sum of values that are spread over their cells, from ``middle - half`` to ``middle + half``."""
    upto = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
    return np.stack(
        [np.interp(middle + half, cells, each) - np.interp(middle - half, cells, each) for each in upto.T], axis=1
    )
