"""Train one cascade of the shipped weights further, on the images of python -m scripts.release.training_images.

    python -m scripts.release.train_microscopes dbac IMAGES OUT [--weights models/model.pt] [--max_epochs 3]
    python -m scripts.release.train_microscopes ddmac IMAGES OUT

The cascades have no parameter in common, so that each has a process, and one thread, of its own. The same command goes
on where it stopped. ``python scripts/release/publish_weights.py DBAC DDMAC``, each the checkpoints/last.pt of its OUT,
puts both into models/model.pt.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from .train_model import NORM, ROOT, network_def

CONFIGS = ("train", "fine_tune", "microscopes")


def main() -> None:
    """Train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cascade", choices=[name.lower() for name in NORM])
    parser.add_argument("images", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--weights", type=Path, default=ROOT / "models" / "model.pt", help="to start from")
    parser.add_argument("--max_epochs", type=int, default=3)
    parser.add_argument("--learning_rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    name = arguments.cascade.upper()
    options = {
        "network_def": network_def(name),
        "dataset_dir": arguments.images.resolve(),
        "output_dir": arguments.output.resolve(),
        "weights": arguments.weights.resolve(),
        "max_epochs": arguments.max_epochs,
        "crops_per_image": 1,
        "learning_rate": arguments.learning_rate,
        "seed": arguments.seed,
    }
    configs = str([f"configs/{config}.yaml" for config in CONFIGS])
    command = [sys.executable, "-W", "ignore", "-m", "monai.bundle", "run", "training", "--config_file", configs]
    command += [word for key, value in options.items() for word in (f"--{key}", str(value))]
    sys.exit(subprocess.run(command, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}).returncode)


if __name__ == "__main__":
    main()
