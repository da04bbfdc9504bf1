"""The shapes of vessels between their ends: smooth, winding, of uneven calibre, and never through one another."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

STEP = 2.0  # µm between a centre line's points, about
SHORTEST_WAVE = 28.0  # µm; half a period of the quickest winding
GAP = 1.0  # µm between the walls of vessels that pass each other


def curve_vessels(
    nodes: np.ndarray, edges: np.ndarray, flows: np.ndarray, tortuosity: float, rng: np.random.Generator
) -> list[np.ndarray]:
    """Centre lines of vessels: cubic Hermite curves that pass the nodes along the stream, and deviations from them.

    Args:
        nodes: positions in µm, `[N, 3]`.
        edges: the nodes that each vessel leaves and enters, in the direction of flow, `[E, 2]`.
        flows: the flows, positive, `[E]`. Vessels of more than unit flow are the straighter the larger they are.
        tortuosity: size of the deviations, relative to the distance of a vessel's ends.
        rng: source of chance.

    Returns:
        The points of each centre line, `[P, 3]`.
    """
    chord = nodes[edges[:, 1]] - nodes[edges[:, 0]]
    length = np.linalg.norm(chord, axis=1)
    chord /= length[:, None]
    stream = np.zeros_like(nodes)
    for end in (0, 1):
        np.add.at(stream, edges[:, end], chord * flows[:, None])
    stream /= np.maximum(np.linalg.norm(stream, axis=1, keepdims=True), 1e-9)
    scale = tortuosity * length / np.maximum(np.cbrt(flows), 1)
    paths = []
    for e, (a, b) in enumerate(edges):
        t = np.linspace(0, 1, max(int(np.ceil(length[e] / STEP)), 8) + 1)[:, None]
        leave, enter = (length[e] * (0.35 * chord[e] + 0.65 * stream[n]) for n in (a, b))
        path = (
            (2 * t**3 - 3 * t**2 + 1) * nodes[a]
            + (t**3 - 2 * t**2 + t) * leave
            + (3 * t**2 - 2 * t**3) * nodes[b]
            + (t**3 - t**2) * enter
        )
        sway = scale[e] * _sway(t, length[e], rng)
        path += sway - (sway * chord[e]).sum(axis=1, keepdims=True) * chord[e]
        path[0], path[-1] = nodes[a], nodes[b]
        paths.append(path)
    return paths


def vary_radius(radius: float, points: int, rng: np.random.Generator) -> np.ndarray:
    """The radius along a vessel: wider here and narrower there by some per cent, unchanged at both ends.

    Args:
        radius: at the ends, in µm.
        points: of the centre line.
        rng: source of chance.

    Returns:
        The radius at each point, `[P]`.
    """
    waves = _sway(np.linspace(0, 1, points)[:, None], STEP * points, rng)[:, 0]
    return radius * (1 + 0.1 * min(1.0, 3.0 / radius) * np.clip(waves, -2, 2))


def _sway(t: np.ndarray, length: float, rng: np.random.Generator) -> np.ndarray:
    """A smooth random deviation that begins and ends at 0 without a kink, of about unit size, `[P, 3]`."""
    waves = np.arange(1, max(int(length / SHORTEST_WAVE), 1) + 1)
    amplitude = rng.normal(0, 1, (len(waves), 3)) / waves[:, None] ** 1.6
    shape = np.sin(np.pi * waves * t + rng.uniform(0, 2 * np.pi, len(waves)))
    return np.sin(np.pi * t) ** 2 * (shape[:, :, None] * amplitude).sum(axis=1)


def part_vessels(
    paths: list[np.ndarray], radii: list[np.ndarray], edges: np.ndarray, rounds: int = 40, stiffness: float = 0.0
) -> list[np.ndarray]:
    """Push vessels apart that run through each other, so that the voxels have the graph's topology.

    Vessels that meet at a node, or near each other at two nodes of a third, are left as they are. The nodes stay where
    they are, so a vessel that runs through a node of others may not get free.

    Args:
        paths: centre lines in µm, `[P, 3]` each.
        radii: the radius at each of their points, `[P]` each.
        edges: the nodes that each vessel joins, `[E, 2]`.
        rounds: how often to push.
        stiffness: radii of a vessel over which it bends where it is pushed, standard deviation; at least 6 µm.

    Returns:
        The centre lines, moved where they had to be.
    """
    ends = np.cumsum([len(path) for path in paths])
    parts = [slice(end - len(path), end) for end, path in zip(ends, paths, strict=True)]
    points, radius = np.concatenate(paths), np.concatenate(radii)
    vessel = np.repeat(np.arange(len(paths)), [len(path) for path in paths])
    # The ends are held, and what is near them moves little, so that the curves stay smooth.
    freedom = np.concatenate([np.minimum(1, 2 * np.sin(np.pi * np.linspace(0, 1, len(path)))) for path in paths])
    meeting = _meeting(paths, radii, edges)
    for turn in range(rounds):
        if turn % 10 == 0:  # a search for every turn would take most of the time
            near = cKDTree(points).query_pairs(2 * radius.max() + GAP, output_type="ndarray")
            wide = radius[near].sum(axis=1) + GAP + 2.0
            near = near[((points[near[:, 0]] - points[near[:, 1]]) ** 2).sum(axis=1) < wide**2]
            near = near[~np.isin(vessel[near] @ (len(edges), 1), meeting)]
        a, b = near[np.linalg.norm(points[near[:, 0]] - points[near[:, 1]], axis=1) < radius[near].sum(axis=1) + GAP].T
        if not len(a):
            break
        apart = points[a] - points[b]
        distance = np.maximum(np.linalg.norm(apart, axis=1), 1e-6)
        push = apart / distance[:, None] * (radius[a] + radius[b] + GAP - distance)[:, None]
        share = (radius[b] / (radius[a] + radius[b]))[:, None]  # the smaller vessel gives way
        move, count = np.zeros_like(points), np.zeros(len(points))
        for here, amount in ((a, push * share), (b, push * (share - 1))):
            np.add.at(move, here, amount)
            np.add.at(count, here, 1)
        move *= (freedom / np.maximum(count, 1))[:, None]
        for part in (parts[v] for v in np.unique(vessel[count > 0])):
            sigma = max(3.0, stiffness * float(radius[part].max()) / STEP)
            smooth = ndimage.gaussian_filter1d(move[part], sigma, axis=0, mode="constant")
            points[part] += 1.5 * smooth * freedom[part, None]
    return [points[part] for part in parts]


def _meeting(paths: list[np.ndarray], radii: list[np.ndarray], edges: np.ndarray) -> np.ndarray:
    """Pairs of vessels that have to touch, each as first * E + second: those that share a node, or whose nodes are
    joined by a vessel so short that their walls meet beside it; every vessel with itself.
    """
    at_node: dict[int, list[int]] = {}
    for e, nodes in enumerate(edges.tolist()):
        for node in nodes:
            at_node.setdefault(node, []).append(e)
    pairs = {(e, f) for group in at_node.values() for e in group for f in group}
    wide = np.array([along.max() for along in radii])
    for (a, b), path in zip(edges.tolist(), paths, strict=True):
        length = np.linalg.norm(np.diff(path, axis=0), axis=1).sum()
        near = {(e, f) for e in at_node[a] for f in at_node[b] if length < 2 * (wide[e] + wide[f] + GAP)}
        pairs |= near | {(f, e) for e, f in near}
    return np.array([e * len(edges) + f for e, f in pairs])
