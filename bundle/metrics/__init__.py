"""How well a mask agrees with the truth: pixels, topology, outlines, and the table over images."""

from .confusion import Confusion
from .scores import as_mask, score
from .surface import hausdorff_distance_95
from .table import Summary, format_summary, summarize, write_scores, write_summary
from .topology import betti_numbers, centerline_dice, skeleton
from .width import median_width

__all__ = [
    "Confusion",
    "Summary",
    "as_mask",
    "betti_numbers",
    "centerline_dice",
    "format_summary",
    "hausdorff_distance_95",
    "median_width",
    "score",
    "skeleton",
    "summarize",
    "write_scores",
    "write_summary",
]
