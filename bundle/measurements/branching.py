"""How vessels branch: angles, Murray's law, crossings of a projection, and the order of a tree."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.optimize import brentq

__all__ = ["angles_between", "is_crossing", "murray_exponent", "murray_ratio", "strahler_orders"]

STRAIGHT = 150.0  # degrees between the two halves of a vessel that goes on through a crossing
EXPONENTS = (0.1, 20.0)


def angles_between(directions: np.ndarray) -> np.ndarray:
    """The angles between the vessels that leave a node.

    Args:
        directions: unit vectors away from the node, ``[K, D]``.

    Returns:
        Degrees, one for each pair (0, 1), (0, 2) … (1, 2) …; NaN where a direction is.
    """
    first, second = np.triu_indices(len(directions), 1)
    cosines = (directions[first] * directions[second]).sum(axis=1)
    return np.degrees(np.arccos(np.clip(cosines, -1, 1)))


def is_crossing(directions: np.ndarray) -> bool:
    """Whether four vessels are two that cross, as in a projection: they fall into two pairs that go straight on.

    Args:
        directions: unit vectors away from the node, ``[K, D]``.

    Returns:
        True for four vessels, each of which has another at 150 degrees or more.
    """
    if len(directions) != 4:
        return False
    a, b, c, d, e, f = angles_between(directions)  # 01, 02, 03, 12, 13, 23
    return any(min(pair) >= STRAIGHT for pair in ((a, f), (b, e), (c, d)))


def murray_ratio(radii: Sequence[float]) -> float:
    """Σ r³ of the thinner vessels of a branch point over r³ of the widest: 1 where Murray's law holds.

    Murray, The physiological principle of minimum work, PNAS 1926, doi:10.1073/pnas.12.3.207.

    Args:
        radii: of the vessels that meet, in any unit.
    """
    *others, parent = sorted(radii)
    return float(sum(radius**3 for radius in others) / parent**3) if parent > 0 else math.nan


def murray_exponent(radii: Sequence[float]) -> float:
    """The exponent k for which r_parent^k = Σ r_daughter^k, of the three vessels of a branch point; 3 by Murray's law.

    Args:
        radii: of the three, in any unit and order: the widest is the parent.

    Returns:
        0.1 to 20; NaN where none solves it, as where two of the vessels are equally the widest.
    """
    if len(radii) != 3 or not all(radius > 0 for radius in radii):
        return math.nan
    *daughters, parent = sorted(radii)

    def excess(exponent: float) -> float:
        return sum((radius / parent) ** exponent for radius in daughters) - 1

    low, high = EXPONENTS
    if excess(low) <= 0 or excess(high) >= 0:
        return math.nan
    return float(brentq(excess, low, high))


def strahler_orders(edges: np.ndarray, widths: np.ndarray, nodes: int) -> list[float]:
    """Horton and Strahler's order of the vessels of trees: twigs 1, and one more where two of the highest order meet.

    A tree's root is its widest end. Strahler, Trans. AGU 1957, doi:10.1029/TR038i006p00913.

    Args:
        edges: the nodes that each vessel joins, ``[E, 2]``.
        widths: of the vessels, ``[E]``, in any unit.
        nodes: how many there are.

    Returns:
        One for each vessel: NaN for the vessels of a piece with a loop, which has no root.
    """
    orders = np.full(len(edges), math.nan)
    beside: list[list[int]] = [[] for _ in range(nodes)]
    for e, (a, b) in enumerate(np.asarray(edges).tolist()):
        beside[a].append(e)
        beside[b].append(e)
    seen = np.zeros(nodes, dtype=bool)
    for start in range(nodes):
        if seen[start] or not beside[start]:
            continue
        piece, stack = [], [start]
        seen[start] = True
        while stack:
            node = stack.pop()
            piece.append(node)
            for e in beside[node]:
                for other in edges[e]:
                    if not seen[other]:
                        seen[other] = True
                        stack.append(int(other))
        within = {e for node in piece for e in beside[node]}
        if len(within) != len(piece) - 1:
            continue
        ends = [node for node in piece if len(beside[node]) == 1]
        root = max(ends, key=lambda node: widths[beside[node][0]])
        _number(root, edges, beside, orders)
    return orders.tolist()


def _number(root: int, edges: np.ndarray, beside: list[list[int]], orders: np.ndarray) -> None:
    """Give the vessels below a root their order, the furthest first."""
    order_of_visit, stack = [], [(root, -1)]
    while stack:
        node, came = stack.pop()
        for e in beside[node]:
            if e != came:
                other = int(edges[e][0] if edges[e][1] == node else edges[e][1])
                order_of_visit.append((e, other))
                stack.append((other, e))
    for e, far in reversed(order_of_visit):
        below = sorted(orders[other] for other in beside[far] if other != e)
        if not below:
            orders[e] = 1
        else:
            orders[e] = below[-1] + (len(below) > 1 and below[-2] == below[-1])
