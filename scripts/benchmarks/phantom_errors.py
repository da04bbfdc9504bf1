"""Measure phantoms from their true masks: docs/results/measurements/phantoms.csv.

    python -m scripts.benchmarks.phantom_errors [--count 40] [--side 128] [--work runs/phantom_errors]

What is measured of the true mask, by this bundle and by skan on scikit-image's skeleton, against the true graph, cut at
the borders of the stack: the error of the estimators alone. Median absolute errors in percent of each family, of counts
in percent of the true count (of one at least). An interrupted run goes on.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import numpy as np
from tqdm import tqdm

from bundle.io import atomic
from bundle.measurements import clip_graph, measure, measure_graph
from bundle.phantoms import FAMILIES, make_phantom

from .right_answers import by_skan

HERE = Path(__file__).resolve().parents[2]
RESULT = HERE / "docs" / "results" / "measurements" / "phantoms.csv"
SEED = 41  # that nothing was trained, chosen or calibrated on
QUANTITIES = ("length", "volume", "diameter_length_weighted", "branch_points", "end_points", "loops")


def main() -> None:
    """Measure what is missing and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=40, help="phantoms of each family (default: %(default)s)")
    parser.add_argument("--side", type=int, default=128, help="pixels of a side (default: %(default)s)")
    parser.add_argument("--work", type=Path, default=HERE / "runs" / "phantom_errors")
    arguments = parser.parse_args()
    table = []
    for family in (None, *FAMILIES):
        rows = []
        for index in tqdm(range(arguments.count), desc=family or "first", disable=None):
            kept = arguments.work / f"{family or 'first'}_{arguments.side}_{index:04}.json"
            if not kept.exists():
                with atomic(kept) as partial:
                    partial.write_text(json.dumps(errors(family, index, arguments.side)), encoding="utf-8")
            rows.append(json.loads(kept.read_text(encoding="utf-8")))
        for who in ("ours", "skan"):
            known = {name: [row[who][name] for row in rows if name in row[who]] for name in QUANTITIES}
            cells = {name: float(np.median(values or [np.nan])) for name, values in known.items()}
            table.append(
                {"family": family or "first recipe", "by": who, "phantoms": len(rows)}
                | {
                    name.replace("_", " "): f"{value:.1f}" if np.isfinite(value) else ""
                    for name, value in cells.items()
                }
            )
    with atomic(RESULT) as partial, open(partial, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(table[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)


def errors(family: str | None, index: int, side: int) -> dict[str, dict[str, float]]:
    """Absolute errors in percent, of one phantom."""
    phantom = make_phantom((24, side, side), seed=SEED, index=index, family=family)
    shape = phantom.mask.shape
    true = clip_graph(phantom.graph, np.ones(shape, dtype=bool), phantom.spacing)
    truth, _, _ = measure_graph(true, float(np.prod(shape) * np.prod(phantom.spacing)), 3, "micrometer")
    ours = measure(phantom.mask, phantom.spacing).image
    skan, _ = by_skan(phantom.mask, phantom.spacing)
    skan["diameter_length_weighted"] = skan.get("diameter_mean", np.nan)
    return {who: _percent(found, truth) for who, found in (("ours", ours), ("skan", skan))}


def _percent(found: dict, truth: dict) -> dict[str, float]:
    return {
        name: 100 * abs(found[name] - truth[name]) / max(truth[name], 1)
        for name in QUANTITIES
        if name in found and np.isfinite(found[name]) and np.isfinite(truth[name])
    }


if __name__ == "__main__":
    main()
