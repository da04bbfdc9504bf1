"""From masks to numbers: vessels measured along their centre lines, tables, graph files, the picture to check by."""

from .clipping import clip_graph
from .crofton import crofton_length_density
from .definitions import IMAGES, NODES, SEGMENTS, Column, columns, unit_of
from .diameters import Diameters, measure_diameters
from .distances import TissueDistances, tissue_distances
from .files import read_rows, write_graphml, write_json, write_swc, write_vtp
from .grids import Within
from .intervals import COUNTS, INTERVALS, Replicates, add_intervals, measure_sections, replicate, spread
from .measurement import Measurement, measure_graph
from .measuring import measure
from .overlay import write_overlay
from .stored import Blocks
from .survival import censored_mean, censored_median, kaplan_meier
from .tables import TABLES, read_table, rows_of, write_definitions, write_table

__all__ = [
    "COUNTS",
    "IMAGES",
    "INTERVALS",
    "NODES",
    "SEGMENTS",
    "TABLES",
    "Blocks",
    "Column",
    "Diameters",
    "Measurement",
    "Replicates",
    "TissueDistances",
    "Within",
    "add_intervals",
    "censored_mean",
    "censored_median",
    "clip_graph",
    "columns",
    "crofton_length_density",
    "kaplan_meier",
    "measure",
    "measure_diameters",
    "measure_graph",
    "measure_sections",
    "read_rows",
    "read_table",
    "replicate",
    "rows_of",
    "spread",
    "tissue_distances",
    "unit_of",
    "write_definitions",
    "write_graphml",
    "write_json",
    "write_overlay",
    "write_swc",
    "write_table",
    "write_vtp",
]
