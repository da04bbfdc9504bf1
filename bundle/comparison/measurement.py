"""How much of what differs is measurement: values drawn again from their own intervals."""

from __future__ import annotations

import numpy as np

__all__ = ["redrawn"]

_NINETY = 1.6448536269514722  # standard deviations on each side that hold 90 % of a normal distribution


def redrawn(values: np.ndarray, low: np.ndarray, high: np.ndarray, draws: int, seed: int = 0) -> np.ndarray:
    """Draw measured values again, each from a normal distribution of its 90 % interval.

    The halves of a lopsided interval have a spread each.

    Args:
        values: ``[N]``.
        low: lower ends of the 90 % intervals, ``[N]``; NaN where a value has none.
        high: upper ends, ``[N]``.
        draws: how often.
        seed: of the draws.

    Returns:
        ``[draws, N]``; NaN for a value without interval, of which nothing is known.
    """
    values = np.asarray(values, float)
    # a value may lie outside its interval, which is corrected for bias: that side has no spread
    below, above = (np.maximum(distance, 0) / _NINETY for distance in (values - low, np.asarray(high) - values))
    normal = np.random.default_rng(seed).standard_normal((draws, values.size))
    return values + normal * np.where(normal < 0, below, above)
