"""Train the weights of models/model.pt: each cascade on phantoms, on VessMAP, and once more on VessMAP, half blurred.

    python -m scripts.release.train_model OUT --vessmap DIR [--cascades DBAC DDMAC]

The cascades have no parameter in common, so that each may have a process of its own. Of each, the mean of the weights
of its last two trainings goes to OUT/DBAC.pt and OUT/DDMAC.pt, which ``scripts/release/publish_weights.py`` puts into
one file. The same command goes on where it stopped.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from monai.bundle import ConfigParser

from bundle.io import atomic
from bundle.networks import load_weights
from bundle.training import NormStatistics, take_statistics

ROOT = Path(__file__).resolve().parents[2]
CHANNELS = [8, 16, 32, 64, 128]
NORM = {"DBAC": "instance", "DDMAC": "batch"}
PHANTOMS = ("--count", "100", "--shape", "32", "256", "256", "--seed", "1")
# half of the crops of phantoms are magnified, from half to four times, before all else
KEYS = ["image", "label", "distance"]
ZOOM = {"_target_": "RandZoomd", "keys": KEYS, "prob": 0.5, "min_zoom": 0.5, "max_zoom": 4.0, "keep_size": False}
ZOOM |= {"mode": ["bilinear", "nearest", "bilinear"]}
CROP = {"_target_": "RandSpatialCropd", "keys": KEYS, "roi_size": "$[2 * side for side in @crop]", "random_size": False}
MAGNIFIED = {"train#optics#0": {"_target_": "Compose", "transforms": [ZOOM, CROP]}}
ON_PHANTOMS = {"max_epochs": 17, "crops_per_image": 3}
ON_VESSMAP = {"max_epochs": 12, "crops_per_image": 4}
BLURRED = {"blur": 0.5}
# DBAC learns what an empty surrounding is, and keeps the statistics of its running averages, of which it has none
OWN = {"DBAC": {"margins": 0.08, "norm_crops": 0}, "DDMAC": {}}


def network_def(cascade: str) -> dict:
    """network_def of configs/train.yaml."""
    return {"_target_": f"bundle.networks.{cascade}", "channels": CHANNELS, "norm": NORM[cascade]}


def words(cascade: str, images: Path, output: Path, start: Path | None, options: dict) -> list[str]:
    """The command of one training, seed 0, validated after every epoch."""
    settings = {
        "network_def": network_def(cascade),
        "dataset_dir": images.resolve(),
        "output_dir": output.resolve(),
        "seed": 0,
        "val_interval": 1,
        **({} if start is None else {"weights": start.resolve()}),
        **OWN[cascade],
        **options,
    }
    configs = ["configs/train.yaml"] + ["configs/fine_tune.yaml"] * (start is not None)
    command = [sys.executable, "-m", "monai.bundle", "run", "training", "--config_file", str(configs)]
    return command + [word for key, value in settings.items() for word in (f"--{key}", str(value))]


def train(cascade: str, phantoms: Path, vessmap: Path, output: Path) -> list[Path]:
    """Checkpoints of the last two trainings of a cascade, the epochs that validate best."""

    def training(name: str, images: Path, start: Path | None, options: dict) -> Path:
        folder = output / f"{cascade}_{name}"
        subprocess.run(words(cascade, images, folder, start, options), cwd=ROOT, check=True)
        return folder / "checkpoints"

    first = training("phantoms", phantoms, None, ON_PHANTOMS | MAGNIFIED)
    sharp = training("vessmap", vessmap, first / "last.pt", ON_VESSMAP)
    start = sharp / "best.pt" if cascade == "DBAC" else first / "last.pt"
    blurred = training("vessmap_blurred", vessmap, start, ON_VESSMAP | BLURRED)
    return [sharp / "best.pt", blurred / "best.pt"]


def mean(cascade: str, checkpoints: Sequence[Path], vessmap: Path) -> dict[str, torch.Tensor]:
    """The mean of the weights of trainings of one origin, batch normalisation's statistics anew.

    All started from one checkpoint, or one from what the other had come to. Such trainings end in one basin of the
    loss, so that the mean of their weights is a network as good, with something of what each has learnt:
    M. Wortsman et al., Model soups, ICML 2022, https://arxiv.org/abs/2203.05482.
    """
    network = ConfigParser({"network": network_def(cascade)}).get_parsed_content("network")
    states = [
        {name: value.clone() for name, value in load_weights(network, each).state_dict().items()}
        for each in checkpoints
    ]
    network.load_state_dict(
        {
            name: torch.stack([state[name] for state in states]).mean(0) if value.is_floating_point() else value
            for name, value in states[0].items()
        }
    )
    take_statistics(network, crops(vessmap))
    return network.state_dict()


def crops(vessmap: Path) -> Iterator[torch.Tensor]:
    """The crops of VessMAP of which a training takes the statistics."""
    parser = ConfigParser()
    parser.read_config(ROOT / "configs" / "train.yaml")
    parser["dataset_dir"] = str(vessmap.resolve())
    dataset = parser.get_parsed_content("train#dataset")
    return NormStatistics(torch.nn.Identity(), dataset, parser["crop"], parser["norm_crops"]).batches()


def main() -> None:
    """Train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--vessmap", type=Path, required=True, help="dataset folder of VessMAP, with its split.csv")
    parser.add_argument("--cascades", nargs="+", choices=NORM, default=list(NORM))
    arguments = parser.parse_args()
    phantoms = arguments.output / "phantoms"
    subprocess.run(
        [sys.executable, "-m", "bundle", "phantom", str(phantoms.resolve()), *PHANTOMS], cwd=ROOT, check=True
    )
    for cascade in arguments.cascades:
        checkpoints = train(cascade, phantoms, arguments.vessmap, arguments.output)
        file = arguments.output / f"{cascade}.pt"
        with atomic(file) as partial, open(partial, "wb") as stream:
            torch.save({"model": mean(cascade, checkpoints, arguments.vessmap)}, stream)
        print(f"{file}: mean of {' and '.join(str(each) for each in checkpoints)}")


if __name__ == "__main__":
    main()
