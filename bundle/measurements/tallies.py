"""How much of an image is vessel, counted slice by slice."""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

import numpy as np

from ..volumes import HERE, Slab, Workers
from .grids import Grid

__all__ = ["Tally", "mean_over", "tally"]


class Tally(NamedTuple):
    """Numbers of pixels.

    Args:
        vessel: of the mask.
        field: of what is measured.
        inside: of the mask in it.
    """

    vessel: int
    field: int
    inside: int


def tally(mask: Grid, field: Grid | None, workers: Workers = HERE) -> Tally:
    """Count a mask and a field, which is everything if None, and what they share."""
    found = workers.each("counting vessels", partial(_tallied, mask, field), workers.slabs(mask.depth))
    vessel, size, inside = (sum(column) for column in zip(*found, strict=True))
    return Tally(vessel, size, inside)


def mean_over(values: Grid, field: Grid | None, workers: Workers = HERE) -> float:
    """The mean over a field, all if None; NaN of an empty one. The slices' sums are added without rounding."""
    slabs = workers.each("adding up", partial(_summed, values, field), workers.slabs(values.depth))
    found = [one for slab in slabs for one in slab]
    count = sum(number for number, _ in found)
    return math.fsum(total for _, total in found) / count if count else math.nan


def _tallied(mask: Grid, field: Grid | None, slab: Slab) -> tuple[int, int, int]:
    vessel = size = inside = 0
    for z in range(*slab):
        plane = mask.plane(z) != 0
        where = None if field is None else field.plane(z) != 0
        vessel += int(np.count_nonzero(plane))
        size += plane.size if where is None else int(np.count_nonzero(where))
        inside += int(np.count_nonzero(plane if where is None else plane & where))
    return vessel, size, inside


def _summed(values: Grid, field: Grid | None, slab: Slab) -> list[tuple[int, float]]:
    planes = ((values.plane(z), None if field is None else field.plane(z) != 0) for z in range(*slab))
    chosen = (plane if where is None else plane[where] for plane, where in planes)
    return [(some.size, float(some.sum(dtype=float))) for some in chosen]
