"""Score weights on every microscope that is at hand, and on phantoms: a line for each image, into a CSV.

    python -m scripts.benchmarks.microscopes DIR --output OUT.csv [--weights FILE [--config FILE]] [--sets NAME ...]

DIR holds ``vesselnn``, ``octa`` and ``vessmap``. Stacks are segmented slice by slice, as ``--mode stack`` does, and
once more fused; the slices of a phantom are compared with the vessel within half a step of each. ``--weights otsu`` is
the threshold that every network has to beat: Otsu's, of the image smoothed by a pixel. Weights of another version
need the ``configs/inference.json`` of that version (``--config``), which says of what network they are. ``--fast``
looks at the middle of every image and at fewer images, to choose by. One thread; sets that are in the table stay as
they are.
"""

from __future__ import annotations

import argparse
import csv
import logging
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from monai.bundle import ConfigParser
from scipy.ndimage import gaussian_filter
from skimage.filters import threshold_otsu

from bundle.data import labelled_images
from bundle.home import INFERENCE, shipped_weights
from bundle.io import atomic, image_name, open_image
from bundle.metrics import Confusion, centerline_dice
from bundle.networks import load_weights
from bundle.phantoms import FAMILIES, make_phantom
from bundle.segmentation import SecondOpinion, WholeOrWindowsInferer, WithDisagreement, better_of, expected_of_image
from bundle.transforms import AdaptiveHistogramEqualization, FuseFocus, LinearContrast

from .vesselnn import stack_files

PLAIN = "plain"  # the phantoms of no family
SEED = 9000  # of the phantoms, which no training has seen
SHAPE = (12, 192, 192)
COUNT = 4  # phantoms of each family
MIDDLE = 256  # pixels of a side that --fast looks at
SHOWN = ("dice", "cldice", "sensitivity", "precision")
Network = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Case:
    """An image ``[X, Y]`` or a stack ``[X, Y, Z]``, and its mask of the same shape."""

    name: str
    image: np.ndarray
    mask: np.ndarray

    def fused(self) -> Case:
        """The stack as one image, against the projection of its mask."""
        return Case(self.name, np.asarray(FuseFocus()(torch.from_numpy(self.image)[None]))[0], self.mask.any(-1))

    def middle(self) -> Case:
        """Its middle in plane."""
        box = tuple(slice(max(0, (side - MIDDLE) // 2), (side + MIDDLE) // 2) for side in self.image.shape[:2])
        return Case(self.name, self.image[box], self.mask[box])


def vesselnn(data: Path) -> Iterator[Case]:
    """Two-photon stacks."""
    for name, image, label in stack_files(data / "vesselnn"):
        yield Case(name, _read(image), _read(label) > 0)


def octa(data: Path) -> Iterator[Case]:
    """The OCT angiography stack."""
    for image in sorted((data / "octa" / "tubenet" / "images").iterdir()):
        yield Case(image.stem, _read(image), _read(image.parents[1] / "masks" / image.name) > 0)


def pairs(folder: Path, split: str) -> Iterator[Case]:
    """Images of a dataset folder."""
    for pair in labelled_images(folder, split):
        yield Case(image_name(pair["image"]), _read(pair["image"]), _read(pair["label"]) > 0)


def synthetic(data: Path) -> Iterator[Case]:
    """Synthetic OCT angiograms, every fourth."""
    for image in sorted((data / "octa" / "synthetic" / "images").iterdir())[::4]:
        label = next((image.parents[1] / "masks").glob(f"{image.stem}.*"))
        yield Case(image.stem, _read(image), _read(label) > 0)


def phantoms(family: str) -> Iterator[Case]:
    """Phantoms with the vessel within half a step of each slice."""
    for index in range(COUNT):
        phantom = make_phantom(SHAPE, seed=SEED, index=index, family=None if family == PLAIN else family)
        yield Case(f"{family}_{index}", phantom.stack.T, phantom.slab_mask.T)


def sections() -> Iterator[Case]:
    """Single images of sections, as a camera takes them: the middle slices of phantoms, sparse and dim ones too."""
    for family in ("thin-section", "thick-section"):
        for case in phantoms(family):
            middle = case.image.shape[-1] // 2
            yield Case(case.name, case.image[..., middle], case.mask[..., middle])


def _read(path: Path | str) -> np.ndarray:
    return np.ascontiguousarray(open_image(path).array().T)


def sets(data: Path) -> dict[str, Callable[[], Iterator[Case]]]:
    """All that can be scored, by name; of one name in ``_fused`` and ``_slices`` the images are the same."""
    stacks = {"vesselnn": lambda: vesselnn(data), "octa": lambda: octa(data)}
    stacks |= {f"phantoms_{family}": lambda family=family: phantoms(family) for family in (PLAIN, *FAMILIES)}
    made: dict[str, Callable[[], Iterator[Case]]] = {}
    for name, cases in stacks.items():
        made[f"{name}_slices"] = cases
        made[f"{name}_fused"] = lambda cases=cases: (case.fused() for case in cases())
    for split in ("val", "test"):
        made[f"vessmap_{split}"] = lambda split=split: pairs(data / "vessmap", split)
    made["sections"] = sections
    made["octa_synthetic"] = lambda: synthetic(data)
    return made


CONTRASTS = {  # of the slices of a stack, and of an image
    "paper": (LinearContrast(), AdaptiveHistogramEqualization()),
    "volume": (LinearContrast(per="volume"), LinearContrast()),
}


class Segmenter:
    """From grey values to the mask, as configs/inference.json has it.

    Args:
        weights: of its network.
        contrast: one of :data:`CONTRASTS`.
        inference: the config that names its network.
        second: weights that are asked where little is to be expected of what is found in an image.
    """

    def __init__(self, weights: Path, contrast: str, inference: Path = INFERENCE, second: Path | None = None) -> None:
        config = ConfigParser()
        config.read_config(inference)
        self.network = load_weights(config.get_parsed_content("network_def"), weights).eval()
        self.binarize = config.get_parsed_content("postprocessing")
        self.inferer = WholeOrWindowsInferer()
        self.contrast = CONTRASTS[contrast]
        self.second = SecondOpinion(self.network, second)

    def seen(self, image: np.ndarray) -> torch.Tensor:
        """What the network is shown, ``[1, X, Y]`` or ``[1, X, Y, Z]``."""
        return torch.as_tensor(self.contrast[image.ndim == 2](torch.from_numpy(np.ascontiguousarray(image))[None]))

    @torch.inference_mode()
    def __call__(self, case: Case, fast: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """The mask that is found, and the true one, of the middle alone if ``fast``."""
        seen = self.seen(case.image)
        if fast:
            part = Case(case.name, np.ascontiguousarray(seen[0]), case.mask).middle()
            seen, case = torch.from_numpy(np.ascontiguousarray(part.image))[None], part

        def found(network: torch.nn.Module) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            maps = self.inferer(seen[None].float(), network)[0]
            mask = np.asarray(self.binarize({"pred": maps[:1].clone()})["pred"])[0] > 0
            return maps[0].numpy(), maps[-1].numpy(), mask

        if not self.second or case.image.ndim == 3 or fast:
            return found(self.network)[-1], case.mask
        grey = np.asarray(case.image, np.float32)
        first = found(WithDisagreement(self.network).eval())
        maps, _, _ = better_of(
            first, lambda found, second: expected_of_image(grey, *found, second=second), found, self.second
        )
        return maps[-1], case.mask


def otsu(case: Case, fast: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Otsu's threshold, of a whole stack at once."""
    smooth = gaussian_filter(case.image.astype(np.float32), (1, 1, 0)[: case.image.ndim])
    part = Case(case.name, smooth > threshold_otsu(smooth), case.mask)
    part = part.middle() if fast else part
    return part.image, part.mask


def scores(found: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Of one image or stack; what is undefined is NaN."""
    pixels = Confusion.between(found, true)
    return {name: centerline_dice(found, true) if name == "cldice" else getattr(pixels, name) for name in SHOWN}


def main() -> None:
    """Score what is not in the table yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--weights", type=Path, help="for all; the shipped ones if not given, slices having their own")
    parser.add_argument("--config", type=Path, default=INFERENCE, help="configs/inference.json of their version")
    parser.add_argument("--contrast", choices=CONTRASTS, default="paper")
    parser.add_argument("--sets", nargs="+", metavar="NAME", help="default: all")
    parser.add_argument("--fast", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)  # how each file is read
    known = sets(arguments.data)
    if unknown := set(arguments.sets or ()) - set(known):
        parser.error(f"no set {', '.join(unknown)}; there are {', '.join(known)}")
    rows = list(csv.DictReader(arguments.output.open(encoding="utf-8"))) if arguments.output.exists() else []
    if str(arguments.weights) == "otsu":
        image = stack = otsu
    else:
        image, stack = (
            Segmenter(
                arguments.weights or shipped_weights(mode),
                arguments.contrast,
                arguments.config,
                shipped_weights("stack") if mode == "fused" and not arguments.weights else None,
            )
            for mode in ("fused", "stack")
        )
    for name in arguments.sets or known:
        if any(row["set"] == name for row in rows):
            continue
        for number, case in enumerate(known[name]()):
            if arguments.fast and number % 2 and not name.startswith(("vesselnn", "vessmap_val")):
                continue
            found = (stack if case.image.ndim == 3 else image)(case, arguments.fast)
            rows.append({"set": name, "image": case.name} | {k: f"{v:.4f}" for k, v in scores(*found).items()})
        with atomic(arguments.output) as partial, open(partial, "w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, ["set", "image", *SHOWN], lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        print(line(name, [row for row in rows if row["set"] == name]), flush=True)


def line(name: str, rows: list[dict[str, str]]) -> str:
    """The means of a set in per cent, and its worst Dice."""
    values = defaultdict(list)
    for row in rows:
        for metric in SHOWN:
            if row[metric] != "nan":
                values[metric].append(100 * float(row[metric]))
    means = "  ".join(f"{metric} {fmean(values[metric]):5.1f}" for metric in SHOWN if values[metric])
    return f"{name:24} {means}  worst {min(values['dice'], default=float('nan')):5.1f}"


if __name__ == "__main__":
    main()
