"""Draw the test images on which the shipped weights do worst: docs/worst_cases.png.

python -m scripts.release.worst_cases --vessmap DIR

Images and masks of VessMAP (Viana da Silva et al. 2025, https://doi.org/10.5281/zenodo.10045265, CC BY 4.0).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from bundle.errors import InputError
from bundle.io import atomic, open_image
from bundle.metrics import score
from bundle.pictures import error_overlay, mask_overlay

from ..shipped.images import config, labelled, probabilities, shipped
from ..tables.result_files import ROOT

COUNT = 4


def main() -> None:
    """Draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vessmap", type=Path, required=True, help="dataset folder of VessMAP, with its split.csv")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "worst_cases.png", help="the picture")
    arguments = parser.parse_args()
    try:
        items = labelled(arguments.vessmap.resolve(), "test")
    except InputError as error:
        parser.exit(1, f"{error}\n")
    binarize = config().get_parsed_content("validate#postprocessing")
    maps = probabilities(shipped(), items)
    masks = {name: binarize({"pred": torch.from_numpy(array)})["pred"] for name, array in maps.items()}
    scores = {name: score(mask, items[name]["label"]) for name, mask in masks.items()}
    figure = Figure(figsize=(4 * COUNT, 8.6), layout="constrained")
    columns = figure.subplots(2, COUNT).T
    for axes, name in zip(columns, sorted(scores, key=lambda name: scores[name]["dice"]), strict=False):
        image = open_image(Path(items[name]["image"].meta["filename_or_obj"])).array()
        mask, truth = (np.asarray(array)[0].T > 0 for array in (masks[name], items[name]["label"]))
        found = scores[name]
        axes[0].imshow(mask_overlay(image, mask), interpolation="nearest")
        axes[0].set_title(f"{name}: Dice {100 * found['dice']:.1f}, clDice {100 * found['cldice']:.1f}")
        axes[1].imshow(error_overlay(mask, truth), interpolation="nearest")
        axes[1].set_title(f"sens. {100 * found['sensitivity']:.1f}, prec. {100 * found['precision']:.1f}")
        for each in axes:
            each.set_axis_off()
    with atomic(arguments.output) as partial:
        figure.savefig(partial, format="png", dpi=60, metadata={"Software": None})


if __name__ == "__main__":
    main()
