"""Train the shipped weights from nothing: images, both cascades, and both files of weights, by one command.

    python -m scripts.release.train_model DIR OUT [--cascades DBAC DDMAC]

DIR holds ``vessmap`` and ``octa/synthetic``. OUT gets the images to train on (``slices`` and ``images``, see
:mod:`scripts.release.training_images`) and a folder for each part of the training of each cascade. These are: slices of
stacks, and from what they gave single images, and from that VessMAP. The first part of both cascades becomes
``OUT/stack.pt``; the mean of the second and the third ``OUT/model.pt``. The cascades have no parameter in common, so
that each may have a process, and a thread, of its own: give the command twice at once, each with one of them, once the
images are there (``--cascades`` without a name makes them alone), and once more for the files. The same command goes on
where it stopped.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
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
STACK, MODEL = ("slices",), ("images", "vessmap")  # parts whose mean is shipped
# what the logits are multiplied by, and what is added: few pixels of sparse, dim sections reach the 0.95 that
# hysteresis asks for, and people draw vessels a little wider than the slices of phantoms teach (docs/microscopes.md,
# Levels)
SHARPENED = {"stack": (2.0, 0.4), "model": (1.0, 0.0)}


def network_def(cascade: str) -> dict:
    """network_def of configs/train.yaml."""
    return {"_target_": f"bundle.networks.{cascade}", "channels": CHANNELS, "norm": NORM[cascade], "shuffle": SHUFFLE}


def checkpoint(output: Path, cascade: str, part: str) -> Path:
    """What a part of a cascade's training ends with."""
    return output / f"{cascade.lower()}_{part}" / "checkpoints" / "last.pt"


def words(cascade: str, part: str, images: Path, output: Path, start: Path | None) -> list[str]:
    """The command of one part of a training."""
    configs, options = PARTS[part]
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


def train(cascade: str, data: Path, output: Path) -> None:
    """All parts of a cascade's training, one after the other."""
    start = None
    for part in PARTS:
        images = data / "vessmap" if part == "vessmap" else output / part
        command = words(cascade, part, images, output, start)
        subprocess.run(command, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=True)
        start = checkpoint(output, cascade, part)


def publish(output: Path) -> None:
    """Both files of weights, of what the trainings gave."""
    for name, parts in {"stack": STACK, "model": MODEL}.items():
        target, blended = output / f"{name}.pt", []
        for number, part in enumerate(parts):
            file = output / f"{name}.part.pt" if number + 1 < len(parts) else target
            command = [sys.executable, "scripts/release/publish_weights.py"]
            command += [str(checkpoint(output, each, part).resolve()) for each in NORM]
            factor, shift = SHARPENED[name] if file == target else (1.0, 0.0)
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
    arguments = parser.parse_args()
    for name, options in IMAGES.items():
        if not (arguments.output / name / "split.csv").exists():
            command = [sys.executable, "-m", "scripts.release.training_images", str(arguments.data.resolve())]
            subprocess.run([*command, str((arguments.output / name).resolve()), *options], cwd=ROOT, check=True)
    for cascade in arguments.cascades:
        train(cascade, arguments.data, arguments.output)
    if all(finished(checkpoint(arguments.output, each, part)) for each in NORM for part in PARTS):
        publish(arguments.output)


if __name__ == "__main__":
    main()
