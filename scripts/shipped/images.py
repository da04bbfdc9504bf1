"""VessMAP as the network sees it, the shipped network, and the scores of the masks made of its probabilities."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor

from bundle.data import labelled_images
from bundle.home import shipped_weights
from bundle.io import image_name
from bundle.metrics import score
from bundle.networks import CascadeEnsemble, load_weights

from ..tables.result_files import ROOT, Row

Maps = dict[str, np.ndarray]


@cache
def config() -> ConfigParser:
    """configs/train.yaml, whose reading and binarization all measures share."""
    parser = ConfigParser()
    parser.read_config(ROOT / "configs" / "train.yaml")
    return parser


@cache
def labelled(folder: Path, split: str) -> dict[str, dict]:
    """Images ``[1, X, Y]`` of a dataset folder as the network sees them, and their masks, by name."""
    read = config().get_parsed_content("validate#preprocessing")
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


def shipped() -> CascadeEnsemble:
    """The ensemble of models/model.pt."""
    network = config().get_parsed_content("network_def", instantiate=True)
    return load_weights(network, shipped_weights("fused")).eval()


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
