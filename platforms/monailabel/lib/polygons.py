"""Outlines of a mask as polygons of exactly its area, holes included: the loops of a vessel network are holes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
from scipy.ndimage import generate_binary_structure, label

Point = tuple[float, float]
Edge = tuple[int, int, int]  # where it starts, x and y, and its direction

# right, down, left, up: the edges of a pixel's top, right, bottom and left, so that the pixel lies on the right hand
_STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))
# the column and row of that pixel, less where the edge starts
_PIXELS = ((0, 0), (-1, 0), (-1, -1), (0, -1))


@dataclass(frozen=True)
class Polygon:
    """One piece of a mask along the edges of its pixels; that in row y, column x has its upper left corner at (x, y).

    Args:
        outer: the outline, whose last point joins the first.
        holes: the outlines of its holes, which go round the other way.
        ring: outline and holes as one ring, with a cut of no width from each hole to the outline that lies left of it:
            for formats that know no holes. Filled by any rule it is the piece without its holes, of the same area.
    """

    outer: list[Point]
    holes: list[list[Point]]
    ring: list[Point]


@dataclass(frozen=True)
class _Cut:
    """From the left edge of the pixels left of a hole to the hole's edge."""

    start: Point
    end: Point
    hole: list[Edge]
    hole_edge: int


def area(ring: list[Point]) -> float:
    """The area of a ring in pixels, negative if it goes round as holes do."""
    x, y = np.asarray(ring, float).T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def polygons(mask: np.ndarray, location: tuple[int, int] = (0, 0), smallest: float = 0) -> list[Polygon]:
    """Trace the pieces of a mask.

    Pixels that touch at a corner belong together, as everywhere in this bundle; holes that touch at a corner do not.

    Args:
        mask: ``[Y, X]``, vessel where not 0.
        location: x and y of the mask's upper left corner.
        smallest: pieces of fewer pixels are left out.

    Returns:
        The pieces, the topmost first.
    """
    pieces, count = label(np.asarray(mask) != 0, generate_binary_structure(2, 2))
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    rings: list[list[list[Edge]]] = [[] for _ in range(count + 1)]
    for ring in _rings(pieces):
        rings[pieces[_pixel(ring[0])]].append(ring)
    return [
        _polygon(own, pieces, location) for piece, own in enumerate(rings) if piece > 0 and sizes[piece] >= smallest
    ]


def _pixel(edge: Edge) -> tuple[int, int]:
    """Row and column of the pixel whose edge it is."""
    x, y, way = edge
    return y + _PIXELS[way][1], x + _PIXELS[way][0]


def _rings(pieces: np.ndarray) -> Iterator[list[Edge]]:
    """Closed walks along the edges between pieces and background, the piece on the right hand."""
    padded = np.pad(pieces, 1)
    beside = (padded[:-2, 1:-1], padded[1:-1, 2:], padded[2:, 1:-1], padded[1:-1, :-2])
    edges: dict[Edge, None] = {}
    for way, neighbour in enumerate(beside):
        rows, columns = np.nonzero((pieces != 0) & (neighbour == 0))
        starts = zip((columns - _PIXELS[way][0]).tolist(), (rows - _PIXELS[way][1]).tolist(), strict=True)
        edges.update(dict.fromkeys((x, y, way) for x, y in starts))
    todo = edges.copy()
    while todo:
        edge = first = next(iter(todo))
        ring = []
        while not ring or edge != first:
            ring.append(edge)
            del todo[edge]
            x, y, way = edge
            x, y = x + _STEPS[way][0], y + _STEPS[way][1]
            # to the left first: where two pixels touch at a corner, that crosses over to the other one
            edge = next(turn for turn in ((x, y, (way + turn) % 4) for turn in (-1, 0, 1)) if turn in edges)
        yield ring


def _polygon(rings: list[list[Edge]], pieces: np.ndarray, location: tuple[int, int]) -> Polygon:
    outer = next(ring for ring in rings if area([edge[:2] for edge in ring]) > 0)
    holes = [ring for ring in rings if ring is not outer]
    cuts = {}
    for hole in holes:
        # the leftmost: what lies left of it reaches further left, so that no holes are joined to each other in a circle
        at = min((index for index, edge in enumerate(hole) if edge[2] == 1), key=lambda index: hole[index][:2])
        x, y, _ = hole[at]
        background = np.nonzero(pieces[y, :x] == 0)[0]
        left = int(background[-1]) + 1 if background.size else 0
        cuts[left, y + 1, 3] = _Cut((left, y + 0.5), (x, y + 0.5), hole, at)
    return Polygon(
        _points((edge[:2] for edge in outer), location),
        [_points((edge[:2] for edge in hole), location) for hole in holes],
        _points(_joined(outer, cuts), location),
    )


def _joined(outer: list[Edge], cuts: dict[Edge, _Cut]) -> Iterator[Point]:
    walks: list[Iterator[Point | _Cut]] = [_walk(outer, cuts)]
    while walks:  # rather than a function that calls itself: a network has thousands of loops
        step = next(walks[-1], None)
        if step is None:
            walks.pop()
        elif isinstance(step, _Cut):
            yield step.start
            yield step.end
            first = step.hole_edge + 1
            around = step.hole[first:] + step.hole[:first]
            walks.append(chain(_walk(around, cuts), (step.end, step.start)))
        else:
            yield step


def _walk(ring: list[Edge], cuts: dict[Edge, _Cut]) -> Iterator[Point | _Cut]:
    for edge in ring:
        yield edge[:2]
        if edge in cuts:
            yield cuts[edge]


def _points(corners: Iterable[Point], location: tuple[int, int]) -> list[Point]:
    """The corners at which the walk turns."""
    points = np.array(list(corners), float)
    ahead = np.sign(np.roll(points, -1, axis=0) - points)
    turns = (ahead != np.roll(ahead, 1, axis=0)).any(axis=1)
    return [(x, y) for x, y in (points[turns] + location).tolist()]
