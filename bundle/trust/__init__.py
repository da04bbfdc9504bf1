"""How far a mask can be trusted: the Dice to expect of it, from what was seen while it was made, and why it is low."""

from .evidence import Evidence, Light
from .expectation import TRUSTED, Expectation, Kind, Learned, learned
from .labelling import LEARNT, Box, Choice, boxes, choose, look_into_boxes
from .learning import area_under_curve, fit
from .reasons import REASONS

__all__ = [
    "LEARNT",
    "REASONS",
    "TRUSTED",
    "Box",
    "Choice",
    "Evidence",
    "Expectation",
    "Kind",
    "Learned",
    "Light",
    "area_under_curve",
    "boxes",
    "choose",
    "fit",
    "learned",
    "look_into_boxes",
]
