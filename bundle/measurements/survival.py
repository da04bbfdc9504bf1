"""The length of segments of which some leave the image: those that are cut are longer than they look."""

from __future__ import annotations

import math

import numpy as np

__all__ = ["censored_mean", "censored_median", "kaplan_meier"]


def kaplan_meier(lengths: np.ndarray, cut: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The share of segments longer than a length, where some are known only to be longer than what is seen.

    Kaplan & Meier, Nonparametric estimation from incomplete observations, JASA 1958, doi:10.2307/2281868.

    Args:
        lengths: what is seen of each segment, ``[N]``.
        cut: whether it leaves the image, ``[N]``, bool.

    Returns:
        The lengths at which segments end, increasing, ``[K]``, and the share that is longer than each, ``[K]``.
    """
    lengths, cut = np.asarray(lengths, dtype=float), np.asarray(cut, dtype=bool)
    ends = np.unique(lengths[~cut])
    left = len(lengths) - np.searchsorted(np.sort(lengths), ends, side="left")  # as long or longer
    ended = np.array([np.count_nonzero(lengths[~cut] == end) for end in ends])
    return ends, np.cumprod(1 - ended / np.maximum(left, 1))


def censored_mean(lengths: np.ndarray, cut: np.ndarray) -> float:
    """Mean length by Kaplan and Meier: the area under the share of longer ones.

    Where the longest segment of all is a cut one the share never falls to 0; the area is then taken up to that length,
    which is the least that the mean can be (the restricted mean).

    Args:
        lengths: as of :func:`kaplan_meier`.
        cut: the same.

    Returns:
        In the lengths' unit; NaN if no segment is seen whole.
    """
    ends, longer = kaplan_meier(lengths, cut)
    if not len(ends):
        return math.nan
    edges = np.concatenate([[0.0], ends, [max(float(np.max(lengths)), ends[-1])]])
    return float((np.diff(edges) * np.concatenate([[1.0], longer])).sum())


def censored_median(lengths: np.ndarray, cut: np.ndarray) -> float:
    """Median length by Kaplan and Meier: the least length that at most half of the segments exceed.

    Args:
        lengths: as of :func:`kaplan_meier`.
        cut: the same.

    Returns:
        In the lengths' unit; NaN if more than half may be longer than anything seen.
    """
    ends, longer = kaplan_meier(lengths, cut)
    below = np.flatnonzero(longer <= 0.5 + 1e-12)
    return float(ends[below[0]]) if len(below) else math.nan
