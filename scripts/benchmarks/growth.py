"""How time and memory grow with the size of an image, into docs/results/speed/growth.csv.

Every row is a program of its own, with one thread: seconds that the processor worked for it, so that other work on the
machine does not count, and its high-water mark of resident memory. Data are made up, most of them empty, of a pattern
that is repeated, so that the share of vessels is the same at every size:

  volume   the steps from a probability to a mask (hysteresis, closing, fragments), of volumes of up to 4,000
           megavoxels, which are made as they are read
  graph    from a mask to its graph, of such volumes
  page     a tiled 2D page from its file to all outputs, with a stand-in for the network, which gives its own input: the
           steps around it. Pages of 60,000 columns need the memory of one of 60,000 × 60,000
  network  the same with the shipped network
  slide    the same, and all around the tissue, of a third of the page's sides, black: a scanned slide

Rows that are there are kept: the command can be given again.

python -m scripts.benchmarks.growth
python -m scripts.benchmarks.growth --kinds page network
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
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "docs" / "results" / "speed" / "growth.csv"
# of each kind the shapes, Z, Y, X
SHAPES = {
    "volume": [
        (4, 512, 512),
        (16, 512, 512),
        (64, 512, 512),
        (64, 1024, 1024),
        (256, 1024, 1024),
        (1024, 1024, 1024),
        (3840, 1024, 1024),
    ],
    "graph": [(4, 512, 512), (16, 512, 512), (64, 512, 512), (64, 1024, 1024)],
    "page": [(1, 4608, 4608), (1, 9216, 9216), (1, 18432, 18432), (1, 2048, 60000), (1, 6144, 60000)],
    "network": [(1, 1024, 1024), (1, 2048, 2048), (1, 4608, 4608), (1, 1024, 60000)],
    "slide": [(1, 3750, 3750), (1, 7500, 7500), (1, 15000, 15000), (1, 60000, 60000)],
}
PATTERN, HELD = (64, 512, 512), 256  # what is repeated, and the side of its corner that is not empty


def main() -> None:
    """Measure what is not in the table yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--most", type=float, default=4100, help="megavoxels (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=TABLE)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        kind, shape, folder = arguments.child
        print(json.dumps(measured(kind, tuple(json.loads(shape)), Path(folder))))
        return
    rows = []
    if arguments.output.exists():
        with open(arguments.output, newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
    there = {(row["kind"], row["shape"]) for row in rows}
    for kind in arguments.kinds:
        for shape in SHAPES[kind]:
            if (kind, named(shape)) in there or np.prod(shape) / 1e6 > arguments.most:
                continue
            rows += in_a_program(kind, shape)
            rows.sort(key=lambda row: (list(SHAPES).index(row["kind"]), row["step"], float(row["megavoxels"])))
            arguments.output.parent.mkdir(parents=True, exist_ok=True)
            with open(arguments.output, "w", newline="", encoding="utf-8") as stream:
                writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)


def named(shape: tuple[int, ...]) -> str:
    """A shape in words."""
    return " × ".join(map(str, shape))


def in_a_program(kind: str, shape: tuple[int, int, int]) -> list[dict]:
    """The rows of one shape, a step each."""
    environment = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    with tempfile.TemporaryDirectory() as folder:
        if kind in ("page", "network", "slide"):
            write_page(Path(folder) / "page.ome.tif", shape, kind == "slide")
        command = [sys.executable, "-m", "scripts.benchmarks.growth", "--child", kind, json.dumps(shape), folder]
        child = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        if child.returncode:
            raise RuntimeError(child.stderr)
    found = json.loads(child.stdout.splitlines()[-1])
    rows = []
    for step, seconds in found["seconds"].items():
        row = {
            "kind": kind,
            "step": step,
            "shape": named(shape),
            "megavoxels": round(float(np.prod(shape)) / 1e6, 2),
            "vessel percent": round(100 * found["share"], 2),
            "seconds": round(seconds, 2),
            "peak MB": round(found["peak"]),
            "machine": f"{platform.machine()}, 1 thread",
        }
        print(row, flush=True)
        rows.append(row)
    return rows


def measured(kind: str, shape: tuple[int, int, int], folder: Path) -> dict:
    """Seconds of each step, the share of vessels, and the most memory that this program has held, in MB."""
    seconds, share = {"volume": of_volume, "graph": of_graph}.get(kind, of_page)(kind, shape, folder)
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))
    return {"seconds": seconds, "share": share, "peak": peak}


class MadeUp:
    """A volume that repeats a pattern along all axes."""

    def __init__(self, shape: tuple[int, int, int], values: np.ndarray) -> None:
        self.shape, self.values = shape, values

    def rows(self, z: int, start: int, stop: int) -> np.ndarray:
        """Rows of a slice."""
        some = self.values[z % PATTERN[0]][np.arange(start, stop) % PATTERN[1]]
        return np.tile(some, (1, -(-self.shape[2] // PATTERN[2])))[:, : self.shape[2]]


def pattern() -> np.ndarray:
    """A probability, float32: bent tubes about five voxels wide in a corner, nothing elsewhere."""
    rng = np.random.default_rng(0)
    side = (PATTERN[0], HELD, HELD)
    one, other = (gaussian_filter(rng.standard_normal(side, np.float32), 5, mode="wrap") for _ in range(2))
    near = np.exp(-((one / one.std()) ** 2 + (other / other.std()) ** 2) / 0.1)
    values = np.zeros(PATTERN, np.float32)
    values[:, :HELD, :HELD] = near
    return values


def of_volume(kind: str, shape: tuple[int, int, int], folder: Path) -> tuple[dict[str, float], float]:
    """From a probability to a mask, as ``segment`` does it."""
    from bundle.transforms import ball
    from bundle.volumes import StoredVolume, band_rows, close_gaps, hysteresis, remove_fragments

    probability = MadeUp(shape, pattern())
    found, closed, kept = (StoredVolume(folder / name, shape, bool, band_rows(shape[2])) for name in "abc")
    seconds = {}
    began = time.process_time()
    hysteresis(probability, 0.45, 0.95, found, folder / "notes")
    seconds["hysteresis"] = time.process_time() - began
    began = time.process_time()
    close_gaps(found, ball(2, (1.0, 1.0, 1.0)).T, closed)
    seconds["closing"] = time.process_time() - began
    began = time.process_time()
    remove_fragments(closed, 30, kept, folder / "more")
    seconds["fragments"] = time.process_time() - began
    few = range(0, shape[0], max(1, shape[0] // 16))
    return seconds, float(np.mean([kept.plane(z).mean() for z in few]))


def of_graph(kind: str, shape: tuple[int, int, int], folder: Path) -> tuple[dict[str, float], float]:
    """From a mask to its graph, by bricks, as ``measure`` does it."""
    from bundle.graphs import vessel_graph
    from bundle.volumes import StoredVolume, band_rows

    volume = MadeUp(shape, pattern() > 0.6)
    mask = StoredVolume(folder / "mask", shape, bool, band_rows(shape[2]))
    for z in range(shape[0]):
        for start, stop in mask.bands:
            mask.write(z, start, volume.rows(z, start, stop))
    began = time.process_time()
    vessel_graph(mask)
    return {"graph": time.process_time() - began}, float(volume.values.mean())


def page_parts(shape: tuple[int, int, int], slide: bool) -> Iterator[np.ndarray]:
    """A page's grey values, uint8, in parts: a ground of few greys, and a slice of the pattern on it; or a slide's."""
    rng = np.random.default_rng(1)
    light = 20 + rng.integers(0, 4, PATTERN[1:], np.uint8) + np.uint8(150) * (pattern()[0] > 0.6).astype(np.uint8)
    volume = MadeUp(shape, light[None].repeat(PATTERN[0], 0))
    for start in range(0, shape[1], 512):
        rows = volume.rows(0, start, min(start + 512, shape[1]))
        if slide:
            inside = np.arange(start, start + len(rows)) * 3 // shape[1] == 1
            rows[~inside] = rows[:, : shape[2] // 3] = rows[:, 2 * shape[2] // 3 :] = 0
        yield rows


def write_page(path: Path, shape: tuple[int, int, int], slide: bool = False) -> None:
    """A tiled OME-TIFF with a pyramid."""
    from bundle.io import Layout, write_image_planes

    write_image_planes(path, page_parts(shape, slide), Layout(shape[1:], np.uint8, "YX", (0.5, 0.5)))


def of_page(kind: str, shape: tuple[int, int, int], folder: Path) -> tuple[dict[str, float], float]:
    """A page from its file to all its outputs, by the configuration of ``segment``."""
    import torch

    from bundle.io import as_source, open_image
    from bundle.runner import PlainConfig

    class Stretched(torch.nn.Module):
        """Stands in for the network: what is bright is a vessel."""

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return (image * 1.5 - 0.4).clamp(0, 1)

    torch.set_num_threads(1)
    config = PlainConfig(ROOT / "configs" / "inference.json")
    config["inputs"], config["output_folder"] = [as_source(folder / "page.ome.tif")], folder / "out"
    config["bundle_root"], config["device"] = str(ROOT), "cpu"
    if kind == "page":
        config["network"] = Stretched()
    began = time.process_time()
    config.get_parsed_content("segmenter").run()
    seconds = time.process_time() - began
    mask = open_image(folder / "out" / "page_mask.tif")
    shares = [(mask.rows(0, y, y + 256) > 0).mean() for y in range(0, shape[1], max(256, shape[1] // 8))]
    return {"from file to outputs": seconds}, float(np.mean(shares))


if __name__ == "__main__":
    main()
