"""Holes of a few voxels, which a segmentation leaves inside vessels and a skeleton would turn into loops."""

from __future__ import annotations

import math

import numpy as np
from scipy.ndimage import distance_transform_edt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from .adjacency import SIDES, touching
from .thinning import as_volume

__all__ = ["PINHOLE", "fill_pinholes"]

PINHOLE = {2: 4, 3: 8}  # pixels of an image, voxels of a volume


def fill_pinholes(mask: np.ndarray, size: int | None = None) -> np.ndarray:
    """Fill the holes that are small, and narrower than the wall around them.

    A hole is background that is shut in, through sides (4 neighbours in 2D, 6 in 3D), and does not touch the border of
    the field. Its width is that of a square or cube as large; the wall is half of what is left of the vessel's width
    there. So a capillary's loop stays, however small.

    Args:
        mask: bool ``[Y, X]`` or ``[Z, Y, X]``; one slice is an image.
        size: the largest hole that is filled, in pixels or voxels; 4 in 2D and 8 in 3D if absent; 0 fills nothing.

    Returns:
        bool, the same shape.
    """
    volume, _ = as_volume(mask)
    image = volume.shape[0] == 1
    size = PINHOLE[2 if image else 3] if size is None else size
    if size == 0:
        return volume.reshape(np.shape(mask))
    filled = volume.copy()
    for voxels in _small_holes(volume, size, image):
        width = len(voxels) ** (1 / (2 if image else 3))
        margin = math.ceil(4 * width)
        start = np.maximum(voxels.min(axis=0) - margin, 0)
        around = tuple(map(slice, start, voxels.max(axis=0) + margin + 1))
        hole = np.zeros(volume[around].shape, bool)
        hole[tuple((voxels - start).T)] = True
        near = distance_transform_edt(~hole) <= 2 * width
        vessel = 2 * distance_transform_edt(volume[around] | hole)[near].max() - 1
        if vessel > 3 * width:
            filled[around] |= hole
    return filled.reshape(np.shape(mask))


def _small_holes(volume: np.ndarray, size: int, image: bool) -> list[np.ndarray]:
    """The voxels of each hole that is no larger, ``[N, 3]``, of a volume, or of an image of one slice."""
    at = np.flatnonzero(volume)
    gap = np.diff(at) - 1  # between voxels of one row: those of a small hole lie in a short gap
    row = at // volume.shape[2]
    short = np.flatnonzero((gap > 0) & (gap <= size) & (np.diff(row) == 0))
    inside = np.repeat(at[short] + 1, gap[short]) + _counted(gap[short])
    voxels = np.stack(np.unravel_index(inside, volume.shape), axis=1)
    if not len(voxels):
        return []
    first, second = touching(voxels, SIDES)
    links = coo_matrix((np.ones(len(first), bool), (first, second)), (len(voxels), len(voxels)))
    count, hole = connected_components(links, directed=False)
    small = np.bincount(hole, minlength=count) <= size
    for axis in (1, 2) if image else (0, 1, 2):
        for step in (-1, 1):  # to background outside these gaps, or out of the field
            beside = voxels.copy()
            beside[:, axis] += step
            out = (beside[:, axis] < 0) | (beside[:, axis] >= volume.shape[axis])
            beside[out] = 0
            flat = np.ravel_multi_index(tuple(beside.T), volume.shape)
            place = np.minimum(np.searchsorted(inside, flat), len(inside) - 1)
            small[hole[out | ~(volume.reshape(-1)[flat] | (inside[place] == flat))]] = False
    order = np.argsort(hole, kind="stable")
    bounds = np.searchsorted(hole[order], np.arange(count + 1))
    return [voxels[order[bounds[n] : bounds[n + 1]]] for n in np.flatnonzero(small)]


def _counted(lengths: np.ndarray) -> np.ndarray:
    """0, 1, … up to each length, one after another."""
    return np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
