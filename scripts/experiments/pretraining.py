"""Recipes of the release, one change at a time, with the U-Net: what each is worth on images unlike VessMAP's."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

import numpy as np
import torch

from bundle.networks import load_weights
from bundle.segmentation import WholeOrWindowsInferer

from .datasets import stack_files
from .microscopes import read, segmented
from .parts import Part, Places, Row
from .predictions import config, labelled, probabilities, scored
from .recipe import zoomed
from .release import MARGINS, RECIPE, RUNNING, UNET, stages
from .shipped import magnified
from .trainings import Training, made

NAME = "pretraining"
Array = TypeVar("Array", np.ndarray, torch.Tensor)


@dataclass(frozen=True)
class Change:
    """One recipe.

    Args:
        called: what it is.
        norm: of the network.
        overrides: settings of the config.
        start: another of these, which it goes on from, on VessMAP; on phantoms from random weights if empty.
    """

    called: str
    norm: str = "instance"
    overrides: dict = field(default_factory=dict)
    start: str = ""


CHANGES: dict[str, Change] = {
    "batch": Change("batch normalisation", "batch"),
    "batch_zoomed": Change("the same, magnified up to four times", "batch", zoomed(0.5, 4.0)),
    "instance": Change("instance normalisation, also below"),
    "margins": Change("dark margins", overrides=MARGINS),
    "bright_margins": Change("margins of any grey", overrides=MARGINS | {"train#augmentation#5#brightest": 1.0}),
    "margins_zoomed": Change("dark margins, magnified up to four times", overrides=MARGINS | zoomed(0.5, 4.0)),
    "more_margins_zoomed": Change(
        "the same, margins in a quarter of the crops", overrides={"margins": 0.25} | zoomed(0.5, 4.0)
    ),
    "batch_tuned": Change("batch normalisation", "batch", start="batch"),
    "batch_zoomed_tuned": Change("batch normalisation, phantoms magnified", "batch", start="batch_zoomed"),
}
DATA = {
    "vessmap": "VessMAP",
    "half_empty": "VessMAP, half of it empty",
    "twice": "VessMAP, at twice the magnification",
    "vesselnn": "vesselNN, fused",
}


def parts() -> list[Part]:
    """Every recipe on all images."""
    return [Part(NAME, f"{data}-{name}", 0, partial(scores, name=name, data=data)) for name in CHANGES for data in DATA]


def training(name: str) -> Training:
    """As long as that of the shipped weights."""
    change = CHANGES[name]
    if change.start:
        overrides = RUNNING | change.overrides
        called = "release_unet_fine_tuned" if name == "batch_tuned" else f"pretraining_{name}"
        start = replace(training(change.start), checkpoint="last")
        return Training(called, start.network, "vessmap", start, **RECIPE | {"overrides": overrides})
    called = "release_unet" if name == "batch" else f"pretraining_{name}"
    return stages(
        called,
        UNET | ({} if change.norm == "batch" else {"norm": change.norm}),
        {"overrides": RUNNING | change.overrides},
    )[0]


@torch.inference_mode()
def scores(places: Places, name: str, data: str) -> list[Row]:
    """Scores; of images of which a half was blanked, those of the other half.

    After the last epoch on phantoms, which choose none, and after that on VessMAP which validates best.
    """
    trained = training(name)
    weights = trained.weights(places)
    if not CHANGES[name].start:
        weights = weights.with_name("last.pt")
    network = load_weights(made(trained.network), weights).eval()
    if data == "vesselnn":
        return [
            {"image": stack, **segmented(*read(image, label), network, "fused", "1")}
            for stack, image, label in stack_files(places.data("vesselnn"))
        ]
    if data == "vessmap":
        items = labelled(places.data("vessmap").resolve(), "val")
        return scored(probabilities(network, items), items)
    if data == "twice":
        items = magnified(places, 2.0, "val")
        return scored({image: network(item["image"][None])[0].numpy() for image, item in items.items()}, items)
    items = half_empty(places)
    inferer = WholeOrWindowsInferer()
    maps = {name: first_half(inferer(item["image"][None], network)[0].numpy()) for name, item in items.items()}
    return scored(maps, {image: item | {"label": first_half(item["label"])} for image, item in items.items()})


def first_half(array: Array) -> Array:
    """Up to the middle of X of ``[1, X, Y]``."""
    return array[:, : array.shape[1] // 2]


def half_empty(places: Places) -> dict[str, dict]:
    """The validation images, all beyond the middle black before they are equalised."""
    *reading, equalize = config().get_parsed_content("validate#preprocessing").transforms
    items = {}
    for name, item in labelled(places.data("vessmap").resolve(), "val").items():
        raw = {"image": item["image"].meta["filename_or_obj"], "label": item["label"].meta["filename_or_obj"]}
        for step in reading:
            raw = step(raw)
        image = raw["image"].clone()
        image[:, image.shape[1] // 2 :] = 0
        items[name] = {"image": equalize({"image": image})["image"], "label": item["label"]}
    return items
