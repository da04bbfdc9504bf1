"""From image to mask: images one after the other, stacks slice by slice, and both reconciled."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from .disagreement import WithDisagreement, disagreement_on_mask, least_agreed
from .expecting import expected_of_image
from .fingerprints import fingerprint_of_network
from .images import ImageSegmenter
from .likelihood import SliceLikelihood
from .outputs import Outputs, unfinished
from .remarks import vessel_share
from .scales import SEEN_WIDTHS, USUAL_WIDTH, fitting_scale
from .second_opinion import SecondOpinion, better_of, second_weights
from .stacks import SegmentedStack, StackSegmenter
from .windows import Windows

if TYPE_CHECKING:
    from .inference import SegmentationEvaluator, SegmentationWriter
    from .inferers import WholeOrWindowsInferer
    from .reconciling import ReconcilingSegmenter

__all__ = [
    "SEEN_WIDTHS",
    "USUAL_WIDTH",
    "ImageSegmenter",
    "Outputs",
    "ReconcilingSegmenter",
    "SecondOpinion",
    "SegmentationEvaluator",
    "SegmentationWriter",
    "SegmentedStack",
    "SliceLikelihood",
    "StackSegmenter",
    "WholeOrWindowsInferer",
    "Windows",
    "WithDisagreement",
    "better_of",
    "disagreement_on_mask",
    "expected_of_image",
    "fingerprint_of_network",
    "fitting_scale",
    "least_agreed",
    "second_weights",
    "unfinished",
    "vessel_share",
]

_OF_MONAI = {
    "ReconcilingSegmenter": "reconciling",
    "SegmentationEvaluator": "inference",
    "SegmentationWriter": "inference",
    "WholeOrWindowsInferer": "inferers",
}


def __getattr__(name: str) -> type:
    # MONAI takes seconds to import, and a command that segments needs nothing of it
    if name in _OF_MONAI:
        return getattr(importlib.import_module(f".{_OF_MONAI[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
