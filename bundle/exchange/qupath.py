"""For QuPath: vessels as GeoJSON, with holes and with their numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..graphs import VascularGraph
from ..io import atomic
from .outlines import Outline, outlines

__all__ = ["qupath_features", "write_geojson"]

_COLOUR = [255, 80, 80]
_LINE_COLOUR = [80, 160, 255]
# measured of a vessel: the name that QuPath shows, without its unit
_SHOWN = {
    "length": "Length",
    "diameter_mean": "Diameter: Mean",
    "diameter_sd": "Diameter: SD",
    "tortuosity": "Tortuosity",
}


def qupath_features(
    mask: np.ndarray,
    spacing: Sequence[float] | None = None,
    graph: VascularGraph | None = None,
    segments: Sequence[Mapping[str, Any]] = (),
) -> list[dict[str, Any]]:
    """The vessels as QuPath's objects: an annotation for each piece of the mask, a detection for each centre line.

    Coordinates are pixels of the image, from the corner of the first; z counts slices from 0.

    Args:
        mask: ``[Y, X]`` or ``[Z, Y, X]``, nonzero is vessel.
        spacing: micrometres along its axes; None if unknown, and the graph is then in pixels.
        graph: of the mask, if there is one.
        segments: what was measured of each of the graph's vessels, as in segments.csv.

    Returns:
        GeoJSON features.
    """
    unit = "px" if spacing is None else "µm"
    steps = (1.0,) * 3 if spacing is None else (1.0, *spacing)[-3:]
    stack = np.asarray(mask).reshape(-1, *np.shape(mask)[-2:])
    found = []
    for z, plane in enumerate(stack):
        for number, outline in enumerate(outlines(plane), start=1):
            measured = {f"Area {unit}^2": outline.pixels * steps[1] * steps[2]}
            name = f"vessel {number}" if len(stack) == 1 else f"slice {z + 1} vessel {number}"
            found.append(_feature(_polygons(outline), z, "annotation", "Vessel", _COLOUR, name, measured))
    for number, path in enumerate(() if graph is None else graph.paths):
        if len(path) < 2:
            continue
        points = (path[:, :0:-1] / (steps[2], steps[1]) + 0.5).round(3).tolist()
        z = int(np.clip(round(path[len(path) // 2, 0] / steps[0]), 0, len(stack) - 1))
        row = segments[number] if number < len(segments) else {}
        measured = {
            title if column == "tortuosity" else f"{title} {unit}": value
            for column, title in _SHOWN.items()
            if (value := _number(row.get(column))) is not None
        }
        line = {"type": "LineString", "coordinates": points}
        found.append(_feature(line, z, "detection", "Centre line", _LINE_COLOUR, f"line {number}", measured))
    return found


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _polygons(outline: Outline) -> dict[str, Any]:
    parts = [[_closed(ring) for ring in (outer, *holes)] for outer, holes in outline.parts]
    if len(parts) == 1:
        return {"type": "Polygon", "coordinates": parts[0]}
    return {"type": "MultiPolygon", "coordinates": parts}


def _closed(ring: np.ndarray) -> list[list[int]]:
    points = ring.tolist()
    return [*points, points[0]]


def _feature(
    geometry: dict[str, Any], z: int, kind: str, name: str, colour: list[int], title: str, measured: dict[str, float]
) -> dict[str, Any]:
    return {
        "type": "Feature",
        "geometry": geometry | {"plane": {"c": -1, "z": z, "t": 0}},
        "properties": {
            "objectType": kind,
            "name": title,
            "classification": {"name": name, "color": colour},
            "measurements": measured,
        },
    }


def write_geojson(path: str | Path, features: Sequence[Mapping[str, Any]]) -> None:
    """Write features as a file that QuPath imports.

    Args:
        path: the file to write.
        features: of :func:`qupath_features`.

    Raises:
        InputError: the file cannot be written.
    """
    text = json.dumps({"type": "FeatureCollection", "features": list(features)}, ensure_ascii=False, allow_nan=False)
    with atomic(path) as partial:
        partial.write_text(text + "\n", encoding="utf-8")
