"""How far the tissue lies from its nearest vessel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.ndimage import distance_transform_edt

from ..volumes import HERE, Volume, Workers
from .grids import Box, Grid, as_grid

__all__ = ["TissueDistances", "tissue_distances"]

# The wall lies before the centre of the vessel's nearest pixel by this share of a pixel: 0.2 in the mean for straight
# walls of any angle, 0.3 to 0.4 for discs of radius 8 to 2, 0.45 for walls along an axis.
WALL = 1 / 3
BINS = 2048
_AT_ONCE = 1 << 18  # points of a brick
REACH = 24  # of the finest pixel: of the first try at the distances of a brick


class TissueDistances(NamedTuple):
    """Distances from the tissue's points to the wall of the nearest vessel, in the unit of the spacing.

    Args:
        mean: over the points that count; NaN where none does.
        p95: their 95th percentile.
        maximum: the largest.
        left_out: share of the tissue whose nearest vessel may lie beyond the border, and which does not count.
    """

    mean: float
    p95: float
    maximum: float
    left_out: float


def tissue_distances(
    mask: np.ndarray | Volume | Grid,
    spacing: Sequence[float],
    region: np.ndarray | Volume | Grid | None = None,
    visible: np.ndarray | None = None,
    workers: Workers = HERE,
) -> TissueDistances:
    """Measure the distance from every point outside the vessels to the wall of the nearest one.

    Points that lie nearer to the border than to a vessel are left out: what is nearest to them may lie outside. Far
    points are left out more often than near ones; so each that stays counts as many times as there are places for one
    of its distance: in inverse proportion to the part of the field that lies that far from the border (Hanisch, Some
    remarks on estimators of the distribution function of nearest neighbour distance in stationary spatial point
    processes, Statistics 1984, doi:10.1080/02331888408801788).

    The image is gone through by bricks. Around each as much is read as its distances need, at most as far as its points
    are from the border, so the result is that of the whole to the last bit.

    Args:
        mask: bool, ``[Y, X]`` or ``[Z, Y, X]``.
        spacing: along each axis.
        region: the tissue asked for, bool of the same shape; all if None. Vessels beyond its outline count.
        visible: what was imaged, bool of the same shape, or a plane ``[Y, X]`` that holds for each slice; all if None.
            Its outline is a border as the image's edge is.
        workers: who does it.

    Returns:
        The distances' mean, 95th percentile and maximum, and the share left out.
    """
    tissue = _Tissue(as_grid(mask), tuple(spacing), None if region is None else as_grid(region), visible)
    bricks = tissue.mask.bricks
    found = workers.each("measuring distances", tissue.distances, bricks)
    total = sum(count for count, _, _ in found)
    if not total:
        return TissueDistances(math.nan, math.nan, math.nan, math.nan)
    kept, owner = np.unique(np.concatenate([values for _, values, _ in found]), return_inverse=True)
    if not kept.size:
        return TissueDistances(math.nan, math.nan, math.nan, 1.0)
    numbers = np.bincount(owner, np.concatenate([counts for _, _, counts in found]))
    bins = np.linspace(0, float(kept[-1]) * (1 + 1e-6), BINS + 1)
    counts = np.histogram(kept, bins, weights=numbers)[0]
    if region is None and visible is None:
        places = tissue.all_places(bins)
    else:
        inside = workers.each("measuring distances to the border", partial(tissue.places, bins), bricks)
        places = np.sum(inside, axis=0)[::-1].cumsum()[::-1]
    weights = counts / np.maximum(places, 1)
    middles = (bins[:-1] + bins[1:]) / 2
    share = np.cumsum(weights) / weights.sum()
    return TissueDistances(
        mean=float((weights * middles).sum() / weights.sum()),
        p95=float(np.interp(0.95, share, bins[1:])),
        maximum=float(kept[-1]),
        left_out=1 - int(numbers.sum()) / total,
    )


class _Tissue:
    """The tissue of an image, and how far its points are from vessels and from the border."""

    def __init__(self, mask: Grid, spacing: tuple[float, ...], region: Grid | None, visible: np.ndarray | None) -> None:
        self.mask, self.spacing, self.region, self.visible = mask, spacing, region, visible
        self._outline: np.ndarray | None = None
        if visible is not None and not visible.all():
            steps = spacing[-visible.ndim :]
            self._outline = (distance_transform_edt(visible, sampling=steps) - min(spacing) / 2).astype(np.float32)

    def distances(self, box: Box) -> tuple[int, np.ndarray, np.ndarray]:
        """Of a brick, how many points are tissue; the distances of those that count, and how many have each."""
        tissue = self._field(box) & (self.mask.read(box) == 0)
        border = self._to_border(box)
        distance = self._to_wall(box, tissue, border)
        kept, counts = np.unique(distance[tissue & (distance <= border)], return_counts=True)
        return int(np.count_nonzero(tissue)), kept, counts

    def places(self, bins: np.ndarray, box: Box) -> np.ndarray:
        """How many points of the field in a brick have a distance to the border in each bin, the last one open."""
        return np.histogram(np.minimum(self._to_border(box)[self._field(box)], bins[-1]), bins)[0]

    def all_places(self, bins: np.ndarray) -> np.ndarray:
        """How many points of the whole image are as far from its edge as each bin begins."""
        places = np.ones(len(bins) - 1)
        for axis, n in enumerate(self.mask.shape):
            edge = np.sort(self._edge(axis, slice(0, n)).astype(np.float32).astype(float))
            places *= n - np.searchsorted(edge, bins[:-1], side="left")
        return places

    def _field(self, box: Box) -> np.ndarray:
        """What is asked for and was imaged."""
        field = np.ones([side.stop - side.start for side in box], bool)
        if self.region is not None:
            field &= self.region.read(box) != 0
        if self.visible is not None:
            field &= self.visible[box[-self.visible.ndim :]]
        return field

    def _to_wall(self, box: Box, tissue: np.ndarray, border: np.ndarray) -> np.ndarray:
        """Float32, from each centre of a brick's tissue to the wall of the nearest vessel.

        Where that is further than the border it may be too large; where it is not asked for, anything.
        """
        coarsest, reach = max(self.spacing), REACH * min(self.spacing)
        run = max(1, _AT_ONCE * len(tissue) // tissue.size)
        while True:
            large, inner = self.mask.around(box, [math.ceil(reach / step) for step in self.spacing])
            nearest = _nearest(self.mask.read(large) != 0, self.spacing)
            wall = np.full(tissue.shape, np.inf, np.float32)
            needed = 0.0
            for start in range(0, len(wall), run):
                part = slice(start, min(start + run, len(wall)))
                here = (slice(box[0].start + part.start, box[0].start + part.stop), *box[1:])
                at = (slice(inner[0].start + part.start, inner[0].start + part.stop), *inner[1:])
                centre, wall[part] = _from_vessels(nearest, at, self.spacing)
                unseen = self._to_unseen(here, large)
                # a vessel that is not seen is at least so far; and if that is beyond the border the point is left out
                unsure = tissue[part] & (centre > unseen) & (unseen - coarsest <= border[part])
                if unsure.any():
                    needed = max(needed, float(np.minimum(centre, border[part] + coarsest)[unsure].max()))
            if not needed:
                return wall
            reach = max(reach + min(self.spacing), min(needed, 2 * reach) if nearest is None else needed)

    def _to_unseen(self, box: Box, large: Box) -> np.ndarray:
        """From each centre of a box to the centre of the nearest pixel outside the one that was read."""
        nearest = np.full([side.stop - side.start for side in box], np.inf)
        for axis, (side, read, n, step) in enumerate(zip(box, large, self.mask.shape, self.spacing, strict=True)):
            here = np.arange(side.start, side.stop)
            if read.start > 0:
                np.minimum(nearest, _along(axis, (here - read.start + 1) * step, nearest.ndim), out=nearest)
            if read.stop < n:
                np.minimum(nearest, _along(axis, (read.stop - here) * step, nearest.ndim), out=nearest)
        return nearest

    def _to_border(self, box: Box) -> np.ndarray:
        """Float32, from each centre to the image's edge or the outline of what was imaged, whichever is nearer."""
        nearest = np.full([side.stop - side.start for side in box], np.inf, dtype=np.float32)
        for axis, side in enumerate(box):
            edge = self._edge(axis, side).astype(np.float32)
            np.minimum(nearest, _along(axis, edge, nearest.ndim), out=nearest)
        if self._outline is not None:
            np.minimum(nearest, self._outline[box[-self._outline.ndim :]], out=nearest)
        return nearest

    def _edge(self, axis: int, side: slice) -> np.ndarray:
        """The distance of pixels to the image's edge along an axis."""
        n = self.mask.shape[axis]
        here = np.arange(side.start, side.stop)
        if n == 1:  # an axis of one pixel is no extent: of it nothing is cut off
            return np.full(len(here), np.inf)
        return (np.minimum(here, n - 1 - here) + 0.5) * self.spacing[axis]


def _along(axis: int, values: np.ndarray, axes: int) -> np.ndarray:
    return values.reshape([-1 if a == axis else 1 for a in range(axes)])


def _nearest(vessels: np.ndarray, spacing: Sequence[float]) -> np.ndarray | None:
    """The place of the vessel's pixel that is nearest to each of a block, int32 ``[D, …]``; None without any."""
    if not vessels.any():
        return None
    found: np.ndarray = distance_transform_edt(~vessels, sampling=spacing, return_distances=False, return_indices=True)
    return found


def _from_vessels(nearest: np.ndarray | None, at: Box, spacing: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """From the centres of a part of a block to that of the nearest pixel of a vessel, and, float32, to its wall."""
    shape = [side.stop - side.start for side in at]
    if nearest is None:
        return np.full(shape, np.inf), np.full(shape, np.inf, np.float32)
    squares = np.zeros(shape)
    # a pixel's thickness in the direction of the nearest vessel, which differs where pixels are oblong
    thick = np.zeros(shape, dtype=np.float32)
    for axis, (step, side) in enumerate(zip(spacing, at, strict=True)):
        pixels = nearest[axis][at] - _along(axis, np.arange(side.start, side.stop), len(at))
        thick += (pixels * (step * step)).astype(np.float32) ** 2
        squares += (pixels * step) ** 2
    centre = np.sqrt(squares)
    distance = centre.astype(np.float32)
    return centre, np.maximum(distance - WALL * np.sqrt(thick) / np.maximum(distance, np.float32(1e-12)), 0)
