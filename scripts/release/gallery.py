"""Draw the gallery of docs/guides/gallery.md: of each family of phantoms the best and the worst mask of four.

python -m scripts.release.gallery

The phantoms are those of docs/microscopes.md, which no training has seen: 12 x 192 x 192 voxels, fused, against the
projection of the vessels in them. Everything in the pictures is made up; no image of a microscope is among them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from matplotlib.figure import Figure

from bundle import segment
from bundle.io import atomic
from bundle.metrics import score
from bundle.phantoms import FAMILIES, make_phantom
from bundle.pictures import error_overlay, mask_overlay

from ..tables.result_files import ROOT

SHAPE, SEED, COUNT = (12, 192, 192), 9000, 4


def main() -> None:
    """Draw a picture for each family."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "gallery", help="folder of the pictures")
    folder = parser.parse_args().output
    folder.mkdir(exist_ok=True)
    for family in FAMILIES:
        found = []
        for index in range(COUNT):
            phantom = make_phantom(SHAPE, seed=SEED, index=index, family=family)
            result = segment(phantom.stack, phantom.spacing)
            truth = phantom.slab_mask.any(axis=0)
            dice = 100 * score(result.mask[None], truth[None])["dice"]
            found.append((dice, index, result, truth))
        found.sort(key=lambda each: each[0])
        figure = Figure(figsize=(12, 3.3), layout="constrained")
        places = iter(figure.subplots(1, 4))
        for called, (dice, index, result, truth) in (("best", found[-1]), ("worst", found[0])):
            for picture, title in (
                (mask_overlay(result.image, result.mask), f"{family} {index}, the {called} of {COUNT}"),
                (
                    error_overlay(result.mask, truth),
                    f"Dice {dice:.0f}, expected {100 * result.expected_dice:.0f}",
                ),
            ):
                axes = next(places)
                axes.imshow(picture, interpolation="nearest")
                axes.set_title(title, fontsize=10)
                axes.set_axis_off()
        with atomic(folder / f"{family}.png") as partial:
            figure.savefig(partial, format="png", dpi=64, metadata={"Software": None})
        print(family, " ".join(f"{index}: {dice:.0f} ({result.expected_dice:.2f})" for dice, index, result, _ in found))


if __name__ == "__main__":
    main()
