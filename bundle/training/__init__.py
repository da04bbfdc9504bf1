"""Training and validation on MONAI's ignite engines: losses, checkpoints, statistics, logs, scores."""

from .averaging import WeightAverage, averaged_network
from .batches import CascadeTargets, mask_of_stages
from .checkpoints import PublishedWeights, ResumableCheckpoint, new_run
from .distributed import SharedBuffers, join_processes, leave_processes
from .logs import EpochLog
from .losses import BCEDiceLoss, CascadeLoss
from .scores import VesselDice, VesselScores
from .statistics import NormStatistics, take_statistics

__all__ = [
    "BCEDiceLoss",
    "CascadeLoss",
    "CascadeTargets",
    "EpochLog",
    "NormStatistics",
    "PublishedWeights",
    "ResumableCheckpoint",
    "SharedBuffers",
    "VesselDice",
    "VesselScores",
    "WeightAverage",
    "averaged_network",
    "join_processes",
    "leave_processes",
    "mask_of_stages",
    "new_run",
    "take_statistics",
]
