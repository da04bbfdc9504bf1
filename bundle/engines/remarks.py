"""Warnings of masks that the weights may not be the right ones for."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from ..metrics import median_width
from .scales import SEEN_WIDTHS

__all__ = ["remark_on_mask"]

logger = logging.getLogger(__name__)


def remark_on_mask(source: str | Path, found: np.ndarray) -> None:
    """Warn of an empty mask, and of vessels of widths that the shipped weights have not seen.

    Args:
        source: the input.
        found: bool, ``[Y, X]``, or ``[Z, Y, X]``, of which the projection counts.
    """
    if not found.any():
        logger.warning("%s: no vessel found, the mask is empty", source)
        return
    width = median_width(found if found.ndim == 2 else found.max(axis=0))
    if not SEEN_WIDTHS[0] <= width <= SEEN_WIDTHS[1]:
        logger.warning(
            "%s: its vessels are about %.0f pixels wide, the shipped weights are at home from %.0f to %.0f; "
            "look at the overlay, and try --scale auto",
            source,
            width,
            *SEEN_WIDTHS,
        )
