"""From a mask to numbers: the graph of its vessels, and all that is measured along it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ..graphs import BRICK_VOXELS, PRUNE, Field, VascularGraph, fill_pinholes, stored_without_pinholes, vessel_graph
from ..volumes import HERE, Volume, Workers, in_groups
from .branching import angles_between, is_crossing, murray_exponent, murray_ratio, strahler_orders
from .clipping import clip_graph
from .diameters import Diameters, measure_diameters
from .distances import tissue_distances
from .grids import Grid, Within
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
from .tallies import Tally, tally

__all__ = ["Measurement", "Subject", "measure_graph", "measure_mask", "prepared", "seen_by_crofton"]


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


@dataclass(frozen=True)
class Subject:
    """A mask that is measured, and what of it.

    Args:
        mask: nonzero is vessel.
        filled: the same with its pinholes filled.
        spacing: along the axes, in ``unit``.
        unit: "micrometer" or "pixel".
        region: what is asked for; all if None.
        visible: what was imaged, bool, of the mask's shape or a plane that holds for each slice; all if None.
        field: both in one; all if None.
        tally: of mask and field.
        work: where more may be stored of a mask on the disk.
        brick: about how many voxels are worked on at a time.
        workers: who measures it.
    """

    mask: Grid
    filled: Grid
    spacing: tuple[float, ...]
    unit: str
    region: Grid | None
    visible: np.ndarray | None
    field: Grid | None
    tally: Tally
    work: str | Path | None
    brick: int
    workers: Workers


@contextmanager
def prepared(
    mask: np.ndarray | Volume,
    spacing: Sequence[float] | None = None,
    *,
    region: np.ndarray | Volume | None = None,
    visible: np.ndarray | None = None,
    pinholes: int | None = None,
    work: str | Path | None = None,
    brick: int = BRICK_VOXELS,
    workers: Workers = HERE,
) -> Iterator[Subject]:
    """A mask ready to be measured, while the ``with`` lasts; arguments as of :func:`bundle.measurements.measure`."""
    unit = "pixel" if spacing is None else "micrometer"
    steps = (1.0,) * len(mask.shape) if spacing is None else tuple(float(step) for step in spacing)
    with ExitStack() as stack:
        filled: np.ndarray | Volume
        if isinstance(mask, np.ndarray):
            filled = fill_pinholes(mask, pinholes)
        else:
            folder = stack.enter_context(TemporaryDirectory(dir=work))
            filled = stored_without_pinholes(Field(mask, brick), pinholes, Path(folder), workers).mask
        grid, field = Grid(mask, brick), _field_of(mask, region, visible)
        counted = tally(grid, field, workers)
        asked = None if region is None else Grid(region)
        field = None if counted.field == grid.size else field
        yield Subject(grid, Grid(filled, brick), steps, unit, asked, visible, field, counted, work, brick, workers)


def _field_of(mask: np.ndarray | Volume, region: np.ndarray | Volume | None, visible: np.ndarray | None) -> Grid | None:
    """What is measured: what is asked for and was imaged; None if it is everything."""
    parts = [part for part in (region, visible) if part is not None]
    if not parts:
        return None
    if not isinstance(mask, np.ndarray):
        return Grid(Within(mask.shape, parts))
    return Grid(np.logical_and.reduce([np.broadcast_to(np.asarray(part) != 0, mask.shape) for part in parts]))


def measure_mask(
    subject: Subject, image: np.ndarray | Volume | None = None, prune: float = PRUNE, min_length: float = 0.0
) -> Measurement:
    """Measure the vessels of a mask, without intervals and without what needs more than the mask and grey values.

    Args:
        subject: the mask.
        image: as of :func:`bundle.measurements.measure`.
        prune: of :func:`bundle.graphs.vessel_graph`.
        min_length: the same.

    Returns:
        The numbers and the graph.
    """
    steps, workers, dimensions = subject.spacing, subject.workers, subject.mask.ndim
    graph = vessel_graph(
        subject.filled.source,
        None if subject.unit == "pixel" else steps,
        prune=prune,
        min_length=min_length,
        pinholes=0,
        work=subject.work,
        brick=subject.brick,
        workers=workers,
    )
    if subject.field is not None:
        graph = clip_graph(graph, subject.field, steps)
    grey = None if image is None else Grid(image)
    diameters = measure_diameters(graph, subject.filled, steps, grey, workers)
    graph = replace(graph, path_radii=diameters.radii, radii=np.array(diameters.means) / 2, paths=diameters.paths)
    extent = float(np.prod(steps)) * subject.tally.field
    found, segments, nodes = measure_graph(graph, extent, dimensions, subject.unit, diameters, workers)
    axes = "ZYX"[-dimensions:]
    row: dict[str, Any] = {"axes": axes}
    row |= {f"spacing_{axis}": step for axis, step in zip("zyx", (math.nan, *steps)[-3:], strict=True)}
    counted = subject.tally
    row |= {
        "unit": subject.unit,
        **found,
        "fraction": 100 * counted.inside / counted.field if counted.field else math.nan,
    }
    distances = tissue_distances(subject.mask, steps, subject.region, subject.visible, workers)
    row["distance_mean"], row["distance_p95"], row["distance_max"] = distances[:3]
    row["distance_left_out"] = 100 * distances.left_out
    return Measurement(row, segments, nodes, graph, axes, steps, subject.unit)


def measure_graph(
    graph: VascularGraph,
    extent: float,
    dimensions: int,
    unit: str,
    diameters: Diameters | None = None,
    workers: Workers = HERE,
) -> tuple[dict[str, float], list[dict], list[dict]]:
    """What a graph alone tells: of the image, of each vessel, of each node.

    Args:
        graph: the vessels, their radii measured, cut at the field's border.
        extent: of the field: its area or volume, in the graph's unit.
        dimensions: 2 or 3, of the field.
        unit: "micrometer" or "pixel".
        diameters: as the radii were measured; of the graph's own radii if None.
        workers: who measures the vessels.

    Returns:
        Numbers by their columns.
    """
    diameters = diameters or Diameters.of(graph)
    ends = zip(graph.edges.tolist(), graph.closed.tolist(), graph.cut.tolist(), strict=True)
    parts = zip(graph.paths, graph.path_radii, ends, diameters.sources, strict=True)
    vessels = in_groups(workers, "measuring vessels", partial(_segment, dimensions), list(parts))
    segments = [{"segment": e, **vessel} for e, vessel in enumerate(vessels)]
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


def _segment(dimensions: int, told: tuple[np.ndarray, np.ndarray, tuple[list[int], bool, bool], str]) -> dict[str, Any]:
    """The numbers of a vessel, but for its own: of its path, its radii, its nodes, and how they were told."""
    path, radii, ((source, target), closed, cut), told_by = told
    along = weights_along(path)
    mean, deviation, least, most = _spread(2 * radii, along)
    # for a radius from its ends a line was drawn straight, whatever the vessel does there
    seen = path if closed else without_ends(path, radii[0], radii[-1])
    return {
        "source": source,
        "target": target,
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
        "cut_by_border": cut,
        "diameter_source": told_by,
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
