"""Score the shipped weights on stacks, slice by slice, fused, and both reconciled: docs/results/stacks_*.csv.

    python -m scripts.benchmarks.compare_stacks --vesselnn DIR [--phantoms 8] [--output docs/results] [--work DIR]

Stacks are those of vesselNN, whose voxel sizes stand in SOURCE.md beside them, and phantoms of a seed that nothing was
trained or chosen on. What the network gives for a stack is kept in the working folder, by the weights that gave it, so
that an interrupted run goes on and a run with other settings takes no network.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
import torch
from monai.bundle import ConfigParser

from bundle.home import shipped_weights
from bundle.io import atomic
from bundle.metrics import Confusion, centerline_dice, median_width, write_scores
from bundle.networks import load_weights
from bundle.phantoms import make_phantom
from bundle.pictures import error_overlay, write_png
from bundle.segmentation import WholeOrWindowsInferer, fitting_scale
from bundle.transforms import (
    AdaptiveHistogramEqualization,
    CloseGaps,
    FuseFocus,
    HysteresisThreshold,
    LinearContrast,
    RemoveFragments,
)
from bundle.volumes import reconcile

ROOT = Path(__file__).resolve().parents[2]
WEIGHTS = {mode: shipped_weights(mode) for mode in ("fused", "stack")}
SAMPLINGS = (((32, 256, 256), (2.0, 0.8, 0.8)), ((16, 256, 256), (5.0, 1.0, 1.0)))  # confocal, and as of vesselNN
CHOICE_SEED, HELD_OUT_SEED = 11, 12  # of the phantoms that thresholds were chosen on, and of others

# µm along Z, Y and X; that of the santos stacks is their publisher's word for "similar"
VESSELNN = {
    "burgess2014_bbbDisruption": (5.0, 0.994, 0.994),
    "burgess2014_lowerRes_hiSNR": (5.0, 1.59, 1.59),
    "poon2015_BBB_Leakage": (5.0, 0.994, 0.994),
    "poon2015_BBB_noLeakage": (5.0, 0.994, 0.994),
    "poon2015_plaqueVessels": (5.0, 2.485, 2.485),
    "santos2015_lowContrastVessels": (5.0, 0.621, 0.621),
    "santos2015_mixedSizelowContrastVessels": (5.0, 0.621, 0.621),
}


@dataclass(frozen=True)
class Stack:
    """A stack and its truth, ``[Z, Y, X]``."""

    name: str
    image: np.ndarray
    truth: np.ndarray
    spacing: tuple[float, float, float]


def vesselnn(folder: Path) -> Iterator[Stack]:
    """The stacks of vesselNN."""
    for name, spacing in VESSELNN.items():
        (image,) = folder.glob(f"denoised/{name}_*.tif")
        (label,) = folder.glob(f"labels/{name}_*.tif")
        yield Stack(name, tifffile.imread(image), tifffile.imread(label) > 0, spacing)


def phantoms(seed: int, count: int) -> Iterator[Stack]:
    """Phantoms, by turns of each sampling."""
    for index in range(count):
        shape, spacing = SAMPLINGS[index % len(SAMPLINGS)]
        phantom = make_phantom(shape, spacing, seed=seed, index=index)
        yield Stack(f"phantom-{seed}-{index:02}", phantom.stack, phantom.mask, spacing)


class Network:
    """The shipped weights on stacks, what they gave kept in a folder."""

    def __init__(self, folder: Path) -> None:
        config = ConfigParser()
        config.read_config(ROOT / "configs" / "inference.json")
        network = config.get_parsed_content("network_def").eval().to(memory_format=torch.channels_last)
        self.networks = {mode: load_weights(copy.deepcopy(network), file) for mode, file in WEIGHTS.items()}
        self.fuse = FuseFocus(**{k: v for k, v in config["fusion#0"].items() if k == "method"})
        self.folder = (
            folder
            / hashlib.sha256(b"".join(file.read_bytes() for file in WEIGHTS.values())).hexdigest()[:12]
            / self.fuse.method
        )

    def has(self, stack: Stack) -> bool:
        """Whether all that a comparison needs is kept."""
        return all((self.folder / f"{stack.name}_{name}.npz").exists() for name in ("fused", "slice"))

    def fused(self, stack: Stack) -> dict[str, np.ndarray]:
        """Of the fused image: ``probability`` and ``depth`` YX, ``width`` found, ``scale`` that the widths ask for."""
        return self._kept(stack, "fused", lambda image: self._fused(image))

    def slices(self, stack: Stack, per: str = "slice", scale: float = 1.0) -> np.ndarray:
        """Probability ZYX of the slices, their contrast stretched ``per`` slice or volume."""
        name = per if scale == 1 else f"{per}-{scale:.3f}"
        return self._kept(stack, name, lambda image: {"found": self._segment(LinearContrast(per=per)(image), scale)})[
            "found"
        ]

    def _fused(self, image: torch.Tensor) -> dict[str, np.ndarray]:
        fused, depth = self.fuse.fuse(image)
        equalized = AdaptiveHistogramEqualization()(fused)
        found = {"depth": depth[0].numpy().T, "probability": self._segment(equalized)}
        found["width"] = np.float32(median_width(found["probability"] > 0.5))
        found["scale"] = np.float32(fitting_scale(found["probability"] > 0.5))
        if found["scale"] != 1:
            found["scaled"] = self._segment(equalized, float(found["scale"]))
        return found

    def _kept(self, stack: Stack, name: str, make: Callable[[torch.Tensor], dict]) -> dict[str, np.ndarray]:
        path = self.folder / f"{stack.name}_{name}.npz"
        if not path.exists():
            found = make(torch.from_numpy(stack.image.astype(np.float32).T[None].copy()))
            with atomic(path) as partial:
                np.savez_compressed(partial, **found)
        with np.load(path) as file:
            return {key: file[key] for key in file.files}

    @torch.inference_mode()
    def _segment(self, image: torch.Tensor, scale: float = 1.0) -> np.ndarray:
        network = self.networks["fused" if image.ndim == 3 else "stack"]
        return WholeOrWindowsInferer(scale=scale)(image[None], network)[0, 0].numpy().T.astype(np.float16)


def binarized(probability: np.ndarray) -> np.ndarray:
    """Mask of a probability, YX or ZYX, as configs/inference.json makes it."""
    config = ConfigParser()
    config.read_config(ROOT / "configs" / "inference.json")
    image = probability.astype(np.float32)[None]
    for step in (
        HysteresisThreshold(config["low"], config["high"]),
        CloseGaps(config["close_gaps"]),
        RemoveFragments(config["remove_fragments"]),
    ):
        image = step(image)
    return image[0] > 0


def masks(stack: Stack, network: Network, volume_contrast: bool) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """3D mask and 2D mask of each way."""
    fused, probability = network.fused(stack), network.slices(stack)
    flat, volume = binarized(fused["probability"]), binarized(probability)
    nothing = np.zeros_like(volume)
    found = {"slice-wise": (volume, volume.any(axis=0))}
    if volume_contrast:
        whole = binarized(network.slices(stack, "volume"))
        found["slice-wise, contrast of the volume"] = whole, whole.any(axis=0)

    def joined(slices: np.ndarray, support: np.ndarray) -> np.ndarray:
        planes = reconcile(
            flat,
            fused["probability"],
            fused["depth"],
            lambda: stack.image,
            lambda: slices,
            lambda: support,
            stack.spacing,
        )[1]
        return np.stack(list(planes))

    lifted = joined(nothing, np.ones_like(probability))  # all of the 2D mask, and nothing of the slices
    both = joined(volume, probability)
    return {**found, "fused, lifted": (lifted, flat), "reconciled": (both, both.any(axis=0))}


def rows(stack: Stack, found: dict, about: dict, group: str) -> Iterator[dict[str, str | float]]:
    """Scores of a stack, in 3D and of the projection, a row for each way."""
    for way, (volume, flat) in found.items():
        row: dict[str, str | float] = {"image": stack.name, "group": group, "method": way}
        for name, mask, truth in (("3d", volume, stack.truth), ("2d", flat, stack.truth.any(axis=0))):
            counts = Confusion.between(mask, truth)
            row[f"dice_{name}"], row[f"sensitivity_{name}"] = counts.dice, counts.sensitivity
            row[f"precision_{name}"], row[f"cldice_{name}"] = counts.precision, centerline_dice(mask, truth)
        yield row | {"width": float(about["width"]), "auto_scale": float(about["scale"])}


def main() -> None:
    """Score every stack every way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vesselnn", type=Path, required=True, help="folder of vesselNN: denoised/ and labels/")
    parser.add_argument("--phantoms", type=int, default=8, metavar="N")
    parser.add_argument("--volume-contrast", action="store_true", help="slice-wise by the volume's contrast as well")
    parser.add_argument("--kept-only", action="store_true", help="stacks whose probabilities are kept already")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "results")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "stacks")
    arguments = parser.parse_args()
    network = Network(arguments.work)
    groups = [
        *((f"phantom of seed {seed}", phantoms(seed, arguments.phantoms)) for seed in (HELD_OUT_SEED, CHOICE_SEED)),
        ("vesselNN", vesselnn(arguments.vesselnn)),
    ]
    scored = []
    for group, stacks in groups:
        for stack in stacks:
            if arguments.kept_only and not network.has(stack):
                continue
            found = masks(stack, network, arguments.volume_contrast)
            scored += rows(stack, found, network.fused(stack), group)
            if group == "vesselNN":  # its grey values may not be shown, but right and wrong may
                parts = [
                    error_overlay(found[way][1], stack.truth.any(axis=0))
                    for way in ("slice-wise", "fused, lifted", "reconciled")
                ]
                write_png(arguments.output / f"stacks_{stack.name}.png", np.hstack(parts))
            print(stack.name, flush=True)
            write_scores(arguments.output / "stacks_reconciled.csv", scored)


if __name__ == "__main__":
    main()
