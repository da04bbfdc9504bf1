"""What is said of a mask: how much of the image it is, what to expect of it, and what speaks against it."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

import numpy as np

from ..io import Source
from ..metrics import median_width
from ..transforms import hidden_pixels
from ..trust import Expectation
from .outputs import Outputs
from .scales import SEEN_WIDTHS, USUAL_WIDTH

__all__ = ["say_found", "vessel_share"]

logger = logging.getLogger(__name__)


def say_found(
    outputs: Outputs,
    source: Source,
    words: Sequence[str],
    expectation: Expectation | None,
    found: np.ndarray,
    grey: np.ndarray,
    scale: float,
) -> None:
    """Say what was found in an input, and after it what speaks against it: the mask's looks, then what is expected.

    Args:
        outputs: the run's.
        source: the input.
        words: what is said first, such as how much of the image is vessel.
        expectation: of the mask; None if nothing is known.
        found: the mask, bool, ``[Y, X]``, or ``[Z, Y, X]``, of which the projection counts.
        grey: the image, or a stack or its projection.
        scale: factor by which the network saw it resampled.
    """
    mask = outputs.path(source, "mask")
    known = expectation is not None and math.isfinite(expectation.dice)
    logger.info("%s: %s, %s", source, ", ".join([*words, *([str(expectation)] if known else [])]), mask)
    _remark_on_mask(source, found, grey, scale, fitted=outputs.options.get("scale") == "auto")
    if expectation is not None and known and not expectation.trusted:
        logger.warning(
            "%s: %s, look at the overlay before you trust the mask: %s; %s",
            source,
            expectation,
            expectation.reason,
            expectation.remedy,
        )


def _remark_on_mask(source: Source, found: np.ndarray, grey: np.ndarray, scale: float, fitted: bool) -> None:
    """Warn of an empty mask, and of vessels of widths that the shipped weights have not seen, nor do at this scale.

    A scale that was fitted may be the smallest or largest that is tried, or come of what was found at no scale but 1.
    """
    if not found.any():
        shown = grey[np.isfinite(grey)]
        if shown.size and shown.min() == shown.max():
            way_out = "it is equally bright everywhere, see whether another --channel shows vessels"
        else:
            way_out = "try --high 0.8, which finds what is less sure"
        logger.warning("%s: no vessel found, the mask is empty; %s", source, way_out)
        return
    width = median_width(found if found.ndim == 2 else found.max(axis=0))
    if not SEEN_WIDTHS[0] <= width * scale <= SEEN_WIDTHS[1]:
        logger.warning(
            "%s: its vessels are about %.1f pixels wide%s, the shipped weights are at home from %g to %g; "
            "look at the overlay, and try --scale %s",
            source,
            width,
            "" if scale == 1 else f", {width * scale:.1f} at scale {scale:.2g}",
            *SEEN_WIDTHS,
            f"{USUAL_WIDTH / width:.2g}" if fitted else "auto",
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
