"""Who does the work on a volume: this process, or many others (:mod:`bundle.cluster`).

What is done to a volume is written as functions of a slab, a run of its slices. Each reads what it needs from the disk,
writes its own blocks, and nothing else depends on how many slabs there are. So one set of functions serves both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

__all__ = ["HERE", "SLAB", "Slab", "Workers"]

Part = TypeVar("Part")
Result = TypeVar("Result")
Slab = tuple[int, int]  # slices from the first to the second, which is not included

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
