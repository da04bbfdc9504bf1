"""The vascular graph: nodes, the vessels between them, their radii."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components


@dataclass(frozen=True)
class VascularGraph:
    """A vascular network in space, as it is or as it was measured. Coordinates are (z, y, x) in ``unit``; the centre of
    the first voxel is (0, 0, 0), and z is 0 in an image. A true network reaches beyond the stack; a measured one ends
    at the border of the field, half a voxel beyond the centres of the last voxels.

    It is a multigraph: several vessels may join the same two nodes, and a vessel may leave and enter one node.

    Args:
        nodes: positions, `[N, 3]`. Nodes of one vessel are the network's ends, those of three or more its branch
            points; a ring that nothing branches from has one node, on it, and a speck without length is a node alone.
        edges: the nodes that each vessel leaves and enters, `[E, 2]`; of a true network, in the direction of its flow.
        radii: the radius of each vessel, `[E]`: of a true one at its two ends, where Murray's law holds at every branch
            point; of a measured one its mean along the centre line.
        kinds: "arteriole", "capillary" or "venule", one for each vessel; "vessel" where that is not known.
        paths: the centre line of each vessel, `[P, 3]`, from its first node to its second.
        path_radii: the radius at each point of each centre line, `[P]`.
        border: whether each node lies on the border of the field, where a vessel is cut, bool `[N]`; none if absent.
        unit: of all lengths: "micrometer", or "pixel" where the size of a pixel is not known.
    """

    nodes: np.ndarray
    edges: np.ndarray
    radii: np.ndarray
    kinds: list[str]
    paths: list[np.ndarray]
    path_radii: list[np.ndarray]
    border: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))  # filled in below
    unit: str = "micrometer"

    def __post_init__(self) -> None:
        if not len(self.border):
            object.__setattr__(self, "border", np.zeros(len(self.nodes), bool))

    @property
    def degrees(self) -> np.ndarray:
        """The number of vessels that meet at each node, `[N]`; one that leaves and enters it counts twice."""
        return np.bincount(self.edges.ravel(), minlength=len(self.nodes))

    @property
    def node_kinds(self) -> list[str]:
        """Of each node "branch", "end", "border" (an end where the field ends), "loop" (on a ring without branches),
        "bend" (two vessels meet) or "point" (no vessel).
        """
        kinds = []
        closed = {int(a) for a, b in self.edges if a == b}
        for node, (degree, border) in enumerate(zip(self.degrees, self.border, strict=True)):
            if degree >= 3:
                kinds.append("branch")
            elif degree == 2:
                kinds.append("loop" if node in closed else "bend")
            elif degree == 1:
                kinds.append("border" if border else "end")
            else:
                kinds.append("point")
        return kinds

    @property
    def lengths(self) -> np.ndarray:
        """The length of each vessel along its centre line, `[E]`."""
        return np.array([np.linalg.norm(np.diff(path, axis=0), axis=1).sum() for path in self.paths], dtype=float)

    @property
    def closed(self) -> np.ndarray:
        """Whether each vessel ends where it begins, bool `[E]`."""
        return self.edges[:, 0] == self.edges[:, 1]

    @property
    def cut(self) -> np.ndarray:
        """Whether the border of the field cuts each vessel, bool `[E]`."""
        return self.border[self.edges].any(axis=1)

    @property
    def pieces(self) -> int:
        """The number of connected parts."""
        count = len(self.nodes)
        links = coo_matrix((np.ones(len(self.edges), bool), (self.edges[:, 0], self.edges[:, 1])), (count, count))
        return int(connected_components(links, directed=False)[0]) if count else 0

    @property
    def cycle_rank(self) -> int:
        """The number of independent closed loops: E - N + the number of pieces."""
        return len(self.edges) - len(self.nodes) + self.pieces

    def as_dict(self) -> dict:
        """The graph in JSON's types."""
        return {
            "units": self.unit,
            "axes": "ZYX",
            "nodes": [
                {"id": n, "position": position, "border": border}
                for n, (position, border) in enumerate(zip(self.nodes.tolist(), self.border.tolist(), strict=True))
            ],
            "edges": [
                {
                    "id": e,
                    "source": int(self.edges[e, 0]),
                    "target": int(self.edges[e, 1]),
                    "kind": self.kinds[e],
                    "radius": float(self.radii[e]),
                    "points": self.paths[e].tolist(),
                    "radii": self.path_radii[e].tolist(),
                }
                for e in range(len(self.edges))
            ],
        }

    @classmethod
    def from_dict(cls, graph: dict) -> VascularGraph:
        """The graph that :meth:`as_dict` gave; nodes of older files tell no border."""
        nodes, edges = graph["nodes"], graph["edges"]
        return cls(
            nodes=np.array([node["position"] for node in nodes], dtype=float).reshape(-1, 3),
            edges=np.array([[edge["source"], edge["target"]] for edge in edges], dtype=int).reshape(-1, 2),
            radii=np.array([edge["radius"] for edge in edges], dtype=float),
            kinds=[edge["kind"] for edge in edges],
            paths=[np.array(edge["points"], dtype=float).reshape(-1, 3) for edge in edges],
            path_radii=[np.array(edge["radii"], dtype=float) for edge in edges],
            border=np.array([node.get("border", False) for node in nodes], dtype=bool),
            unit=graph.get("units", "micrometer"),
        )
