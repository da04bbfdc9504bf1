"""How wide the vessels of a mask are."""

from __future__ import annotations

import math

import numpy as np

from ..volumes import depth
from .topology import skeleton

__all__ = ["median_width"]


def median_width(mask: np.ndarray) -> float:
    """Median width of the vessels, over the length of their centre lines.

    The width at a pixel of the skeleton is twice its distance to the nearest background pixel's centre, less one: exact
    for a straight vessel that is an odd number of pixels wide, and one too few for an even number.

    Args:
        mask: ``[Y, X]``, nonzero is vessel.

    Returns:
        Pixels; NaN if there is no vessel.
    """
    vessel = np.pad(mask != 0, 1, mode="edge")  # a vessel that leaves the image does not end there
    centre = skeleton(vessel)
    if not centre.any():
        return math.nan
    if vessel.all():  # no background to be measured from
        vessel[[0, -1]] = vessel[:, [0, -1]] = False
        centre &= vessel
    return float(np.median(2 * depth(vessel[None], (1.0, 1.0, 1.0))[centre[vessel]].astype(np.float64) - 1))
