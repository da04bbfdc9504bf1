"""Blood flow through a network, and the radii that follow from it.

Murray's law, r0³ = r1³ + r2³ at every branch point (C. D. Murray, The physiological principle of minimum work, PNAS
12:207, 1926, doi:10.1073/pnas.12.3.207), is a law of conservation: r³ is proportional to the flow, and what flows into
a branch point flows out of it. Said this way it holds for a network with loops as well as for a tree.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu


def murray_radius(flow: np.ndarray, capillary_radius: float) -> np.ndarray:
    """Radii of vessels, after Murray.

    Args:
        flow: flows as multiples of a typical capillary's.
        capillary_radius: that capillary's radius.

    Returns:
        The radii, in the unit of `capillary_radius`.
    """
    return capillary_radius * np.cbrt(flow)


def conserved_flow(
    edges: np.ndarray,
    open_ends: np.ndarray,
    flow: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    reversible: np.ndarray,
    rounds: int = 60,
) -> np.ndarray:
    """A flow that is conserved, and as far as that allows within every vessel's range.

    It is found by projecting in turn on the ranges and on conservation, which has the last word.

    Args:
        edges: the nodes that each vessel joins, `[E, 2]`; flow from the first to the second counts as positive.
        open_ends: the nodes where blood comes in or goes out; every connected part has one at least.
        flow: the flow to begin with, `[E]`.
        low: the least flow of each vessel, positive, `[E]`.
        high: the largest, `[E]`.
        reversible: the vessels in which the flow may run either way, `[E]`, bool.
        rounds: how often to project.

    Returns:
        The flow, `[E]`; the sum over any node but the open ends is 0 to the precision of float64.
    """
    vessel = np.arange(len(edges))
    signs = np.repeat([-1.0, 1.0], len(edges))
    incidence = sparse.csr_matrix((signs, (edges.T.ravel(), np.concatenate([vessel, vessel]))))
    incidence = incidence[np.setdiff1d(edges, open_ends)]
    solve = splu((incidence @ incidence.T).tocsc()).solve
    for _ in range(rounds):
        sign = np.where(reversible & (flow < 0), -1.0, 1.0)
        flow = sign * np.clip(sign * flow, low, high)
        flow = flow - incidence.T @ solve(incidence @ flow)
    return flow - incidence.T @ solve(incidence @ flow)  # once more for the last digits
