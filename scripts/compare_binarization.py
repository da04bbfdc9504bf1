"""Score steps from probability to mask on VessMAP's validation images: docs/results/binarization_val.csv.

    python scripts/compare_binarization.py --vessmap DIR [--output docs/results]

With the shipped weights; a row for each setting, means over the images.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import torch
from monai.bundle import ConfigParser

from bundle.data import labelled_images
from bundle.engines import load_weights
from bundle.io import atomic
from bundle.metrics import score, summarize
from bundle.transforms import CloseGaps, HysteresisThreshold, RemoveFragments

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = [  # low, high, gaps, fragments; the first is the default
    (0.45, 0.95, 2, 30),
    (0.45, 0.95, 0, 30),
    (0.45, 0.95, 3, 30),
    (0.45, 0.95, 5, 30),
    (0.45, 0.95, 2, 0),
    (0.45, 0.95, 2, 60),
    (0.45, 0.95, 2, 100),
    (0.45, 0.80, 2, 30),
    (0.40, 0.90, 2, 30),
    (0.50, 0.50, 2, 30),
]
SHOWN = ("dice", "cldice", "sensitivity", "precision", "betti0_error", "betti1_error")


@torch.inference_mode()
def main() -> None:
    """Score every setting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vessmap", type=Path, required=True, help="dataset folder of VessMAP, with its split.csv")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "results")
    arguments = parser.parse_args()
    config = ConfigParser()
    config.read_config(ROOT / "configs" / "train.yaml")
    read = config.get_parsed_content("validate#preprocessing")
    items = [read(item) for item in labelled_images(arguments.vessmap, "val")]
    network = load_weights(config.get_parsed_content("network_def"), ROOT / "models" / "model.pt").eval()
    probabilities = [network(item["image"].as_tensor()[None])[0] for item in items]
    with atomic(arguments.output / "binarization_val.csv") as partial, open(partial, "w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["low", "high", "gaps", "fragments", *SHOWN])
        for low, high, gaps, fragments in SETTINGS:
            steps = HysteresisThreshold(low, high), CloseGaps(gaps), RemoveFragments(fragments)
            masks = list(probabilities)
            for step in steps:
                masks = [step(mask) for mask in masks]
            means = summarize([score(mask, item["label"]) for mask, item in zip(masks, items, strict=True)])
            writer.writerow([low, high, gaps, fragments, *(f"{means[name].mean:.4f}" for name in SHOWN)])


if __name__ == "__main__":
    main()
