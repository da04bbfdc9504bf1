"""The pieces that an experiment is made of: one row of its table with one seed, one small result file each."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bundle.errors import InputError
from bundle.io import atomic

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "docs" / "results"

Row = dict[str, float | str]


@dataclass(frozen=True)
class Places:
    """Where things lie.

    Args:
        output: trainings and their predictions, and the data made for them.
        results: the result files.
        vessmap: VessMAP, a dataset folder with its split.csv.
        vesselnn: the stacks of vesselNN, in ``denoised`` and ``labels``.
        retina: the folders ``DRIVE``, ``STARE`` and ``CHASE_DB1``.
        nnunet: nnU-Net's programs: ``bin`` (``Scripts``) of an environment with ``nnunetv2``.
    """

    output: Path
    results: Path = RESULTS
    vessmap: Path | None = None
    vesselnn: Path | None = None
    retina: Path | None = None
    nnunet: Path | None = None

    def data(self, name: str) -> Path:
        """The folder of a data set.

        Raises:
            InputError: it was not named.
        """
        folder = getattr(self, name)
        if folder is None:
            raise InputError(None, f"no folder of {name}", f"name it with --{name} DIR")
        return folder


@dataclass(frozen=True)
class Part:
    """One row of an experiment with one seed.

    Args:
        experiment: its name, and the folder of its results.
        row: name of the row.
        seed: of the trainings; 0 where nothing is random.
        make: computes the lines of the result file.
    """

    experiment: str
    row: str
    seed: int
    make: Callable[[Places], list[Row]]

    def file(self, results: Path = RESULTS) -> Path:
        """The result file, whose existence says that the part is done."""
        return results / self.experiment / f"{self.row}.seed{self.seed}.csv"

    def run(self, places: Places) -> bool:
        """Make the result file, unless it is there; True if it was made."""
        if self.file(places.results).exists():
            return False
        write_rows(self.file(places.results), self.make(places))
        return True


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


def _number(cell: str) -> float | str:
    try:
        return float(cell)
    except ValueError:
        return cell
