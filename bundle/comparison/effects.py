"""How large a difference between two groups is: in its unit, in standard deviations, and which of many to believe."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import gammaln, ndtr
from scipy.stats import chi, t

__all__ = ["Estimate", "hedges_g", "holm", "welch_difference"]


class Estimate(NamedTuple):
    """A value with its interval.

    Args:
        value: NaN where there is none.
        low: lower end; NaN where there is no interval.
        high: upper end.
    """

    value: float
    low: float
    high: float


def welch_difference(first: np.ndarray, second: np.ndarray, confidence: float = 0.95) -> Estimate:
    """The second group's mean minus the first's, with Welch's interval, which lets the groups spread differently.

    Args:
        first: one value per animal, ``[N]``.
        second: the same of the other group, ``[M]``.
        confidence: of the interval, in (0, 1).

    Returns:
        The difference in the values' unit; without an interval where a group has fewer than two animals.

    Source: Welch, The generalization of Student's problem, Biometrika 1947, https://doi.org/10.1093/biomet/34.1-2.28
    """
    difference = float(np.mean(second) - np.mean(first))
    if min(len(first), len(second)) < 2:
        return Estimate(difference, math.nan, math.nan)
    error, freedom = welch_error(first, second)
    half = float(t.ppf((1 + confidence) / 2, freedom)) * error if error > 0 else 0.0
    return Estimate(difference, difference - half, difference + half)


def welch_error(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """The standard error of a difference of means, and its degrees of freedom after Welch and Satterthwaite."""
    parts = [np.var(group, ddof=1) / len(group) for group in (first, second)]
    total = float(sum(parts))
    if total == 0:
        return 0.0, float(len(first) + len(second) - 2)
    below = sum(part**2 / (len(group) - 1) for part, group in zip(parts, (first, second), strict=True))
    return math.sqrt(total), float(total**2 / below)


def hedges_g(first: np.ndarray, second: np.ndarray, confidence: float = 0.95) -> Estimate:
    """Hedges' g: the difference in pooled standard deviations, without the bias of few animals.

    The interval is that of the noncentral t distribution, exact for normal values of one variance.

    Args:
        first: one value per animal, ``[N]``.
        second: the same of the other group, ``[M]``.
        confidence: of the interval, in (0, 1).

    Returns:
        g, of the second group against the first; NaN where a group has fewer than two animals or no animal differs
        from another of its group.

    Source: Hedges, Distribution theory for Glass's estimator of effect size, J. Educ. Stat. 1981,
    https://doi.org/10.3102/10769986006002107
    """
    n, m = len(first), len(second)
    if min(n, m) < 2:
        return Estimate(math.nan, math.nan, math.nan)
    freedom = n + m - 2
    pooled = math.sqrt(((n - 1) * np.var(first, ddof=1) + (m - 1) * np.var(second, ddof=1)) / freedom)
    if pooled == 0:
        return Estimate(math.nan, math.nan, math.nan)
    correction = math.exp(gammaln(freedom / 2) - gammaln((freedom - 1) / 2)) / math.sqrt(freedom / 2)
    scale = math.sqrt(1 / n + 1 / m)
    d = float(np.mean(second) - np.mean(first)) / pooled
    tail = (1 - confidence) / 2
    low, high = (_noncentrality(d / scale, freedom, share) for share in (1 - tail, tail))
    return Estimate(correction * d, correction * low * scale, correction * high * scale)


def _noncentrality(statistic: float, freedom: int, share: float) -> float:
    """The noncentrality of which this share of t values lies below a statistic.

    A t value is (z + noncentrality) / s, z being normal and s² a mean of squares; the share is integrated over s, since
    SciPy's noncentral t is not a number far out.
    """
    ends = chi.ppf((1e-12, 1 - 1e-12), freedom) / math.sqrt(freedom)
    s = np.linspace(ends[0], ends[1], 2001)
    weights = chi.pdf(s * math.sqrt(freedom), freedom)
    weights /= weights.sum()

    def excess(noncentrality: float) -> float:
        return float(weights @ ndtr(statistic * s - noncentrality)) - share

    reach = 10.0 + 10 * abs(statistic)
    return float(brentq(excess, statistic - reach, statistic + reach, xtol=1e-10))


def holm(p: Sequence[float]) -> list[float]:
    """Raise the p of several tests, so that the chance of even one false alarm among them stays what it was of one.

    Args:
        p: of each test; NaN is no test.

    Returns:
        The adjusted p, in the same order; NaN stays.

    Source: Holm, A simple sequentially rejective multiple test procedure, Scand. J. Stat. 1979,
    https://www.jstor.org/stable/4615733
    """
    tests = sorted((value, place) for place, value in enumerate(p) if not math.isnan(value))
    adjusted = [math.nan] * len(p)
    most = 0.0
    for done, (value, place) in enumerate(tests):
        most = max(most, min(1.0, (len(tests) - done) * value))
        adjusted[place] = most
    return adjusted
