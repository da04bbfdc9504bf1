"""The exact test: how often chance alone, dealing the animals to the groups, gives a difference as large."""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import chain, combinations
from typing import NamedTuple

import numpy as np

__all__ = ["Permutation", "permutation_test", "smallest_p"]

MOST = 1_000_000  # labellings that are all gone through: 11 animals against 11
DRAWN = 99_999  # labellings drawn where there are more
SEED = 0
_EQUAL = 1e-9  # of the values' size: sums in another order differ by rounding, and are the same labelling's


class Permutation(NamedTuple):
    """What the test says.

    Args:
        p: two-sided, in (0, 1].
        smallest: the smallest p that these numbers of animals can reach.
        labellings: how many were looked at.
        exact: all of them; else some were drawn, and p has their error.
    """

    p: float
    smallest: float
    labellings: int
    exact: bool


def permutation_test(first: np.ndarray, second: np.ndarray, most: int = MOST) -> Permutation:
    """Test whether two groups of animals differ in mean.

    Every way to deal the animals to groups of these sizes is gone through. One-sided, p is the share of them with a
    difference of means at least as large as the one seen; two-sided, twice the smaller of both sides', at most 1. That
    is what ``scipy.stats.permutation_test`` calls two-sided.

    Args:
        first: one value per animal, ``[N]``, finite, N ≥ 1.
        second: the same of the other group, ``[M]``.
        most: where there are more labellings, 99,999 of them are drawn, always the same, and the one seen is counted
            with them (Phipson and Smyth 2010, https://doi.org/10.2202/1544-6115.1585), so that p is never 0.

    Raises:
        ValueError: a group is empty.

    Source: Fisher, The Design of Experiments, 1935, section 21.
    """
    first, second = np.asarray(first, float), np.asarray(second, float)
    if not first.size or not second.size:
        raise ValueError("a group has no animal")
    values = np.concatenate([first, second])
    count = math.comb(values.size, first.size)
    exact = count <= most
    if exact:
        # the difference of means grows with the sum of one group, since all values together stay what they are
        sums = values[_labellings(values.size, first.size)].sum(axis=1)
    else:
        random = np.random.default_rng(SEED)
        sums = np.array([random.permutation(values)[: first.size].sum() for _ in range(DRAWN)])
    seen, tolerance = first.sum(), _EQUAL * np.abs(values).sum()
    sides = [np.count_nonzero(sums >= seen - tolerance), np.count_nonzero(sums <= seen + tolerance)]
    if not exact:
        sides = [side + 1 for side in sides]
    looked_at = len(sums) + (not exact)
    smallest = smallest_p(first.size, second.size) if exact else 2 / looked_at
    return Permutation(min(1.0, 2 * min(sides) / looked_at), smallest, looked_at, exact)


def smallest_p(first: int, second: int) -> float:
    """The smallest two-sided p that numbers of animals can reach, however large the difference: 3 against 3, 0.10."""
    return min(1.0, 2 / math.comb(first + second, first))


@lru_cache(maxsize=4)
def _labellings(animals: int, chosen: int) -> np.ndarray:
    """Every choice of animals, as indices ``[K, chosen]``."""
    flat = np.fromiter(chain.from_iterable(combinations(range(animals), chosen)), np.uint8)
    return flat.reshape(-1, chosen)
