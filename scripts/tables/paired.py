"""Compare two rows of the experiments image by image: mean difference in points, and Wilcoxon's signed-rank test.

    python -m scripts.tables.paired EXPERIMENT/ROW EXPERIMENT/ROW

A row with several seeds is averaged over them first. Rows are called as their files in docs/results.
"""

from __future__ import annotations

import argparse

from .result_files import Row, seeds
from .statistics import averaged, difference

MEASURES = ("dice", "cldice", "sensitivity", "precision")


def rows_of(name: str) -> list[Row]:
    """Scores of a row's images, means over its seeds.

    Raises:
        SystemExit: it has no result file.
    """
    experiment, _, row = name.partition("/")
    try:
        return averaged(list(seeds(experiment, row).values()), MEASURES)
    except FileNotFoundError as error:
        raise SystemExit(f"{error}; give EXPERIMENT/ROW as its files are called") from None


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("row", help="such as pairs/magnified-mixed")
    parser.add_argument("other", help="such as pairs/instance-fine_tuned")
    arguments = parser.parse_args()
    rows, others = rows_of(arguments.row), rows_of(arguments.other)
    if {row["image"] for row in rows} != {row["image"] for row in others}:
        raise SystemExit(f"{arguments.row} and {arguments.other} are of other images; compare rows of the same")
    for name in MEASURES:
        points, p = difference(rows, others, (name,))
        print(f"{name:12} {points} points, p = {p}, {len(rows)} images")


if __name__ == "__main__":
    main()
