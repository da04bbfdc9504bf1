"""Time and peak memory from a mask to its graph, into docs/results/measurements/graph_speed.csv.

Masks of 1, 10 and 50 megavoxels, a twentieth of them vessel: where two random fields of one scale are both near 0,
which leaves a network of bent tubes, about five voxels wide. Each row is a program of its own on one core. Seconds are
those that the processor worked for it, so that other work on the machine does not count. The last row reads the mask
from the disk by bricks.

python -m scripts.benchmarks.measure_graph_speed
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from bundle.graphs import thin, vessel_graph
from bundle.volumes import StoredVolume

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "docs" / "results" / "measurements" / "graph_speed.csv"
TILE, SCALE, SHARE = 128, 5.0, 0.05
ROWS = (
    ("whole", (64, 128, 128)),
    ("whole", (160, 256, 256)),
    ("whole", (200, 512, 512)),
    ("bricks", (200, 512, 512)),
)


def main() -> None:
    """Measure every row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=TABLE)
    parser.add_argument("--row", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.row is not None:
        print(json.dumps(measured(*ROWS[arguments.row])))
        return
    environment = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    with arguments.output.open("w", newline="", encoding="utf-8") as stream:
        table = None
        for number in range(len(ROWS)):
            command = [sys.executable, "-m", "scripts.benchmarks.measure_graph_speed", "--row", str(number)]
            child = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
            row = json.loads(child.stdout)
            if table is None:
                table = csv.DictWriter(stream, row, lineterminator="\n")
                table.writeheader()
            table.writerow(row)
            stream.flush()
            print(row)


def measured(read: str, shape: tuple[int, int, int]) -> dict[str, object]:
    """Time and memory of one mask."""
    mask = network(shape)
    row = {"read": read, "shape": "x".join(map(str, shape)), "megavoxels": round(mask.size / 1e6, 1)}
    row["vessel_percent"] = round(100 * float(mask.mean()), 2)
    if read == "whole":
        start = time.process_time()
        thin(mask)
        row["thin_seconds"] = round(time.process_time() - start, 1)
        start = time.process_time()
        graph = vessel_graph(mask)
    else:
        row["thin_seconds"] = ""
        with tempfile.TemporaryDirectory() as folder:
            stored = StoredVolume(Path(folder) / "mask", shape, bool, shape[1])
            for z, plane in enumerate(mask):
                stored.write(z, 0, plane)
            del mask
            start = time.process_time()
            graph = vessel_graph(stored, work=folder)
    row["graph_seconds"] = round(time.process_time() - start, 1)
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    peak = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    row |= {"peak_mib": int(peak) // 1024, "segments": len(graph.edges), "machine": processor()}
    return row


def network(shape: tuple[int, int, int]) -> np.ndarray:
    """A network of bent tubes, made once and repeated in every direction, bool ``[Z, Y, X]``."""
    rng = np.random.default_rng(0)
    fields = [gaussian_filter(rng.normal(size=(TILE,) * 3).astype(np.float32), SCALE, mode="wrap") for _ in range(2)]
    away = np.maximum(*(np.abs(field) / field.std() for field in fields))
    tile = away < np.quantile(away, SHARE)
    return np.tile(tile, [-(-side // TILE) for side in shape])[tuple(map(slice, shape))]


def processor() -> str:
    """What the machine calls its processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()
