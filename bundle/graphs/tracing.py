"""From the voxels of a skeleton to a multigraph of chains of voxels, with the same pieces and loops.

Voxels of which three or more others touch are junctions. Those that touch each other make a cluster, and a cluster is
one node if it can shrink to a point; that is seen from its Euler number, not from a radius. Of a cluster with a loop of
its own, such as four voxels around a hole with a line at each, as many links stay as the loop needs.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.ndimage import label
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from .adjacency import CORNERS, touching

__all__ = ["Chain", "trace_voxels"]

_CELLS = np.array(list(product((-1, 0, 1), repeat=3)))  # a voxel's cube, sides, edges and corners, on a doubled grid


@dataclass
class Chain:
    """A line of voxels between two nodes.

    Args:
        source: node that it leaves.
        target: node that it enters.
        voxels: those between the two nodes, in order; it may have none.
    """

    source: int
    target: int
    voxels: list[int]


def trace_voxels(voxels: np.ndarray) -> tuple[list[list[int]], list[Chain]]:
    """Follow the lines of a skeleton that was thinned as far as it goes.

    Args:
        voxels: whole coordinates ``[N, 3]``, in the order in which an array holds them.

    Returns:
        The voxels of each node, and the chains between nodes. A ring without branches has one node, of one voxel.
    """
    first, second = touching(voxels, CORNERS)
    count = len(voxels)
    node = np.full(count, -1)
    junction = np.bincount(np.concatenate([first, second]), minlength=count) >= 3
    inside = junction[first] & junction[second]
    links = coo_matrix((np.ones(inside.sum(), bool), (first[inside], second[inside])), (count, count))
    _, cluster = connected_components(links, directed=False)
    names, cluster = np.unique(cluster[junction], return_inverse=True)
    euler = _euler_numbers(voxels[junction], cluster, len(names))
    node[junction] = cluster
    kept = ~inside
    knotted = [n for n in np.flatnonzero(euler != 1) if _loops(voxels[node == n], euler[n])]
    for n in knotted:
        pairs = np.flatnonzero(inside & (node[first] == n))
        kept[pairs[_generating(voxels, first[pairs], second[pairs])]] = True
    node[np.isin(node, knotted)] = -1
    first, second = first[kept], second[kept]
    degree = np.bincount(np.concatenate([first, second]), minlength=count)
    single = (node < 0) & (degree != 2)
    node[single] = len(names) + np.arange(single.sum())
    return _walk(node, first, second)


def _euler_numbers(voxels: np.ndarray, cluster: np.ndarray, count: int) -> np.ndarray:
    """Corners − edges + sides − cubes of the union of each cluster's voxels."""
    if not len(voxels):
        return np.zeros(count, int)
    cells = (2 * voxels[:, None] + 1 + _CELLS).reshape(-1, 3)
    shape = cells.max(axis=0) + 1
    place = np.ravel_multi_index((np.repeat(cluster, len(_CELLS)), *cells.T), (count, *shape))
    seen = np.unravel_index(np.unique(place), (count, *shape))
    odd = (seen[1] + seen[2] + seen[3]) & 1
    return np.bincount(seen[0], 1 - 2 * odd, minlength=count).astype(int)


def _loops(voxels: np.ndarray, euler: int) -> int:
    """How many loops a connected set of voxels has: 1 − its Euler number + its cavities."""
    start = voxels.min(axis=0) - 1
    outside = np.ones(voxels.max(axis=0) - start + 2, bool)
    outside[tuple((voxels - start).T)] = False
    cavities = label(outside)[1] - 1
    return 1 - int(euler) + cavities


def _generating(voxels: np.ndarray, first: np.ndarray, second: np.ndarray) -> list[int]:
    """Links of a cluster that keep it in one piece, and of the loops that they close those that triangles do not fill.

    Loops are counted modulo 2: a tree of the shortest links comes first, then the boundary of each triangle strikes
    out one of the links that are left.

    Returns:
        Indices of the links that stay.
    """
    length = ((voxels[first] - voxels[second]) ** 2).sum(axis=1)
    order = np.lexsort((second, first, length)).tolist()
    group: dict[int, int] = {}

    def top(voxel: int) -> int:
        while group.setdefault(voxel, voxel) != voxel:
            voxel = group[voxel]
        return voxel

    tree: list = []
    rank: dict = {}
    number: dict[tuple[int, int], int] = {}
    neighbours: dict[int, set[int]] = defaultdict(set)
    for link in order:
        a, b = int(first[link]), int(second[link])
        number[a, b] = number[b, a] = link
        neighbours[a].add(b)
        neighbours[b].add(a)
        if top(a) != top(b):
            group[top(a)] = top(b)
            tree.append(link)
        else:
            rank[link] = len(rank)
    struck: dict[int, set[int]] = {}
    for link in order:
        a, b = int(first[link]), int(second[link])
        for c in sorted(neighbours[a] & neighbours[b]):
            if c < max(a, b):
                continue
            boundary = {rank[side] for side in (link, number[a, c], number[b, c]) if side in rank}
            while boundary and max(boundary) in struck:
                boundary ^= struck[max(boundary)]
            if boundary:
                struck[max(boundary)] = boundary
    return tree + [link for link, place in rank.items() if place not in struck]


def _walk(node: np.ndarray, first: np.ndarray, second: np.ndarray) -> tuple[list[list[int]], list[Chain]]:
    neighbours: dict[int, list[int]] = defaultdict(list)
    for a, b in zip(first.tolist(), second.tolist(), strict=True):
        neighbours[a].append(b)
        neighbours[b].append(a)
    of = node.tolist()
    members: dict[int, list[int]] = defaultdict(list)
    for voxel, name in enumerate(of):
        if name >= 0:
            members[name].append(voxel)
    number = {name: n for n, name in enumerate(members)}
    nodes, chains = list(members.values()), []
    seen = node >= 0

    def follow(before: int, here: int) -> tuple[list[int], int]:
        chain = []
        while of[here] < 0:
            chain.append(here)
            seen[here] = True
            a, b = neighbours[here]
            before, here = here, (b if a == before else a)
        return chain, here

    for name, voxels in members.items():
        for voxel in voxels:
            for beside in neighbours[voxel]:
                if of[beside] >= 0:
                    if voxel < beside:
                        chains.append(Chain(number[name], number[of[beside]], []))
                elif not seen[beside]:
                    chain, end = follow(voxel, beside)
                    chains.append(Chain(number[name], number[of[end]], chain))
    for voxel in np.flatnonzero(~seen).tolist():
        if not seen[voxel]:
            of[voxel] = len(nodes)
            seen[voxel] = True
            chain, _ = follow(voxel, neighbours[voxel][0])
            nodes.append([voxel])
            chains.append(Chain(of[voxel], of[voxel], chain))
    return nodes, chains
