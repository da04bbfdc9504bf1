"""Outlines of a mask along the edges of its pixels: polygons of exactly its area, holes included."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import generate_binary_structure, label

__all__ = ["Outline", "outlines"]

# right, down, left, up: along a pixel's top, right, bottom and left edge, so that it lies on the right hand
_STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))
# column and row of the pixel, less where its edge begins
_PIXELS = ((0, 0), (-1, 0), (-1, -1), (0, -1))


@dataclass(frozen=True)
class Outline:
    """One piece of a mask, whose pixels touch at edges or at corners.

    Points are x, y; the pixel in row y and column x reaches from (x, y) to (x + 1, y + 1). No ring touches itself, an
    outer one goes counter-clockwise by its numbers, a hole clockwise; the last point joins the first.

    Args:
        parts: outer ring and holes of each part, the parts touching at corners alone; rings ``[P, 2]``, int.
        pixels: how many pixels of the mask it is.
    """

    parts: tuple[tuple[np.ndarray, tuple[np.ndarray, ...]], ...]
    pixels: int

    @property
    def rings(self) -> list[np.ndarray]:
        """All rings."""
        return [ring for outer, holes in self.parts for ring in (outer, *holes)]


def outlines(mask: np.ndarray) -> list[Outline]:
    """Trace the pieces of a mask.

    Args:
        mask: ``[Y, X]``, nonzero is vessel.

    Returns:
        The pieces, the topmost first.
    """
    mask = np.asarray(mask) != 0
    parts, count = label(mask)
    pieces, piece_count = label(mask, generate_binary_structure(2, 2))
    outer: dict[int, np.ndarray] = {}
    holes: dict[int, list[np.ndarray]] = defaultdict(list)
    piece_of = np.zeros(count + 1, int)
    piece_of[parts[mask]] = pieces[mask]
    for part, ring in _rings(parts):
        if _area(ring) > 0:
            outer[part] = ring
        else:
            holes[part].append(ring)
    found: list[list[tuple[np.ndarray, tuple[np.ndarray, ...]]]] = [[] for _ in range(piece_count)]
    for part in range(1, count + 1):
        found[piece_of[part] - 1].append((outer[part], tuple(holes[part])))
    sizes = np.bincount(pieces.ravel(), minlength=piece_count + 1)[1:]
    return [Outline(tuple(each), int(size)) for each, size in zip(found, sizes, strict=True)]


def _area(ring: np.ndarray) -> float:
    x, y = ring.T.astype(float)
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def _rings(parts: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """Closed walks along the edges of each part, none of which comes to one corner twice."""
    padded = np.pad(parts, 1)
    beside = (padded[:-2, 1:-1], padded[1:-1, 2:], padded[2:, 1:-1], padded[1:-1, :-2])
    todo: dict[tuple[int, int, int], int] = {}
    for way, neighbour in enumerate(beside):
        rows, columns = np.nonzero((parts != 0) & (neighbour == 0))
        dx, dy = _PIXELS[way]
        starts = zip((columns - dx).tolist(), (rows - dy).tolist(), parts[rows, columns].tolist(), strict=True)
        todo.update({(x, y, way): part for x, y, part in starts})
    found = []
    while todo:
        edge = next(iter(todo))
        part = todo[edge]
        walk: list[tuple[int, int]] = []
        at: dict[tuple[int, int], int] = {}
        while edge in todo:
            del todo[edge]
            x, y, way = edge
            at[x, y] = len(walk)
            walk.append((x, y))
            x, y = x + _STEPS[way][0], y + _STEPS[way][1]
            if (x, y) in at:  # a loop is closed, and what lies before it goes on
                found.append((part, _corners(walk[at[x, y] :])))
                for corner in walk[at[x, y] :]:
                    del at[corner]
                del walk[len(at) :]
            # right first: where two pixels touch at a corner, the walk stays with its own
            edge = next((e for e in ((x, y, (way + turn) % 4) for turn in (1, 0, 3)) if e in todo), edge)
    return found


def _corners(walk: list[tuple[int, int]]) -> np.ndarray:
    """The points at which a walk turns."""
    points = np.array(walk)
    ahead = np.roll(points, -1, axis=0) - points
    return points[(ahead != np.roll(ahead, 1, axis=0)).any(axis=1)]
