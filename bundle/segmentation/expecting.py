"""What to expect of the masks that were made: noted with each, and put into a table of their folder."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from ..io import (
    Provenance,
    Source,
    atomic,
    note_finding,
    read_findings,
    read_record,
    record_path,
    refuse_others,
    write_record,
)
from ..trust import Evidence, Expectation, Kind, Light, learned
from .outputs import Outputs
from .second_opinion import SecondOpinion

__all__ = ["TABLE", "expected_of", "expected_of_image", "lights", "note_expectation", "write_expectations"]

TABLE = "expected_dice.csv"
COLUMNS = ("image", "expected_dice", "reason", "remedy")


def expected_of_image(
    grey: np.ndarray, probability: np.ndarray, disagreement: np.ndarray, mask: np.ndarray, second: bool = False
) -> Expectation | None:
    """What to expect of the mask of an image ``[Y, X]`` or a stack ``[Z, Y, X]``; all of the same shape.

    Args:
        grey: what was segmented.
        probability: S.
        disagreement: |L − N|.
        mask: bool, what was made of S.
        second: whether the weights of slices made it of an image (:mod:`~bundle.segmentation.second_opinion`).

    Returns:
        None of a network that cannot disagree with itself, or where the grey values are of another shape.
    """
    if grey.shape != mask.shape or not disagreement.any():
        return None
    planes = [each[None] if mask.ndim == 2 else each for each in (grey, probability, disagreement, mask)]
    said = reduce(add, map(Evidence.of_networks, *planes))

    def looks() -> Evidence:
        slices = zip(planes[3], lights(planes[0]), strict=True)
        return reduce(add, (Evidence.of_looks(light, found, beside) for found, (light, beside) in slices))

    return expected_of(said, looks, mask.shape, second)


def lights(planes: Iterable[np.ndarray]) -> Iterator[tuple[Light, list[Light]]]:
    """The light of each slice, and that of its neighbours; three are held at a time."""
    before, now = None, None
    for plane in planes:
        after = Light(plane)
        if now is not None:
            yield now, [light for light in (before, after) if light is not None]
        before, now = now, after
    if now is not None:
        yield now, [] if before is None else [before]


def expected_of(
    said: Evidence, looks: Callable[[], Evidence], shape: Sequence[int], second: bool = False
) -> Expectation:
    """What to expect of a mask.

    Args:
        said: :meth:`bundle.trust.Evidence.of_networks` of it.
        looks: gives its :meth:`bundle.trust.Evidence.of_looks`.
        shape: of the mask, ``[Y, X]`` or ``[Z, Y, X]``; a stack of one slice is an image.
        second: whether the weights of slices made it of an image.
    """
    kind: Kind = "image" if len(shape) == 2 or shape[0] == 1 else "stack"
    return learned("second" if second else kind).expect(said, kind, looks)


def note_expectation(
    outputs: Outputs, source: Source, expectation: Expectation | None, second: SecondOpinion | None = None
) -> None:
    """Note with a mask's record what is expected of it.

    Args:
        outputs: where the record is, begun for this input.
        source: the input.
        expectation: of what the run's own network found in it; None if nothing is known.
        second: whose network made the mask, if the run's own did not.

    Raises:
        InputError: it cannot be written.
    """
    if expectation is None:
        return
    finding = {
        "expected_dice": _rounded(expectation.dice, 4),
        "reason": expectation.reason,
        "remedy": expectation.remedy,
        "disagreement": _rounded(expectation.disagreement, 6),
    }
    if second:
        finding["weights"] = second.fingerprint
    note_finding(record_path(outputs.folder, source), outputs.path(source, "mask"), finding)


def _rounded(value: float, digits: int) -> float | None:
    return round(value, digits) if math.isfinite(value) else None


def write_expectations(outputs: Outputs) -> dict[str, float]:
    """Write the table of a folder: a row for each mask of which something was noted, in this run or before.

    Returns:
        The disagreement that was noted of each mask of this run's weights and mode, by the NAME of its input; NaN of
        an empty one.

    Raises:
        InputError: it cannot be written, or a file of its name is not this program's.
    """
    masks = sorted(outputs.folder.glob("*_mask.*"))
    noted = [(mask.name.rpartition("_mask.")[0], read_findings(mask)) for mask in masks]
    rows = [
        {"image": name, **{column: finding.get(column) for column in COLUMNS[1:]}}
        for name, finding in noted
        if "expected_dice" in finding
    ]
    if rows:
        _write_table(outputs, rows)
    found = {
        name: finding["disagreement"]
        for mask, (name, finding) in zip(masks, noted, strict=True)
        if "disagreement" in finding and outputs.made_alike(mask)
    }
    return {name: math.nan if value is None else value for name, value in found.items()}


def _write_table(outputs: Outputs, rows: Sequence[dict[str, Any]]) -> None:
    path = outputs.folder / TABLE
    if path.exists() and read_record(path) is None:
        refuse_others({path: Provenance("segment", ())}, outputs.overwrite)
    write_record(outputs.folder / "provenance.json", {path: Provenance("segment", ())})
    with atomic(path) as partial, open(partial, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
