"""Where a centre line leaves its vessel: a skeleton stops short of it, by as much as the vessel's radius."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import map_coordinates

from .fields import Field

__all__ = ["extended"]

_PACE = 0.1  # of the smallest spacing


def extended(path: np.ndarray, depth: float, field: Field, spacing: np.ndarray) -> tuple[np.ndarray, bool]:
    """Go on from the last point of a path, straight, until the mask or the field ends.

    Args:
        path: ``[P, 3]``, micrometres.
        depth: distance of the last point to the background, micrometres.
        field: the mask.
        spacing: micrometres.

    Returns:
        The end, ``[3]``, on the surface, half-way between a voxel and one of the background, or on the border, half a
        voxel beyond the middle of the last one; and whether it is on the border.
    """
    end = path[-1]
    far = np.flatnonzero(np.linalg.norm(path - end, axis=1)[:-1] >= max(depth, 2 * spacing.min()))
    direction = end - path[far[-1] if far.size else 0]
    if field.shape[0] == 1:
        direction[0] = 0
    if not direction.any():
        return end, False
    direction /= np.linalg.norm(direction)
    with np.errstate(divide="ignore", invalid="ignore"):
        limits = np.where(direction > 0, np.array(field.shape) - 0.5, -0.5) * spacing
        to_border = np.where(direction != 0, (limits - end) / direction, np.inf).min()
    # a corner that was cut off is 1.5 depths from the end, and the ball there one
    furthest = min(max(0.0, to_border), 4 * depth + 2 * spacing.max())
    reach = np.append(np.arange(0, furthest, _PACE * spacing.min()), furthest)
    ray = (end + reach[:, None] * direction) / spacing
    low = np.maximum(np.floor(ray.min(axis=0)).astype(int), 0)
    high = np.minimum(np.ceil(ray.max(axis=0)).astype(int) + 1, field.shape)
    low = np.minimum(low, high - 1)
    z, y, x = map(slice, low.tolist(), high.tolist())
    box = field.read((z, y, x))
    inside = map_coordinates(box.astype(np.float32), (ray - low).T, order=1, mode="nearest") >= 0.5
    if inside.all():
        return (end + furthest * direction, True) if furthest == max(0.0, to_border) else (end, False)
    return end + reach[np.argmin(inside)] * direction, False
