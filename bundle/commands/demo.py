"""Make a phantom stack, fuse it, segment it with the shipped weights, and compare the mask with the phantom's truth.

Every step is a command of its own, which is printed before it runs. OUT gets the phantom (phantoms), its fusion
(fused), what was segmented (segmented), the scores (scores.csv) and one picture of it all (demo.png).

Examples:
  python -m bundle demo
  python -m bundle demo --output elsewhere --seed 7
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from pathlib import Path

from ..errors import InputError
from ..home import INFERENCE, ROOT
from ..io import open_image
from ..pictures import error_overlay, for_people, mask_overlay, write_panel


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    parser.add_argument(
        "--output", metavar="OUT", type=Path, default=Path("demo"), help="folder to write to (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=3, help="seed of the phantom (default: %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Run the steps.

    Returns:
        0 if every step succeeded.
    """
    output = arguments.output.resolve()
    phantoms, fused, segmented, table = (output / name for name in ("phantoms", "fused", "segmented", "scores.csv"))
    shape = ["--shape", "48", "512", "512"]
    seed = str(arguments.seed)
    _step("bundle", "phantom", phantoms, "--seed", seed, *shape, "--density", "medium", "--overwrite")
    _step("bundle", "fuse", phantoms / "images", "--output", fused, "--overwrite")
    inference: list[str | Path] = ["--config_file", INFERENCE, "--bundle_root", ROOT]
    folders: list[str | Path] = ["--dataset_dir", phantoms / "images", "--output_dir", segmented, "--overwrite", "True"]
    _step("monai.bundle", "run", *inference, *folders)
    _step("bundle", "evaluate", segmented, phantoms / "masks", "--output", table, "--overwrite")
    _draw(output)
    print(f"\nLook at {output / 'demo.png'}, and at the files in {segmented}.")
    return 0


def _step(*words: str | Path) -> None:
    print(f"\n$ python -m {shlex.join(map(str, words))}", flush=True)
    # the runner warns of every config that it runs programs; this one is the bundle's own
    finished = subprocess.run([sys.executable, "-W", "ignore::UserWarning", "-m", *map(str, words)], check=False)
    if finished.returncode:
        raise InputError(None, f"this step ended with status {finished.returncode}", "see above")


def _draw(output: Path) -> None:
    name = "phantom-0000"
    stack = open_image(output / "phantoms" / "images" / f"{name}.ome.tif")
    fused = open_image(output / "fused" / f"{name}_fused.tif").array()
    mask = open_image(output / "segmented" / f"{name}_mask.tif").array()
    truth = open_image(output / "phantoms" / "masks" / f"{name}.tif").array()
    pictures = {
        "one slice of the stack": stack.plane(len(stack) // 2),
        "fused": fused,
        "segmented": for_people(mask_overlay(fused, mask), stack.spacing[-1] if stack.spacing else None),
        "right white, wrong red, missed blue": error_overlay(mask, truth),
    }
    write_panel(output / "demo.png", pictures)
