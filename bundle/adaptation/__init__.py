"""Weights and settings for one's own images, from one annotated slice or a few scribbles."""

from .annotation import BACKGROUND, UNLABELLED, VESSEL, Annotation, halves, scribbled
from .choice import Adapted, adapt
from .settings import Settings, labelled_dice, mask_of, probability
from .tuning import blended, tuned

__all__ = [
    "BACKGROUND",
    "UNLABELLED",
    "VESSEL",
    "Adapted",
    "Annotation",
    "Settings",
    "adapt",
    "blended",
    "halves",
    "labelled_dice",
    "mask_of",
    "probability",
    "scribbled",
    "tuned",
]
