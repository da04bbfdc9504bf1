"""Weights and settings for one's own images, from one annotated slice or a few scribbles."""

from .annotation import BACKGROUND, UNLABELLED, VESSEL, Annotation, halves, scribbled
from .choice import Adapted, adapt
from .preparing import annotated_image, annotated_slices
from .settings import FILE, Adaptation, Settings, adapted_weights, labelled_dice, mask_of, probability
from .tuning import blended, tuned
from .writing import write_adapted

__all__ = [
    "BACKGROUND",
    "FILE",
    "UNLABELLED",
    "VESSEL",
    "Adaptation",
    "Adapted",
    "Annotation",
    "Settings",
    "adapt",
    "adapted_weights",
    "annotated_image",
    "annotated_slices",
    "blended",
    "halves",
    "labelled_dice",
    "mask_of",
    "probability",
    "scribbled",
    "tuned",
    "write_adapted",
]
