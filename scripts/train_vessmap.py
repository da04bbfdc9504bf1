"""Train what docs/results.md compares: the shipped ensemble, the same without phantoms, and a plain U-Net.

    python scripts/train_vessmap.py --vessmap DIR [--output runs/vessmap] [--only NAME …]

Each training goes on where it stopped when the command is given again; one that is finished takes seconds. The minutes
that each took are kept in minutes.csv of the output folder, added up over interruptions.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PHANTOMS = ["--count", "100", "--shape", "32", "256", "256", "--seed", "1"]


def trainings(phantoms: Path, vessmap: Path, output: Path) -> dict[str, list[str]]:
    """Overrides of configs/train.yaml (with fine_tune.yaml where weights are given) for each training, in order."""
    unet = ["--network_def", "{'_target_': 'bundle.networks.UNet', 'channels': [8, 16, 32, 64, 128]}"]
    pretrained = ["--weights", str(output / "phantoms" / "checkpoints" / "last.pt")]
    return {
        "phantoms": ["--dataset_dir", str(phantoms), "--crops_per_image", "3", "--max_epochs", "17"],
        "fine_tuned": ["--dataset_dir", str(vessmap), *pretrained],
        "unet": ["--dataset_dir", str(vessmap), *unet],
        "scratch": ["--dataset_dir", str(vessmap)],
    }


def main() -> None:
    """Make the phantoms, then run the trainings in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vessmap", type=Path, required=True, help="dataset folder of VessMAP, with its split.csv")
    parser.add_argument("--output", type=Path, default=ROOT / "runs" / "vessmap")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these trainings alone")
    arguments = parser.parse_args()
    output, vessmap = arguments.output.resolve(), arguments.vessmap.resolve()
    phantoms = output / "phantom_stacks"
    subprocess.run([sys.executable, "-m", "bundle", "phantom", str(phantoms), *PHANTOMS], cwd=ROOT, check=True)
    for name, overrides in trainings(phantoms, vessmap, output).items():
        if arguments.only and name not in arguments.only:
            continue
        configs = ["configs/train.yaml"] + ["configs/fine_tune.yaml"] * ("--weights" in overrides)
        command = [sys.executable, "-m", "monai.bundle", "run", "training", "--config_file", str(configs)]
        started = time.monotonic()
        try:
            subprocess.run([*command, "--output_dir", str(output / name), *overrides], cwd=ROOT, check=True)
        finally:
            note_minutes(output / "minutes.csv", name, (time.monotonic() - started) / 60)


def note_minutes(path: Path, name: str, minutes: float) -> None:
    """Add to the minutes of a training."""
    rows: dict[str, float] = {}
    if path.exists():
        with open(path, newline="", encoding="utf-8") as stream:
            rows = {row["training"]: float(row["minutes"]) for row in csv.DictReader(stream)}
    rows[name] = rows.get(name, 0.0) + minutes
    with open(path, "w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, lineterminator="\n").writerows([["training", "minutes"], *rows.items()])


if __name__ == "__main__":
    main()
