"""Compare two rows of the experiments image by image: mean difference in points, and Wilcoxon's signed-rank test.

    python -m scripts.tables.paired EXPERIMENT/ROW EXPERIMENT/ROW

A row with several seeds is averaged over them first. Rows are called as their files in docs/results.
"""

from __future__ import annotations

import argparse

import numpy as np

from ..experiments.pages import difference
from ..experiments.parts import RESULTS, Row, read_rows

MEASURES = ("dice", "cldice", "sensitivity", "precision")


def averaged(name: str) -> list[Row]:
    """Scores of a row's images, means over its seeds.

    Raises:
        SystemExit: it has no result file.
    """
    experiment, _, row = name.partition("/")
    files = sorted((RESULTS / experiment).glob(f"{row}.seed*.csv"))
    if not row or not files:
        raise SystemExit(f"{name}: no result file in {RESULTS}; give EXPERIMENT/ROW as its files are called")
    seeds = [{line["image"]: line for line in read_rows(file)} for file in files]
    return [{"image": i, **{m: np.mean([seed[i][m] for seed in seeds]) for m in MEASURES}} for i in seeds[0]]


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("row", help="such as pairs/magnified-mixed")
    parser.add_argument("other", help="such as pairs/instance-fine_tuned")
    arguments = parser.parse_args()
    rows, others = averaged(arguments.row), averaged(arguments.other)
    if {row["image"] for row in rows} != {row["image"] for row in others}:
        raise SystemExit(f"{arguments.row} and {arguments.other} are of other images; compare rows of the same")
    for name in MEASURES:
        points, p = difference(rows, others, (name,))
        print(f"{name:12} {points} points, p = {p}, {len(rows)} images")


if __name__ == "__main__":
    main()
