"""Train the shipped weights from nothing: images, both cascades, and both files of weights, by one command.

    python -m scripts.release.train_model DIR OUT [--cascades DBAC DDMAC] [--without-vessmap]

DIR holds ``vessmap`` and ``octa/synthetic``. OUT gets the images to train on (``slices`` and ``images``, see
:mod:`scripts.release.training_images`) and a folder for each part of the training of each cascade. These are: slices of
stacks, and from what they gave single images, and from that VessMAP. The first part of both cascades becomes
``OUT/stack.pt``; the mean of the second and the third ``OUT/model.pt``. The cascades have no parameter in common, so
that each may have a process, and a thread, of its own: give the command twice at once, each with one of them, once the
images are there (``--cascades`` without a name makes them alone), and once more for the files. The same command goes on
where it stopped.

``--without-vessmap`` trains on the same images but VessMAP's, half as long, and gives ``OUT/without_vessmap.pt``: what
weights are worth on VessMAP that never saw it.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bundle.networks import read_weights

ROOT = Path(__file__).resolve().parents[2]
NORM = {"DBAC": "instance", "DDMAC": "batch"}
CHANNELS = [16, 32, 64, 128]
SHUFFLE = 2
IMAGES = {
    "slices": ("--count", "48", "--seed", "3", "--visible"),
    "images": ("--count", "16", "--seed", "4", "--visible", "--single"),
}
GENERAL = ("train", "fine_tune", "microscopes")
ON_VESSMAP = {"crop": [144, 144], "blur": 0.5, "norm_crops": 128, "layout": "$torch.channels_last", "val_interval": 4}
PARTS = {  # configs, and options beside those of all parts
    "slices": (GENERAL, {"max_epochs": 18, "crops_per_image": 1, "learning_rate": 3e-3}),
    "images": (GENERAL, {"max_epochs": 8, "crops_per_image": 1, "learning_rate": 1.5e-3}),
    "vessmap": (GENERAL[:2], {"max_epochs": 20, "crops_per_image": 8, "learning_rate": 1.5e-3} | ON_VESSMAP),
}
WITHOUT = {  # the first two without VessMAP
    "slices_without": (GENERAL, {"max_epochs": 9, "crops_per_image": 1, "learning_rate": 3e-3}),
    "images_without": (GENERAL, {"max_epochs": 8, "crops_per_image": 1, "learning_rate": 1.5e-3}),
}
STACK, MODEL = ("slices",), ("images", "vessmap")  # parts whose mean is shipped
FILES = {"stack": STACK, "model": MODEL}
# what the logits are multiplied by, and what is added: few pixels of sparse, dim sections reach the 0.95 that
# hysteresis asks for, and people draw more than phantoms teach, dimmer vessels and wider ones (docs/microscopes.md,
# Levels)
SHARPENED = {"stack": (2.0, 0.4), "model": (2.0, 0.8)}


def network_def(cascade: str) -> dict:
    """network_def of configs/train.yaml."""
    return {"_target_": f"bundle.networks.{cascade}", "channels": CHANNELS, "norm": NORM[cascade], "shuffle": SHUFFLE}


def checkpoint(output: Path, cascade: str, part: str) -> Path:
    """What a part of a cascade's training ends with."""
    return output / f"{cascade.lower()}_{part}" / "checkpoints" / "last.pt"


def words(cascade: str, part: str, images: Path, output: Path, start: Path | None) -> list[str]:
    """The command of one part of a training."""
    configs, options = (PARTS | WITHOUT)[part]
    settings = {
        "network_def": network_def(cascade),
        "dataset_dir": images.resolve(),
        "output_dir": checkpoint(output, cascade, part).parents[1].resolve(),
        "weights": "$None" if start is None else start.resolve(),
        "seed": 0,
        **options,
    }
    files = str([f"configs/{config}.yaml" for config in configs])
    command = [sys.executable, "-W", "ignore", "-m", "monai.bundle", "run", "training", "--config_file", files]
    return command + [word for key, value in settings.items() for word in (f"--{key}", str(value))]


def finished(file: Path) -> bool:
    """Whether a checkpoint is of the last epoch; one is written after each."""
    if not file.exists():
        return False
    state = read_weights(file)
    return state["epoch"] == state["max_epochs"]


def leave_out_vessmap(images: Path, target: Path) -> None:
    """A dataset folder of the same files without VessMAP's."""
    target.mkdir(parents=True, exist_ok=True)
    for kind in ("images", "masks"):
        if not (target / kind).exists():
            (target / kind).symlink_to((images / kind).resolve(), target_is_directory=True)
    with open(images / "split.csv", newline="", encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if "vessmap" not in row["stem"]]
    with open(target / "split.csv", "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def train(cascade: str, data: Path, output: Path, parts: Sequence[str]) -> None:
    """Some parts of a cascade's training, one after the other."""
    start = None
    for part in parts:
        images = data / "vessmap" if part == "vessmap" else output / part
        command = words(cascade, part, images, output, start)
        subprocess.run(command, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=True)
        start = checkpoint(output, cascade, part)


def publish(output: Path, files: Mapping[str, Sequence[str]]) -> None:
    """Files of weights, each the mean of what some parts of the trainings gave."""
    for name, parts in files.items():
        target, blended = output / f"{name}.pt", []
        for number, part in enumerate(parts):
            file = output / f"{name}.part.pt" if number + 1 < len(parts) else target
            command = [sys.executable, "scripts/release/publish_weights.py"]
            command += [str(checkpoint(output, each, part).resolve()) for each in NORM]
            factor, shift = SHARPENED.get(name, (1.0, 0.0)) if file == target else (1.0, 0.0)
            command += ["--output", str(file.resolve()), "--sharpen", str(factor), "--shift", str(shift), *blended]
            subprocess.run(command, cwd=ROOT, check=True)
            blended = ["--blend", str(file.resolve()), str((number + 1) / (number + 2))]
        (output / f"{name}.part.pt").unlink(missing_ok=True)


def main() -> None:
    """Train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--cascades", nargs="*", choices=NORM, default=list(NORM))
    parser.add_argument("--without-vessmap", action="store_true")
    arguments = parser.parse_args()
    without = arguments.without_vessmap
    parts, files = (WITHOUT, {"without_vessmap": ("images_without",)}) if without else (PARTS, FILES)
    for name, options in IMAGES.items():
        if not (arguments.output / name / "split.csv").exists():
            command = [sys.executable, "-m", "scripts.release.training_images", str(arguments.data.resolve())]
            subprocess.run([*command, str((arguments.output / name).resolve()), *options], cwd=ROOT, check=True)
        if without:
            leave_out_vessmap(arguments.output / name, arguments.output / f"{name}_without")
    for cascade in arguments.cascades:
        train(cascade, arguments.data, arguments.output, tuple(parts))
    if all(finished(checkpoint(arguments.output, each, part)) for each in NORM for part in parts):
        publish(arguments.output, files)


if __name__ == "__main__":
    main()
