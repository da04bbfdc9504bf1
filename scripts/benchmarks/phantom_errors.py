"""Measure phantoms whose network is known: docs/results/measurements/phantoms.csv.

    python -m scripts.benchmarks.phantom_errors [--count 40] [--side 128] [--work runs/phantom_errors]

Three rows for each family, by this bundle and by skan on scikit-image's skeleton:

grid: the network drawn as a mask in the voxels of the family's microscope, measured in 3D against the network itself,
    cut at the borders of the stack. The error of the estimators, and of a grid that is too coarse for the vessels.
cubes: the same in cubes as large as the pixels. The error of the estimators.
whole path: the stack fused and segmented as by "segment", measured in 2D against what this bundle measures of the
    projected true mask.

Median absolute errors in percent, of counts in percent of the true count (of one at least). An interrupted run goes on.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from bundle.home import WEIGHTS
from bundle.io import atomic
from bundle.measurements import COUNTS, clip_graph, measure, measure_graph
from bundle.phantoms import FAMILIES, Phantom, make_phantom, tube_field

from .calibrate_intervals import Chain
from .right_answers import by_skan

HERE = Path(__file__).resolve().parents[2]
RESULT = HERE / "docs" / "results" / "measurements" / "phantoms.csv"
SEED = 41  # that nothing was trained, chosen or calibrated on
QUANTITIES = (
    "length",
    "volume",
    "fraction",
    "diameter_length_weighted",
    "branch_points",
    "end_points",
    "loops",
    "distance_mean",
)
WAYS = ("grid", "cubes", "whole path")


def main() -> None:
    """Measure what is missing and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=40, help="phantoms of each family (default: %(default)s)")
    parser.add_argument("--side", type=int, default=128, help="pixels of a side (default: %(default)s)")
    parser.add_argument("--work", type=Path, default=HERE / "runs" / "phantom_errors")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    chain = Chain()
    work = arguments.work / hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()[:12]
    found: dict[str | None, list[dict]] = {family: [] for family in (None, *FAMILIES)}
    # a phantom of each family by turns, so that an interrupted run has something of all
    for index in tqdm(range(arguments.count), desc="phantoms", disable=None):
        for family, rows in found.items():
            kept = work / f"{family or 'first'}_{arguments.side}_{index:04}.json"
            if not kept.exists():
                with atomic(kept) as partial:
                    partial.write_text(json.dumps(errors(family, index, arguments.side, chain)), encoding="utf-8")
            rows.append(json.loads(kept.read_text(encoding="utf-8")))
    with atomic(RESULT) as partial, open(partial, "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("family", "from", "by", "phantoms", *(name.replace("_", " ") for name in QUANTITIES)))
        for way in WAYS:
            everything = [row for rows in found.values() for row in rows]
            for family, rows in [*found.items(), ("all", everything)]:
                for who in ("ours", "skan"):
                    known = [[row[way][who][name] for row in rows if name in row[way][who]] for name in QUANTITIES]
                    cells = [f"{np.median(values):.1f}" if values else "" for values in known]
                    writer.writerow((family or "first recipe", way, who, len(rows), *cells))


def errors(family: str | None, index: int, side: int, chain: Chain) -> dict[str, dict[str, dict[str, float]]]:
    """Absolute errors in percent, of one phantom: by way, by whom, by quantity."""
    phantom = make_phantom((24, side, side), seed=SEED, index=index, family=family)
    step, pixel, _ = phantom.spacing
    cubes = (round(23 * step / pixel) + 1, side, side)
    return {
        "grid": _of_network(phantom, (24, side, side), phantom.spacing),
        "cubes": _of_network(phantom, cubes, (pixel, pixel, pixel)),
        "whole path": _whole_path(phantom, chain),
    }


def _of_network(phantom: Phantom, shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> dict:
    mask = tube_field(phantom.graph, shape, spacing).mask
    true = clip_graph(phantom.graph, np.ones(shape, dtype=bool), spacing)
    truth, _, _ = measure_graph(true, float(np.prod(shape) * np.prod(spacing)), 3, "micrometer")
    return _both(mask, spacing, truth, measure(mask, spacing).image)


def _whole_path(phantom: Phantom, chain: Chain) -> dict:
    spacing = phantom.spacing[1:]
    fused, mask, _, _ = chain(phantom.stack)
    return _both(
        mask, spacing, measure(phantom.projected_mask, spacing).image, measure(mask, spacing, image=fused).image
    )


def _both(mask: np.ndarray, spacing: tuple[float, ...], truth: dict, ours: dict) -> dict[str, dict[str, float]]:
    skan, _ = by_skan(mask, spacing)
    skan["diameter_length_weighted"] = skan.get("diameter_mean", np.nan)
    return {who: _percent(found, truth) for who, found in (("ours", ours), ("skan", skan))}


def _percent(found: dict, truth: dict) -> dict[str, float]:
    return {
        name: 100 * abs(found[name] - truth[name]) / max(truth[name], 1 if name in COUNTS else 1e-12)
        for name in QUANTITIES
        if name in found and np.isfinite(found[name]) and np.isfinite(truth.get(name, np.nan))
        if name in COUNTS or truth[name] > 0
    }


if __name__ == "__main__":
    main()
