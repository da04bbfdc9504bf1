"""Centre lines and radii, made small: for the tubes in space, for the lines on the image, for the histogram."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

from ..graphs import VascularGraph

__all__ = ["Lines", "diameter_histogram", "lifted", "packed_network", "simplified", "svg_paths"]

BINS = 30
SHADES = 16
_WHOLE = 65535


@dataclass(frozen=True)
class Lines:
    """The centre lines of an image's vessels.

    Args:
        paths: each ``[P, 3]``, (z, y, x), in micrometres or pixels; 0 is the centre of the first voxel.
        radii: each ``[P]``, in the same unit.
    """

    paths: list[np.ndarray]
    radii: list[np.ndarray]

    @classmethod
    def of(cls, graph: VascularGraph) -> Lines:
        """Those of a graph; what has no length is left out."""
        kept = [e for e, path in enumerate(graph.paths) if len(path) > 1 and np.isfinite(path).all()]
        paths = [np.asarray(graph.paths[e], float) for e in kept]
        radii = [np.nan_to_num(np.asarray(graph.path_radii[e], float)) for e in kept]
        return cls(paths, radii)

    def pieces(self) -> tuple[np.ndarray, np.ndarray]:
        """Length and diameter of every piece between two points, ``[N]`` each."""
        if not self.paths:
            return np.empty(0), np.empty(0)
        lengths = np.concatenate([np.linalg.norm(np.diff(path, axis=0), axis=1) for path in self.paths])
        return lengths, np.concatenate([radii[:-1] + radii[1:] for radii in self.radii])


def simplified(lines: Lines, tolerance: float) -> Lines:
    """Leave out points that a straight piece with evenly changing radius replaces within a tolerance.

    Source: Ramer, An iterative procedure for the polygonal approximation of plane curves, 1972,
    https://doi.org/10.1016/S0146-664X(72)80017-0
    """
    if not lines.paths:
        return lines
    counts = [len(path) for path in lines.paths]
    points = np.concatenate([np.column_stack(pair) for pair in zip(lines.paths, lines.radii, strict=True)])
    kept = np.split(_kept(points, np.cumsum([0, *counts]), tolerance), np.cumsum(counts)[:-1])
    return Lines(
        [path[keep] for path, keep in zip(lines.paths, kept, strict=True)],
        [radii[keep] for radii, keep in zip(lines.radii, kept, strict=True)],
    )


def _kept(points: np.ndarray, bounds: np.ndarray, tolerance: float) -> np.ndarray:
    """Which points of lines stay, ``[P]``; all spans of all lines are parted at once, time after time.

    Args:
        points: of all lines, ``[P, D]``.
        bounds: where each line begins, and the last one ends.
        tolerance: in the points' unit.
    """
    keep = np.zeros(len(points), bool)
    first, last = bounds[:-1], bounds[1:] - 1
    keep[first] = keep[last] = True
    while True:
        long = last - first > 1
        first, last = first[long], last[long]
        if not first.size:
            return keep
        inner = last - first - 1
        starts = np.cumsum(inner) - inner
        span = np.repeat(np.arange(len(first)), inner)
        at = np.arange(inner.sum()) - starts[span] + first[span] + 1
        along = points[last] - points[first]
        length = (along**2).sum(axis=1)
        away = points[at] - points[first][span]
        share = (away * along[span]).sum(axis=1) / np.where(length > 0, length, 1)[span]
        away = np.linalg.norm(away - np.clip(share, 0, 1)[:, None] * along[span], axis=1)
        most = np.maximum.reduceat(away, starts)
        parted = most > tolerance
        furthest = np.flatnonzero(away == most[span])
        middle = at[furthest[np.searchsorted(span[furthest], np.flatnonzero(parted))]]
        keep[middle] = True
        first, last = np.concatenate([first[parted], middle]), np.concatenate([middle, last[parted]])


def lifted(lines: Lines, depth: np.ndarray, mask: np.ndarray, spacing: Sequence[float]) -> Lines:
    """Give the lines of a fused image the depth of the slices that are in focus there.

    The depth is averaged over the vessel around each point, so that lines that meet still do.

    Args:
        lines: in the image's plane, z 0.
        depth: each pixel's slice, ``[Y, X]``; NaN counts as none.
        mask: bool, ``[Y, X]``.
        spacing: of Z, Y and X, in the lines' unit.
    """
    known = np.asarray(mask, bool) & np.isfinite(depth)
    weight = gaussian_filter(known.astype(float), 3)
    slices = gaussian_filter(np.where(known, depth, 0).astype(float), 3) / np.maximum(weight, 1e-6)
    paths = []
    for path in lines.paths:
        path = path.copy()
        path[:, 0] = spacing[0] * map_coordinates(slices, (path[:, 1:] / spacing[1:]).T, order=1, mode="nearest")
        paths.append(path)
    return Lines(paths, lines.radii)


def packed_network(lines: Lines, box: Sequence[float], unit: str) -> dict[str, Any]:
    """What the page draws tubes from: coordinates and radii as 16-bit numbers in base64, x before y before z.

    Args:
        lines: at least one.
        box: height of the stack along Z, Y and X, in the lines' unit.
        unit: of lengths, as it is printed.
    """
    points = np.concatenate(lines.paths)[:, ::-1]
    radii = np.concatenate(lines.radii)
    low, high = points.min(axis=0), points.max(axis=0)
    span = np.where(high > low, high - low, 1)
    diameters = np.percentile(2 * radii, (2, 98))  # a few of the widest would take all colours from the others
    return {
        "points": _base64(np.round((points - low) / span * _WHOLE), np.uint16),
        "radii": _base64(np.round(radii / max(radii.max(), 1e-9) * _WHOLE), np.uint16),
        "counts": _base64(np.array([len(path) for path in lines.paths]), np.uint32),
        "low": low.tolist(),
        "high": (low + span).tolist(),
        "radius": float(radii.max()),
        "box": [float(side) for side in box[::-1]],
        "depths": [0.0, float(box[0])],
        "diameters": diameters.tolist(),
        "unit": unit,
    }


def _base64(array: np.ndarray, kind: type) -> str:
    return base64.b64encode(np.ascontiguousarray(array, np.dtype(kind).newbyteorder("<")).tobytes()).decode()


def svg_paths(lines: Lines, spacing: Sequence[float]) -> list[str]:
    """The lines in the image's plane, in its pixels, as SVG paths by diameter: the narrowest first, of equal steps.

    Args:
        lines: in the unit of ``spacing``.
        spacing: of Y and X.

    Returns:
        One path's data for each of 16 shades, between the 2nd and the 98th percentile of the diameters.
    """
    if not lines.paths:
        return []
    diameters = lines.pieces()[1]
    narrow, wide = np.percentile(2 * np.concatenate(lines.radii), (2, 98))
    shades = np.clip((diameters - narrow) / (wide - narrow if wide > narrow else 1) * SHADES, 0, SHADES - 1).astype(int)
    data: list[list[str]] = [[] for _ in range(SHADES)]
    first = 0
    for path in lines.paths:
        places = [f"{x:.1f} {y:.1f}" for y, x in path[:, 1:] / spacing + 0.5]
        for number, (start, end) in enumerate(zip(places, places[1:], strict=False)):
            shade = data[shades[first + number]]
            going_on = number and shades[first + number] == shades[first + number - 1]
            shade.append(f"L{end}" if going_on else f"M{start}L{end}")
        first += len(path) - 1
    return ["".join(shade) for shade in data]


def diameter_histogram(lines: Lines) -> tuple[np.ndarray, np.ndarray]:
    """Length of vessel by diameter.

    Returns:
        The edges of the bins ``[B + 1]`` and the length in each ``[B]``, in the lines' unit; the widest half
        percent is in the last bin.
    """
    lengths, diameters = lines.pieces()
    top = float(np.percentile(diameters, 99.5, weights=lengths, method="inverted_cdf")) or 1.0
    edges = np.linspace(0, top, BINS + 1)
    counts, _ = np.histogram(np.minimum(diameters, top), bins=edges, weights=lengths)
    return edges, counts
