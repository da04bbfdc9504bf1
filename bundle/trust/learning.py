"""Learning what Dice to expect: monotone ridge regression with a logistic link, and how well it sorts masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["area_under_curve", "fit", "logistic"]


def logistic(values: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(−values))."""
    return 1 / (1 + np.exp(-np.clip(values, -30, 30)))


def fit(
    features: np.ndarray,
    shares: np.ndarray,
    penalty: float,
    signs: Sequence[int] | None = None,
    weights: np.ndarray | None = None,
) -> np.ndarray:
    """Coefficients of a fractional logistic regression with a ridge penalty, of which some may not change sign.

    After Papke and Wooldridge, Econometric methods for fractional response variables, Journal of Applied Econometrics
    11:619, 1996: the mean of a share is logistic(c₀ + c · features).

    Args:
        features: of each case, ``[N, K]``, of about the same range each.
        shares: what is to be expected, 0 to 1, ``[N]``.
        penalty: of the squares of all coefficients but the first.
        signs: for each feature 1 where more of it can only raise what is expected, −1 where it can only lower it, 0
            where either may be; 0 for all if None.
        weights: of the cases; all alike if None.

    Returns:
        ``[1 + K]``, the first of them the constant.
    """
    from scipy.optimize import minimize  # whose import takes a third of a second, which segmenting need not wait for

    columns = np.column_stack([np.ones(len(features)), features])
    weights = np.ones(len(shares)) if weights is None else weights
    bounds = {1: (0, None), -1: (None, 0), 0: (None, None)}

    def loss(found: np.ndarray) -> tuple[float, np.ndarray]:
        place = columns @ found
        entropy = np.logaddexp(0, place) - shares * place
        slope = columns.T @ (weights * (logistic(place) - shares))
        slope[1:] += penalty * found[1:]
        return float((weights * entropy).sum() + penalty / 2 * (found[1:] ** 2).sum()), slope

    allowed = [bounds[0], *(bounds[sign] for sign in signs or [0] * features.shape[1])]
    return minimize(loss, np.zeros(columns.shape[1]), jac=True, method="L-BFGS-B", bounds=allowed).x


def area_under_curve(expected: np.ndarray, bad: np.ndarray) -> float:
    """How often, of a bad mask and a good one, the bad one is expected to be worse; ties count half.

    Args:
        expected: Dice, ``[N]``.
        bad: bool, ``[N]``.

    Returns:
        0 to 1, ½ by chance; NaN if all are bad or none is.
    """
    count = int(bad.sum())
    if count in (0, len(bad)):
        return float("nan")
    from scipy.stats import rankdata

    ranks = rankdata(-np.asarray(expected))
    return float((ranks[bad].sum() - count * (count + 1) / 2) / (count * (len(bad) - count)))
