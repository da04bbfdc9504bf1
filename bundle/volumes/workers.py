"""Who does the work on a volume: this process, or many others (:mod:`bundle.cluster`).

What is done to a volume is written as functions of a slab, a run of its slices. Each reads what it needs from the disk,
writes its own blocks, and nothing else depends on how many slabs there are. So one set of functions serves both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol, TypeVar

__all__ = ["HERE", "SLAB", "Slab", "Workers", "in_groups"]

Part = TypeVar("Part")
Result = TypeVar("Result")
Slab = tuple[int, int]  # slices from the first to the second, which is not included

_GROUP = 512  # small things that make a part
SLAB = 16  # slices that make a part where a slab needs some of its neighbours as well


class Workers(Protocol):
    """Where parts of a volume are worked on."""

    def slabs(self, depth: int, least: int = SLAB) -> list[Slab]:
        """Cut a volume to the slabs that are its parts.

        Args:
            depth: slices.
            least: the smallest number of them that is worth a part.
        """

    def each(self, what: str, function: Callable[[Part], Result], parts: Sequence[Part]) -> list[Result]:
        """Call a function with each part.

        Args:
            what: it does, for a person who waits.
            function: with its data it can be pickled, and called again with a part it does no harm.
            parts: small values.

        Returns:
            What it gives, in the order of the parts.
        """


class _Here:
    """This process: the volume is one slab, and parts come one after the other."""

    def slabs(self, depth: int, least: int = SLAB) -> list[Slab]:
        return [(0, depth)]

    def each(self, what: str, function: Callable[[Part], Result], parts: Sequence[Part]) -> list[Result]:
        return [function(part) for part in parts]


HERE: Workers = _Here()


def in_groups(workers: Workers, what: str, function: Callable[[Part], Result], things: Sequence[Part]) -> list[Result]:
    """Call a function with each of many small things, some hundreds of which make a part.

    Args:
        workers: who calls it.
        what: it does.
        function: as of :meth:`Workers.each`.
        things: of any size; they go with the function and not with the parts.

    Returns:
        What it gives, in the order of the things.
    """
    groups = [(start, min(start + _GROUP, len(things))) for start in range(0, len(things), _GROUP)]
    return [result for some in workers.each(what, partial(_of_group, function, things), groups) for result in some]


def _of_group(function: Callable[[Part], Result], things: Sequence[Part], group: Slab) -> list[Result]:
    return [function(thing) for thing in things[slice(*group)]]
