"""Fusion by what a network says: slices weighted by the likelihood of a vessel."""

from __future__ import annotations

import numpy as np

from .depth import DepthOfFocus
from .measures import Measure
from .planes import Planes

FLOOR = 0.02  # likelihood that every slice is granted, so that where no vessel is all slices count alike
POWER = 2


def weighted(planes: Planes, likelihood: Measure) -> tuple[np.ndarray, np.ndarray]:
    """Average the slices of each pixel, weighted by the likelihood that it shows a vessel there.

    After M. H. Shuvo et al., Multi-focus image fusion for confocal microscopy using U-Net regression map, ICPR 2020,
    DOI 10.1109/ICPR48806.2021.9412122, who select the likeliest slice; the weights are the likelihood's square, which
    selects where one slice is far likelier than the others, and averages noise away where none is.

    One pass; a dozen planes are held.

    Args:
        planes: as of :func:`along`.
        likelihood: of a vessel in a slice, `[Y, X]` to `[Y, X]`, in [0, 1].

    Returns:
        The fused plane, of the slices' type (rounded, if that is an integer) and within their values at each pixel,
        and the depth map.
    """
    depth = DepthOfFocus()
    for plane in planes():
        likely = np.asarray(likelihood(plane), np.float32)
        depth.add(likely)
        weight = (likely.astype(np.float64) + FLOOR) ** POWER
        if depth.count == 1:
            total, mean = weight, plane.astype(np.float64)
            lowest, highest = plane.copy(), plane.copy()
        else:
            total = total + weight
            mean += weight / total * (plane - mean)
            np.minimum(lowest, plane, out=lowest)
            np.maximum(highest, plane, out=highest)
    if lowest.dtype.kind in "iub":
        mean = np.rint(mean)
    return np.clip(mean, lowest, highest).astype(lowest.dtype), depth.regularized()
