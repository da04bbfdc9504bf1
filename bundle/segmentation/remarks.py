"""What is said of a mask: how much of the image it is, and that the weights may not be the right ones for it."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Sequence

import numpy as np

from ..metrics import median_width
from ..transforms import hidden_pixels
from .scales import SEEN_WIDTHS

__all__ = ["remark_on_mask", "vessel_share"]

logger = logging.getLogger(__name__)


def remark_on_mask(source: str | os.PathLike, found: np.ndarray) -> None:
    """Warn of an empty mask, and of vessels of widths that the shipped weights have not seen.

    Args:
        source: the input.
        found: bool, ``[Y, X]``, or ``[Z, Y, X]``, of which the projection counts.
    """
    if not found.any():
        logger.warning("%s: no vessel found, the mask is empty; try --high 0.8, which finds what is less sure", source)
        return
    width = median_width(found if found.ndim == 2 else found.max(axis=0))
    if not SEEN_WIDTHS[0] <= width <= SEEN_WIDTHS[1]:
        logger.warning(
            "%s: its vessels are about %.1f pixels wide, the shipped weights are at home from %g to %g; "
            "look at the overlay, and try --scale auto",
            source,
            width,
            *SEEN_WIDTHS,
        )


def vessel_share(count: int, shape: Sequence[int], grey: np.ndarray) -> str:
    """How much of an image is vessel, in words; a margin that shows nothing is no part of it.

    Args:
        count: pixels or voxels of vessels.
        shape: of the image, a stack's Z first.
        grey: the image, or a stack's projection, ``[Y, X]``, made smaller or not.
    """
    hidden = hidden_pixels([lambda: [grey]], grey.shape)[0] / grey.size
    share = 100 * count / (math.prod(shape) * (1 - hidden))
    return f"{share:.1f} % vessel" + " of what is shown" * bool(hidden)
