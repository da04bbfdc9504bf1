"""How far a mask can be trusted: the Dice to expect of it, from what was seen while it was made, and why it is low."""

from .evidence import Evidence
from .expectation import TRUSTED, Expectation, Kind, Learned, learned
from .labelling import LEARNT, Choice, boxes, choose
from .learning import area_under_curve, fit
from .reasons import REASONS

__all__ = [
    "LEARNT",
    "REASONS",
    "TRUSTED",
    "Choice",
    "Evidence",
    "Expectation",
    "Kind",
    "Learned",
    "area_under_curve",
    "boxes",
    "choose",
    "fit",
    "learned",
]
