"""Find how far measured numbers lie from true ones on phantoms, and how well intervals made of it cover them.

    python -m scripts.benchmarks.calibrate_intervals [--of stacks] [--count 400] [--side 160] [--work runs/intervals]

Writes its part of bundle/measurements/interval_constants.json, and docs/results/measurements/coverage.csv, of stacks
coverage_stacks.csv.

Phantoms are stacks of 16 slices, each with the voxels of its microscope. They are fused and segmented as by "segment",
and true is what is measured of the projected true mask; or, of stacks, they are segmented slice by slice as by "segment
--mode stack", and true is what is measured in 3D of the mask that the slices' weights are trained to find. So an
interval says what a perfect mask would give. There are three sets of them, of seeds of their own:
A gives the median bias and the floor below which no spread is believed, B the factor by split conformal, C the
coverage. The families of A and B are all but one; that one is in C alone. What was measured of each phantom is kept in
the working folder, by the weights that it was measured with, so that an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.transforms import Compose
from scipy.ndimage import binary_dilation
from scipy.optimize import isotonic_regression
from tqdm import tqdm

from bundle.home import INFERENCE, ROOT, shipped_weights
from bundle.io import atomic
from bundle.measurements import COUNTS, INTERVALS, SEGMENTS, measure, measure_sections, replicate, spread
from bundle.phantoms import FAMILIES, Phantom, make_phantom
from bundle.segmentation import SecondOpinion, WithDisagreement, better_of, expected_of_image
from bundle.trust import Expectation

HERE = Path(__file__).resolve().parents[2]
CONSTANTS = HERE / "bundle" / "measurements" / "interval_constants.json"
RESULTS = HERE / "docs" / "results" / "measurements"
SEEDS = {"A": 31, "B": 32, "C": 33}
UNSEEN = "two-photon"  # the family of phantoms that is never calibrated on
LEVEL = 0.9  # the share of numbers that an interval shall hold


@dataclass(frozen=True)
class Kind:
    """Of what intervals are calibrated.

    Args:
        axes: of the masks, under which the constants stand.
        mode: of ``segment``.
        coverage: the table of what came out.
    """

    axes: Literal["YX", "ZYX"]
    mode: Literal["fused", "stack"]
    coverage: Path

    def truth(self, phantom: Phantom) -> np.ndarray:
        """The mask that would be perfect."""
        return phantom.projected_mask if self.mode == "fused" else phantom.slab_mask

    def spacing(self, phantom: Phantom) -> tuple[float, ...]:
        """Of the mask."""
        return phantom.spacing[-len(self.axes) :]


KINDS = {
    "images": Kind("YX", "fused", RESULTS / "coverage.csv"),
    "stacks": Kind("ZYX", "stack", RESULTS / "coverage_stacks.csv"),
}


class Chain:
    """From a stack to probability, disagreement and mask, as by ``segment``.

    Args:
        mode: "fused", or "stack" for slice by slice.
    """

    def __init__(self, mode: Literal["fused", "stack"] = "fused") -> None:
        parser = ConfigParser()
        parser.read_config(INFERENCE)
        parser["bundle_root"] = str(ROOT)
        parser["weights_file"] = shipped_weights(mode)
        parser["device"] = torch.device("cpu")
        self.before = Compose(parser.get_parsed_content("fusion" if mode == "fused" else "slices"))
        parser["mode"] = mode
        self.network = WithDisagreement(parser.get_parsed_content("network").eval())
        self.second: SecondOpinion = parser.get_parsed_content("second")
        self.inferer = parser.get_parsed_content("inferer")
        self.after = parser.get_parsed_content("postprocessing")

    def __call__(self, stack: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The grey values, the mask, S and |L - N|: of the fused image ``[Y, X]``, or of the stack ``[Z, Y, X]``."""
        data = self.before({"image": torch.as_tensor(stack.T[None].astype(np.float32))})
        grey = np.asarray(data["original"][0]).T

        @torch.inference_mode()
        def found(network: torch.nn.Module) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            both = self._both(data["image"], network)
            made = self.after({"pred": both[:1]})
            probability, disagreement, mask = (np.asarray(each).T for each in (*both, made["pred"][0]))
            return probability, disagreement, mask != 0

        def expected(maps: tuple[np.ndarray, np.ndarray, np.ndarray], second: bool) -> Expectation | None:
            return expected_of_image(grey, maps[0], maps[1], maps[2], second)

        maps = found(self.network)
        if self.second:
            maps = better_of(maps, expected, found, self.second)[0]
        probability, disagreement, mask = maps
        return grey, mask, probability, disagreement

    def _both(self, image: torch.Tensor, network: torch.nn.Module) -> torch.Tensor:
        """S and |L - N| ``[2, X, Y]`` of an image ``[1, X, Y]``, or ``[2, X, Y, Z]`` of the slices of a stack."""
        if image.ndim == 3:
            return self.inferer(image[None], network)[0]
        return torch.stack([self._both(plane, network) for plane in image.unbind(-1)], dim=-1)


def main() -> None:
    """Measure what is missing, calibrate, and write both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--of", choices=list(KINDS), default="images", help="(default: %(default)s)")
    parser.add_argument("--count", type=int, default=400, help="phantoms of each set (default: %(default)s)")
    parser.add_argument("--side", type=int, default=160, help="pixels of a side (default: %(default)s)")
    parser.add_argument("--work", type=Path, default=HERE / "runs" / "intervals")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    kind = KINDS[arguments.of]
    weights = hashlib.sha256(shipped_weights(kind.mode).read_bytes()).hexdigest()[:12]
    folder = arguments.work / f"{arguments.of}_{weights}_{arguments.side}"
    chain = Chain(kind.mode)
    sets: dict[str, list[dict]] = {name: [] for name in SEEDS}
    # a phantom of each set by turns, so that an interrupted run has something of all
    for index in tqdm(range(arguments.count), desc="calibrate", disable=None):
        for name, seed in SEEDS.items():
            kept = folder / f"{seed}_{index:04}.json"
            if not kept.exists():
                phantom = make_phantom(
                    (16, arguments.side, arguments.side), seed=seed, index=index, family=family_of(name, index)
                )
                found = {"family": family_of(name, index) or "first", **phantom_rows(chain, phantom, kind)}
                with atomic(kept) as partial:
                    partial.write_text(json.dumps(found), encoding="utf-8")
            sets[name].append(json.loads(kept.read_text(encoding="utf-8")))
    constants = calibrated(sets["A"], sets["B"])
    note = {"weights": weights, "phantoms": arguments.count, "side": arguments.side, "level": LEVEL}
    write_constants(kind.axes, {**note, **constants})
    rows = coverage(sets["C"], constants)
    with atomic(kind.coverage) as partial, open(partial, "w", newline="", encoding="utf-8") as stream:
        table = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def write_constants(axes: str, constants: dict) -> None:
    """Put what was found for these axes into the file, which keeps what it has of others."""
    known = json.loads(CONSTANTS.read_text(encoding="utf-8")) if CONSTANTS.exists() else {}
    known = {"made_by": "python -m scripts.benchmarks.calibrate_intervals", **known, axes: constants}
    with atomic(CONSTANTS) as partial:
        partial.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")


def family_of(name: str, index: int) -> str | None:
    """The family of a phantom: the first recipe and all families by turns, one of them in C alone."""
    families = [None, *(family for family in FAMILIES if name == "C" or family != UNSEEN)]
    return families[index % len(families)]


def phantom_rows(chain: Chain, phantom: Phantom, kind: Kind) -> dict:
    """What is true, what is measured, and how it varies over the replicates, of one phantom."""
    true_mask, spacing = kind.truth(phantom), kind.spacing(phantom)
    truth = measure(true_mask, spacing).image
    grey, mask, probability, disagreement = chain(phantom.stack)
    row: dict = {"quantities": {}, "segments": []}
    if not mask.any():
        return row
    found = measure(mask, spacing, image=grey)
    replicates = replicate(found, mask, probability, disagreement)
    for name in INTERVALS:
        s = spread(replicates.image[name], name in COUNTS)
        row["quantities"][name] = [truth[name], found.image[name], s]
    lengths, widths = measure_sections(binary_dilation(true_mask), true_mask, found)
    for e, segment in enumerate(found.segments):
        row["segments"].append(
            {
                "length": [lengths[e], segment["length"], spread(replicates.segments["length"][e])],
                "diameter_mean": [widths[e], segment["diameter_mean"], spread(replicates.segments["diameter_mean"][e])],
                "bottleneck": float(replicates.bottleneck[e]),
                "exists": lengths[e] >= segment["length"] / 2,
            }
        )
    return row


def calibrated(first: list[dict], second: list[dict]) -> dict:
    """Bias and floor of set A, factor of set B."""
    image = {name: _constant(pairs(first, name), pairs(second, name), name in COUNTS) for name in INTERVALS}
    segments = {
        column.name: _constant(of_segments(first, column.name), of_segments(second, column.name), False)
        for column in SEGMENTS
        if column.interval
    }
    told = [segment for row in (*first, *second) for segment in row["segments"]]
    told.sort(key=lambda segment: segment["bottleneck"])
    bottleneck = [segment["bottleneck"] for segment in told]
    exists = isotonic_regression([float(segment["exists"]) for segment in told]).x
    at = np.linspace(0, 1, 21)
    share = [round(float(value), 4) for value in np.interp(at, bottleneck, exists)]
    known = {"bottleneck": [round(float(value), 3) for value in at], "share": share}
    return {
        "image": {name: constant for name, constant in image.items() if constant},
        "segments": {name: constant for name, constant in segments.items() if constant},
        "exists": known,
    }


def pairs(rows: list[dict], name: str) -> np.ndarray:
    """Truth, measured and spread of a quantity of the images that have all three, ``[N, 3]``."""
    return _finite([row["quantities"][name] for row in rows if row["quantities"]])


def of_segments(rows: list[dict], name: str) -> np.ndarray:
    """The same of the segments that exist."""
    return _finite([segment[name] for row in rows for segment in row["segments"] if segment["exists"]])


def _finite(values: list) -> np.ndarray:
    table = np.array(values, dtype=float).reshape(-1, 3)
    return table[np.isfinite(table).all(axis=1)]


def residuals(table: np.ndarray, count: bool) -> tuple[np.ndarray, np.ndarray]:
    """log(measured / true), and the spread, of numbers that have a logarithm."""
    offset = 1 if count else 0
    table = table[(table[:, 0] + offset > 0) & (table[:, 1] + offset > 0)]
    return np.log((table[:, 1] + offset) / (table[:, 0] + offset)), table[:, 2]


def _constant(first: np.ndarray, second: np.ndarray, count: bool) -> dict | None:
    """None where there are too few numbers for a 90 % interval."""
    errors, _ = residuals(first, count)
    others, spreads = residuals(second, count)
    if len(errors) < 9 or len(others) < 9:
        return None
    bias = float(np.median(errors))
    off = np.abs(errors - bias)
    # where most errors are equal, as of loops that most images lack, the median is no scale; half the mean still is
    floor = max(float(np.median(off)), float(off.mean()) / 2, 1e-3)
    scores = np.sort(np.abs(others - bias) / (spreads + floor))
    # split conformal: the ceil((n + 1) · 0.9)-th smallest
    rank = min(math.ceil((len(scores) + 1) * LEVEL), len(scores)) - 1
    return {"bias": round(bias, 5), "floor": round(floor, 5), "factor": round(float(scores[rank]), 4)}


def coverage(rows: list[dict], constants: dict) -> list[dict]:
    """How often the intervals hold the truth, and how wide they are, in set C: all of it, and the family not seen."""
    table = []
    for part, some in (("all", rows), ("unseen family", [row for row in rows if row["family"] == UNSEEN])):
        for name, constant in constants["image"].items():
            table.append(_covered(part, name, pairs(some, name), constant, name in COUNTS))
        for name, constant in constants["segments"].items():
            table.append(_covered(part, f"segment: {name}", of_segments(some, name), constant, False))
    return table


def _covered(part: str, name: str, found: np.ndarray, constant: dict, count: bool) -> dict:
    errors, spreads = residuals(found, count)
    half = constant["factor"] * (spreads + constant["floor"])
    off = np.abs(errors - constant["bias"])
    # Winkler: the width, and 2 / (1 - 0.9) for each unit by which the truth lies outside, in logarithms
    winkler = 2 * half + 2 / (1 - LEVEL) * np.maximum(off - half, 0)
    return {
        "phantoms": part,
        "quantity": name,
        "numbers": len(errors),
        "coverage": f"{np.mean(off <= half):.3f}" if len(errors) else "",
        "half width in %": f"{100 * np.expm1(np.median(half)):.1f}" if len(errors) else "",
        "median error in %": f"{100 * np.expm1(np.median(np.abs(errors))):.1f}" if len(errors) else "",
        "Winkler": f"{np.mean(winkler):.3f}" if len(errors) else "",
    }


if __name__ == "__main__":
    main()
