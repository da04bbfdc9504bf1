"""The masks of the shipped weights: of each cascade and stage, of each setting, and beside a second annotator's."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from monai.bundle import ConfigParser

from bundle.io import open_image
from bundle.metrics import score, summarize
from bundle.networks import CascadeEnsemble

from ..tables.result_files import Row
from .images import labelled, probabilities, scored, shipped

Fuse = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
METHODS: dict[str, Fuse] = {
    "dbac-shipped": lambda dbac, ddmac: dbac,
    "ddmac-shipped": lambda dbac, ddmac: ddmac,
    "average-shipped": lambda dbac, ddmac: (dbac + ddmac) / 2,
    "maximum-shipped": torch.maximum,
}
SETTINGS = [  # low, high, gaps, fragments; the first is the default
    (0.45, 0.95, 2, 30),
    (0.45, 0.95, 0, 30),
    (0.45, 0.95, 3, 30),
    (0.45, 0.95, 5, 30),
    (0.45, 0.95, 2, 0),
    (0.45, 0.95, 2, 60),
    (0.45, 0.95, 2, 100),
    (0.45, 0.80, 2, 30),
    (0.40, 0.90, 2, 30),
    (0.50, 0.50, 2, 30),
]
SHOWN = ("dice", "cldice", "sensitivity", "precision", "betti0_error", "betti1_error")


def tested(folder: Path, output: Callable[[CascadeEnsemble, torch.Tensor], torch.Tensor]) -> list[Row]:
    """Scores on the test images of the masks made of an output of the network."""
    items, network = labelled(folder, "test"), shipped()
    return scored(probabilities(partial(output, network), items), items)


def fused(folder: Path, fuse: Fuse) -> list[Row]:
    """Scores of a cascade, or of a fusion of both."""
    return tested(folder, lambda network, image: fuse(*network.probabilities(image)))


def stage(folder: Path, name: str) -> list[Row]:
    """Scores of one of DBAC's stages: sigmoid(W), which is trained against the mask, or the output L."""
    return tested(folder, lambda network, image: torch.sigmoid(network.dbac.stages(image)[name]))


def annotators(folder: Path, row: str) -> list[Row]:
    """Scores of one of the masks of each image against another, where two people drew it."""
    items = labelled(folder, "test")
    drawn = {path.stem: open_image(path).array().T[None] > 0 for path in (folder / "masks_annotator2").iterdir()}
    both = {name: items[name] for name in items if name in drawn}
    scores, against = row.split("-")
    if scores == "second":
        return [{"image": name, **score(drawn[name], item["label"] > 0)} for name, item in both.items()]
    if against == "second":
        both = {name: item | {"label": torch.from_numpy(drawn[name])} for name, item in both.items()}
    return scored(probabilities(shipped(), both), both)


def settings(folder: Path) -> list[Row]:
    """Mean scores of the validation images with each setting of the steps from probability to mask."""
    items = labelled(folder, "val")
    maps = probabilities(shipped(), items)
    rows = []
    for low, high, gaps, fragments in SETTINGS:
        steps = [
            {"_target_": "bundle.transforms.HysteresisThresholdd", "keys": "pred", "low": low, "high": high},
            {"_target_": "bundle.transforms.CloseGapsd", "keys": "pred", "size": gaps},
            {"_target_": "bundle.transforms.RemoveFragmentsd", "keys": "pred", "size": fragments},
        ]
        parsed = ConfigParser({"steps": {"_target_": "Compose", "transforms": steps}}).get_parsed_content("steps")
        means = summarize(scored(maps, items, parsed))
        row: Row = {"low": low, "high": high, "gaps": gaps, "fragments": fragments}
        rows.append(row | {name: means[name].mean for name in SHOWN})
    return rows


RELEASE = {row: partial(fused, fuse=fuse) for row, fuse in METHODS.items()}
STAGES = {name: partial(stage, name=name) for name in ("attention", "mask")}
ANNOTATORS = {row: partial(annotators, row=row) for row in ("shipped-first", "shipped-second", "second-first")}
BINARIZATION = {"val": settings}
