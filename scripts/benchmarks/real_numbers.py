"""What people and the shipped weights differ in: docs/results/measurements/annotators.csv and vesselnn.csv.

    python -m scripts.benchmarks.real_numbers vessmap --data DIR [--intervals] [--work runs/real_numbers]
    python -m scripts.benchmarks.real_numbers vesselnn --data DIR [--pictures DIR] [--work runs/real_numbers]

DIR is the set's folder. Of VessMAP's test images that two people drew, both masks and the segmented one are measured,
in pixels: how far the two are from each other in each number, and how far ours is from each; with intervals, which take
15 times as long, also how often ours hold theirs. Of vesselNN the masks are measured in 3D, and projected beside the
fused and segmented stack in 2D. With a folder for pictures, the graph of each vesselNN mask over the mask is drawn
there. An interrupted run goes on.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import tifffile
import torch
from PIL import Image
from tqdm import tqdm

from bundle.home import WEIGHTS
from bundle.io import atomic
from bundle.measurements import COUNTS, INTERVALS, Measurement, measure

from .calibrate_intervals import Chain
from .compare_stacks import Stack, vesselnn

HERE = Path(__file__).resolve().parents[2]
RESULTS = HERE / "docs" / "results" / "measurements"
SHOWN = (
    "length",
    "length_density",
    "fraction",
    "diameter_length_weighted",
    "branch_points",
    "end_points",
    "segments",
    "loops",
    "tortuosity_mean",
    "distance_mean",
)


def main() -> None:
    """Measure what is missing and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=("vessmap", "vesselnn"))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--intervals", action="store_true")
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--work", type=Path, default=HERE / "runs" / "real_numbers")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    work = arguments.work / hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()[:12]
    chain = Chain()
    if arguments.set == "vessmap":
        names = sorted(path.stem for path in (arguments.data / "masks_annotator2").iterdir())
        how = "intervals" if arguments.intervals else "plain"

        def compared(stem: str) -> dict:
            made = partial(of_two_people, arguments.data, stem, chain, arguments.intervals)
            return kept(work / f"vessmap_{how}_{stem}.json", made)

        write("annotators.csv", differences([compared(stem) for stem in tqdm(names, disable=None)]))
    else:
        stacks = list(vesselnn(arguments.data))
        rows = [
            kept(work / f"{stack.name}.json", partial(of_stack, stack, chain, arguments.pictures))
            for stack in tqdm(stacks, disable=None)
        ]
        write("vesselnn.csv", [row for found in rows for row in found])


def of_stack(stack: Stack, chain: Chain, pictures: Path | None) -> list[dict]:
    """The numbers of a stack's mask, of the mask projected, and of ours in 2D."""
    pixel = stack.spacing[1:]
    fused, mask, _, _ = chain(stack.image)
    volume = measure(stack.truth, stack.spacing)
    if pictures is not None:
        draw(volume, stack.truth, pictures / f"{stack.name}.png")
    ways = {
        "mask, 3D": volume,
        "mask, projected": measure(stack.truth.any(axis=0), pixel),
        "segmented, 2D": measure(mask, pixel, image=fused),
    }
    return [{"stack": stack.name, "of": way} | shown(found.image) for way, found in ways.items()]


def kept(path: Path, measured: Callable[[], Any]) -> Any:
    """What a file holds; it is made if it is not there."""
    if not path.exists():
        with atomic(path) as unfinished:
            unfinished.write_text(json.dumps(measured()), encoding="utf-8")
    return json.loads(path.read_text(encoding="utf-8"))


def of_two_people(folder: Path, stem: str, chain: Chain, intervals: bool) -> dict[str, dict[str, float]]:
    """The numbers of both people's masks and of ours."""
    image = tifffile.imread(folder / "images" / f"{stem}.tiff")
    people = [
        np.asarray(Image.open(next((folder / name).glob(f"{stem}.*")))) > 0 for name in ("masks", "masks_annotator2")
    ]
    fused, mask, probability, disagreement = chain(image[None])
    ours = measure(mask, image=fused, probability=probability, disagreement=disagreement if intervals else None)
    found = [measure(person, image=image) for person in people]
    return {name: _finite(each.image) for name, each in zip(("first", "second", "ours"), [*found, ours], strict=True)}


def _finite(row: dict) -> dict[str, float]:
    return {name: float(value) for name, value in row.items() if not isinstance(value, str) and np.isfinite(value)}


def differences(rows: list[dict]) -> list[dict]:
    """Of each quantity the median differences in percent, and how often our interval holds a person's number."""
    table = []
    for name in INTERVALS:
        offset = 1 if name in COUNTS else 0
        cells: dict[str, list[float]] = {}
        for row in rows:
            values = {who: row[who].get(name) for who in ("first", "second", "ours")}
            if any(value is None or value + offset <= 0 for value in values.values()):
                continue
            logs = {who: np.log(value + offset) for who, value in values.items()}
            for title, a, b in (
                ("two people", "first", "second"),
                ("ours, first", "ours", "first"),
                ("ours, second", "ours", "second"),
            ):
                cells.setdefault(title, []).append(abs(logs[a] - logs[b]))
            low, high = row["ours"].get(f"{name}_low"), row["ours"].get(f"{name}_high")
            if low is not None and high is not None:
                for who in ("first", "second"):
                    cells.setdefault(f"holds {who}", []).append(float(low <= values[who] <= high))
        if not cells:
            continue
        line: dict[str, object] = {"quantity": name, "images": len(cells["two people"])}
        for title in ("two people", "ours, first", "ours, second"):
            line[f"{title}, %"] = f"{100 * np.expm1(np.median(cells[title])):.1f}"
        for title in ("holds first", "holds second"):
            line[title] = f"{np.mean(cells[title]):.2f}" if title in cells else ""
        table.append(line)
    return table


def shown(row: dict) -> dict[str, str]:
    """The quantities of the table, four digits each."""
    return {name.replace("_", " "): f"{row[name]:.4g}" if np.isfinite(row[name]) else "" for name in SHOWN}


def draw(found: Measurement, mask: np.ndarray, path: Path) -> None:
    """The centre lines over the depth of the mask, seen from above."""
    height, width = (size * step for size, step in zip(mask.shape[1:], found.spacing[1:], strict=True))
    figure, axes = plt.subplots(figsize=(9, 9))
    axes.imshow(mask.sum(axis=0), cmap="gray", extent=(0, width, height, 0))
    for line in found.graph.paths:
        axes.plot(line[:, 2], line[:, 1], linewidth=1)
    branches = found.graph.nodes[found.graph.degrees >= 3]
    axes.plot(branches[:, 2], branches[:, 1], "r.", markersize=3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=70, bbox_inches="tight")
    plt.close(figure)


def write(name: str, rows: list[dict]) -> None:
    """A table of docs/results/measurements."""
    with atomic(RESULTS / name) as unfinished, open(unfinished, "w", newline="", encoding="utf-8") as stream:
        table = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


if __name__ == "__main__":
    main()
