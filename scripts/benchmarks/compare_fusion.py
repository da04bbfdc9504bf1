"""Compare the methods of multi-focus fusion, on phantoms and on the stacks of vesselNN: docs/results/fusion.csv.

    python scripts/benchmarks/compare_fusion.py --vesselnn DIR [--phantoms 8] [--output docs/results]

A row for each stack and method. On phantoms (seed 1000, which no training has seen; the stack is 32 × 256 × 256) the
fused image is compared with the noise-free image that is in focus everywhere, and the depth map with the depth of the
vessels. On both the fused image is segmented with the shipped weights, as configs/inference.json does, and the mask
compared with the projection of the 3D mask. Seconds are CPU time of fusing alone, on one thread. What the table holds
already is kept, so that an interrupted comparison goes on; --overwrite makes it anew.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from monai.bundle import ConfigParser
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from bundle.io import image_name, open_image
from bundle.metrics import score, write_scores
from bundle.phantoms import Phantom, make_phantom
from bundle.segmentation import SliceLikelihood
from bundle.transforms.focus import METHODS, fuse

ROOT = Path(__file__).resolve().parents[2]
SEED = 1000
NETWORK = "network"
MEASURES = ("psnr", "ssim", "depth_error", "depth_within_1", "background_step")
SEGMENTED = ("dice", "cldice", "sensitivity", "precision")


class Pipeline:
    """The steps of configs/inference.json from a fused image to its mask, with the shipped weights."""

    def __init__(self) -> None:
        config = ConfigParser()
        config.read_config(ROOT / "configs" / "inference.json")
        config["bundle_root"] = str(ROOT)
        config["device"] = "cpu"
        after = 1 + next(i for i, step in enumerate(config["fusion"]) if step["_target_"].endswith("FuseFocusd"))
        self.contrast = [config.get_parsed_content(f"fusion#{i}") for i in range(after, len(config["fusion"]))]
        self.network = config.get_parsed_content("network").eval()
        self.inferer = config.get_parsed_content("inferer")
        self.binarize = config.get_parsed_content("postprocessing")

    @torch.inference_mode()
    def __call__(self, fused: np.ndarray) -> np.ndarray:
        """The mask of an image, both `[Y, X]`."""
        item = {"image": torch.from_numpy(fused.T[None].astype(np.float32))}
        for step in self.contrast:
            item = step(item)
        prediction = self.inferer(item["image"][None], self.network)[0]
        return np.asarray(self.binarize({"pred": prediction})["pred"])[0].T


def stacks(count: int, vesselnn: Path) -> Iterator[tuple[str, str, np.ndarray, np.ndarray, Phantom | None]]:
    """Data set, name, stack, true mask of the projection, and the phantom's truth."""
    for index in range(count):
        phantom = make_phantom(seed=SEED, index=index)
        yield "phantoms", f"phantom-{index:04d}", phantom.stack, phantom.projected_mask, phantom
    for path in sorted((vesselnn / "denoised").glob("*.tif*")):
        name = image_name(path).removesuffix("_BM4D_denoised")
        label = next((vesselnn / "labels").glob(f"{name}_*"))
        options = {"axes": "ZYX"}
        mask = open_image(label, **options).array() > 0
        yield "vesselNN", name, open_image(path, **options).array(), mask.any(axis=0), None


def against_truth(fused: np.ndarray, depth: np.ndarray, phantom: Phantom | None) -> dict[str, float]:
    """PSNR (dB) and SSIM of the image; of the depth mean error (slices) and share within one slice, on vessels; and
    how much the depth steps from pixel to pixel where no vessel is (slices). NaN where the truth is not known.
    """
    if phantom is None:
        return dict.fromkeys(MEASURES, float("nan"))
    top = np.iinfo(phantom.stack.dtype).max
    truth = np.clip(phantom.focus, 0, top).astype(np.float64)
    vessel = np.isfinite(phantom.depth)
    error = np.abs(depth - phantom.depth / phantom.spacing[0])[vessel]
    return {
        "psnr": peak_signal_noise_ratio(truth, fused.astype(np.float64), data_range=top),
        "ssim": structural_similarity(truth, fused.astype(np.float64), data_range=top),
        "depth_error": float(error.mean()),
        "depth_within_1": float((error <= 1).mean()),
        "background_step": float(np.abs(np.diff(depth, axis=0))[~vessel[1:]].mean()),
    }


def rows_of(path: Path) -> list[dict[str, str | float]]:
    """What an earlier run has left."""
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as stream:
        texts = ("image", "data", "method")
        return [{k: v if k in texts else float(v) for k, v in row.items()} for row in csv.DictReader(stream)]


def main() -> None:
    """Compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vesselnn", type=Path, required=True, help="folder of vesselNN, with denoised/ and labels/")
    parser.add_argument("--phantoms", type=int, default=8, help="default: %(default)s")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "results")
    parser.add_argument("--overwrite", action="store_true", help="make the table anew")
    arguments = parser.parse_args()
    table = arguments.output / "fusion.csv"
    pipeline = Pipeline()
    methods = {name: name for name in METHODS} | {NETWORK: SliceLikelihood(pipeline.network, pipeline.inferer)}
    rows = [] if arguments.overwrite else rows_of(table)
    done = {(row["image"], row["method"]) for row in rows}
    for data, name, stack, mask, phantom in stacks(arguments.phantoms, arguments.vesselnn):
        for method, measure in methods.items():
            if (name, method) in done:
                continue
            started = time.process_time()
            fused, depth = fuse(lambda stack=stack: stack, measure)
            seconds = (time.process_time() - started) / (stack.size / 1e6)
            scores = score(pipeline(fused), mask)
            rows.append(
                {"image": name, "data": data, "method": method, **against_truth(fused, depth, phantom)}
                | {key: scores[key] for key in SEGMENTED}
                | {"seconds_per_megavoxel": seconds}
            )
            print(f"{name:40}{method:11}Dice {scores['dice']:.3f}   clDice {scores['cldice']:.3f}", flush=True)
            write_scores(table, rows)


if __name__ == "__main__":
    main()
