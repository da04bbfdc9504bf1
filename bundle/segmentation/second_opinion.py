"""Other weights, which are asked where little is to be expected of the mask that the first ones give."""

from __future__ import annotations

import copy
import filecmp
import zlib
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TypeVar

from torch import nn

from ..networks import ensemble_of_weights
from ..trust import TRUSTED, Expectation
from .disagreement import WithDisagreement
from .fingerprints import fingerprint_of_network

__all__ = ["SecondOpinion", "better_of", "second_weights"]

T = TypeVar("T")

_READING = Lock()  # several threads may ask for the first time


def second_weights(weights: str | Path, mode: str) -> Path | None:
    """The file that is asked beside one of weights for images: ``stack.pt`` beside ``model.pt``.

    Args:
        weights: the file of the run.
        mode: of the run; other modes than "fused" ask nobody.

    Returns:
        None where there is none, or where it holds the same.
    """
    first = Path(weights)
    other = first.with_name("stack.pt")
    if mode != "fused" or first.name != "model.pt" or not (first.is_file() and other.is_file()):
        return None
    return None if filecmp.cmp(first, other, shallow=False) else other


class SecondOpinion:
    """A network of the same kind with other weights, which are read when they are first asked.

    Args:
        network: the first one, in evaluation, on its device; it stays as it is.
        weights: the file of the others; nobody is asked if None.
    """

    def __init__(self, network: nn.Module, weights: str | Path | None = None) -> None:
        self._first = network
        self.weights = None if weights is None else Path(weights)

    def __bool__(self) -> bool:
        return self.weights is not None

    @property
    def network(self) -> WithDisagreement:
        """It, with the disagreement of its cascades.

        Raises:
            InputError: the weights cannot be read.
        """
        with _READING:
            return self._network

    @cached_property
    def _network(self) -> WithDisagreement:
        assert self.weights is not None
        return WithDisagreement(ensemble_of_weights(copy.deepcopy(self._first), self.weights)).eval()

    @property
    def words(self) -> str:
        """Who found it, for people."""
        return f"by {self.weights.name} (the better of two)" if self.weights else ""

    @cached_property
    def fingerprint(self) -> str:
        """What tells it from other networks, as records of a run with these weights have it."""
        return fingerprint_of_network(self.network.network)[:16]

    @cached_property
    def digest(self) -> str | None:
        """What tells the file from others, without reading its weights; None without one."""
        return None if self.weights is None else f"{zlib.crc32(self.weights.read_bytes()):08x}"


def better_of(
    first: T,
    expected: Callable[[T, bool], Expectation | None],
    again: Callable[[WithDisagreement], T],
    second: SecondOpinion | None,
) -> tuple[T, Expectation | None, bool]:
    """What was found, or what the second network finds, if little is to be expected of the first and more of that.

    An empty mask stays: there is nothing to be expected of it, and an image of nothing has to come out empty. What is
    expected stays that of the first mask, whichever is kept: the larger of two guesses is too large, and an image that
    was doubted once is to be looked at.

    Args:
        first: what the first network found.
        expected: what to expect of what was found; told whether the second network did.
        again: finds with the second network.
        second: it; none, and nothing changes.

    Returns:
        What was found, what to expect of the first, and whether it is the second network's.

    Raises:
        InputError: the weights of the second network cannot be read.
    """
    hoped = expected(first, False)
    if not second or hoped is None or not hoped.dice < TRUSTED:
        return first, hoped, False
    other = again(second.network)
    more = expected(other, True)
    if more is None or not more.dice > hoped.dice:
        return first, hoped, False
    return other, hoped, True
