"""Whether a mask is connected as the truth is: overlap of centrelines, and Betti numbers."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage.measure import euler_number
from skimage.morphology import skeletonize


def betti_numbers(mask: np.ndarray) -> tuple[int, ...]:
    """Count the pieces, loops and cavities of a mask.

    Vessel touches vessel through corners too (8 neighbours in 2D, 26 in 3D), background only through sides (4 and 6).
    Loops follow from the Euler characteristic: χ = β0 − β1 in 2D, χ = β0 − β1 + β2 in 3D. What lies beyond the image
    is background.

    Args:
        mask: bool ``[X, Y]`` or ``[X, Y, Z]``.

    Returns:
        (β0, β1): pieces and holes of a 2D mask. (β0, β1, β2): pieces, tunnels and closed cavities of a 3D mask.
    """
    pieces = ndimage.label(mask, np.ones((3,) * mask.ndim))[1]
    euler = int(euler_number(mask, connectivity=mask.ndim))
    if mask.ndim == 2:
        return pieces, pieces - euler
    cavities = ndimage.label(np.pad(~mask, 1, constant_values=True))[1] - 1
    return pieces, pieces + cavities - euler, cavities


def centerline_dice(prediction: np.ndarray, truth: np.ndarray) -> float:
    """Harmonic mean of how much of each mask's skeleton lies in the other mask.

    Shit et al., clDice: a novel topology-preserving loss function for tubular structure segmentation, CVPR 2021,
    equations (1) and (2), doi:10.1109/CVPR46437.2021.01629.

    Args:
        prediction: bool ``[X, Y]`` or ``[X, Y, Z]``.
        truth: bool, the same shape.

    Returns:
        clDice in [0, 1]; 0 if exactly one of the masks is empty, NaN if both are.
    """
    if not prediction.any() and not truth.any():
        return float("nan")
    if not prediction.any() or not truth.any():
        return 0.0
    precision = truth[skeleton(prediction)].mean()
    sensitivity = prediction[skeleton(truth)].mean()
    total = precision + sensitivity
    return float(2 * precision * sensitivity / total) if total else 0.0


def skeleton(mask: np.ndarray) -> np.ndarray:
    """Thin a mask to lines one pixel wide, with at least one pixel for every piece.

    In 3D scikit-image's thinning deletes some pieces whole, a straight tube of even width among them
    (https://github.com/scikit-image/scikit-image/issues/3757); of these the pixel deepest inside stays.

    Args:
        mask: bool ``[X, Y]`` or ``[X, Y, Z]``.

    Returns:
        bool, the same shape.
    """
    lines = skeletonize(mask)
    pieces, count = ndimage.label(mask, np.ones((3,) * mask.ndim))
    kept = np.zeros(count + 1, dtype=bool)
    kept[pieces[lines]] = True
    lost = np.flatnonzero(~kept[1:]) + 1
    if lost.size:
        depth = ndimage.distance_transform_edt(np.isin(pieces, lost))
        lines[tuple(np.transpose(ndimage.maximum_position(depth, pieces, lost)))] = True
    return lines
