"""The measurements that groups are compared by: how each is called, and in which unit it comes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from ..measurements import IMAGES
from ..measurements import unit_of as column_unit

__all__ = ["DEFAULT_QUANTITIES", "numbers", "quantities_of", "title", "unit_of"]

# the questions that most studies ask; each further one makes Holm's correction stricter for all
DEFAULT_QUANTITIES = (
    "length_density",
    "fraction",
    "diameter_length_weighted",
    "branch_point_density",
    "tortuosity_mean",
    "distance_mean",
)
_COLUMNS = {column.name: column for column in IMAGES}
# columns of images.csv that are numbers but measure no vessel
_OTHER = ("spacing_z", "spacing_y", "spacing_x", "field")
_TITLES = {
    "length": "vessel length",
    "fraction": "vessel fraction",
    "expected_fraction": "expected vessel fraction",
    "diameter_mean": "mean diameter of segments",
    "diameter_length_weighted": "mean diameter along the vessels",
    "diameter_p5": "diameter, 5th percentile",
    "diameter_p50": "median diameter",
    "diameter_p95": "diameter, 95th percentile",
    "tortuosity_mean": "mean tortuosity",
    "curvature_mean": "mean curvature",
    "segment_length_mean": "mean segment length",
    "segment_length_censored_mean": "mean segment length, corrected for the border",
    "distance_mean": "mean distance from tissue to vessel",
    "distance_p95": "distance from tissue to vessel, 95th percentile",
    "distance_max": "largest distance from tissue to vessel",
    "length_crofton": "vessel length by Crofton's formula",
}


def title(quantity: str) -> str:
    """A column's name in words."""
    return _TITLES.get(quantity, quantity.replace("_", " "))


def unit_of(quantity: str, micrometer: bool, dimensions: int) -> str:
    """The unit of a column of ``images.csv``, as it is printed.

    Args:
        quantity: the column.
        micrometer: whether the image has a pixel size.
        dimensions: 2 or 3.

    Returns:
        ``µm``, ``mm/mm²``, ``%`` …; nothing for a pure number, or a column that ``measure`` does not write.
    """
    column = _COLUMNS.get(quantity)
    unit = "" if column is None else column_unit(column, "micrometer" if micrometer else "pixel", dimensions)
    if unit in ("count", "1"):
        return ""
    for name, sign in (("micrometer", "µm"), ("pixel", "px"), ("degree", "°"), ("^2", "²"), ("^3", "³")):
        unit = unit.replace(name, sign)
    return unit


def quantities_of(rows: Iterable[Mapping[str, str]]) -> list[str]:
    """The columns of ``images.csv`` that measure something, those of interval ends not counted."""
    rows = list(rows)
    columns = list(rows[0]) if rows else []
    ends = {f"{column}{end}" for column in columns for end in ("_low", "_high")}
    return [
        column
        for column in columns
        if column not in ends
        and column not in _OTHER
        and any(math.isfinite(value) for value in numbers(row[column] for row in rows))
    ]


def numbers(texts: Iterable[str]) -> list[float]:
    """Texts as numbers; NaN where one is none."""
    return [_number(text) for text in texts]


def _number(text: str) -> float:
    try:
        return float(text)
    except (TypeError, ValueError):
        return float("nan")
