"""How much faster ``segment`` is than in another checkout, as whole processes in turn, into a CSV.

    git worktree add ../0.4.0 0704bb2
    python -m scripts.benchmarks.speed_of_versions DIR --than ../0.4.0 --output OUT.csv [--runs 3] [--share 1]

DIR holds ``vessmap``, ``vessmap_fields`` and ``vesselnn``. Four kinds of work are made of them: 200 slices of 512²
(``--mode stack``), the whole fields, 500 images of 256² and a dozen of them; of each but the dozen a SHARE. Both
checkouts run under this interpreter, each with its own shipped weights, one after the other RUNS times; the ratio is
that of the medians. What is in the table stays.
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile

from bundle.home import ROOT
from bundle.io import atomic, open_image

COLUMNS = ("work", "version", "run", "seconds", "processor_seconds", "megabytes")


def works(data: Path, folder: Path, share: float) -> Iterator[tuple[str, list[str]]]:
    """Each kind of work, and the words of the command that does it."""
    stack = tifffile.imread(sorted((data / "vesselnn" / "denoised").glob("*BBB_noLeakage*"))[0])
    sides = [(0, max(0, 512 - side)) for side in stack.shape[1:]]
    slices = max(1, round(200 * share))
    planes = np.resize(np.pad(stack, [(0, 0), *sides], mode="symmetric")[:, :512, :512], (slices, 512, 512))
    tifffile.imwrite(folder / "stack.tif", planes, metadata={"axes": "ZYX"}, photometric="minisblack", imagej=True)
    yield f"{slices} slices of 512²", [str(folder / "stack.tif"), "--mode", "stack"]
    fields = sorted((data / "vessmap_fields").glob("*.tif*"))
    fields = fields[: max(1, round(len(fields) * share))]
    yield f"{len(fields)} whole fields", [str(path) for path in fields]
    count = max(12, round(500 * share))
    for name, number in ((f"{count} images of 256²", count), ("12 images of 256²", 12)):
        images = folder / str(number)
        images.mkdir(exist_ok=True)
        for place, crop in zip(range(number), crops(data / "vessmap" / "images"), strict=False):
            tifffile.imwrite(images / f"{place:03d}.tif", crop)
        yield name, [str(images)]


def crops(folder: Path) -> Iterator[np.ndarray]:
    """Quarters of all images, and these mirrored."""
    files = sorted(folder.iterdir())
    for mirrored in (False, True):
        for path in files:
            image = open_image(path).array()
            for y in (0, image.shape[0] - 256):
                for x in (0, image.shape[1] - 256):
                    crop = image[y : y + 256, x : x + 256]
                    yield crop[:, ::-1] if mirrored else crop


def measured(tree: Path, words: list[str]) -> tuple[float, float, float]:
    """Wall seconds, processor seconds and peak megabytes of a run into a fresh folder."""
    with tempfile.TemporaryDirectory() as output:
        command = [sys.executable, "-m", "bundle", "segment", *words, "--output", output]
        start = time.perf_counter()
        environment = os.environ | {"PYTHONPATH": str(tree)}
        pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
        process = subprocess.Popen(command, cwd=tree, env=environment, **pipes)
        error = process.stderr.read() if process.stderr else b""
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        if status:
            raise SystemExit(f"{' '.join(command)} in {tree} ended with {status}: {error.decode()[-500:]}")
    return seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)


def write(path: Path, rows: list[dict[str, str]]) -> None:
    """The table as far as it has come."""
    with atomic(path) as partial, open(partial, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    """Run both in turn, and say the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--than", type=Path, required=True, help="another checkout")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--share", type=float, default=1.0)
    arguments = parser.parse_args()
    data = arguments.data.resolve()
    needed = [
        arguments.than / "bundle",
        *(data / name for name in ("vessmap/images", "vessmap_fields", "vesselnn/denoised")),
    ]
    if missing := [str(folder) for folder in needed if not folder.is_dir()]:
        parser.error(f"no folder {', '.join(missing)}")
    rows = []
    if arguments.output.exists():
        with open(arguments.output, newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
    with tempfile.TemporaryDirectory() as folder:
        for work, words in works(data, Path(folder), arguments.share):
            for run in range(arguments.runs):
                for version, tree in (("here", ROOT), ("than", arguments.than.resolve())):
                    if not any((row["work"], row["version"], row["run"]) == (work, version, str(run)) for row in rows):
                        figures = [f"{figure:.1f}" for figure in measured(tree, words)]
                        rows.append(dict(zip(COLUMNS, (work, version, str(run), *figures), strict=True)))
                        write(arguments.output, rows)
            medians = [
                statistics.median(float(r["seconds"]) for r in rows if (r["work"], r["version"]) == (work, version))
                for version in ("than", "here")
            ]
            print(f"{work}: {medians[0]:.1f} s, here {medians[1]:.1f} s, {medians[0] / medians[1]:.2f} times as fast")


if __name__ == "__main__":
    main()
