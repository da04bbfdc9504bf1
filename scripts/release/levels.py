"""How good masks are, and how well calibrated S is, by what the cascades' logits are multiplied by, and what is
added to them.

    python -m scripts.release.levels OUT --output docs/results/levels.csv

OUT is the folder of ``scripts.release.train_model``: its validation images are taken, of slices and of images, and
the parts that are shipped, as they were trained. Means over the images that hold a vessel: Dice, sensitivity and
precision at the usual thresholds; over all images the calibration error of S, in fifteen bins.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from monai.bundle import ConfigParser

from bundle.data import labelled_images
from bundle.home import INFERENCE
from bundle.io import open_image
from bundle.metrics import Confusion
from bundle.networks import faster_copy, load_weights

from ..shipped.calibration import calibration_error
from ..tables.result_files import write_rows
from .publish_weights import blend, sharpen
from .train_model import MODEL, NORM, STACK, checkpoint

LEVELS = ((1.0, 0.0), (1.5, 0.0), (2.0, 0.0), (3.0, 0.0), (2.0, 0.2), (2.0, 0.4), (2.0, 0.6))  # factors and shifts
LEAST = 50  # pixels of vessel that an image must hold
EVERY = 17  # of the pixels, that count for the calibration


def cases(folder: Path) -> Iterator[tuple[torch.Tensor, np.ndarray]]:
    """Images ``[1, X, Y]`` as the network sees them, and their masks."""
    for pair in labelled_images(folder, "val"):
        image, mask = (np.ascontiguousarray(open_image(pair[kind]).array().T) for kind in ("image", "label"))
        yield torch.from_numpy(image[None] / np.float32(255)), mask > 0


@torch.inference_mode()
def row(output: Path, images: str, parts: tuple[str, ...], factor: float, shift: float) -> dict[str, str]:
    """What one factor and shift give on the validation images of one kind."""
    config = ConfigParser()
    config.read_config(INFERENCE)
    networks = []
    for part in parts:
        network = ConfigParser({"network": config["network_def"]}).get_parsed_content("network").eval()
        for cascade in NORM:
            load_weights(getattr(network, cascade.lower()), checkpoint(output, cascade, part))
        networks.append(network)
    first, *others = networks
    blend(first, [each.state_dict() for each in others], [1 / len(networks)] * len(others))
    for cascade in (first.dbac, first.ddmac):
        sharpen(cascade, factor, shift)
    network, binarize = faster_copy(first), config.get_parsed_content("postprocessing")
    scores, probabilities, truth = [], [], []
    for image, mask in cases(output / images):
        probability = network(image[None])[0]
        probabilities.append(probability.flatten()[::EVERY].numpy())
        truth.append(mask.ravel()[::EVERY])
        if mask.sum() >= LEAST:
            found = np.asarray(binarize({"pred": probability})["pred"])[0] > 0
            scores.append(Confusion.between(found, mask))
    error = calibration_error(np.concatenate(probabilities), np.concatenate(truth))
    made = {"images": images, "factor": f"{factor:g}", "shift": f"{shift:g}", "count": str(len(scores))}
    for name in ("dice", "sensitivity", "precision"):
        made[name] = (
            f"{fmean(0.0 if np.isnan(value) else value for value in (getattr(each, name) for each in scores)):.4f}"
        )
    return made | {"calibration error": f"{error:.4f}"}


def main() -> None:
    """Compare the levels."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="OUT")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for images, parts in (("slices", STACK), ("images", MODEL)):
        for factor, shift in LEVELS:
            rows.append(row(arguments.folder, images, parts, factor, shift))
            print(", ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    write_rows(arguments.output, rows)


if __name__ == "__main__":
    main()
