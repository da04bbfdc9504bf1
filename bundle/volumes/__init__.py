"""Volumes larger than memory: read, changed and written by blocks, a band of rows of one slice each.

A volume is anything with ``shape`` (Z, Y, X) and ``rows(z, start, stop)``. What is done here to a volume equals what
:mod:`bundle.transforms` does to the same array in memory, voxel for voxel, whatever the bands.
"""

from .blocks import PAGE_PIXELS, StoredVolume, Volume, band_rows
from .closing import close_gaps
from .components import hysteresis, remove_fragments
from .distances import depth
from .order import order_statistics, percentiles
from .overlap import ahead, behind
from .reconciliation import reconcile
from .shifting import dilated, eroded
from .workers import HERE, SLAB, Slab, Workers, in_groups

__all__ = [
    "HERE",
    "PAGE_PIXELS",
    "SLAB",
    "Slab",
    "StoredVolume",
    "Volume",
    "Workers",
    "ahead",
    "band_rows",
    "behind",
    "close_gaps",
    "depth",
    "dilated",
    "eroded",
    "hysteresis",
    "in_groups",
    "order_statistics",
    "percentiles",
    "reconcile",
    "remove_fragments",
]
