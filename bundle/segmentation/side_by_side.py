"""Work side by side on few threads each, which keeps a processor busier than one thing after the other on all of them.

Images are segmented side by side where memory has room for several, and the two cascades of one image where threads
are idle. Both leave the number of threads on which a convolution is computed as it is, and with it the last digits of
what the network finds.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import torch

from ..io import check_threads_fit
from ..volumes import SLAB, Slab, Workers

__all__ = ["THREADS", "both", "side_by_side"]

MOST = 64  # slices of a slab

T = TypeVar("T")
R = TypeVar("R")


class _Here(threading.local):
    """What the thread that asks may do: compute two things at once; where nobody said, it has all threads."""

    two: bool | None = None


_HERE = _Here()


def side_by_side(
    items: Iterable[T], compute: Callable[[T], R], threads_of: Callable[[T], int]
) -> Iterator[tuple[T, Callable[[], R]]]:
    """Compute something of every item, of several at once, without gradients.

    Args:
        items: taken as there is room.
        compute: of an item; called in other threads.
        threads_of: on how many threads PyTorch computes an item; called in this thread. One that asks for all that it
            has here is computed alone, on half of them, so that its cascades lie side by side.

    Yields:
        In the order of the items, each with what returns what was computed of it, or raises what that raised.
    """
    threads = torch.get_num_threads()
    if not _fits(threads):  # then one after the other, in this thread
        for item in items:
            yield item, partial(torch.inference_mode()(compute), item)
        return
    room = _Room(threads)

    @torch.inference_mode()
    def computed(item: T, wanted: int) -> R:
        with room.of(wanted) as (count, two):
            _HERE.two = two
            if torch.get_num_threads() != count:
                torch.set_num_threads(count)
            return compute(item)

    waiting: deque[tuple[T, Future[R]]] = deque()
    pool = ThreadPoolExecutor(threads)
    try:
        for item in items:
            # asked here: in the pool's threads PyTorch would tell on how many it computed there last
            waiting.append((item, pool.submit(computed, item, threads_of(item))))
            if len(waiting) > threads:  # one more than are computed, so that none waits for what is read
                first, future = waiting.popleft()
                yield first, future.result
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)


class _Threads:
    """The threads of this process as workers, where parts take little memory.

    There are as many slabs as threads, or more, so that who interrupts does not wait for half of a deep stack.
    """

    def slabs(self, depth: int, least: int = SLAB) -> list[Slab]:
        step = max(least, min(MOST, math.ceil(depth / torch.get_num_threads())))
        return [(start, min(start + step, depth)) for start in range(0, depth, step)]

    def each(self, what: str, function: Callable[[T], R], parts: Sequence[T]) -> list[R]:
        return [result() for _, result in side_by_side(parts, function, lambda _: 1)]


THREADS: Workers = _Threads()


def both(first: Callable[[], T], second: Callable[[], R]) -> tuple[T, R]:
    """What two functions give, called at the same time where this thread has threads for both, else in turn.

    In turn as well, and on as many threads each, where memory has no room for another thread.
    """
    threads = torch.get_num_threads()
    if _HERE.two is False or (_HERE.two is None and threads < 2) or torch.is_autocast_enabled("cpu"):
        return first(), second()
    count = math.ceil(threads / 2) if _HERE.two is None else threads
    inference, gradients = torch.is_inference_mode_enabled(), torch.is_grad_enabled()

    def called() -> R:
        torch.set_num_threads(count)
        with torch.inference_mode(inference), torch.set_grad_enabled(gradients):
            return second()

    torch.set_num_threads(count)
    try:
        if not _fits():
            return first(), second()
        with ThreadPoolExecutor(1) as pool:
            other = pool.submit(called)
            return first(), other.result()
    finally:
        torch.set_num_threads(threads)


def _fits(threads: int = 1) -> bool:
    """Whether memory has room for threads. Nothing is called while its lack is handled, which would look like one."""
    try:
        check_threads_fit(threads)
    except MemoryError:
        return False
    return True


class _Room:
    """Threads of which some are taken."""

    def __init__(self, threads: int) -> None:
        self._all = self._free = threads
        self._waiting = 0
        self._changed = threading.Condition()

    @contextmanager
    def of(self, threads: int) -> Iterator[tuple[int, bool]]:
        """Wait until as many are free, and take them; twice as many if those are free too and nobody waits.

        Yields:
            How many there are for one thing, and whether there are as many for another.
        """
        alone = threads >= self._all > 1
        count = math.ceil(self._all / 2) if alone else min(threads, self._all)
        taken = self._all if alone else count
        with self._changed:
            self._waiting += 1
            self._changed.wait_for(lambda: self._free >= taken)
            self._waiting -= 1
            two = alone or (self._free >= 2 * count and not self._waiting)
            taken = max(taken, 2 * count) if two and not alone else taken
            self._free -= taken
        try:
            yield count, two
        finally:
            with self._changed:
                self._free += taken
                self._changed.notify_all()
