"""Vessels cut at the outline of a region."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from ..graphs import VascularGraph
from ..volumes import Volume
from .grids import Grid, as_grid
from .lines import along, resample, steps

__all__ = ["clip_graph"]

STEP = 0.25  # of the finest pixel: how exactly the outline is met
_POINTS = 1 << 20  # that are looked at together


def clip_graph(graph: VascularGraph, region: np.ndarray | Volume | Grid, spacing: Sequence[float]) -> VascularGraph:
    """Keep what of a graph lies in a region; a vessel that crosses its outline ends there, at the border.

    Args:
        graph: coordinates in the spacing's unit; the centre of the region's first pixel is 0.
        region: bool, ``[Y, X]`` or ``[Z, Y, X]``; beyond the array nothing is in it.
        spacing: along each axis.

    Returns:
        The graph inside. A closed vessel that is cut is closed no more.
    """
    region = as_grid(region)
    nodes: list = []
    border: list = []
    kept = np.full(len(graph.nodes), -1)
    for n in np.flatnonzero(_inside(graph.nodes, region, spacing)):
        kept[n] = len(nodes)
        nodes.append(graph.nodes[n])
        border.append(bool(graph.border[n]))

    def add(position: np.ndarray) -> int:
        nodes.append(position)
        border.append(True)
        return len(nodes) - 1

    edges, paths, radii, origin = [], [], [], []
    for e, line in enumerate(_looked_at(_opened(graph, region, spacing), region, spacing)):
        path, path_radii, at, where, inside = line
        starts = np.flatnonzero(inside & ~np.concatenate([[False], inside[:-1]]))
        stops = np.flatnonzero(inside & ~np.concatenate([inside[1:], [False]]))
        for start, stop in zip(starts, stops, strict=True):
            if start == 0 and stop == len(where) - 1:
                piece, piece_radii = path, path_radii
            else:
                within = (at > where[start]) & (at < where[stop])
                wanted = np.concatenate([[where[start]], at[within], [where[stop]]])
                piece, piece_radii = along(path, at, wanted), np.interp(wanted, at, path_radii)
            source = kept[graph.edges[e, 0]] if start == 0 else -1
            target = kept[graph.edges[e, 1]] if stop == len(where) - 1 else -1
            source = add(piece[0]) if source < 0 else int(source)
            target = add(piece[-1]) if target < 0 else int(target)
            edges.append((source, target))
            paths.append(piece)
            radii.append(piece_radii)
            origin.append(e)
    return replace(
        graph,
        nodes=np.array(nodes, dtype=float).reshape(-1, graph.nodes.shape[1]),
        border=np.array(border, dtype=bool),
        edges=np.array(edges, dtype=int).reshape(-1, 2),
        radii=graph.radii[origin],
        kinds=[graph.kinds[e] for e in origin],
        paths=paths,
        path_radii=radii,
    )


def _opened(graph: VascularGraph, region: Grid, spacing: Sequence[float]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The paths and radii of a graph's vessels, closed ones begun outside the region."""
    closed = graph.closed
    for e, (path, radii) in enumerate(zip(graph.paths, graph.path_radii, strict=True)):
        yield _from_outside(path, radii, region, spacing) if closed[e] else (path, radii)


def _looked_at(
    lines: Iterator[tuple[np.ndarray, np.ndarray]], region: Grid, spacing: Sequence[float]
) -> Iterator[tuple[np.ndarray, ...]]:
    """Path, radii, arc lengths of the path's points, finer arc lengths, and whether there it is inside, of each line.

    Many lines are looked at together, since a region on the disk is read by slices.
    """
    waiting: list[tuple[np.ndarray, ...]] = []
    points: list[np.ndarray] = []

    def told() -> Iterator[tuple[np.ndarray, ...]]:
        if waiting:
            inside = _inside(np.concatenate(points), region, spacing)
            for line, part in zip(waiting, np.split(inside, np.cumsum([len(p) for p in points])[:-1]), strict=True):
                yield (*line, part)

    for path, radii in lines:
        at = np.concatenate([[0.0], np.cumsum(steps(path))])
        count = max(2, int(np.ceil(at[-1] / (STEP * min(spacing)))) + 1)
        waiting.append((path, radii, at, np.linspace(0, at[-1], count)))
        points.append(resample(path, count))
        if sum(map(len, points)) > _POINTS:
            yield from told()
            waiting, points = [], []
    yield from told()


def _from_outside(
    path: np.ndarray, radii: np.ndarray, region: Grid, spacing: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    """A closed path begun at a point outside the region, if it has one, so that no piece inside is parted there."""
    outside = np.flatnonzero(~_inside(path, region, spacing))
    if not len(outside):
        return path, radii
    first = outside[0]
    opened, widths = (np.concatenate([values[first:-1], values[: first + 1]]) for values in (path, radii))
    return opened, widths


def _inside(points: np.ndarray, region: Grid, spacing: Sequence[float]) -> np.ndarray:
    """Whether points ``[P, D]`` lie in a pixel of the region."""
    index = np.rint(points[:, -region.ndim :] / np.asarray(spacing)).astype(int)
    within = ((index >= 0) & (index < region.shape)).all(axis=1)
    index = np.clip(index, 0, np.array(region.shape) - 1)
    return within & (region.at(index) != 0)
