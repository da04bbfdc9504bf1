"""Run experiments, each in parts that are kept: one row of a table with one seed, one result file.

python -m scripts.experiments NAME … [--vessmap DIR] [--vesselnn DIR] [--retina DIR] [--nnunet BIN]

A part whose file in docs/results is there is skipped, and a training goes on where it stopped, so that a command can be
broken off and given again at any time. Make the pages anew by python -m scripts.tables.results.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bundle.errors import InputError

from . import EXPERIMENTS
from .parts import RESULTS, ROOT, Places


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiments", metavar="NAME", nargs="+", choices=EXPERIMENTS, help=", ".join(EXPERIMENTS))
    parser.add_argument("--vessmap", type=Path, help="dataset folder of VessMAP, with its split.csv")
    parser.add_argument("--vesselnn", type=Path, help="folder of vesselNN's stacks, with denoised/ and labels/")
    parser.add_argument("--retina", type=Path, help="folder of DRIVE, STARE and CHASE_DB1")
    parser.add_argument("--nnunet", type=Path, help="bin folder of an environment with nnunetv2 2.8")
    parser.add_argument("--output", type=Path, default=ROOT / "runs" / "experiments", help="for trainings")
    parser.add_argument("--results", type=Path, default=RESULTS, help="for result files (default: docs/results)")
    parser.add_argument("--rows", nargs="+", metavar="ROW", help="these rows alone")
    parser.add_argument("--seeds", nargs="+", type=int, metavar="SEED", help="these seeds alone")
    parser.add_argument("--list", action="store_true", help="say what is done and what is not, and run nothing")
    arguments = parser.parse_args()
    folders = {name: getattr(arguments, name) for name in ("vessmap", "vesselnn", "retina", "nnunet")}
    places = Places(arguments.output, arguments.results, **folders)
    known = {part.row for name in arguments.experiments for part in EXPERIMENTS[name]()}
    unknown = sorted(set(arguments.rows or []) - known)
    if unknown:
        parser.error(f"no row of {', '.join(arguments.experiments)} is called {', '.join(unknown)}; --list shows them")
    for name in arguments.experiments:
        for part in EXPERIMENTS[name]():
            if (
                arguments.rows
                and part.row not in arguments.rows
                or arguments.seeds
                and part.seed not in arguments.seeds
            ):
                continue
            state = "done" if part.file(places.results).exists() else "not run"
            if state == "not run" and not arguments.list:
                try:
                    part.run(places)
                except InputError as error:
                    parser.exit(1, f"{error}\n")
                state = "run"
            print(f"{part.experiment} {part.row}, seed {part.seed}: {state}", flush=True)


if __name__ == "__main__":
    main()
