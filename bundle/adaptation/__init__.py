"""Weights and settings for one's own images, from one annotated slice or a few scribbles."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from .annotation import BACKGROUND, UNLABELLED, VESSEL, Annotation, scribbled
from .judging import Division, dice_of, divided, gain_of, relief_of, tally
from .settings import FILE, Adaptation, Settings, adapted_weights, mask_of, probability

if TYPE_CHECKING:
    from .choice import Adapted, adapt, best_start
    from .preparing import annotated_image, annotated_slices
    from .tuning import blended, mean_of, tuned
    from .writing import write_adapted

__all__ = [
    "BACKGROUND",
    "FILE",
    "UNLABELLED",
    "VESSEL",
    "Adaptation",
    "Adapted",
    "Annotation",
    "Division",
    "Settings",
    "adapt",
    "adapted_weights",
    "annotated_image",
    "annotated_slices",
    "best_start",
    "blended",
    "dice_of",
    "divided",
    "gain_of",
    "mask_of",
    "mean_of",
    "probability",
    "relief_of",
    "scribbled",
    "tally",
    "tuned",
    "write_adapted",
]

_OF_MONAI = {
    "Adapted": "choice",
    "adapt": "choice",
    "annotated_image": "preparing",
    "annotated_slices": "preparing",
    "best_start": "choice",
    "blended": "tuning",
    "mean_of": "tuning",
    "tuned": "tuning",
    "write_adapted": "writing",
}


def __getattr__(name: str) -> object:
    # MONAI takes seconds to import, and who segments with adapted weights needs nothing of it
    if name in _OF_MONAI:
        return getattr(importlib.import_module(f".{_OF_MONAI[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
