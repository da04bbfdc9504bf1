"""From a mask to the graph of its vessels."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import map_coordinates
from scipy.spatial import cKDTree

from .distances import depth
from .graph import VascularGraph
from .pinholes import fill_pinholes
from .pruning import Line, Net, Node
from .smoothing import smooth
from .thinning import Thinning, as_volume, steps_of
from .tracing import trace_voxels

__all__ = ["PRUNE", "vessel_graph"]

PRUNE = 2.0


def vessel_graph(
    mask: np.ndarray,
    spacing: tuple[float, ...] | None = None,
    *,
    prune: float = PRUNE,
    min_length: float = 0.0,
    pinholes: int | None = None,
) -> VascularGraph:
    """The vessels of a mask as a graph: where they run, branch and end, and how wide they are.

    Pinholes are filled, the mask is thinned (:func:`thin`), the skeleton is followed, side lines that hardly stand out
    are taken out, the centre lines are smoothed as far as half a voxel allows, and free ends are extended to the
    surface or the border of the field. The radius at a point is that of the round vessel with as much mask to its
    length there, in an image half its width; it comes from the volume, not from a distance to the background.

    Args:
        mask: bool ``[Y, X]`` or ``[Z, Y, X]``.
        spacing: of the voxels along each axis, in micrometres; if absent, all lengths are in pixels.
        prune: bulge size below which a side line is no vessel: how far it stands out from where it branches off, in
            radii of its own; 0 prunes nothing.
        min_length: free-ended vessels and lone ones that are shorter, in the unit of the spacing, are left out.
        pinholes: the largest hole that is filled, as of :func:`fill_pinholes`.

    Returns:
        The graph. With ``prune=0`` its pieces and loops are those of the mask with its pinholes filled; pruning changes
        neither.

    Raises:
        ValueError: the mask has neither two nor three axes, or the spacing does not fit it.
    """
    volume, steps = as_volume(fill_pinholes(mask, pinholes), spacing)
    depths = depth(volume, steps)
    thinning = Thinning(volume, steps_of(depths, steps))
    thinning.run()
    left = thinning.alive
    voxels = np.argwhere(left)
    # without any background a voxel is as deep as the field is large
    deep = np.minimum(depths[left[volume]], np.linalg.norm(np.array(volume.shape) * steps))
    net = as_net(voxels, deep.astype(float), np.array(steps))
    net.prune(prune)
    net.merge()
    unit = "pixel" if spacing is None else "micrometer"
    return drawn(net, volume, np.array(steps), np.ndim(mask) == 2, min_length, unit)


def as_net(voxels: np.ndarray, depths: np.ndarray, spacing: np.ndarray) -> Net:
    """The lines of a skeleton in space.

    Args:
        voxels: of the skeleton, ``[N, 3]``, in the order in which an array holds them.
        depths: distance of each to the background, micrometres.
        spacing: micrometres.
    """
    clusters, chains = trace_voxels(voxels)
    points = voxels * spacing
    net = Net()
    names = [net.add_node(Node(points[cluster].mean(axis=0), float(depths[cluster].max()))) for cluster in clusters]
    for chain in chains:
        net.add_line(Line(names[chain.source], names[chain.target], points[chain.voxels], depths[chain.voxels]))
    net.straighten(names)
    return net


def drawn(
    net: Net, volume: np.ndarray, spacing: np.ndarray, image: bool, min_length: float, unit: str
) -> VascularGraph:
    """The graph of a net: its lines smoothed, extended and as wide as the mask around them."""
    numbers = {name: number for number, name in enumerate(net.nodes)}
    lines = list(net.lines.values())
    edges = np.array([[numbers[line.source], numbers[line.target]] for line in lines], int).reshape(-1, 2)
    degrees = np.bincount(edges.ravel(), minlength=len(numbers))
    rings = [a == b and degrees[a] == 2 for a, b in edges.tolist()]
    raw = [net.points_of(line) for line in lines]
    paths = smooth(
        [points[:-1] if ring else points for (points, _), ring in zip(raw, rings, strict=True)], spacing, rings
    )
    paths = [np.concatenate([path, path[:1]]) if ring else path for path, ring in zip(paths, rings, strict=True)]
    nodes = np.array([node.position for node in net.nodes.values()], float).reshape(-1, 3)
    depths = np.array([node.depth for node in net.nodes.values()], float)
    sums, ends = np.zeros_like(nodes), np.zeros(len(nodes))
    for (a, b), path in zip(edges, paths, strict=True):
        for node, place in ((a, 0), (b, -1)):
            sums[node] += path[place]
            ends[node] += 1
    nodes[ends > 0] = sums[ends > 0] / ends[ends > 0, None]
    border = np.zeros(len(nodes), bool)
    for e, (a, b) in enumerate(edges):
        paths[e][0], paths[e][-1] = nodes[a], nodes[b]
        for node, turn in ((a, -1), (b, 1)):
            if degrees[node] == 1:
                path = paths[e][::turn]
                nodes[node], border[node] = _extended(path, depths[node], volume, spacing)
                paths[e] = np.concatenate([path, nodes[node][None]])[::turn]
    radii = _radii(paths, [d for _, d in raw], edges, depths, degrees, volume, spacing, image)
    lengths = [np.linalg.norm(np.diff(path, axis=0), axis=1) for path in paths]
    mean = [float(np.average((r[1:] + r[:-1]) / 2, weights=step)) for r, step in zip(radii, lengths, strict=True)]
    graph = VascularGraph(nodes, edges, np.array(mean), ["vessel"] * len(edges), paths, radii, border, unit)
    return graph


def _extended(path: np.ndarray, depth: float, volume: np.ndarray, spacing: np.ndarray) -> tuple[np.ndarray, bool]:
    """Where a line that ends at the last point of its path leaves the mask or the field, and whether the field."""
    end = path[-1]
    back = np.linalg.norm(path - end, axis=1)
    far = np.flatnonzero(back[:-1] >= max(depth, 2 * spacing.min()))
    direction = end - path[far[-1] if far.size else 0]
    length = np.linalg.norm(direction)
    if not length:
        return end, False
    direction = direction / length
    reach = np.arange(0, 2 * depth + 2 * spacing.max(), 0.1 * spacing.min())
    ray = (end + reach[:, None] * direction) / spacing
    low, high = np.full(3, -0.5), np.array(volume.shape) - 0.5
    if volume.shape[0] == 1:
        ray[:, 0] = 0
    inside = ((ray >= low) & (ray <= high)).all(axis=1)
    start = np.maximum(np.floor(ray[inside].min(axis=0, initial=0)).astype(int) - 1, 0)
    box = volume[tuple(map(slice, start, np.ceil(ray[inside].max(axis=0, initial=0)).astype(int) + 2))]
    value = map_coordinates(box.astype(np.float32), (ray - start).T, order=1, mode="nearest")
    leaves = np.flatnonzero(~inside | (value < 0.5))
    if not leaves.size:
        return end, False
    last = leaves[0]
    if inside[last]:
        return end + reach[last] * direction, False
    # to the border itself, between the last step inside and the first outside
    with np.errstate(divide="ignore", invalid="ignore"):
        start = end / spacing
        step = direction / spacing
        limits = np.where(step > 0, (high - start) / step, np.where(step < 0, (low - start) / step, np.inf))
    return end + max(0.0, limits.min()) * direction, True


def _radii(paths, raw_depths, edges, depths, degrees, volume, spacing, image) -> list[np.ndarray]:
    if not paths:
        return []
    points = np.concatenate(paths)
    voxels = np.argwhere(volume) * spacing
    _, nearest = cKDTree(points).query(voxels)
    counts = np.bincount(nearest, minlength=len(points)) * np.prod(spacing[1:] if image else spacing)
    radii, at = [], 0
    for path, deep, (a, b) in zip(paths, raw_depths, edges, strict=True):
        share = counts[at : at + len(path)]
        at += len(path)
        step = np.linalg.norm(np.diff(path, axis=0), axis=1)
        along = np.concatenate([[0], np.cumsum(step)])
        width = np.concatenate([[0], (along[1:] + along[:-1]) / 2, along[-1:]])
        window = max(2 * np.median(deep), 3 * spacing.min())
        volume_to = np.concatenate([[0], np.cumsum(share)])
        low, high = np.clip(along - window / 2, 0, along[-1]), np.clip(along + window / 2, 0, along[-1])
        gained = np.interp(high, width, volume_to) - np.interp(low, width, volume_to)
        area = gained / np.maximum(high - low, 1e-12)
        radius = area / 2 if image else np.sqrt(area / np.pi)
        clear = np.ones(len(path), bool)
        for node, place in ((a, 0), (b, -1)):
            if degrees[node] >= 3:
                clear &= np.linalg.norm(path - path[place], axis=1) > depths[node] + window / 2
        if clear.any():
            radius = np.interp(along, along[clear], radius[clear])
        else:
            radius = np.full(len(path), max(np.median(deep) - spacing.min() / 2, spacing.min() / 2))
        radii.append(radius)
    return radii
