"""Where vessels meet: their middle lines, drawn on straight, and not the skeleton, which bends there."""

from __future__ import annotations

import numpy as np

__all__ = ["met"]

_HOLD = 0.1  # how strongly a branch point stays where it is, against each line that pulls it onto itself


def met(
    lines: list[np.ndarray], edges: np.ndarray, nodes: np.ndarray, reach: np.ndarray, least: float
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Put each branch point where the lines that come to it meet, and lead them there straight.

    Near a junction a skeleton follows the outline, not the vessels: it leans towards a side branch and cuts the corner.
    What the lines do farther away says where their axes meet (least squares).

    Args:
        lines: points of each, ``[P, 3]``, from node to node.
        edges: the two nodes of each, ``[E, 2]``.
        nodes: positions, ``[N, 3]``.
        reach: how far from each branch point the lines are bent, ``[N]``; 0 at other nodes.
        least: over how long a stretch at least a line's direction is taken.

    Returns:
        The nodes' positions; the lines, straight where they were bent. Of two between the same nodes one that is bent
        altogether keeps its way.
    """
    pull = np.zeros((len(nodes), 3, 3))
    target = np.zeros((len(nodes), 3))
    first: list = []
    last: list = []
    ways: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in nodes]
    for line, (a, b) in zip(lines, edges, strict=True):
        for node, turned, leaves in ((a, line, first), (b, line[::-1], last)):
            out = np.flatnonzero(np.linalg.norm(turned - nodes[node], axis=1) > reach[node])
            leaves.append(int(out[0]) if out.size and reach[node] else 0)
            if not reach[node] or not out.size:
                continue
            start = turned[out[0]]
            far = np.flatnonzero(np.linalg.norm(turned[out[0] :] - start, axis=1) >= max(reach[node], least))
            direction = turned[out[0] + far[0] if far.size else -1] - start
            length = np.linalg.norm(direction)
            if length:
                across = np.eye(3) - np.outer(direction, direction) / length**2
                pull[node] += across
                target[node] += across @ start
                ways[node].append((start, direction))
    moved = nodes.copy()
    for node in np.flatnonzero(np.trace(pull, axis1=1, axis2=2) > 2):  # two lines at least
        place = np.linalg.solve(pull[node] + _HOLD * np.eye(3), target[node] + _HOLD * nodes[node])
        near = np.linalg.norm(place - nodes[node]) <= reach[node]
        if near and all((start - place) @ direction > 0 for start, direction in ways[node]):  # no line turns back
            moved[node] = place
    _, pair, joining = np.unique(np.sort(edges, axis=1), axis=0, return_inverse=True, return_counts=True)
    only = (joining[pair.ravel()] == 1) & (edges[:, 0] != edges[:, 1])
    straight = []
    for line, (a, b), start, stop, alone in zip(lines, edges, first, last, only, strict=True):
        bent = start + stop >= len(line) or (reach[a] and reach[b] and not start and not stop)
        if bent:
            inner = line[:0] if alone else line[1:-1]  # two lines around a hole keep their ways
        else:
            inner = line[max(start, 1) : len(line) - max(stop, 1)]
        straight.append(np.concatenate([moved[[a]], inner, moved[[b]]]))
    return moved, straight
