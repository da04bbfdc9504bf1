"""Networks of vessels as graphs: nodes, the vessels between them, their centre lines and radii; the way from a mask."""

from .blocks import stored_without_pinholes
from .fields import BRICK_VOXELS, Field
from .graph import VascularGraph
from .pinholes import fill_pinholes
from .thinning import thin
from .vessels import PRUNE, vessel_graph

__all__ = [
    "BRICK_VOXELS",
    "PRUNE",
    "Field",
    "VascularGraph",
    "fill_pinholes",
    "stored_without_pinholes",
    "thin",
    "vessel_graph",
]
