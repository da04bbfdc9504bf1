"""DRIVE, STARE and CHASE_DB1 with configs/train.yaml, scored inside the field of view."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from PIL import Image

from bundle.metrics import score

from . import tables
from .datasets import dataset
from .parts import Part, Places, Row
from .predictions import Maps, config, fused, labelled, predicted

NAME = "retina_sets"
SETS = ("drive", "stare", "chase")
ROWS = {"UNet": ("UNet",), "DBAC": ("DBAC",), "DDMAC": ("DDMAC",), "DBAC+DDMAC": ("DBAC", "DDMAC")}
SHOWN = ("dice", "cldice", "sensitivity", "precision")


def parts() -> list[Part]:
    """Each set with each network, all trained on the three sets' training images together."""
    return [
        Part(NAME, f"{row}-{name}", 0, partial(scores, networks=networks, name=name))
        for row, networks in ROWS.items()
        for name in SETS
    ]


def scores(places: Places, networks: tuple[str, ...], name: str) -> list[Row]:
    """Scores of one set's test images; of what lies outside the field nothing is counted."""
    folder, _ = dataset("retina", places)
    maps: Maps = fused(
        [predicted(tables.training(net, "retina", 0), places, folder, "test") for net in networks], "average"
    )
    binarize = config().get_parsed_content("validate#postprocessing")
    rows = []
    for stem, item in labelled(folder, "test").items():
        if not stem.startswith(name):
            continue
        field = np.asarray(Image.open(folder / "fov" / f"{stem}.png")).T[None] > 0  # images are [C, X, Y]
        mask = binarize({"pred": torch.from_numpy(maps[stem])})["pred"].numpy() > 0
        found = score(mask & field, (item["label"].numpy() > 0) & field)
        rows.append({"image": stem, **{metric: found[metric] for metric in SHOWN}})
    return rows
