"""Other microscopes: the two-photon stacks of vesselNN, fused and slice by slice, as they are and after one slice."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from bundle.io import open_image
from bundle.metrics import score
from bundle.networks import load_weights
from bundle.segmentation import WholeOrWindowsInferer
from bundle.transforms import AdaptiveHistogramEqualization, FuseFocus, LinearContrast

from . import release, tables
from .datasets import SLICES, stack_files
from .parts import Part, Places, Row
from .predictions import SHIPPED, config, shipped
from .recipe import LINEAR
from .trainings import Training, made

NAME = "microscopes"
MODES = ("fused", "slices")
SCALES = ("0.5", "1", "2", "auto")
SLICE_STEPS = 100
# cascades of the tables, fine-tuned, seed 0; several are averaged
TABLES = {
    "unet": ("U-Net of the tables", ("UNet",)),
    "tables": ("ensemble of the tables", ("DBAC", "DDMAC")),
    "instance": ("ensemble of the tables, instance normalisation", ("DBAC_in", "DDMAC_in")),
}
# 600 steps on VessMAP and more; fused stacks alone, but for SLICED
LONG = {
    "long_mixed": ("ensemble, no blurred crops", "mixed", "average"),
    "long_batch": ("ensemble, batch normalisation in both", "fine_tuned", "average"),
    "long_instance": ("ensemble, instance normalisation in both", "instance", "average"),
    "long_magnified": ("ensemble, phantoms magnified, no margins", "magnified", "average"),
    "long_magnified_dbac": ("DBAC of that", "magnified", "dbac"),
    "long_blurred": ("ensemble, phantoms magnified, no margins, blurred crops", "blurred", "average"),
    "long_averaged": ("ensemble, mean of the weights without and with blur", "averaged", "average"),
}
SLICED = ("long_mixed", "long_averaged")
Network = Callable[[torch.Tensor], torch.Tensor]


def parts() -> list[Part]:
    """The shipped ensemble at several scales, its cascades, other networks; each stack after one slice."""
    made = []
    for mode in MODES:
        made += [Part(NAME, f"{mode}-ensemble-{s}", 0, partial(stacks, mode=mode, scale=s)) for s in SCALES]
        made += [
            Part(NAME, f"{mode}-{name}-1", 0, partial(stacks, mode=mode, scale="1", name=name))
            for name in ("dbac", "ddmac", *TABLES)
        ]
    made += [Part(NAME, f"fused-{name}-1", 0, partial(stacks, mode="fused", scale="1", name=name)) for name in LONG]
    made += [Part(NAME, f"slices-{name}-1", 0, partial(stacks, mode="slices", scale="1", name=name)) for name in SLICED]
    for stack in SLICES:
        made += [Part(NAME, f"one_slice-{stack}", 0, partial(after_one_slice, stack=stack))]
    return made


def label(row: str) -> tuple[str, str, str]:
    """Mode, network and scale of a row, in words."""
    mode, network, *scale = row.split("-")
    if mode == "one_slice":
        return "slices", f"ensemble, fine-tuned on one slice of {network}", "1"
    called = {"ensemble": "ensemble", "dbac": "DBAC", "ddmac": "DDMAC"}
    called |= {name: words for name, (words, *_) in (TABLES | LONG).items()}
    return mode, called[network], scale[0]


def network_of(name: str, places: Places) -> Network:
    """The shipped ensemble, one of its cascades, the mean of networks of the tables, or of two others as of LONG."""
    if name in LONG:
        _, data, method = LONG[name]
        both = release.probability_of_both(places, data)
        return lambda x: release.METHODS[method][1](*both(x))
    if name in TABLES:
        trainings = [tables.training(network, "fine_tuned", 0) for network in TABLES[name][1]]
        networks = [load_weights(made(each.network), each.weights(places)).eval() for each in trainings]
        return lambda x: torch.stack([network(x) for network in networks]).mean(0)
    ensemble = shipped()
    if name == "ensemble":
        return ensemble
    return lambda x: ensemble.probabilities(x)[name == "ddmac"]


def read(image: Path, label: Path) -> tuple[torch.Tensor, np.ndarray]:
    """A stack ``[1, X, Y, Z]`` and its mask ``[X, Y, Z]``."""
    volume, mask = (open_image(path).array().T for path in (image, label))
    return torch.from_numpy(np.ascontiguousarray(volume)[None]), mask > 0


def stacks(places: Places, mode: str, scale: str, name: str = "ensemble") -> list[Row]:
    """Scores of every stack; a fused one against the projection of its mask."""
    network = network_of(name, places)
    return [
        {"image": stack, **segmented(*read(image, label), network, mode, scale)}
        for stack, image, label in stack_files(places.data("vesselnn"))
    ]


@torch.inference_mode()
def segmented(volume: torch.Tensor, truth: np.ndarray, network: Network, mode: str, scale: str) -> Row:
    """Segment one stack as configs/inference.json does, and score it."""
    if mode == "fused":
        seen, truth = AdaptiveHistogramEqualization()(FuseFocus()(volume)), truth.any(-1)
    else:
        seen = LinearContrast()(volume)
    inferer = WholeOrWindowsInferer(scale=scale if scale == "auto" else float(scale))
    output = inferer(torch.as_tensor(seen)[None].float(), network)[0]
    mask = config().get_parsed_content("validate#postprocessing")({"pred": output})["pred"]
    return score(np.asarray(mask)[0] > 0, truth)


def after_one_slice(places: Places, stack: str) -> list[Row]:
    """Scores of the slices of one stack that were not trained on, before and after fine-tuning on its middle one."""
    definition = config()["network_def"]
    options = {"overrides": {"weights": str(SHIPPED)} | LINEAR, "steps": SLICE_STEPS}  # slices are not equalised
    training = Training(f"slice-{stack}", definition, f"slice-{stack}", **options)
    tuned = load_weights(made(definition), training.weights(places)).eval()
    image, label = next(files for name, *files in stack_files(places.data("vesselnn")) if name == stack)
    volume, truth = read(image, label)
    others = [z for z in range(truth.shape[-1]) if z != truth.shape[-1] // 2]
    rows = []
    for called, network in (("before", shipped()), ("after", tuned)):
        for z in others:
            found = segmented(volume[..., z : z + 1], truth[..., z : z + 1], network, "slices", "1")
            rows.append({"image": f"{called} {z}", **found})
    return rows
