"""Networks of vessels as graphs: nodes, the vessels between them, their centre lines and radii; the way from a mask."""

from .graph import VascularGraph
from .pinholes import fill_pinholes
from .thinning import thin
from .vessels import vessel_graph

__all__ = ["VascularGraph", "fill_pinholes", "thin", "vessel_graph"]
