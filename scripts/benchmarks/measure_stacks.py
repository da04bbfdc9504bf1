"""Measure time and peak memory of segmenting stacks slice by slice, into docs/results/stack_memory.csv.

Every row is a program of its own, whose high-water mark of resident memory is read when it ends: the shipped weights
at 10 and 100 slices, and a tiny network of random weights at 100 and 1,000, which shows what the depth costs when the
network costs little. Slices are 512 × 512, 16 bit, made plane by plane: noise, and lines that wander from slice to
slice. Thresholds of the tiny network lie in the middle of its probabilities, so that components are many. Rows that
are there are kept. On a machine that has other work the times are too long, the memory is right.

python -m scripts.benchmarks.measure_stacks
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from bundle.io import Layout, write_image_planes
from bundle.networks import CascadeEnsemble

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "docs" / "results" / "stack_memory.csv"
SIDE = 512
TINY = [2, 4]
ROWS = (("tiny", 100), ("tiny", 1000), ("shipped", 10), ("shipped", 100))
# runs the config as monai.bundle does, and tells the most memory it held; ru_maxrss would count the parent's as well
CHILD = """
import sys
from monai.bundle import run
run(config_file=sys.argv[1], **eval(sys.argv[2]))
status = open("/proc/self/status").read()
print("peak", next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
"""


def main() -> None:
    """Measure what is not in the table yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=TABLE)
    arguments = parser.parse_args()
    rows = []
    if arguments.output.exists():
        with open(arguments.output, newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
    for network, slices in ROWS:
        if any((row["network"], int(row["slices"])) == (network, slices) for row in rows):
            continue
        rows.append(measured(network, slices))
        rows.sort(key=lambda row: ROWS.index((row["network"], int(row["slices"]))))
        with open(arguments.output, "w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        print(rows, flush=True)


def measured(network: str, slices: int) -> dict[str, str | int | float]:
    """Segment a stack in a program of its own."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        stack = folder / "in" / "stack.ome.tif"
        layout = Layout((slices, SIDE, SIDE), np.dtype(np.uint16), "ZYX", (1, 0.5, 0.5))
        write_image_planes(stack, planes(slices, SIDE), layout)
        options = {"dataset_dir": str(stack.parent), "output_dir": str(folder / "out"), "mode": "stack"}
        options["bundle_root"] = str(ROOT)
        if network == "tiny":
            torch.manual_seed(0)
            torch.save(
                CascadeEnsemble(channels=TINY, dbac_scale=1.0, dbac_norm="instance", shuffle=2).state_dict(),
                folder / "tiny.pt",
            )
            options |= {"weights": str(folder / "tiny.pt"), "network_def#channels": TINY, "low": 0.5, "high": 0.5}
        began = time.monotonic()
        peak = peak_of(options)
        seconds = time.monotonic() - began
        size = sum(path.stat().st_size for path in (folder / "out").iterdir())
    megavoxels = slices * SIDE**2 / 1e6
    return {
        "network": network,
        "slices": slices,
        "side": SIDE,
        "seconds": round(seconds, 1),
        "seconds per megavoxel": round(seconds / megavoxels, 3),
        "peak MB": round(peak),
        "output MB": round(size / 1e6),
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
        "load": round(os.getloadavg()[0], 1),
    }


def peak_of(options: dict) -> float:
    """Run configs/inference.json with these options; megabytes it held at most."""
    command = [sys.executable, "-W", "ignore", "-c", CHILD, str(ROOT / "configs" / "inference.json"), repr(options)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    finished = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if finished.returncode:
        raise RuntimeError(finished.stderr)
    return int(finished.stdout.split()[-1]) / 1024


def planes(slices: int, side: int, seed: int = 0) -> Iterator[np.ndarray]:
    """Noise, and lines that wander from slice to slice."""
    rng = np.random.default_rng(seed)
    x = np.arange(side)
    courses = rng.uniform(0.1, 0.9, 8) * side
    waves = rng.uniform(0.01, 0.04, 8)
    for z in range(slices):
        light = np.zeros((side, side))
        for course, wave in zip(courses, waves, strict=True):
            y = np.clip(course + 20 * np.sin(wave * x + z / 15), 0, side - 1).astype(int)
            light[y, x] = 1
        light = gaussian_filter(light, 2) * 8
        yield np.clip(rng.normal(300 + 1500 * light, 100), 0, 4095).astype(np.uint16)


if __name__ == "__main__":
    main()
