"""The scale at which vessels have the width that the shipped weights have seen."""

from __future__ import annotations

import logging
import math
import os

import numpy as np

from ..metrics import median_width

__all__ = ["SEEN_WIDTHS", "USUAL_WIDTH", "fitting_scale", "say_scale"]

logger = logging.getLogger(__name__)

# pixels, of VessMAP's training masks and of the phantoms: median, and the medians of images at which both are familiar
USUAL_WIDTH = 5.0
SEEN_WIDTHS = (2.5, 12.0)
LARGEST = 4.0


def fitting_scale(mask: np.ndarray) -> float:
    """Factor by which an image is to be resampled so that its vessels have the usual width.

    Args:
        mask: ``[Y, X]``, nonzero is vessel, as found at the image's own scale.

    Returns:
        1 where the median width is within :data:`SEEN_WIDTHS`, or no vessel was found; else a factor from ¼ to 4.
    """
    width = median_width(mask)
    if math.isnan(width) or SEEN_WIDTHS[0] <= width <= SEEN_WIDTHS[1]:
        return 1.0
    return float(np.clip(USUAL_WIDTH / width, 1 / LARGEST, LARGEST))


def say_scale(scale: float, source: str | os.PathLike | None) -> None:
    """Say at which scale an image is segmented, and of which it is, if that is known."""
    name = "" if source is None else f"{os.fspath(source)}: "
    logger.info("%ssegmented at scale %.2g, by the widths found", name, scale)
