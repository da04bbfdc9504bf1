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
        The nodes' positions; the lines, straight where they were bent, but for those that are bent altogether.
    """
    pull = np.zeros((len(nodes), 3, 3))
    target = np.zeros((len(nodes), 3))
    first, last = [], []
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
    moved = nodes.copy()
    for node in np.flatnonzero(np.trace(pull, axis1=1, axis2=2) > 2):  # two lines at least
        place = np.linalg.solve(pull[node] + _HOLD * np.eye(3), target[node] + _HOLD * nodes[node])
        shift = place - nodes[node]
        moved[node] += shift * min(1.0, reach[node] / max(np.linalg.norm(shift), 1e-12))
    straight = []
    for line, (a, b), start, stop in zip(lines, edges, first, last, strict=True):
        inner = line[max(start, 1) : len(line) - max(stop, 1)] if start + stop < len(line) else line[1:-1]
        straight.append(np.concatenate([moved[[a]], inner, moved[[b]]]))
    return moved, straight
