"""Measure what a cluster of this machine costs and gains, stage by stage, into docs/results/cluster.csv.

A stack of 16-bit slices, made plane by plane as in measure_stacks, is segmented by the shipped weights on one worker of
one thread and on two, in turn, several times. A row is a stage of one run; the stage "all" is the run without the start
of its workers, and tells the most memory that a worker held and what is on the disk after the network. Printed at the
end is the ratio of the medians, which is too low on a machine that has other work; the seconds of processors, which are
those of the workers and of the command with the scheduler, are changed less by it.

python -m scripts.benchmarks.measure_cluster
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from bundle.cluster import Cluster, cluster
from bundle.io import Layout, write_image_planes
from bundle.volumes import Slab
from scripts.benchmarks.measure_stacks import planes

segment = import_module("bundle.commands.segment")  # what the command line does
ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "docs" / "results" / "cluster.csv"
COLUMNS = (
    "slices",
    "side",
    "workers",
    "round",
    "stage",
    "parts",
    "seconds",
    "workers' CPU seconds",
    "command's CPU seconds",
    "peak MB",
    "disk MB",
    "machine",
    "load",
)


class Timed:
    """Workers that tell how long each stage took.

    Args:
        workers: who do it.
        work: where the blocks are.
    """

    def __init__(self, workers: Cluster, work: Path) -> None:
        self.workers, self.work = workers, work
        self.stages: list[dict[str, object]] = []
        self.used = 0.0
        self.disk = 0

    def slabs(self, depth: int, *least: int) -> list[Slab]:
        """Those of the workers."""
        return self.workers.slabs(depth, *least)

    def processors(self) -> float:
        """Seconds that the workers have had a processor."""
        return sum(self.workers.client.run(time.process_time).values())

    def each(self, what: str, function: Callable[[Any], Any], parts: Sequence[Any]) -> list[Any]:
        """By the workers."""
        began, used = time.monotonic(), self.processors()
        results = self.workers.each(what, function, parts)
        seconds, used = time.monotonic() - began, self.processors() - used
        self.used += used
        about = {"stage": what, "parts": len(parts), "seconds": round(seconds, 2)}
        self.stages.append({**about, "workers' CPU seconds": round(used, 2)})
        if what == "network":
            self.disk = sum(path.stat().st_size for path in self.work.rglob("*.npy"))
        return results


def peak() -> int:
    """The most resident memory that this process has held, in kB."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM")))


def measured(stack: Path, output: Path, count: int) -> list[dict[str, object]]:
    """Segment a stack by so many workers."""
    parser = argparse.ArgumentParser()
    segment.add_arguments(parser)
    words = [str(stack), "--mode", "stack", "--output", str(output), "--format", "ome-zarr", "--device", "cpu"]
    arguments = parser.parse_args(words)
    with cluster("local", output, count) as workers:
        config = segment.configured(arguments, segment.listed_sources(arguments.inputs, {}, [])[0])
        timed = Timed(workers, output)
        began, used = time.monotonic(), time.process_time()
        segment.segment_files(config, timed)
        seconds, used = time.monotonic() - began, time.process_time() - used
        most = max(workers.client.run(peak).values()) // 1024
    of_all = {"stage": "all", "seconds": round(seconds, 2), "workers' CPU seconds": round(timed.used, 2)}
    of_all |= {"command's CPU seconds": round(used, 2), "peak MB": most, "disk MB": timed.disk >> 20}
    return [*timed.stages, of_all]


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=TABLE)
    parser.add_argument("--slices", type=int, default=32)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--workers", type=int, nargs="+", default=(1, 2))
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    slices, side = arguments.slices, arguments.side
    of_all: dict[int, list[float]] = {count: [] for count in arguments.workers}
    with tempfile.TemporaryDirectory() as folder, open(arguments.output, "a", newline="", encoding="utf-8") as stream:
        table = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        if not stream.tell():
            table.writeheader()
        stack = Path(folder) / "stack.ome.zarr"
        write_image_planes(stack, planes(slices, side), Layout((slices, side, side), np.dtype(np.uint16), "ZYX"))
        for number in range(arguments.rounds):
            for count in arguments.workers:
                load = round(os.getloadavg()[0], 1)
                about = {"slices": slices, "side": side, "workers": count, "round": number, "load": load}
                rows = measured(stack, Path(folder) / f"{number} {count}", count)
                table.writerows({**about, **row, "machine": f"{platform.machine()}, {os.cpu_count()}"} for row in rows)
                stream.flush()
                of_all[count].append(float(str(rows[-1]["seconds"])))
                print(count, rows, flush=True)
    medians = {count: statistics.median(seconds) for count, seconds in of_all.items()}
    for count, seconds in medians.items():
        ratio = medians[min(medians)] / seconds
        print(f"{count} workers: {seconds:.1f} s, {ratio:.2f} times the work of {min(medians)}")


if __name__ == "__main__":
    main()
