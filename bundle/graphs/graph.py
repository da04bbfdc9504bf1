"""The vascular graph: nodes, the vessels between them, their radii."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class VascularGraph:
    """A vascular network in space. Lengths are micrometres, coordinates are (z, y, x); the centre of the stack's first
    voxel is (0, 0, 0). The network reaches beyond the stack, as a real one does.

    Args:
        nodes: positions, `[N, 3]`. Nodes of one vessel are the network's cut ends, those of three its branch points.
        edges: the nodes that each vessel leaves and enters, in the direction of its flow, `[E, 2]`.
        radii: the radius of each vessel at its two ends, `[E]`; it obeys Murray's law at every branch point.
        kinds: "arteriole", "capillary" or "venule", one for each vessel.
        paths: the centre line of each vessel, `[P, 3]`, from its first node to its second.
        path_radii: the radius at each point of each centre line, `[P]`.
    """

    nodes: np.ndarray
    edges: np.ndarray
    radii: np.ndarray
    kinds: list[str]
    paths: list[np.ndarray]
    path_radii: list[np.ndarray]

    @property
    def degrees(self) -> np.ndarray:
        """The number of vessels that meet at each node, `[N]`."""
        return np.bincount(self.edges.ravel(), minlength=len(self.nodes))

    @property
    def cycle_rank(self) -> int:
        """The number of independent closed loops of a connected network: E - N + 1."""
        return len(self.edges) - len(self.nodes) + 1

    def as_dict(self) -> dict:
        """The graph in JSON's types."""
        return {
            "units": "micrometer",
            "axes": "ZYX",
            "nodes": [{"id": n, "position": position} for n, position in enumerate(self.nodes.tolist())],
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
        """The graph that :meth:`as_dict` gave."""
        edges = graph["edges"]
        return cls(
            nodes=np.array([node["position"] for node in graph["nodes"]], dtype=float).reshape(-1, 3),
            edges=np.array([[edge["source"], edge["target"]] for edge in edges], dtype=int).reshape(-1, 2),
            radii=np.array([edge["radius"] for edge in edges], dtype=float),
            kinds=[edge["kind"] for edge in edges],
            paths=[np.array(edge["points"], dtype=float) for edge in edges],
            path_radii=[np.array(edge["radii"], dtype=float) for edge in edges],
        )
