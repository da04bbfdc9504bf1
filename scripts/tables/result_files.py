"""The files docs/results/EXPERIMENT/ROW.seedN.csv, a line for each image, and how tables call their rows."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from bundle.io import atomic

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "docs" / "results"

Row = dict[str, float | str]


def result_file(experiment: str, row: str, seed: int = 0) -> Path:
    """Where the scores of a row with one seed lie."""
    return RESULTS / experiment / f"{row}.seed{seed}.csv"


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write lines of a result file; numbers get six significant digits."""
    with atomic(path) as partial, open(partial, "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(rows[0])
        writer.writerows([f"{cell:.6g}" if isinstance(cell, float) else cell for cell in row.values()] for row in rows)


def read_rows(path: Path) -> list[Row]:
    """Read them, numbers as numbers."""
    with open(path, newline="", encoding="utf-8") as stream:
        return [
            {key: cell if key == "image" else _number(cell) for key, cell in row.items()}
            for row in csv.DictReader(stream)
        ]


def seeds(experiment: str, row: str) -> dict[int, list[Row]]:
    """Scores of a row, by the seed of its training.

    Raises:
        FileNotFoundError: it has no result file.
    """
    files = {int(path.stem.rpartition(".seed")[2]): path for path in RESULTS.glob(f"{experiment}/{row}.seed*.csv")}
    if not files:
        raise FileNotFoundError(f"{experiment}/{row}: no result file in {RESULTS}")
    return {seed: read_rows(files[seed]) for seed in sorted(files)}


def labels(experiment: str) -> dict[str, list[str]]:
    """What the rows of an experiment are called in its table, cell by cell, in the table's order: rows.csv."""
    return {line["row"]: _cells(line) for line in _lines("rows") if line["experiment"] == experiment}


def comparisons(experiment: str) -> list[tuple[str, str, list[str]]]:
    """Pairs of rows that a table compares, and how it calls them: comparisons.csv."""
    return [
        (line["row"], line["other"], _cells(line)) for line in _lines("comparisons") if line["experiment"] == experiment
    ]


def _lines(name: str) -> list[dict[str, str]]:
    with open(RESULTS / f"{name}.csv", newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def _cells(line: dict[str, str]) -> list[str]:
    return [cell for key, cell in line.items() if key.startswith("label") and cell]


def _number(cell: str) -> float | str:
    try:
        return float(cell)
    except ValueError:
        return cell
