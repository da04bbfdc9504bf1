"""Training, validation and inference on MONAI's ignite engines: what the configs attach to them."""

from .batches import CascadeTargets
from .checkpoints import ResumableCheckpoint, load_weights
from .failures import show_input_errors
from .inference import SegmentationEvaluator, SegmentationWriter, unfinished
from .inferers import WholeOrWindowsInferer
from .logs import EpochLog
from .scores import VesselScores

__all__ = [
    "CascadeTargets",
    "EpochLog",
    "ResumableCheckpoint",
    "SegmentationEvaluator",
    "SegmentationWriter",
    "VesselScores",
    "WholeOrWindowsInferer",
    "load_weights",
    "show_input_errors",
    "unfinished",
]
