"""The folder that ``segment --weights`` takes: weights with their settings, what was tried, and a picture of it."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import nn

from ..home import VERSION
from ..io import atomic
from ..networks import scales_of
from ..pictures import mask_overlay, write_panel
from ..segmentation import WholeOrWindowsInferer
from .annotation import Annotation
from .choice import Adapted
from .settings import FILE, Settings, mask_of, probability

__all__ = ["write_adapted"]


def write_adapted(
    folder: Path,
    adapted: Adapted,
    shown: Annotation,
    network: nn.Module,
    settings: Settings,
    mode: str,
    weights: Path,
) -> None:
    """Write what came of adapting; the weights last: where they stand, everything stands.

    Args:
        folder: where to.
        adapted: what came out.
        shown: the image of the picture.
        network: what was adapted.
        settings: by which that segmented.
        mode: "fused" or "stack".
        weights: the file of ``network``.

    Raises:
        InputError: the folder cannot be written to.
    """
    name = Path(FILE).stem
    pictures = {}
    for title, net, chosen in (("before", network, settings), ("after", adapted.network, adapted.settings)):
        image = shown.images[chosen.contrast]
        found = probability(image, net, WholeOrWindowsInferer(scale=chosen.scale))
        pictures[title] = mask_overlay(image.T, mask_of(found, chosen.low, chosen.high).T)
    write_panel(folder / f"{name}.png", pictures)
    report = {
        "kind": adapted.kind,
        "mode": mode,
        "settings": adapted.settings.as_dict(),
        "dice_before": adapted.before,
        "dice_expected": adapted.expected,
        "tried": dict(adapted.tried),
        "weights": str(weights),
        "version": VERSION,
    }
    with atomic(folder / f"{name}.json") as partial:
        partial.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    state = {name: value.cpu() for name, value in adapted.network.state_dict().items()}
    noted = {"model": state, "scales": scales_of(network), "segmentation": {"mode": mode, **adapted.settings.as_dict()}}
    with atomic(folder / FILE) as partial:
        torch.save(noted, partial)
