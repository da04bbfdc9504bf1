"""Which image to annotate next: the one on whose vessels the two cascades agree least."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np


def disagreement(dbac: np.ndarray, ddmac: np.ndarray, vessel: float = 0.5) -> float:
    """Mean of |L − N| over the pixels that either cascade takes for vessel.

    Background, on which they agree and which is most of an image, does not count: an image is not certain because it is
    empty.

    Args:
        dbac: L, the probabilities of DBAC, in 0 to 1, of any shape.
        ddmac: N, those of DDMAC, of the same shape.
        vessel: the probability above which a cascade takes a pixel for vessel.

    Returns:
        0 to 1; NaN if there is no such pixel.
    """
    either = np.maximum(dbac, ddmac) > vessel
    return float(np.abs(dbac - ddmac)[either].mean()) if either.any() else math.nan


def ranked(disagreements: Mapping[str, float]) -> list[str]:
    """Names of the images, the least agreed first; those without vessels last, equals in the order of their names."""
    return sorted(
        disagreements, key=lambda name: (math.isnan(disagreements[name]), -np.nan_to_num(disagreements[name]), name)
    )
