"""The tables: images.csv, segments.csv, nodes.csv, and definitions.csv, which says what is in them."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..home import VERSION
from ..io import atomic
from .definitions import IMAGES, NODES, SEGMENTS, Column, columns, unit_of
from .measurement import Measurement

__all__ = ["TABLES", "read_table", "rows_of", "write_definitions", "write_table"]

TABLES = {"images": IMAGES, "segments": SEGMENTS, "nodes": NODES}


def rows_of(name: str, measurement: Measurement) -> dict[str, list[dict]]:
    """The rows of an image in each table.

    Args:
        name: the image's.
        measurement: of it.
    """
    found = {"images": [measurement.image], "segments": measurement.segments, "nodes": measurement.nodes}
    return {table: [{"image": name, **row} for row in rows] for table, rows in found.items()}


def write_table(path: str | Path, table: tuple[Column, ...], rows: Iterable[dict]) -> None:
    """Write rows as CSV in UTF-8, without a byte-order mark: every heading and every word but NAMEs is ASCII.

    Numbers have ten significant digits; what is not known is empty, which Excel, pandas and R all take for missing.

    Args:
        path: the file to write.
        table: its columns.
        rows: by column; a column that a row lacks is empty.

    Raises:
        InputError: the file cannot be written.
    """
    headings = columns(table)
    _write(path, headings, ([_cell(row.get(heading)) for heading in headings] for row in rows))


def read_table(path: str | Path) -> list[dict[str, str]]:
    """The rows of a table as text by column; none if it is not there."""
    path = Path(path)
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8-sig") as stream:
        return list(csv.DictReader(stream))


def write_definitions(path: str | Path, kinds: Sequence[tuple[str, int]]) -> None:
    """Write what each column of each table is: its unit, its definition, and the version of this program.

    Args:
        path: the file to write.
        kinds: the unit ("micrometer" or "pixel") and the dimensions of every image of the tables.

    Raises:
        InputError: the file cannot be written.
    """
    rows = []
    for table, listed in TABLES.items():
        for column in listed:
            units = dict.fromkeys(unit_of(column, unit, dimensions) for unit, dimensions in kinds)
            for name, what in (("", ""), ("_low", "lower end of the 90 % interval of "), ("_high", "upper end of ")):
                if not name or column.interval:
                    words = f"{what}{column.name}" if name else column.definition
                    rows.append([f"{table}.csv", column.name + name, " or ".join(units), words, VERSION])
    _write(path, ["table", "column", "unit", "definition", "version"], rows)


def _write(path: str | Path, headings: Sequence[str], rows: Iterable[Sequence]) -> None:
    with atomic(path) as partial, open(partial, "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(headings)
        writer.writerows(rows)


def _cell(value: object) -> object:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, bool):
        return int(value)
    return f"{value:.10g}" if isinstance(value, float) else value
