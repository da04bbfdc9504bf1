"""Growth of a vascular network: a mesh of capillaries between arterioles and venules.

Branch points are scattered and joined by capillaries; trunks are laid through them and branched towards them; the
flow through it all gives the radii; last, the straight vessels are curved.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from ..graphs import VascularGraph
from .curves import curve_vessels, part_vessels, vary_radius
from .flow import conserved_flow, murray_radius

MAX_DEGREE = 3
SHORTEST_LOOP = 5  # vessels; capillaries of the cortex hardly ever close smaller loops
SHARPEST_ANGLE = np.cos(np.deg2rad(50))
CAPILLARY_FLOWS = (0.5, 2.2)  # a typical capillary's is 1; 0.8 to 1.3 times its radius
WEAKEST_FLOW = 0.3  # in capillary flows: two thirds of a capillary's radius


class _Sketch:
    """A network while it grows: straight vessels with a range of flows each, at most three to a node."""

    def __init__(self, nodes: np.ndarray) -> None:
        self.nodes = [np.asarray(node, dtype=float) for node in nodes]
        self.neighbours: list[set[int]] = [set() for _ in self.nodes]
        self.vessels: dict[tuple[int, int], tuple[str, float, float]] = {}
        self.cut_ends: set[int] = set()

    def add(self, position: np.ndarray) -> int:
        self.nodes.append(np.asarray(position, dtype=float))
        self.neighbours.append(set())
        return len(self.nodes) - 1

    def join(self, a: int, b: int, kind: str, low: float, high: float) -> None:
        self.vessels[a, b] = (kind, low, high)
        self.neighbours[a].add(b)
        self.neighbours[b].add(a)

    def cut(self, a: int, b: int) -> None:
        self.vessels.pop((a, b), None) or self.vessels.pop((b, a))
        self.neighbours[a].discard(b)
        self.neighbours[b].discard(a)

    def full(self, node: int) -> bool:
        return len(self.neighbours[node]) >= MAX_DEGREE

    def crowded(self, a: int, b: int) -> bool:
        """Whether a vessel from a to b would leave a or b along one that is there."""
        for here, there in ((a, b), (b, a)):
            way = _unit(self.nodes[there] - self.nodes[here])
            if any(_unit(self.nodes[n] - self.nodes[here]) @ way > SHARPEST_ANGLE for n in self.neighbours[here]):
                return True
        return False

    def within(self, a: int, b: int, steps: int) -> bool:
        """Whether b is reached from a along at most so many vessels."""
        seen, queue = {a}, deque([(a, 0)])
        while queue:
            node, distance = queue.popleft()
            if node == b:
                return True
            if distance < steps:
                fresh = self.neighbours[node] - seen
                seen |= fresh
                queue.extend((n, distance + 1) for n in fresh)
        return False

    def prune(self) -> None:
        """Take away what carries no flow: blind vessels inside the tissue, and what hangs on nothing."""
        blind = deque(n for n in range(len(self.nodes)) if len(self.neighbours[n]) == 1 and n not in self.cut_ends)
        while blind:
            node = blind.popleft()
            for other in list(self.neighbours[node]):
                self.cut(node, other)
                if len(self.neighbours[other]) == 1 and other not in self.cut_ends:
                    blind.append(other)


def grow_network(
    extent: tuple[float, float, float],
    rng: np.random.Generator,
    *,
    length_density: float,
    capillary_radius: float,
    trunks: list[tuple[str, float]],
    tortuosity: float = 0.1,
    flatness: float = 1.0,
    stiffness: float = 0.0,
) -> VascularGraph:
    """Grow a network that fills a box and reaches beyond it.

    Args:
        extent: the box's size along z, y and x in µm.
        rng: source of chance.
        length_density: the capillaries' length in a volume of tissue, in m/mm³ (mouse cortex: about 1). It is met in
            the mean of many networks, within some 15 %.
        capillary_radius: the typical capillary's radius in µm.
        trunks: the large vessels: "arteriole" or "venule" and the least radius of its trunk in µm.
        tortuosity: deviation of a vessel from its chord, relative to the chord's length; 0 is straight but for the
            smooth way vessels take through their branch points.
        flatness: how much more often than axially the capillaries run in plane; 1 is isotropic.
        stiffness: how little wide vessels bend where others push them, see :func:`part_vessels`.

    Returns:
        The network; connected, with closed loops, and three vessels at most at a node.
    """
    size = np.asarray(extent, dtype=float)
    pitch = 38.0 * np.sqrt(flatness / length_density)  # µm between neighbouring branch points; the factor is measured
    lines = [_trunk_line(size, pitch, rng) for _ in trunks]
    clearances = [radius + 2 * capillary_radius for _, radius in trunks]
    stretch = np.array([flatness, 1.0, 1.0])
    sketch = _Sketch(_scatter(size, pitch, stretch, list(zip(lines, clearances, strict=True)), rng))
    capillaries = len(sketch.nodes)
    pairs = _near_pairs(np.array(sketch.nodes), stretch, 1.5 * pitch)
    _span(sketch, pairs)
    for (kind, radius), line in zip(trunks, lines, strict=True):
        _plant_tree(sketch, capillaries, kind, (radius / capillary_radius) ** 3, line, pitch, rng)
    _close_loops(sketch, pairs, capillaries, size, pitch)
    nodes, edges, flows, kinds = _solve_flow(sketch, rng)
    radii = murray_radius(flows, capillary_radius)
    paths = curve_vessels(nodes, edges, flows, tortuosity, rng)
    path_radii = [vary_radius(radius, len(path), rng) for radius, path in zip(radii, paths, strict=True)]
    paths = part_vessels(paths, path_radii, edges, stiffness=stiffness)
    return VascularGraph(nodes, edges, radii, kinds, paths, path_radii)


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / max(np.sqrt((vector**2).sum()), 1e-12)


def _outside(position: np.ndarray, extent: np.ndarray, margin: float) -> bool:
    return bool(np.any(position < -margin) or np.any(position > extent + margin))


def _trunk_line(extent: np.ndarray, pitch: float, rng: np.random.Generator) -> np.ndarray:
    """A gently winding line across the box and out of it on both sides, `[P, 3]`."""
    through = rng.uniform(-0.1, 1.1, 3) * extent
    angle = rng.uniform(0, np.pi)
    dip = rng.uniform(-0.25, 0.25) if rng.random() < 0.8 else rng.choice([-1, 1]) * rng.uniform(1, 3)
    along = _unit(np.array([dip, np.sin(angle), np.cos(angle)]))
    reach = np.min((extent / 2 + np.abs(through - extent / 2) + pitch) / np.maximum(np.abs(along), 1e-9))
    reach = min(reach, np.sqrt((extent**2).sum())) + pitch
    steps = np.arange(-np.ceil(reach / pitch), np.ceil(reach / pitch) + 1)
    sway = np.cumsum(rng.normal(0, 0.12 * pitch, (len(steps), 3)), axis=0)
    sway -= sway[len(steps) // 2]
    sway[:, 0] *= 0.5
    return through + steps[:, None] * pitch * along + sway


def _scatter(
    extent: np.ndarray,
    pitch: float,
    stretch: np.ndarray,
    keep_clear: list[tuple[np.ndarray, float]],
    rng: np.random.Generator,
) -> np.ndarray:
    """Branch points in the box and around it, none near another or near the large vessels' lines, `[N, 3]`."""
    margin = pitch / stretch
    low, high = -margin, extent + margin
    count = max(int(np.prod((high - low) * stretch) / pitch**3 * 1.6), 12)
    nodes = rng.uniform(low, high, (count, 3))
    keep = np.ones(count, dtype=bool)
    pairs = cKDTree(nodes * stretch).query_pairs(0.6 * pitch, output_type="ndarray")
    for a, b in pairs[np.lexsort(pairs.T[::-1])]:
        keep[b] &= not keep[a]
    for line, clearance in keep_clear:
        fine = np.concatenate([np.linspace(a, b, 16) for a, b in zip(line[:-1], line[1:], strict=True)])
        keep &= cKDTree(fine).query(nodes)[0] > clearance
    return nodes[keep]


def _near_pairs(nodes: np.ndarray, stretch: np.ndarray, wanted: float) -> list[tuple[int, int]]:
    """Pairs of neighbours, the best vessel first: long ones, that pass each other in space, look like capillaries."""
    if len(nodes) < 2:
        return []
    distance, index = cKDTree(nodes * stretch).query(nodes * stretch, k=min(24, len(nodes)))
    here = np.repeat(np.arange(len(nodes)), index.shape[1])
    there, distance = index.ravel(), distance.ravel()
    once = here < there
    order = np.lexsort((there[once], here[once], np.abs(distance[once] - wanted)))
    return list(zip(here[once][order].tolist(), there[once][order].tolist(), strict=True))


def _span(sketch: _Sketch, pairs: list[tuple[int, int]]) -> None:
    """Join the branch points to a tree of capillaries, as Kruskal does, with regard to what a node can take."""
    group = list(range(len(sketch.nodes)))

    def root(node: int) -> int:
        while group[node] != node:
            group[node] = group[group[node]]
            node = group[node]
        return node

    for a, b in pairs:
        if root(a) != root(b) and not (sketch.full(a) or sketch.full(b) or sketch.crowded(a, b)):
            group[root(a)] = root(b)
            sketch.join(a, b, "capillary", *CAPILLARY_FLOWS)


def _plant_tree(
    sketch: _Sketch, capillaries: int, kind: str, flow: float, line: np.ndarray, pitch: float, rng: np.random.Generator
) -> None:
    """Lay a trunk along a line and branch it towards capillaries that lie near.

    Each capillary is reached from the nearest point of the tree as it stands, which makes that point a branch point.
    """
    trunk = [sketch.add(position) for position in line]
    segments = [(a, b, True) for a, b in zip(trunk[:-1], trunk[1:], strict=True)]
    sketch.cut_ends.update((trunk[0], trunk[-1]))
    fine = cKDTree(np.concatenate([np.linspace(a, b, 8) for a, b in zip(line[:-1], line[1:], strict=True)]))
    near = [n for n in range(capillaries) if 1 <= len(sketch.neighbours[n]) < MAX_DEGREE]
    near = [n for n in near if fine.query(sketch.nodes[n])[0] < 2.0 * pitch]
    for leaf in rng.permutation(near)[: max(2, int(1.2 * len(line)))].tolist():
        segments = _branch(sketch, segments, leaf, pitch)
    forward = kind == "arteriole"
    for a, b, is_trunk in segments:
        low, high = (flow, 3 * flow + 30) if is_trunk else (0.8, 40.0)
        sketch.join(*((a, b) if forward else (b, a)), kind, low, high)


def _branch(sketch: _Sketch, segments: list[tuple[int, int, bool]], leaf: int, pitch: float) -> list:
    """Reach a leaf from the nearest segment that is long enough to be parted."""
    target = sketch.nodes[leaf]
    start = np.array([sketch.nodes[a] for a, _, _ in segments])
    chord = np.array([sketch.nodes[b] for _, b, _ in segments]) - start
    length = np.sqrt((chord**2).sum(1))
    share = np.clip(((target - start) * chord).sum(1) / length**2, 0.3, 0.7)
    foot = start + share[:, None] * chord
    distance = np.sqrt(((foot - target) ** 2).sum(1))
    distance[length < 0.35 * pitch] = np.inf
    best = int(np.argmin(distance))
    if not np.isfinite(distance[best]):
        return segments
    a, b, is_trunk = segments[best]
    fork = sketch.add(foot[best] if is_trunk else foot[best] + 0.2 * (target - foot[best]))
    return segments[:best] + segments[best + 1 :] + [(a, fork, is_trunk), (fork, b, is_trunk), (fork, leaf, False)]


def _close_loops(
    sketch: _Sketch, pairs: list[tuple[int, int]], capillaries: int, extent: np.ndarray, pitch: float
) -> None:
    """Join free capillaries to loops inside the box; those that end outside of it are the network's cut ends."""
    for a, b in pairs:
        if sketch.full(a) or sketch.full(b) or b in sketch.neighbours[a]:
            continue
        if all(_outside(sketch.nodes[n], extent, 0.3 * pitch) for n in (a, b)):
            continue
        if not sketch.within(a, b, SHORTEST_LOOP - 2) and not sketch.crowded(a, b):
            sketch.join(a, b, "capillary", *CAPILLARY_FLOWS)
    for node in range(capillaries):
        if len(sketch.neighbours[node]) == 1 and _outside(sketch.nodes[node], extent, 0.0):
            sketch.cut_ends.add(node)


def _solve_flow(sketch: _Sketch, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str]]:
    """Find a conserved flow within every vessel's range; where there is none, take the weakest vessels away.

    Returns:
        Nodes `[N, 3]`, edges in the direction of flow `[E, 2]`, flows in those of a typical capillary `[E]`, kinds.
    """
    while True:
        sketch.prune()
        _keep_largest(sketch)
        edges = np.array(list(sketch.vessels))
        kinds = [kind for kind, _, _ in sketch.vessels.values()]
        low, high = np.array([(low, high) for _, low, high in sketch.vessels.values()]).T
        capillary = np.array([kind == "capillary" for kind in kinds])
        start = np.where(capillary, rng.choice([-1.0, 1.0], len(edges)), low)
        flow = conserved_flow(edges, np.array(sorted(sketch.cut_ends)), start, low, high, capillary)
        weak = np.flatnonzero(np.where(capillary, np.abs(flow), flow) < WEAKEST_FLOW)
        if not len(weak):
            break
        for e in weak[np.argsort(np.abs(flow[weak]), kind="stable")][: max(1, len(weak) // 3)]:
            sketch.cut(*edges[e].tolist())
    edges = np.where((flow < 0)[:, None], edges[:, ::-1], edges)
    used, edges = np.unique(edges, return_inverse=True)
    return np.array(sketch.nodes)[used], edges.reshape(-1, 2), np.abs(flow), kinds


def _keep_largest(sketch: _Sketch) -> None:
    """Keep the largest connected part into which blood can flow."""
    edges = np.array(list(sketch.vessels))
    count = len(sketch.nodes)
    links = sparse.coo_matrix((np.ones(len(edges)), edges.T), shape=(count, count))
    parts, part = connected_components(links, directed=False)
    size = np.bincount(part[edges[:, 0]], minlength=parts)
    open_parts = np.unique(part[sorted(sketch.cut_ends)])
    largest = open_parts[size[open_parts].argmax()]
    for a, b in edges[part[edges[:, 0]] != largest].tolist():
        sketch.cut(a, b)
