"""Time and peak memory from a mask to its graph, or to all of its numbers: graph_speed.csv and measure_speed.csv.

Both lie in docs/results/measurements. Masks of 1, 10 and 50 megavoxels, for all numbers of 1, 10 and 100, a twentieth
of them vessel: where two random fields of one scale are both near 0, which leaves a network of bent tubes, about five
voxels wide. Each row is a program of its own on one core. Seconds are those that the processor worked for it, so that
other work on the machine does not count; those of parts would be shared by the workers of a cluster. Rows of bricks and
blocks read the mask from the disk, as "measure" does with stacks of more than 33 megavoxels.

python -m scripts.benchmarks.measure_graph_speed
python -m scripts.benchmarks.measure_graph_speed --of measure [--most 10]
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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from bundle.graphs import thin, vessel_graph
from bundle.measurements import measure
from bundle.volumes import HERE, StoredVolume

ROOT = Path(__file__).resolve().parents[2]
TABLES = ROOT / "docs" / "results" / "measurements"
TILE, SCALE, SHARE = 128, 5.0, 0.05
ROWS = {
    "graph": (
        ("whole", (64, 128, 128)),
        ("whole", (160, 256, 256)),
        ("whole", (200, 512, 512)),
        ("bricks", (200, 512, 512)),
    ),
    "measure": (
        ("memory", (64, 128, 128)),
        ("memory", (160, 256, 256)),
        ("memory", (400, 512, 512)),
        ("blocks", (160, 256, 256)),
        ("blocks", (400, 512, 512)),
    ),
}


def main() -> None:
    """Measure every row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--of", choices=tuple(ROWS), default="graph", help="(default: %(default)s)")
    parser.add_argument("--most", type=float, default=200, help="leave out masks of more megavoxels than these")
    parser.add_argument("--output", type=Path, help="(default: the table in docs)")
    parser.add_argument("--row", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    rows = ROWS[arguments.of]
    if arguments.row is not None:
        print(json.dumps(measured(*rows[arguments.row])))
        return
    environment = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    with (arguments.output or TABLES / f"{arguments.of}_speed.csv").open("w", newline="", encoding="utf-8") as stream:
        table = None
        for number, (_, shape) in enumerate(rows):
            if np.prod(shape) > arguments.most * 1.1e6:
                continue
            command = [sys.executable, "-m", "scripts.benchmarks.measure_graph_speed"]
            command += ["--of", arguments.of, "--row", str(number)]
            child = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
            row = json.loads(child.stdout)
            if table is None:
                table = csv.DictWriter(stream, row, lineterminator="\n")
                table.writeheader()
            table.writerow(row)
            stream.flush()
            print(row, flush=True)


@contextmanager
def stored(mask: np.ndarray) -> Iterator[StoredVolume]:
    """A mask on the disk, beside which there is room for more."""
    with tempfile.TemporaryDirectory() as folder:
        volume = StoredVolume(Path(folder) / "mask", mask.shape, bool, mask.shape[1])
        for z, plane in enumerate(mask):
            volume.write(z, 0, plane)
        yield volume


def measured(read: str, shape: tuple[int, int, int]) -> dict[str, object]:
    """Time and memory of one mask."""
    mask = network(shape)
    row = {"read": read, "shape": "x".join(map(str, shape)), "megavoxels": round(mask.size / 1e6, 1)}
    row["vessel_percent"] = round(100 * float(mask.mean()), 2)
    if read == "memory":
        row |= all_numbers(mask)
    elif read == "blocks":
        with stored(mask) as volume:
            del mask
            row |= all_numbers(volume, work=volume.folder.parent)
    elif read == "whole":
        start = time.process_time()
        thin(mask)
        row["thin_seconds"] = round(time.process_time() - start, 1)
        start = time.process_time()
        graph = vessel_graph(mask)
        row["graph_seconds"] = round(time.process_time() - start, 1)
    else:
        row["thin_seconds"] = ""
        with stored(mask) as volume:
            del mask
            start = time.process_time()
            graph = vessel_graph(volume, work=volume.folder.parent)
            row["graph_seconds"] = round(time.process_time() - start, 1)
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    peak = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    segments = row.pop("segments") if "segments" in row else len(graph.edges)
    row |= {"peak_mib": int(peak) // 1024, "segments": segments, "machine": processor()}
    return row


class Timed:
    """This process, and how long it worked at parts, which may be done by many."""

    seconds = 0.0

    def slabs(self, depth: int, least: int = 1) -> list[tuple[int, int]]:
        """As of :class:`bundle.volumes.Workers`."""
        return HERE.slabs(depth)

    def each(self, what: str, function: Callable, parts: Sequence) -> list:
        """As of :class:`bundle.volumes.Workers`."""
        start = time.process_time()
        results = HERE.each(what, function, parts)
        self.seconds += time.process_time() - start
        return results


def all_numbers(mask: np.ndarray | StoredVolume, work: Path | None = None) -> dict[str, float]:
    """How long it takes to measure a mask, and how long of it parts that a cluster's workers would do."""
    timed, start = Timed(), time.process_time()
    found = measure(mask, (1.0, 1.0, 1.0), work=work, workers=timed)
    row = {"seconds": round(time.process_time() - start, 1), "parts_seconds": round(timed.seconds, 1)}
    return row | {"segments": len(found.segments)}


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
