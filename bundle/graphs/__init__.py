"""Networks of vessels as graphs: nodes, the vessels between them, their centre lines and radii."""

from .graph import VascularGraph

__all__ = ["VascularGraph"]
