"""How good masks are, and how well calibrated S is, by what the cascades' logits are multiplied by, and what is
added to them.

    python -m scripts.release.levels OUT --output docs/results/levels.csv

OUT is the folder of ``scripts.release.train_model``: its validation images are taken, of slices and of images, and
the parts that are shipped, as they were trained. Of images there are also fused phantoms and sections of a series that
no training and no other table has seen; and, as a microscope that a network never saw, VessMAP with what
``--without-vessmap`` trained, if that is there. Means over the images that hold a vessel: Dice, sensitivity and
precision at the usual thresholds; over all images the calibration error of S, in fifteen bins.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
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
from bundle.phantoms import FAMILIES, make_phantom
from bundle.transforms import AdaptiveHistogramEqualization

from ..benchmarks.microscopes import PLAIN, SHAPE, Case
from ..shipped.calibration import calibration_error
from ..tables.result_files import write_rows
from .publish_weights import blend, sharpen
from .train_model import MODEL, NORM, STACK, WITHOUT, checkpoint, finished

SHIFTS = (0.2, 0.4, 0.6, 0.8, 1.2, 1.6, 2.0, 3.0, 4.0)
LEVELS = ((1.0, 0.0), (1.5, 0.0), (2.0, 0.0), (3.0, 0.0), *((2.0, shift) for shift in SHIFTS))  # factors and shifts
VESSMAP = "vessmap"  # in the names of its images
LEAST = 50  # pixels of vessel that an image must hold
SEED = 9700  # of the phantoms
COUNT = 6  # of each family
EVERY = 17  # of the pixels, that count for the calibration

Item = tuple[torch.Tensor, np.ndarray]  # an image `[1, X, Y]`, and its mask


def cases(folder: Path, among: str = "") -> list[Item]:
    """Validation images as the network sees them, and their masks; those whose names hold a word."""
    made = []
    for pair in labelled_images(folder, "val"):
        if among in Path(pair["image"]).name:
            image, mask = (np.ascontiguousarray(open_image(pair[kind]).array().T) for kind in ("image", "label"))
            made.append((torch.from_numpy(image[None] / np.float32(255)), mask > 0))
    return made


def of_phantoms() -> list[Item]:
    """Fused phantoms, and middle slices of sections as single images."""
    made = []
    for family in (PLAIN, *FAMILIES):
        for index in range(COUNT):
            phantom = make_phantom(SHAPE, seed=SEED, index=index, family=None if family == PLAIN else family)
            stack, middle = Case(family, phantom.stack.T, phantom.slab_mask.T), SHAPE[0] // 2
            made.append(stack.fused())
            if "section" in family:
                made.append(Case(family, stack.image[..., middle], stack.mask[..., middle]))
    seen = AdaptiveHistogramEqualization()
    images = (torch.from_numpy(np.ascontiguousarray(case.image, np.float32))[None] for case in made)
    return [(torch.as_tensor(seen(image)), case.mask) for image, case in zip(images, made, strict=True)]


@torch.inference_mode()
def row(
    output: Path, name: str, items: Sequence[Item], parts: tuple[str, ...], factor: float, shift: float
) -> dict[str, str]:
    """What one factor and shift give on the images of one kind."""
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
    for image, mask in items:
        probability = network(image[None])[0]
        probabilities.append(probability.flatten()[::EVERY].numpy())
        truth.append(mask.ravel()[::EVERY])
        if mask.sum() >= LEAST:
            found = np.asarray(binarize({"pred": probability})["pred"])[0] > 0
            scores.append(Confusion.between(found, mask))
    error = calibration_error(np.concatenate(probabilities), np.concatenate(truth))
    made = {"images": name, "factor": f"{factor:g}", "shift": f"{shift:g}", "count": str(len(scores))}
    for score in ("dice", "sensitivity", "precision"):
        values = (getattr(each, score) for each in scores)
        made[score] = f"{fmean(0.0 if np.isnan(value) else value for value in values):.4f}"
    return made | {"calibration error": f"{error:.4f}"}


def main() -> None:
    """Compare the levels."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="OUT")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    folder: Path = arguments.folder
    kinds = [("slices", cases(folder / "slices"), STACK), ("images", cases(folder / "images"), MODEL)]
    kinds.append(("phantoms and sections", of_phantoms(), MODEL))
    for images, part in zip(("slices", "images"), WITHOUT, strict=True):
        if all(finished(checkpoint(folder, cascade, part)) for cascade in NORM):
            kinds.append((f"VessMAP by {part}", cases(folder / images, VESSMAP), (part,)))
    for name, items, parts in kinds:
        for factor, shift in LEVELS:
            rows.append(row(folder, name, items, parts, factor, shift))
            print(", ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    write_rows(arguments.output, rows)


if __name__ == "__main__":
    main()
