"""How far the tissue lies from its nearest vessel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.ndimage import distance_transform_edt

__all__ = ["TissueDistances", "tissue_distances"]

# The wall lies before the centre of the vessel's nearest pixel by this share of a pixel: 0.2 in the mean for straight
# walls of any angle, 0.3 to 0.4 for discs of radius 8 to 2, 0.45 for walls along an axis.
WALL = 1 / 3


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
    mask: np.ndarray,
    spacing: Sequence[float],
    region: np.ndarray | None = None,
    visible: np.ndarray | None = None,
) -> TissueDistances:
    """Measure the distance from every point outside the vessels to the wall of the nearest one.

    Points that lie nearer to the border than to a vessel are left out: what is nearest to them may lie outside. Far
    points are left out more often than near ones; so each that stays counts as many times as there are places for one
    of its distance: in inverse proportion to the part of the field that lies that far from the border (Hanisch, Some
    remarks on estimators of the distribution function of nearest neighbour distance in stationary spatial point
    processes, Statistics 1984, doi:10.1080/02331888408801788).

    Args:
        mask: bool, ``[Y, X]`` or ``[Z, Y, X]``.
        spacing: along each axis.
        region: the tissue asked for, bool of the same shape; all if None. Vessels beyond its outline count.
        visible: what was imaged, bool of the same shape; all if None. Its outline is a border as the image's edge is.

    Returns:
        The distances' mean, 95th percentile and maximum, and the share left out.
    """
    field = np.ones(mask.shape, dtype=bool) if region is None else region.copy()
    if visible is not None:
        field &= visible
    tissue = field & ~mask
    total = int(np.count_nonzero(tissue))
    if not total:
        return TissueDistances(math.nan, math.nan, math.nan, math.nan)
    if not mask.any():
        return TissueDistances(math.nan, math.nan, math.nan, 1.0)
    border = _to_border(visible, mask.shape, spacing)
    distance = _to_wall(mask, spacing)[tissue]
    kept = distance[distance <= border[tissue]]
    if not kept.size:
        return TissueDistances(math.nan, math.nan, math.nan, 1.0)
    bins = np.linspace(0, float(kept.max()) * (1 + 1e-6), 2049)
    counts = np.histogram(kept, bins)[0]
    places = np.histogram(np.minimum(border[field], bins[-1]), bins)[0][::-1].cumsum()[::-1]
    weights = counts / np.maximum(places, 1)
    middles = (bins[:-1] + bins[1:]) / 2
    share = np.cumsum(weights) / weights.sum()
    return TissueDistances(
        mean=float((weights * middles).sum() / weights.sum()),
        p95=float(np.interp(0.95, share, bins[1:])),
        maximum=float(kept.max()),
        left_out=1 - kept.size / total,
    )


def _to_wall(mask: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """Float32, from each centre outside to the wall of the nearest vessel."""
    distance, nearest = distance_transform_edt(~mask, sampling=spacing, return_indices=True)
    # a pixel's thickness in the direction of the nearest vessel, which differs where pixels are oblong
    thick = np.zeros(mask.shape, dtype=np.float32)
    for axis, step in enumerate(spacing):
        here = np.arange(mask.shape[axis]).reshape([-1 if a == axis else 1 for a in range(mask.ndim)])
        thick += ((nearest[axis] - here) * (step * step)).astype(np.float32) ** 2
    distance = distance.astype(np.float32)
    return np.maximum(distance - WALL * np.sqrt(thick) / np.maximum(distance, np.float32(1e-12)), 0)


def _to_border(visible: np.ndarray | None, shape: Sequence[int], spacing: Sequence[float]) -> np.ndarray:
    """Float32, from each centre to the image's edge or the outline of what was imaged, whichever is nearer."""
    nearest = np.full(shape, np.inf, dtype=np.float32)
    for axis, (n, step) in enumerate(zip(shape, spacing, strict=True)):
        if n == 1:
            continue  # an axis of one pixel is no extent: of it nothing is cut off
        here = np.arange(n)
        edge = (np.minimum(here, n - 1 - here) + 0.5) * step
        np.minimum(nearest, edge.reshape([-1 if a == axis else 1 for a in range(len(shape))]), out=nearest)
    if visible is not None and not visible.all():
        outline = distance_transform_edt(visible, sampling=spacing) - min(spacing) / 2
        np.minimum(nearest, outline, out=nearest, casting="same_kind")
    return nearest
