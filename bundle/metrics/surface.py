"""How far the outline of a mask lies from the outline of the truth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import binary_erosion
from scipy.spatial import KDTree


def hausdorff_distance_95(prediction: np.ndarray, truth: np.ndarray, spacing: Sequence[float] | None = None) -> float:
    """The 95th percentile of the distances from one outline to the other, the larger of the two directions.

    The definition of :func:`monai.metrics.compute_hausdorff_distance` with ``percentile=95``, except that a missing
    mask gives NaN instead of infinity, which would swallow every mean. An outline is the mask's pixels with a side on
    the background or on the edge of the image.

    Args:
        prediction: bool ``[X, Y]`` or ``[X, Y, Z]``.
        truth: bool, the same shape.
        spacing: size of a pixel along each axis in µm; pixels are the unit if None.

    Returns:
        A distance in µm or pixels; NaN if either mask is empty.
    """
    if not prediction.any() or not truth.any():
        return float("nan")
    ours, theirs = (_outline(mask) * np.asarray(1.0 if spacing is None else spacing) for mask in (prediction, truth))
    there = KDTree(theirs).query(ours)[0]
    back = KDTree(ours).query(theirs)[0]
    return float(max(np.percentile(there, 95), np.percentile(back, 95)))


def _outline(mask: np.ndarray) -> np.ndarray:
    return np.argwhere(mask & ~binary_erosion(mask))
