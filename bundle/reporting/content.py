"""What the page shows, from what was measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import matplotlib
import numpy as np

from ..comparison import (
    DEFAULT_QUANTITIES,
    Comparison,
    Placed,
    animal_rows,
    comparison_rows,
    csv_text,
    draw_superplot,
    numbers,
    plot_rows,
    quantities_of,
    svg_text,
    title,
    unit_of,
)
from ..pictures import hue
from .lines import Lines, diameter_histogram, lifted, packed_network, simplified, svg_paths
from .methods import Methods
from .pictures import grey_picture, outline_picture

__all__ = ["Grouping", "ImageEntry", "image_content", "report_content"]

PAGE_BYTES = 12_000_000  # of all images; the page stays below 15 MB
IMAGE_BYTES = 900_000  # of one, at most
_COARSEST = 4  # pixels
_TABLE = (*DEFAULT_QUANTITIES, "segments", "loops")
# those that an image's section shows without being asked
_FIRST = (
    *_TABLE,
    "length",
    "diameter_p5",
    "diameter_p50",
    "diameter_p95",
    "branch_points",
    "end_points",
    "distance_p95",
    "segment_length_censored_mean",
)
_RAMP = np.linspace(0, 1, 17)


@dataclass(frozen=True)
class ImageEntry:
    """One image of the report.

    Args:
        name: its NAME.
        row: its row of ``images.csv``.
        grey: what is shown, ``[Y, X]``, any real type.
        what: what that is, such as "fused stack".
        mask: bool, ``[Y, X]``; of a stack the projection.
        lines: its centre lines.
        extent: sizes of the image along Z, Y and X, in the unit of the lines; Z 0 of an image that is no stack.
        slices: of a fused stack each pixel's slice, ``[Y, X]``, and the slices' distance.
        warnings: a line each.
    """

    name: str
    row: Mapping[str, str]
    grey: np.ndarray
    what: str
    mask: np.ndarray
    lines: Lines
    extent: tuple[float, float, float]
    slices: tuple[np.ndarray, float] | None = None
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Grouping:
    """The comparison of groups, as it was made."""

    placed: Placed
    comparisons: Sequence[Comparison]
    confidence: float


def image_content(entry: ImageEntry, most: int, histogram_file: str) -> tuple[dict[str, Any], dict[str, str]]:
    """One image's part of the page.

    Args:
        entry: the image.
        most: bytes that it may take.
        histogram_file: the name under which the page offers the data of its histogram.

    Returns:
        The part, and the tables that it offers by name.
    """
    micrometer = entry.row.get("unit") == "micrometer"
    unit = "µm" if micrometer else "px"
    dimensions = len(entry.row.get("axes", "YX"))
    spacing = [pixel if math.isfinite(pixel) else 1.0 for pixel in _numbers(entry.row, "spacing_y", "spacing_x")]
    drawn, network = _drawn(entry, spacing, unit, int(0.6 * most))
    texts = [*drawn, *_texts(network)]
    # base64 makes four bytes of three, and the outline takes its share
    grey, shape = grey_picture(entry.grey, max(int((most - sum(map(len, texts))) * 0.65), 40_000))
    quantities = [name for name in quantities_of([entry.row])]
    part = {
        "name": entry.name,
        "warnings": entry.warnings,
        "values": {name: _with_ends(entry.row, name) for name in _TABLE},
        "measurements": [
            {
                "title": title(name),
                "unit": unit_of(name, micrometer, dimensions),
                "value": _with_ends(entry.row, name),
                "first": name in _FIRST,
            }
            for name in quantities
        ],
        "intervals": f"Intervals: {entry.row['interval']}." if entry.row.get("interval") else "",
        "picture": {
            "grey": grey,
            "outline": outline_picture(entry.mask, shape),
            "height": entry.grey.shape[0],
            "width": entry.grey.shape[1],
            "pixel": spacing[1] if micrometer else None,
            "what": entry.what,
            "caption": f"{entry.what.capitalize()}, {entry.grey.shape[1]} × {entry.grey.shape[0]} pixels, with the "
            "outline of its mask. Drag to move; + and − zoom, the wheel too after a click.",
        },
        "lines": drawn,
        "network": network,
        "histogram": None,
        "files": [],
    }
    if not entry.lines.paths:
        return part, {}
    edges, lengths = diameter_histogram(entry.lines)
    mm = 1e-3 if micrometer else 1
    part["histogram"] = {
        "edges": edges.tolist(),
        "lengths": (mm * lengths).tolist(),
        "unit": unit,
        "length_unit": "mm" if micrometer else "px",
        "marks": {"median": _numbers(entry.row, "diameter_p50")[0]},
        "caption": "Length of vessel by diameter. The last bar holds all that is wider.",
    }
    part["files"] = [histogram_file]
    rows = [
        {"diameter_from": float(low), "diameter_to": float(high), "length": float(length), "unit": unit}
        for low, high, length in zip(edges, edges[1:], lengths, strict=False)
    ]
    return part, {histogram_file: csv_text(rows)}


def _drawn(
    entry: ImageEntry, spacing: Sequence[float], unit: str, most: int
) -> tuple[list[str], dict[str, Any] | None]:
    """The lines on the image and in space, coarser than a fifth of a pixel only as far as they must be."""
    tolerance = 0.2
    while True:
        lines = simplified(entry.lines, tolerance * min(spacing))
        drawn, network = svg_paths(lines, spacing), _network(entry, lines, spacing, unit)
        if sum(map(len, [*drawn, *_texts(network)])) <= most or tolerance > _COARSEST:
            return drawn, network
        tolerance *= 2


def _texts(network: Mapping[str, Any] | None) -> list[str]:
    return [text for text in (network or {}).values() if isinstance(text, str)]


def _network(entry: ImageEntry, lines: Lines, spacing: Sequence[float], unit: str) -> dict[str, Any] | None:
    if not lines.paths:
        return None
    count = f"{len(lines.paths)} vessel segments"
    if entry.extent[0] > 0:
        packed = packed_network(lines, entry.extent, unit)
        caption = f"{count} in space. The box is the stack, "
    elif entry.slices is not None:
        slices, step = entry.slices
        packed_lines = lifted(lines, slices, entry.mask, (step, *spacing))
        deep = step * max(float(np.nanmax(slices)), 1)
        packed = packed_network(packed_lines, (deep, *entry.extent[1:]), unit)
        caption = (
            f"{count}, each in the slice where it is brightest; crossings are not told apart. The box is the stack, "
        )
    else:
        return None
    size = " × ".join(f"{side:.0f}" for side in packed["box"])
    return packed | {"caption": f"{caption}{size} {unit}. Drag or use the arrow keys to turn it."}


def report_content(
    entries: Sequence[ImageEntry],
    methods: Methods,
    made: str,
    warnings: Sequence[str] = (),
    grouping: Grouping | None = None,
    tables: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Everything that the page shows.

    Args:
        entries: the images.
        methods: how it was made.
        made: when and by what, a line.
        warnings: what concerns no image alone, such as inputs that failed; those of the images follow them.
        grouping: the comparison of groups, if there is one.
        tables: CSV texts that the page offers, by name: ``images.csv``, ``definitions.csv``.
    """
    tables = dict(tables or {})
    most = min(IMAGE_BYTES, PAGE_BYTES // max(len(entries), 1))
    images = []
    placed = {}
    if grouping is not None:
        names = [row["image"] for row in grouping.placed.rows]
        placed = dict(zip(names, zip(grouping.placed.groups, grouping.placed.animals, strict=True), strict=True))
    for number, entry in enumerate(entries, start=1):
        part, offered = image_content(entry, most, f"{entry.name}_diameters.csv")
        group, animal = placed.get(entry.name, ("", ""))
        images.append({"id": f"image-{number}", "group": group, "animal": animal, **part})
        tables |= offered
    lines = [*warnings, *(f"{entry.name}: {line}" for entry in entries for line in entry.warnings)]
    kinds = {(entry.row.get("unit") == "micrometer", len(entry.row.get("axes", "YX"))) for entry in entries}
    columns = [
        {"key": name, "title": title(name), "unit": unit_of(name, *next(iter(kinds))) if len(kinds) == 1 else ""}
        for name in _TABLE
        if any(math.isfinite(image["values"][name][0]) for image in images)
    ]
    note = "Press a heading to sort. Small numbers are 90 % intervals."
    if len(kinds) > 1:
        note += " Images with and without pixel size, or with and without slices, have different units: see each image."
    compared = None
    if grouping is not None:
        compared, offered = _comparison(grouping)
        tables |= offered
    return {
        "title": f"Vessels in {len(entries)} image{'s' * (len(entries) != 1)}",
        "made": made,
        "note": note,
        "warnings": _gathered(lines),
        "columns": columns,
        "images": images,
        "comparison": compared,
        "methods": methods.paragraphs,
        "references": methods.references,
        "settings": methods.settings,
        "files": tables,
        "ramps": {
            "depth": hue(_RAMP).tolist(),
            # viridis without its dark end, which would not show on the dark ground
            "diameter": matplotlib.colormaps["viridis"](0.22 + 0.78 * _RAMP)[:, :3].tolist(),
        },
    }


def _gathered(lines: Sequence[str]) -> list[str]:
    """Lines that differ only by the image are said once, with all its images."""
    by_text: dict[str, list[str]] = {}
    for line in lines:
        name, colon, text = line.partition(": ")
        by_text.setdefault(text if colon else line, []).append(name if colon else "")
    gathered = []
    for text, names in by_text.items():
        names = [name for name in names if name]
        shown = ", ".join(names[:6]) + f" and {len(names) - 6} more" * (len(names) > 6)
        gathered.append(f"{shown}: {text}" if shown else text)
    return gathered


def _comparison(grouping: Grouping) -> tuple[dict[str, Any], dict[str, str]]:
    comparisons, placed, confidence = grouping.comparisons, grouping.placed, grouping.confidence
    offered = {
        "animals.csv": csv_text(animal_rows(placed, comparisons)),
        "comparison.csv": csv_text(comparison_rows(comparisons, confidence)),
    }
    plots, differences, remarks = [], [], list(placed.remarks)
    for comparison in comparisons:
        name = title(comparison.quantity)
        remarks += [f"{name}: {line}" for line in comparison.remarks]
        for one in comparison.differences:
            remarks += one.remarks
            differences.append(
                {
                    "title": name,
                    "unit": comparison.unit,
                    "first": one.first,
                    "second": one.second,
                    "counts": one.counts,
                    "means": one.means,
                    "difference": one.difference,
                    "g": one.g,
                    "p": one.test.p,
                    "p_holm": one.p_holm,
                    "p_smallest": one.test.smallest,
                    "share": one.measurement_share,
                }
            )
        if comparison.animals:
            file = f"{comparison.quantity}.csv"
            offered[file] = csv_text(plot_rows(comparison))
            figure = draw_superplot(comparison, placed.order, confidence)
            plots.append({"title": name, "svg": svg_text(figure, comparison.quantity), "file": file})
    note = (
        "The animal is the unit: small dots are images, large ones animals. p is that of an exact permutation of the "
        "animals’ labels; Holm’s correction goes over all rows of this table. The last column is how much of the "
        "spread between animals of one group would be there by measurement alone."
    )
    compared = {
        "confidence": confidence,
        "note": note,
        "remarks": list(dict.fromkeys(remarks)),
        "rows": differences,
        "plots": plots,
    }
    return compared, offered


def _numbers(row: Mapping[str, str], *columns: str) -> list[float]:
    return numbers(row.get(column, "") for column in columns)


def _with_ends(row: Mapping[str, str], quantity: str) -> list[float]:
    return _numbers(row, quantity, f"{quantity}_low", f"{quantity}_high")
