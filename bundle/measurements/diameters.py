"""Radii along the centre lines of a graph, by the best means that there is for each vessel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..graphs import VascularGraph
from ..volumes import HERE, Volume, Workers, in_groups
from .grids import Grid, as_grid
from .lines import arc_length, resample, steps, weights_along
from .profiles import MODELS, SURE, Fit, credible, fit_profile, mean_profile
from .sections import normals, section_radii, tangents

__all__ = ["Diameters", "measure_diameters"]

PIECE = 2.0  # diameters of vessel whose profiles are averaged
LEAST_PIECE = 6.0  # pixels of it


@dataclass(frozen=True)
class Diameters:
    """The radii along each vessel, and how they were told.

    Args:
        paths: the centre lines at points a pixel apart, ``[P, D]`` each.
        radii: at these points, ``[P]`` each.
        means: the mean diameter over each vessel's length, ``[E]``.
        sources: for each vessel "profile" (grey values), "section" (the mask's section normal to the centre line) or
            "distance" (twice the distance to the background, where a vessel is too short for the others).
    """

    paths: list[np.ndarray]
    radii: list[np.ndarray]
    means: list[float]
    sources: list[str]

    @classmethod
    def of(cls, graph: VascularGraph) -> Diameters:
        """Those that a graph states of itself."""
        means = [_mean(2 * r, p) for p, r in zip(graph.paths, graph.path_radii, strict=True)]
        return cls(graph.paths, graph.path_radii, means, ["given"] * len(means))


def measure_diameters(
    graph: VascularGraph,
    mask: np.ndarray | Volume | Grid,
    spacing: Sequence[float],
    image: np.ndarray | Volume | Grid | None = None,
    workers: Workers = HERE,
) -> Diameters:
    """Measure the radii along every centre line.

    By the mask's section; near a node, where the section is of several vessels, as at the nearest point that is clear
    of it. If the image is given, pieces of two diameters' length are measured by their mean grey profile within the
    plane of rows and columns, as blurred cylinders or blurred slabs, whichever fits the whole image better, and the
    sections are scaled to that. A vessel without a clear point has the graph's radii.

    Args:
        graph: of the mask.
        mask: bool, ``[Y, X]`` or ``[Z, Y, X]``.
        spacing: along each axis.
        image: grey values, of the mask's shape.
        workers: who looks around the lines.

    Returns:
        Radii in the spacing's unit.
    """
    mask = as_grid(mask)
    lines = [_fine(path, min(spacing)) for path in graph.paths]
    inscribed = [
        np.interp(_at(line), _at(path) * _stretch(path, line), radii)
        for line, path, radii in zip(lines, graph.paths, graph.path_radii, strict=True)
    ]
    inscribed = [np.maximum(radii, min(spacing) / 2) for radii in inscribed]
    ways = [
        tangents(line[:, -mask.ndim :], np.maximum(radii, 1.5 * min(spacing)), bool(closed))
        for line, radii, closed in zip(lines, inscribed, graph.closed, strict=True)
    ]
    if not lines:
        return Diameters([], [], [], [])
    points = np.concatenate(lines)[:, -mask.ndim :]
    sections = np.split(
        section_radii(mask, spacing, points, np.concatenate(ways), np.concatenate(inscribed), workers),
        np.cumsum([len(line) for line in lines])[:-1],
    )
    degrees = graph.degrees
    radii, sources, cleared = [], [], {}
    for e, (line, section, near) in enumerate(zip(lines, sections, inscribed, strict=True)):
        clear = np.isfinite(section) & _clear_of_nodes(line, near, degrees[graph.edges[e]], bool(graph.closed[e]))
        if not clear.any():
            radii.append(near)
            sources.append("distance")
            continue
        found = np.interp(_at(line), _at(line)[clear], section[clear])
        radii.append(found)
        sources.append("section")
        cleared[e] = clear
    if image is not None:
        told = [(e, lines[e][:, -mask.ndim :], ways[e], radii[e], clear) for e, clear in cleared.items()]
        fitted = in_groups(workers, "fitting profiles", partial(_pieces, as_grid(image), tuple(spacing)), told)
        pieces = [piece for some in fitted for piece in some]
        for e, scale in _scales(pieces, lines).items():
            radii[e] = radii[e] * scale
            sources[e] = "profile"
    means = [_mean(2 * r, line) for r, line in zip(radii, lines, strict=True)]
    return Diameters(lines, radii, means, sources)


@dataclass(frozen=True)
class _Piece:
    """A piece of a vessel: which, the arc length of its middle, its radius by the mask, and a fit by each model."""

    vessel: int
    middle: float
    radius: float
    fits: tuple[Fit, ...]


def _pieces(
    image: Grid, spacing: tuple[float, ...], told: tuple[int, np.ndarray, np.ndarray, np.ndarray, np.ndarray]
) -> list[_Piece]:
    """Fit the mean grey profile of each piece of a vessel, within the plane of rows and columns.

    Of the vessel its number, line, directions, radii by the mask, and where these are clear are told.
    """
    vessel, line, way, section, clear = told
    found = []
    across = normals(way)[:, 0]
    at = _at(line)
    length = max(LEAST_PIECE * min(spacing), PIECE * 2 * float(section.mean()))
    count = max(1, round(at[-1] / length))
    for k in range(count):
        within = clear & (at >= k * at[-1] / count) & (at <= (k + 1) * at[-1] / count)
        if not within.any():
            continue
        radius = float(section[within].mean())
        profile = mean_profile(image, spacing, line[within], across[within], radius)
        if profile is not None:
            fits = tuple(fit_profile(*profile, model) for model in MODELS)
            found.append(_Piece(vessel, float(at[within].mean()), radius, fits))
    return found


def _scales(pieces: list[_Piece], lines: list[np.ndarray]) -> dict[int, np.ndarray]:
    """By what the sections of each vessel are to be multiplied, by the model that fits all pieces of the image best."""
    left = [
        sum(1 - piece.fits[m].explained for piece in pieces if all(fit.explained >= SURE for fit in piece.fits))
        for m in range(len(MODELS))
    ]
    best = int(np.argmin(left))
    of: dict[int, list[_Piece]] = {}
    for piece in pieces:
        if credible(piece.fits[best], piece.radius):
            of.setdefault(piece.vessel, []).append(piece)
    return {
        vessel: np.interp(
            _at(lines[vessel]),
            [piece.middle for piece in told],
            [piece.fits[best].radius / piece.radius for piece in told],
        )
        for vessel, told in of.items()
    }


def _clear_of_nodes(line: np.ndarray, radii: np.ndarray, degrees: np.ndarray, closed: bool) -> np.ndarray:
    """Where a line is further from its ends than the vessel is wide there: sections show no other vessel and no tip."""
    if closed:
        return np.ones(len(line), dtype=bool)
    at = _at(line)
    clear = np.ones(len(line), dtype=bool)
    for here, radius, degree in ((at, radii[0], degrees[0]), (at[-1] - at, radii[-1], degrees[1])):
        away = here >= (1.2 * radius if degree > 2 else radius)
        if degree > 2 or (clear & away).any():
            clear &= away
    return clear


def _fine(path: np.ndarray, step: float) -> np.ndarray:
    """A path at points about ``step`` apart, at least two."""
    return resample(path, max(2, round(arc_length(path) / step) + 1))


def _at(path: np.ndarray) -> np.ndarray:
    return np.concatenate([[0.0], np.cumsum(steps(path))])


def _stretch(path: np.ndarray, line: np.ndarray) -> float:
    """What a path's arc lengths are to be multiplied by to be those of the line drawn through fewer of its points."""
    return arc_length(line) / max(arc_length(path), 1e-12)


def _mean(values: np.ndarray, path: np.ndarray) -> float:
    weights = weights_along(path)
    return float(np.average(values, weights=weights if weights.sum() > 0 else None))
