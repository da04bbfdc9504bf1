"""Measure the shipped weights on VessMAP, without training: a file of docs/results for each row of a table.

python -m scripts.shipped [NAME …] --vessmap DIR [--overwrite]

Rows that are there are kept, so that a run can be broken off. Make the pages anew by python -m scripts.tables.results.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bundle.errors import InputError

from ..tables.result_files import result_file, write_rows
from . import MEASURES


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", metavar="NAME", nargs="*", help=f"default: all of {', '.join(MEASURES)}")
    parser.add_argument("--vessmap", type=Path, required=True, help="dataset folder of VessMAP, with its split.csv")
    parser.add_argument("--overwrite", action="store_true", help="measure again what is there, as of other weights")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(MEASURES):
        parser.error(f"nothing is called {', '.join(sorted(unknown))}; there are {', '.join(MEASURES)}")
    for name in arguments.names or MEASURES:
        for row, measure in MEASURES[name].items():
            file = result_file(name, row)
            kept = file.exists() and not arguments.overwrite
            if not kept:
                try:
                    write_rows(file, measure(arguments.vessmap.resolve()))
                except InputError as error:
                    parser.exit(1, f"{error}\n")
            print(f"{name} {row}: {'kept' if kept else 'measured'}", flush=True)


if __name__ == "__main__":
    main()
