"""Score the trainings of scripts/train_vessmap.py on a split of VessMAP: a table with a row per method and image.

    python scripts/evaluate_vessmap.py --vessmap DIR [--runs runs/vessmap] [--split test] [--output docs/results]

Writes vessmap_SPLIT.csv and, copied from the runs, minutes.csv. python -m scripts.results reads both.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from monai.bundle import ConfigParser

from bundle.data import labelled_images
from bundle.engines import load_weights
from bundle.io import image_name
from bundle.metrics import score, write_scores
from bundle.networks import UNet

ROOT = Path(__file__).resolve().parents[1]
ENSEMBLES = {"scratch": "VessMAP", "fine_tuned": "phantoms, then VessMAP", "phantoms": "phantoms"}

Network = Callable[[torch.Tensor], torch.Tensor]


def methods(runs: Path, config: ConfigParser) -> Iterator[tuple[str, str, Network]]:
    """Name, training data and probability of every row; best.pt is the epoch that validated best."""
    yield "U-Net", "VessMAP", load_weights(UNet(), runs / "unet" / "checkpoints" / "best.pt").eval()
    for run, data in ENSEMBLES.items():
        ensemble = config.get_parsed_content("network_def", instantiate=True)
        ensemble = load_weights(ensemble, runs / run / "checkpoints" / "best.pt").eval()
        yield "DBAC", data, lambda x, e=ensemble: e.probabilities(x)[0]
        yield "DDMAC", data, lambda x, e=ensemble: e.probabilities(x)[1]
        yield "ensemble, average", data, lambda x, e=ensemble: sum(e.probabilities(x)) / 2
        yield "ensemble, maximum", data, lambda x, e=ensemble: torch.maximum(*e.probabilities(x))


@torch.inference_mode()
def main() -> None:
    """Score every method on every image."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vessmap", type=Path, required=True, help="dataset folder of VessMAP, with its split.csv")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "vessmap")
    parser.add_argument("--split", choices=("train", "val", "test"), default="test")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "results")
    arguments = parser.parse_args()
    config = ConfigParser()
    config.read_config(ROOT / "configs" / "train.yaml")
    read, binarize = (config.get_parsed_content(f"validate#{name}") for name in ("preprocessing", "postprocessing"))
    items = [read(item) for item in labelled_images(arguments.vessmap, arguments.split)]
    rows = []
    for method, data, network in methods(arguments.runs, config):
        started = time.perf_counter()
        predictions = [network(item["image"].as_tensor()[None])[0] for item in items]
        seconds = (time.perf_counter() - started) / len(items)
        for item, prediction in zip(items, predictions, strict=True):
            mask = binarize({"pred": prediction})["pred"]
            name = image_name(item["image"].meta["filename_or_obj"])
            rows.append({"image": name, "method": method, "trained on": data, **score(mask, item["label"])})
        dice = sum(row["dice"] for row in rows[-len(items) :]) / len(items)
        print(f"{method:20}{data:25}Dice {dice:.4f}   {seconds:.2f} s per image", flush=True)
    write_scores(arguments.output / f"vessmap_{arguments.split}.csv", rows)
    shutil.copyfile(arguments.runs / "minutes.csv", arguments.output / "minutes.csv")


if __name__ == "__main__":
    main()
