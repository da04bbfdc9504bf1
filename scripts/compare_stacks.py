"""Score the shipped weights on stacks, slice by slice, fused, and both reconciled: docs/results/stacks_*.csv.

    python scripts/compare_stacks.py --vesselnn DIR [--phantoms 12] [--output docs/results] [--work runs/stacks]

Stacks are those of vesselNN, whose voxel sizes stand in SOURCE.md beside them, and phantoms of a seed that nothing was
trained or chosen on. What the network gives for a stack is kept in the working folder, by the weights that gave it, so
that an interrupted run goes on and a run with other settings takes no network.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
import torch
from monai.bundle import ConfigParser

from bundle.engines import WholeOrWindowsInferer, load_weights
from bundle.engines.scales import fitting_scale
from bundle.io import atomic
from bundle.metrics import median_width
from bundle.phantoms import make_phantom
from bundle.transforms import AdaptiveHistogramEqualization, FuseFocus, LinearContrast

ROOT = Path(__file__).resolve().parents[1]
WEIGHTS = ROOT / "models" / "model.pt"
SAMPLINGS = (((32, 256, 256), (2.0, 0.8, 0.8)), ((16, 256, 256), (5.0, 1.0, 1.0)))  # confocal, and as of vesselNN
HELD_OUT_SEED = 12

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
        self.network = load_weights(config.get_parsed_content("network_def"), WEIGHTS).eval()
        self.network.to(memory_format=torch.channels_last)
        self.fuse = FuseFocus(**{k: v for k, v in config["fusion#0"].items() if k == "method"})
        self.folder = folder / hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()[:12] / self.fuse.method

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
        return WholeOrWindowsInferer(scale=scale)(image[None], self.network)[0, 0].numpy().T.astype(np.float16)
