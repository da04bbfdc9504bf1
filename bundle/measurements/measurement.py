"""From a mask to numbers: the graph of its vessels, and all that is measured along it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..graphs import VascularGraph, fill_pinholes, vessel_graph
from .branching import angles_between, is_crossing, murray_exponent, murray_ratio, strahler_orders
from .clipping import clip_graph
from .diameters import Diameters, measure_diameters
from .distances import tissue_distances
from .lines import (
    arc_length,
    chord_length,
    curvature,
    direction,
    inclination,
    orientation,
    surface,
    tortuosity,
    volume,
    weights_along,
    without_ends,
)
from .survival import censored_mean, censored_median

__all__ = ["Measurement", "field_of", "mean_over", "measure_graph", "measure_mask", "seen_by_crofton"]


@dataclass(frozen=True)
class Measurement:
    """What was measured of one image.

    Args:
        image: the image's numbers by their column in images.csv.
        segments: for each vessel its numbers by their column in segments.csv.
        nodes: for each node its numbers by their column in nodes.csv.
        graph: the vessels, with the radii that were measured.
        axes: "YX" or "ZYX".
        spacing: along the axes, in ``unit``.
        unit: "micrometer" or "pixel".
        remarks: what a reader should know, a line each.
    """

    image: dict[str, Any]
    segments: list[dict]
    nodes: list[dict]
    graph: VascularGraph
    axes: str
    spacing: tuple[float, ...]
    unit: str
    remarks: tuple[str, ...] = ()


def measure_mask(
    mask: np.ndarray,
    spacing: Sequence[float] | None = None,
    *,
    image: np.ndarray | None = None,
    region: np.ndarray | None = None,
    visible: np.ndarray | None = None,
    **thinning: Any,
) -> Measurement:
    """Measure the vessels of a mask, without intervals and without what needs more than the mask and grey values.

    Args:
        mask: bool, ``[Y, X]`` or ``[Z, Y, X]``.
        spacing: micrometres along each axis; None if unknown: all is then in pixels.
        image: as of :func:`bundle.measurements.measure`.
        region: the same.
        visible: the same.
        thinning: of :func:`bundle.graphs.vessel_graph`.

    Returns:
        The numbers and the graph.
    """
    unit = "pixel" if spacing is None else "micrometer"
    steps = (1.0,) * mask.ndim if spacing is None else tuple(float(step) for step in spacing)
    field = field_of(region, visible)
    graph = vessel_graph(mask, spacing, **thinning)
    if field is not None:
        graph = clip_graph(graph, field, steps)
    diameters = measure_diameters(graph, fill_pinholes(mask, thinning.get("pinholes")), steps, image)
    graph = replace(graph, path_radii=diameters.radii, radii=np.array(diameters.means) / 2, paths=diameters.paths)
    extent = float(np.prod(steps)) * (mask.size if field is None else int(np.count_nonzero(field)))
    found, segments, nodes = measure_graph(graph, extent, mask.ndim, unit, diameters)
    axes = "ZYX"[-mask.ndim :]
    row: dict[str, Any] = {"axes": axes}
    row |= {f"spacing_{axis}": step for axis, step in zip("zyx", (math.nan, *steps)[-3:], strict=True)}
    row |= {"unit": unit, **found, "fraction": 100 * mean_over(mask, field)}
    distances = tissue_distances(mask, steps, region, visible)
    row["distance_mean"], row["distance_p95"], row["distance_max"] = distances[:3]
    row["distance_left_out"] = 100 * distances.left_out
    return Measurement(row, segments, nodes, graph, axes, steps, unit)


def measure_graph(
    graph: VascularGraph, extent: float, dimensions: int, unit: str, diameters: Diameters | None = None
) -> tuple[dict[str, float], list[dict], list[dict]]:
    """What a graph alone tells: of the image, of each vessel, of each node.

    Args:
        graph: the vessels, their radii measured, cut at the field's border.
        extent: of the field: its area or volume, in the graph's unit.
        dimensions: 2 or 3, of the field.
        unit: "micrometer" or "pixel".
        diameters: as the radii were measured; of the graph's own radii if None.

    Returns:
        Numbers by their columns.
    """
    diameters = diameters or Diameters.of(graph)
    segments = [_segment(graph, e, dimensions, diameters) for e in range(len(graph.edges))]
    widths = np.array([segment["diameter_mean"] for segment in segments])
    for segment, order in zip(segments, strahler_orders(graph.edges, widths, len(graph.nodes)), strict=True):
        segment["strahler"] = order
    nodes = _nodes(graph, widths, dimensions)
    return _image(graph, segments, nodes, extent, dimensions, unit), segments, nodes


def seen_by_crofton(graph: VascularGraph, dimensions: int) -> float:
    """The length that Crofton's formula would see of a network whose centre lines are right.

    It measures half the outline (2D), the integral of mean curvature / π (3D). A blunt end inside adds a radius, in 3D
    π/2 of it. Where K vessels meet, their walls are shorter than their centre lines: by √3 radii in 2D for three at
    120°, by twice as many radii as there are vessels beyond two in 3D, which is what round caps at the node overlap.
    """
    total = sum(arc_length(path) for path in graph.paths)
    widest = np.zeros(len(graph.nodes))
    for ends, radii in zip(graph.edges, graph.path_radii, strict=True):
        widest[ends] = np.maximum(widest[ends], float(np.median(radii)))
    degrees = graph.degrees
    blunt = (degrees == 1) & ~graph.border
    total += float(widest[blunt].sum()) * (1 if dimensions == 2 else math.pi / 2)
    beyond = np.maximum(degrees - 2, 0)
    return total - float((widest * beyond).sum()) * (math.sqrt(3) if dimensions == 2 else 2)


def field_of(region: np.ndarray | None, visible: np.ndarray | None) -> np.ndarray | None:
    """What is measured: what is asked for and was imaged; None if it is everything."""
    parts = [np.asarray(part) != 0 for part in (region, visible) if part is not None]
    if not parts:
        return None
    field = np.logical_and.reduce(parts)
    return None if field.all() else field


def mean_over(array: np.ndarray, field: np.ndarray | None) -> float:
    """The mean over a field, all if None; NaN of an empty one."""
    values = array if field is None else array[field]
    return float(values.mean(dtype=float)) if values.size else math.nan


def _segment(graph: VascularGraph, e: int, dimensions: int, diameters: Diameters) -> dict:
    path, radii, closed = graph.paths[e], graph.path_radii[e], bool(graph.closed[e])
    along = weights_along(path)
    mean, deviation, least, most = _spread(2 * radii, along)
    # for a radius from its ends a line was drawn straight, whatever the vessel does there
    seen = path if closed else without_ends(path, radii[0], radii[-1])
    return {
        "segment": e,
        "source": int(graph.edges[e, 0]),
        "target": int(graph.edges[e, 1]),
        "length": arc_length(path),
        "chord": chord_length(path),
        "tortuosity": math.nan if closed else tortuosity(path),
        "curvature": curvature(seen, max(mean, 1e-9), closed),
        "diameter_mean": mean,
        "diameter_sd": deviation,
        "diameter_min": least,
        "diameter_max": most,
        "volume": volume(path, radii),
        "surface": surface(path, radii),
        "depth": _spread(path[:, 0], along)[0] if dimensions == 3 else math.nan,
        "orientation": math.nan if closed else orientation(path),
        "inclination": math.nan if closed or dimensions == 2 else inclination(path),
        "closed": closed,
        "cut_by_border": bool(graph.cut[e]),
        "diameter_source": diameters.sources[e],
        "exists": math.nan,
    }


def _spread(values: np.ndarray, weights: np.ndarray) -> tuple[float, float, float, float]:
    """Mean, standard deviation, least and largest of values along a line."""
    if not weights.sum() > 0:
        weights = np.ones(len(values))
    mean = float(np.average(values, weights=weights))
    deviation = math.sqrt(max(float(np.average((values - mean) ** 2, weights=weights)), 0.0))
    return mean, deviation, float(values.min()), float(values.max())


def _nodes(graph: VascularGraph, widths: np.ndarray, dimensions: int) -> list[dict]:
    leaving: list[list[tuple[int, np.ndarray]]] = [[] for _ in graph.nodes]
    for e, (source, target) in enumerate(graph.edges.tolist()):
        path = graph.paths[e]
        leaving[source].append((e, path))
        leaving[target].append((e, path[::-1]))
    degrees, kinds = graph.degrees, graph.node_kinds
    rows = []
    for n, position in enumerate(graph.nodes):
        degree = int(degrees[n])
        ways = np.array([direction(path, widths[e] / 2, 1.5 * widths[e]) for e, path in leaving[n]])
        radii = [widths[e] / 2 for e, _ in leaving[n]]
        angles = angles_between(ways) if degree >= 3 else np.empty(0)
        rows.append(
            {
                "node": n,
                "z": float(position[0]) if dimensions == 3 else math.nan,
                "y": float(position[-2]),
                "x": float(position[-1]),
                "degree": degree,
                "kind": "crossing" if dimensions == 2 and is_crossing(ways) else kinds[n],
                "angles": ";".join(f"{angle:.1f}" for angle in angles),
                "murray_exponent": murray_exponent(radii) if degree == 3 else math.nan,
                "murray_ratio": murray_ratio(radii) if degree == 3 else math.nan,
            }
        )
    return rows


def _image(
    graph: VascularGraph, segments: list[dict], nodes: list[dict], extent: float, dimensions: int, unit: str
) -> dict[str, float]:
    column = {name: np.array([segment[name] for segment in segments], dtype=float) for name in _AVERAGED}
    kinds = [node["kind"] for node in nodes]
    length, ends = float(column["length"].sum()), kinds.count("end")
    branch_points = kinds.count("branch") + kinds.count("crossing")
    cut = column["cut_by_border"] > 0
    loops = graph.cycle_rank
    diameters = np.concatenate([2 * radii for radii in graph.path_radii]) if segments else np.empty(0)
    weights = np.concatenate([weights_along(path) for path in graph.paths]) if segments else np.empty(0)
    p5, p50, p95 = _quantiles(diameters, weights, (0.05, 0.5, 0.95))
    per_mm, per_field = (1e3, 1e3**dimensions) if unit == "micrometer" else (1.0, 1.0)
    angles = [float(angle) for node in nodes if node["degree"] == 3 for angle in node["angles"].split(";")]
    degrees = np.bincount([node["degree"] for node in nodes], minlength=5) if nodes else np.zeros(5, dtype=int)
    nan = math.nan
    return {
        "field": extent,
        "length": length,
        "length_density": length / extent * per_mm ** (dimensions - 1) if extent else nan,
        "fraction": nan,
        "expected_fraction": nan,
        "diameter_mean": _nanmean(column["diameter_mean"]),
        "diameter_length_weighted": float(np.average(diameters, weights=weights)) if weights.sum() > 0 else nan,
        "diameter_p5": p5,
        "diameter_p50": p50,
        "diameter_p95": p95,
        "volume": float(column["volume"].sum()),
        "surface": float(column["surface"].sum()),
        "branch_points": branch_points,
        "end_points": ends,
        "border_points": kinds.count("border"),
        "crossings": kinds.count("crossing"),
        "segments": len(segments),
        "pieces": graph.pieces,
        "loops": loops,
        "branch_point_density": branch_points / extent * per_field if extent else nan,
        "end_point_density": ends / extent * per_field if extent else nan,
        "loop_density": loops / extent * per_field if extent else nan,
        "branch_points_per_length": branch_points / length * per_mm if length else nan,
        "end_points_per_length": ends / length * per_mm if length else nan,
        "degree_3": int(degrees[3]),
        "degree_4": int(degrees[4]),
        "degree_5_up": int(degrees[5:].sum()),
        "tortuosity_mean": _nanmean(column["tortuosity"]),
        "curvature_mean": _weighted(column["curvature"], column["length"]),
        "segment_length_mean": _nanmean(column["length"]),
        "segment_length_median": float(np.median(column["length"])) if segments else nan,
        "segment_length_censored_mean": censored_mean(column["length"], cut),
        "segment_length_censored_median": censored_median(column["length"], cut),
        "branching_angle_mean": _nanmean(np.array(angles)),
        "murray_exponent_median": _nanmedian([node["murray_exponent"] for node in nodes]),
        "murray_ratio_median": _nanmedian([node["murray_ratio"] for node in nodes]),
        "strahler_max": max((s["strahler"] for s in segments if s["strahler"] == s["strahler"]), default=nan),
    }


_AVERAGED = ("length", "diameter_mean", "volume", "surface", "tortuosity", "curvature", "cut_by_border")


def _quantiles(values: np.ndarray, weights: np.ndarray, shares: Sequence[float]) -> list[float]:
    """Values below which the given shares of the weight lie; NaN without weight."""
    if not weights.sum() > 0:
        return [math.nan] * len(shares)
    order = np.argsort(values)
    below = np.cumsum(weights[order]) - weights[order] / 2
    return [float(np.interp(share * weights.sum(), below, values[order])) for share in shares]


def _nanmean(values: np.ndarray) -> float:
    values = values[np.isfinite(values)]
    return float(values.mean()) if values.size else math.nan


def _nanmedian(values: Sequence[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return float(np.median(finite)) if finite else math.nan


def _weighted(values: np.ndarray, weights: np.ndarray) -> float:
    known = np.isfinite(values)
    return float(np.average(values[known], weights=weights[known])) if weights[known].sum() > 0 else math.nan
