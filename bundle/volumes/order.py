"""Percentiles of more values than memory holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np

from .workers import HERE, Workers

_DIGIT = 16  # bits that one pass settles: its counts take half a megabyte

Blocks = Callable[[], Iterable[np.ndarray]]
Counts = tuple[np.dtype, dict[int, np.ndarray]]  # the values' type, and for each prefix how often a digit follows it


def percentiles(
    blocks: Blocks | Sequence[Blocks], q: Sequence[float], skip: int = 0, workers: Workers = HERE
) -> np.ndarray:
    """Percentiles as :func:`numpy.percentile` gives them of all values together, in constant memory.

    Args:
        blocks: gives arrays of one real type without NaN, whenever it is called; or several that do, for parts.
        q: percentiles, 0 to 100.
        skip: how many of the lowest values do not count.
        workers: who counts the parts.

    Returns:
        float64, as many as ``q``.

    Raises:
        ValueError: no value at all, or none that counts.
    """
    parts = [blocks] if callable(blocks) else blocks

    def count(shift: int | None, prefixes: Sequence[int]) -> Counts:
        counted = workers.each("counting grey values", partial(_count_part, parts, shift, prefixes), range(len(parts)))
        dtype, counts = counted[0]
        for _, others in counted[1:]:
            for prefix, one in others.items():
                counts[prefix] += one
        return dtype, counts

    dtype, counts = count(None, (0,))
    total = int(counts[0].sum()) - skip
    if total <= 0:
        raise ValueError("no values, so no percentiles")
    # the numbers of the order statistics between which NumPy interpolates
    place = np.true_divide(q, 100) * (total - 1)
    below = np.floor(place).astype(np.int64)
    ranks = sorted({*below.tolist(), *np.minimum(below + 1, total - 1).tolist()})
    found = _of_ranks(count, [rank + skip for rank in ranks], dtype, counts)
    keys = {rank: found[rank + skip] for rank in ranks}
    return np.array([_between(place[i], int(below[i]), total, keys, dtype) for i in range(len(place))])


def order_statistics(blocks: Blocks, ranks: Sequence[int]) -> list[Any]:
    """The values that would stand at some places if all were sorted, in constant memory.

    Args:
        blocks: gives arrays of one real type without NaN, whenever it is called.
        ranks: the places, from 0.

    Returns:
        For each place the value, in the blocks' type.

    Raises:
        ValueError: no value at all, or not so many.
    """
    dtype, counts = _count(blocks, None, (0,))
    if not 0 <= min(ranks) <= max(ranks) < counts[0].sum():
        raise ValueError(f"no values at {ranks} of {counts[0].sum()}")
    found = _of_ranks(partial(_count, blocks), sorted(set(ranks)), dtype, counts)
    return [_value(found[rank], dtype) for rank in ranks]


def _of_ranks(
    count: Callable[[int | None, Sequence[int]], Counts],
    ranks: Sequence[int],
    dtype: np.dtype,
    counts: dict[int, np.ndarray],
) -> dict[int, int]:
    """The keys of the values at some places.

    Values are counted by the leading 16 bits of integers that have their order; a further pass counts the next 16 bits
    of those that agree with the value sought so far. 8 and 16 bits take one pass, 32 bits two, 64 bits four.
    """
    found = dict.fromkeys(ranks, 0)  # the leading bits, as far as they are settled
    rest = {rank: rank for rank in ranks}  # the number among the values that have them
    bits = dtype.itemsize * 8
    width = min(_DIGIT, bits)
    for shift in range(bits - width, -1, -width):
        if shift < bits - width:
            _, counts = count(shift, tuple(set(found.values())))
        for rank in ranks:
            up_to = np.cumsum(counts[found[rank]])
            digit = int(np.searchsorted(up_to, rest[rank], side="right"))
            rest[rank] -= int(up_to[digit - 1]) if digit else 0
            found[rank] = found[rank] << width | digit
    return found


def _count_part(parts: Sequence[Blocks], shift: int | None, prefixes: Sequence[int], number: int) -> Counts:
    return _count(parts[number], shift, prefixes)


def _count(blocks: Blocks, shift: int | None, prefixes: Sequence[int]) -> Counts:
    """Return the type, and for each prefix how often each next digit follows it; without shift, the first digits."""
    dtype, counts, first = None, {}, shift is None
    for block in blocks():
        if dtype is None:
            dtype = block.dtype
            width = min(_DIGIT, dtype.itemsize * 8)
            counts = {prefix: np.zeros(1 << width, np.int64) for prefix in prefixes}
            shift = dtype.itemsize * 8 - width if shift is None else shift
        keys = _keys(block.ravel())
        for prefix, count in counts.items():
            # shifted twice, since a shift by all bits is undefined
            chosen = keys if first else keys[(keys >> shift) >> width == prefix]
            digits = (chosen >> shift) & keys.dtype.type((1 << width) - 1)
            count += np.bincount(digits.astype(np.intp), minlength=1 << width)
    if dtype is None:
        raise ValueError("no values, so no percentiles")
    return dtype, counts


def _keys(values: np.ndarray) -> np.ndarray:
    """Unsigned integers of the same size in the same order."""
    unsigned = np.dtype(f"u{values.dtype.itemsize}")
    bits = np.ascontiguousarray(values).view(unsigned)
    sign = unsigned.type(1 << (unsigned.itemsize * 8 - 1))
    if values.dtype.kind == "i":
        return bits ^ sign
    if values.dtype.kind == "f":
        return np.where(bits & sign, ~bits, bits | sign)
    return bits


def _value(key: int, dtype: np.dtype) -> Any:
    """The value that has a key."""
    unsigned = np.dtype(f"u{dtype.itemsize}")
    bits = np.array([key], unsigned)
    sign = unsigned.type(1 << (unsigned.itemsize * 8 - 1))
    if dtype.kind == "i":
        bits ^= sign
    elif dtype.kind == "f":
        bits = np.where(bits & sign, bits ^ sign, ~bits)
    return bits.view(dtype)[0]


def _between(place: float, below: int, total: int, keys: dict[int, int], dtype: np.dtype) -> float:
    """NumPy's linear interpolation, roundings included."""
    low, high = (_value(keys[min(rank, total - 1)], dtype) for rank in (below, below + 1))
    if dtype.kind != "f":
        low, high = int(low), int(high)
    share, step = place - below, high - low
    return float(high - step * (1 - share) if share >= 0.5 else low + step * share)
