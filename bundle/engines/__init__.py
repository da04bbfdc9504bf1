"""Training, validation and inference on MONAI's ignite engines: what the configs attach to them."""

from .arguments import as_typed, one_of
from .averaging import WeightAverage, averaged_network
from .batches import CascadeTargets, mask_of_stages
from .checkpoints import PublishedWeights, ResumableCheckpoint, load_weights, new_run
from .disagreement import WithDisagreement, disagreement_on_mask, least_agreed
from .distributed import SharedBuffers, join_processes, leave_processes
from .failures import show_input_errors
from .inference import SegmentationEvaluator, SegmentationWriter, unfinished
from .inferers import WholeOrWindowsInferer
from .likelihood import SliceLikelihood
from .logs import EpochLog
from .reconciling import ReconcilingSegmenter
from .scores import VesselDice, VesselScores
from .stacks import SegmentedStack, StackSegmenter
from .statistics import NormStatistics, take_statistics

__all__ = [
    "CascadeTargets",
    "EpochLog",
    "NormStatistics",
    "PublishedWeights",
    "ReconcilingSegmenter",
    "ResumableCheckpoint",
    "SegmentationEvaluator",
    "SegmentationWriter",
    "SegmentedStack",
    "SharedBuffers",
    "SliceLikelihood",
    "StackSegmenter",
    "VesselDice",
    "VesselScores",
    "WeightAverage",
    "WholeOrWindowsInferer",
    "WithDisagreement",
    "as_typed",
    "averaged_network",
    "disagreement_on_mask",
    "join_processes",
    "least_agreed",
    "leave_processes",
    "load_weights",
    "mask_of_stages",
    "new_run",
    "one_of",
    "show_input_errors",
    "take_statistics",
    "unfinished",
]
