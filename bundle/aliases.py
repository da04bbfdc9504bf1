"""Names that components had in earlier versions, so that configs of users keep working."""

from __future__ import annotations

import importlib
from collections.abc import Callable

# by the old room: each name, and the room where it lives since version 0.5.0, with its name there if that is another
MOVED = {
    "engines": {
        "CascadeTargets": "training",
        "EpochLog": "training",
        "NormStatistics": "training",
        "PublishedWeights": "training",
        "ReconcilingSegmenter": "segmentation",
        "ResumableCheckpoint": "training",
        "SegmentationEvaluator": "segmentation",
        "SegmentationWriter": "segmentation",
        "SegmentedStack": "segmentation",
        "SharedBuffers": "training",
        "SliceLikelihood": "segmentation",
        "StackSegmenter": "segmentation",
        "VesselDice": "training",
        "VesselScores": "training",
        "WeightAverage": "training",
        "WholeOrWindowsInferer": "segmentation",
        "WithDisagreement": "segmentation",
        "as_typed": "runner",
        "averaged_network": "training",
        "disagreement_on_mask": "segmentation",
        "join_processes": "training",
        "least_agreed": "segmentation",
        "leave_processes": "training",
        "load_weights": "networks.ensemble_of_weights",  # configs of before 0.8 name the channels of then
        "mask_of_stages": "training",
        "new_run": "training",
        "one_of": "runner",
        "show_input_errors": "runner",
        "take_statistics": "training",
        "unfinished": "segmentation",
    },
    "losses": {"BCEDiceLoss": "training", "CascadeLoss": "training"},
}


def moved(old: str) -> Callable[[str], object]:
    """The ``__getattr__`` of an old room's module.

    Args:
        old: the module's ``__name__``.
    """
    package, room = old.rsplit(".", 1)

    def find(name: str) -> object:
        if name not in MOVED[room]:
            raise AttributeError(f"module {old!r} has no attribute {name!r}")
        place, _, other = MOVED[room][name].partition(".")
        return getattr(importlib.import_module(f"{package}.{place}"), other or name)

    return find
