"""Which of the transforms that a config gives can be computed by blocks."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["known_steps"]


def known_steps(transforms: Iterable[object], kinds: tuple[type, ...]) -> list:
    """The array transforms of a config's steps, in order.

    Args:
        transforms: of arrays, or their dictionary twins; MONAI's ``CopyItemsd`` among them is left out.
        kinds: of array transforms that may occur.

    Raises:
        ValueError: a transform of another kind, or none at all.
    """
    arrays = [getattr(step, "transform", step) for step in transforms]
    known = [step for step in arrays if isinstance(step, kinds)]
    for step in arrays:
        if step not in known and type(step).__name__ != "CopyItemsd":
            raise ValueError(f"{type(step).__name__} is not known by blocks; known are {[k.__name__ for k in kinds]}")
    if not known:
        raise ValueError(f"none of {[k.__name__ for k in kinds]} is given")
    return known
