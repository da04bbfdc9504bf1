"""The comparison as tables."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..io import atomic
from .compare import Comparison, Difference
from .groups import Placed

__all__ = ["animal_rows", "comparison_rows", "csv_text", "plot_rows", "write_rows"]

Row = Mapping[str, Any]


def animal_rows(placed: Placed, comparisons: Sequence[Comparison]) -> list[Row]:
    """A row per animal: group, number of images, and of each quantity the mean and its spread by measurement.

    ``QUANTITY_measurement_sd`` is how much the animal's mean would vary if its images were measured again.
    """
    rows: dict[str, dict[str, Any]] = {}
    for group in placed.order:
        for animal, of in zip(placed.animals, placed.groups, strict=True):
            if of == group:
                rows.setdefault(animal, {"group": group, "animal": animal, "images": 0})["images"] += 1
    for comparison in comparisons:
        by_name = {one.animal: one for one in comparison.animals}
        for animal, row in rows.items():
            one = by_name.get(animal)
            row[comparison.quantity] = math.nan if one is None else one.value
            row[f"{comparison.quantity}_measurement_sd"] = math.nan if one is None else one.measurement_sd
    return list(rows.values())


def comparison_rows(comparisons: Sequence[Comparison], confidence: float) -> list[Row]:
    """A row per quantity and pair of groups; one without groups for a quantity that could not be compared.

    Raises:
        ValueError: there is no quantity.
    """
    if not comparisons:
        raise ValueError("no quantity was compared")
    found: list[Row] = [
        {"quantity": comparison.quantity, "unit": comparison.unit, **_row(one, confidence, comparison.remarks)}
        for comparison in comparisons
        for one in comparison.differences
    ]
    columns = dict.fromkeys(found[0] if found else ("quantity", "unit", "remarks"), "")
    return found + [
        {**columns, "quantity": comparison.quantity, "unit": comparison.unit, "remarks": "; ".join(comparison.remarks)}
        for comparison in comparisons
        if not comparison.differences
    ]


def _row(one: Difference, confidence: float, remarks: Sequence[str]) -> dict[str, object]:
    row = {
        "group_1": one.first,
        "group_2": one.second,
        "animals_1": one.counts[0],
        "animals_2": one.counts[1],
        "images_1": one.images[0],
        "images_2": one.images[1],
        "mean_1": one.means[0],
        "mean_2": one.means[1],
        "sd_1": one.sds[0],
        "sd_2": one.sds[1],
        "difference": one.difference.value,
        "difference_low": one.difference.low,
        "difference_high": one.difference.high,
        "confidence": confidence,
        "hedges_g": one.g.value,
        "hedges_g_low": one.g.low,
        "hedges_g_high": one.g.high,
        "p": one.test.p,
        "p_holm": one.p_holm,
        "p_smallest": one.test.smallest,
        "labellings": one.test.labellings,
        "exact": "yes" if one.test.exact else "no",
        "measured_again_low": one.measured_again[0],
        "measured_again_high": one.measured_again[1],
        "measurement_share": one.measurement_share,
    }
    if one.mixed is not None:
        row |= {
            "mixed_difference": one.mixed.difference,
            "mixed_low": one.mixed.low,
            "mixed_high": one.mixed.high,
            "mixed_p": one.mixed.p,
        }
    return row | {"remarks": "; ".join([*one.remarks, *remarks])}


def plot_rows(comparison: Comparison) -> list[Row]:
    """The dots of a quantity's plot: a row per image, with its animal's mean."""
    return [
        {
            "group": one.group,
            "animal": one.animal,
            "image": image,
            comparison.quantity: float(value),
            f"{comparison.quantity}_low": float(low),
            f"{comparison.quantity}_high": float(high),
            "animal_mean": one.value,
        }
        for one in comparison.animals
        for image, value, low, high in zip(one.images, one.values, one.low, one.high, strict=True)
    ]


def csv_text(rows: Sequence[Row]) -> str:
    """Rows as the text of a CSV: six significant digits, ``nan`` where there is no number.

    Args:
        rows: at least one, all with the same columns.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(rows[0])
    writer.writerows([f"{cell:.6g}" if isinstance(cell, float) else cell for cell in row.values()] for row in rows)
    return stream.getvalue()


def write_rows(path: str | Path, rows: Sequence[Row]) -> None:
    """Write rows as CSV; see :func:`csv_text`.

    Raises:
        InputError: the file cannot be written.
    """
    with atomic(path) as partial:
        partial.write_text(csv_text(rows), encoding="utf-8", newline="")
