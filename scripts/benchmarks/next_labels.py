"""Whether labels that ``next`` chooses bring more than labels drawn at random: a simulation on VessMAP, into a CSV.

    python -m scripts.benchmarks.next_labels DIR --weights FILE --output OUT.csv [--counts 4 10] [--draws 5]

DIR is ``vessmap``; FILE holds weights that have seen no image of it, such as those that ``scripts.shipped`` trains on
phantoms first. Of the 50 training images as many as COUNTS are labelled: once those that ``next`` names (whole images),
and in each of five draws as many at random. The weights are trained further on them (``bundle.adaptation.tuned``, 100
steps, the seed of the draw for both, so that chance is the same) and judged on the 20 test images. What is in the table
stays.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from monai.bundle import ConfigParser
from torch import nn

from bundle.adaptation import Annotation, Settings, mask_of, probability, tuned
from bundle.home import INFERENCE
from bundle.io import atomic
from bundle.metrics import Confusion
from bundle.networks import load_weights
from bundle.segmentation import WholeOrWindowsInferer, WithDisagreement
from bundle.transforms import AdaptiveHistogramEqualization
from bundle.trust import Evidence, choose, learned

from .microscopes import Case, pairs

COLUMNS = ("count", "draw", "way", "images", "dice", "worst")
SETTINGS = Settings("equalized")


@dataclass(frozen=True)
class Labelled:
    """An image ``[X, Y]`` as it is and as the network sees it, with its mask."""

    case: Case
    enhanced: np.ndarray

    @classmethod
    def of(cls, case: Case) -> Labelled:
        """Enhance its contrast."""
        image = torch.from_numpy(np.ascontiguousarray(case.image, np.float32))[None]
        return cls(case, np.asarray(AdaptiveHistogramEqualization()(image))[0])

    def annotation(self) -> Annotation:
        """All of it, labelled."""
        return Annotation(self.case.name, {SETTINGS.contrast: self.enhanced}, self.case.mask.astype(np.int8), True)


def chosen(pool: Sequence[Labelled], network: nn.Module, count: int) -> tuple[int, ...]:
    """The images that ``next`` names."""
    both, inferer = WithDisagreement(network).eval(), WholeOrWindowsInferer()
    places = []
    for image in pool:
        with torch.inference_mode():
            s, d = inferer(torch.from_numpy(image.enhanced)[None, None], both)[0].numpy()
        mask = mask_of(s, SETTINGS.low, SETTINGS.high)
        places.append(Evidence.of(np.asarray(image.case.image, np.float32), s, d, mask))
    return choose(places, learned("image"), "image", count).order


def scored(network: nn.Module, test: Sequence[Labelled]) -> tuple[float, float]:
    """Mean and least Dice."""
    dice = []
    for image in test:
        found = probability(image.enhanced, network, WholeOrWindowsInferer())
        dice.append(Confusion.between(mask_of(found, SETTINGS.low, SETTINGS.high), image.case.mask).dice)
    return fmean(dice), min(dice)


def main() -> None:
    """Train on what is chosen and on what is drawn, and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--counts", type=int, nargs="+", default=(4, 10))
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--steps", type=int, default=100)
    arguments = parser.parse_args()
    config = ConfigParser()
    config.read_config(INFERENCE)
    network = load_weights(config.get_parsed_content("network_def"), arguments.weights).eval()
    pool, test = ([Labelled.of(case) for case in pairs(arguments.data, split)] for split in ("train", "test"))
    rows = list(csv.DictReader(arguments.output.open(encoding="utf-8"))) if arguments.output.exists() else []
    done = {(row["count"], row["draw"], row["way"]) for row in rows}
    best = chosen(pool, network, max(arguments.counts))
    for count in arguments.counts:
        for draw in range(arguments.draws):
            drawn = np.random.default_rng([draw, count]).choice(len(pool), count, replace=False)
            for way, numbers in (("next", best[:count]), ("random", drawn)):
                if (str(count), str(draw), way) in done:
                    continue
                some = [pool[number] for number in numbers]
                student = tuned(network, [image.annotation() for image in some], SETTINGS, arguments.steps, draw)
                dice, worst = scored(student, test)
                names = " ".join(image.case.name for image in some)
                values = (str(count), str(draw), way, names, f"{dice:.4f}", f"{worst:.4f}")
                rows.append(dict(zip(COLUMNS, values, strict=True)))
                print(*values, flush=True)
                with atomic(arguments.output) as partial, open(partial, "w", newline="", encoding="utf-8") as stream:
                    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
                    writer.writeheader()
                    writer.writerows(rows)
        own = [row for row in rows if row["count"] == str(count)]
        dice_of = {way: [float(row["dice"]) for row in own if row["way"] == way] for way in ("next", "random")}
        gains = np.subtract(dice_of["next"], dice_of["random"])
        better = f"a point and more in {np.sum(gains >= 0.01)} of {len(gains)} draws"
        print(f"{count} labels: {100 * gains.mean():+.1f} points of Dice, {better}")


if __name__ == "__main__":
    main()
