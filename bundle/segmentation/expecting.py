"""What to expect of the masks that were made: noted with each, said, warned of, and put into a table of the run."""

from __future__ import annotations

import csv
import logging
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

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
from ..trust import Evidence, Expectation, Kind, learned
from .outputs import Outputs

__all__ = ["TABLE", "evidence_of_image", "expected_of", "note_expectation", "write_expectations"]

logger = logging.getLogger(__name__)

TABLE = "expected_dice.csv"
COLUMNS = ("image", "expected_dice", "reason", "remedy")


def evidence_of_image(
    grey: np.ndarray, probability: np.ndarray, disagreement: np.ndarray, mask: np.ndarray
) -> Evidence | None:
    """What is seen in an image ``[Y, X]`` or a stack ``[Z, Y, X]``; all of the same shape.

    Args:
        grey: what was segmented.
        probability: S.
        disagreement: |L − N|.
        mask: bool, what was made of S.

    Returns:
        None without a second opinion, or where the grey values are of another shape.
    """
    if grey.shape != mask.shape or not disagreement.any():
        return None
    if mask.ndim == 2:
        return Evidence.of(grey, probability, disagreement, mask)
    total: Evidence | None = None
    for z in range(len(mask)):
        beside = [grey[n] for n in (z - 1, z + 1) if 0 <= n < len(mask)]
        evidence = Evidence.of(grey[z], probability[z], disagreement[z], mask[z], beside)
        total = evidence if total is None else total + evidence
    return total


def expected_of(evidence: Evidence | None, shape: Sequence[int]) -> Expectation | None:
    """What to expect of a mask.

    Args:
        evidence: what was seen of it; None if nothing is known.
        shape: of the mask, ``[Y, X]`` or ``[Z, Y, X]``; a stack of one slice is an image.
    """
    if evidence is None:
        return None
    kind: Kind = "image" if len(shape) == 2 or shape[0] == 1 else "stack"
    return learned(kind).expect(evidence, kind)


def note_expectation(outputs: Outputs, source: Source, expectation: Expectation | None) -> str:
    """Note with a mask's record what is expected of it, and warn where that is little.

    Args:
        outputs: where the record is, begun for this input.
        source: the input.
        expectation: of its mask; None if nothing is known.

    Returns:
        What to say of it behind the share of vessel, such as ", expected Dice 0.91"; nothing if nothing is known.

    Raises:
        InputError: it cannot be written.
    """
    if expectation is None:
        return ""
    known = math.isfinite(expectation.dice)
    finding = {
        "expected_dice": round(expectation.dice, 4) if known else None,
        "reason": expectation.reason,
        "remedy": expectation.remedy,
    }
    note_finding(record_path(outputs.folder, source), outputs.path(source, "mask"), finding)
    if not known:  # that nothing was found is warned of where the mask is looked at
        return ""
    if not expectation.trusted:
        logger.warning(
            "%s: %s, look at the overlay before you trust the mask: %s; %s",
            source,
            expectation,
            expectation.reason,
            expectation.remedy,
        )
    return f", {expectation}"


def write_expectations(outputs: Outputs) -> None:
    """Write the table of a folder: a row for each mask of which something was noted, in this run or before.

    Raises:
        InputError: it cannot be written, or a file of its name is not this program's.
    """
    path = outputs.folder / TABLE
    rows = list(_rows(outputs.folder))
    if not rows:
        return
    if path.exists() and read_record(path) is None:
        refuse_others({path: Provenance("segment", ())}, outputs.overwrite)
    write_record(outputs.folder / "provenance.json", {path: Provenance("segment", ())})
    with atomic(path) as partial, open(partial, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _rows(folder: Path) -> Iterator[dict[str, object]]:
    """Of each mask that is there, in the order of its name."""
    for mask in sorted(folder.glob("*_mask.*")):
        finding = read_findings(mask)
        if "expected_dice" in finding:
            row = {name: finding.get(name) for name in COLUMNS[1:]}
            yield {"image": mask.name.rpartition("_mask.")[0], **row}
