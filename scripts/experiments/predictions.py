"""Probabilities of networks on whole images, kept, and the scores of the masks made of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor

from bundle.data import labelled_images
from bundle.io import atomic, image_name
from bundle.metrics import score
from bundle.networks import CascadeEnsemble, load_weights

from .parts import ROOT, Places, Row
from .trainings import Training, made

SHIPPED = ROOT / "models" / "model.pt"
Maps = dict[str, np.ndarray]


@cache
def config() -> ConfigParser:
    """configs/train.yaml, whose reading and binarization all experiments share."""
    parser = ConfigParser()
    parser.read_config(ROOT / "configs" / "train.yaml")
    return parser


@cache
def labelled(folder: Path, split: str, contrast: str = "") -> dict[str, dict]:
    """Images ``[1, X, Y]`` as the network sees them, and masks, by name.

    Args:
        folder: dataset folder.
        split: of its images.
        contrast: another step than the config's from image to network, as JSON.
    """
    parser = config()
    if contrast:
        parser = ConfigParser(parser.get())
        parser["reading#3"] = json.loads(contrast)
    read = parser.get_parsed_content("validate#preprocessing")
    items = [read(item) for item in labelled_images(folder, split)]
    return {image_name(item["image"].meta["filename_or_obj"]): item for item in items}


def seen_otherwise(
    folder: Path,
    split: str,
    image_change: Callable[[torch.Tensor], torch.Tensor],
    label_change: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> dict[str, dict]:
    """As :func:`labelled`, of images that another microscope has taken: changed before their contrast is enhanced.

    Args:
        folder: dataset folder.
        split: of its images.
        image_change: of an image, ``[1, X, Y]`` float32 as it was read.
        label_change: of its mask, 0 or 1, before ½ is the threshold; that of the image if None.
    """
    *read, contrast = config().get_parsed_content("validate#preprocessing").transforms
    items = {}
    for name, item in labelled(folder, split).items():
        raw = {key: item[key].meta["filename_or_obj"] for key in ("image", "label")}
        for step in read:
            raw = step(raw)
        image, label = (raw[key].as_tensor().float() for key in ("image", "label"))
        changed = contrast({"image": MetaTensor(image_change(image))})["image"]
        items[name] = {"image": changed, "label": ((label_change or image_change)(label) >= 0.5).float()}
    return items


@torch.inference_mode()
def predicted(training: Training, places: Places, folder: Path, split: str) -> Maps:
    """Probability of every image, ``[1, X, Y]`` in float16; kept beside the training, for fusions without a network."""
    kept = training.folder(places) / f"{folder.name}_{split}.npz"
    if not kept.exists():
        network = load_weights(made(training.network), training.weights(places)).eval()
        contrast = training.overrides.get("reading#3")
        maps = probabilities(network, labelled(folder, split, json.dumps(contrast) if contrast else ""))
        with atomic(kept) as partial, open(partial, "wb") as stream:
            np.savez_compressed(stream, **{name: array.astype(np.float16) for name, array in maps.items()})
    with np.load(kept) as arrays:
        return {name: arrays[name].astype(np.float32) for name in arrays.files}


@torch.inference_mode()
def probabilities(network: Callable[[torch.Tensor], torch.Tensor], items: dict[str, dict]) -> Maps:
    """A network's output for every image, ``[1, X, Y]``."""
    return {name: network(item["image"].as_tensor()[None])[0].numpy() for name, item in items.items()}


def scored(maps: Maps, items: dict[str, dict], steps: Callable[[dict], dict] | None = None) -> list[Row]:
    """Scores of the masks that the config's binarization, or other steps, make of probabilities."""
    binarize = steps or config().get_parsed_content("validate#postprocessing")
    rows = []
    for name, item in items.items():
        mask = binarize({"pred": torch.from_numpy(maps[name])})["pred"]
        rows.append({"image": name, **score(mask, item["label"])})
    return rows


def fused(maps: Sequence[Maps], fusion: str) -> Maps:
    """Decision fusion of predictions: "average" (9) or "maximum" (10)."""
    fuse = {"average": np.mean, "maximum": np.max}[fusion]
    return {name: fuse([each[name] for each in maps], axis=0) for name in maps[0]}


def shipped() -> CascadeEnsemble:
    """The ensemble of models/model.pt."""
    network = config().get_parsed_content("network_def", instantiate=True)
    return load_weights(network, SHIPPED).eval()
