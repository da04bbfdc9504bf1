"""Reading ahead and writing behind: files and network at work at the same time, with little in between."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import TypeVar

from ..io import check_threads_fit

T = TypeVar("T")
_END = object()


def ahead(items: Iterable[T], count: int = 2) -> Iterator[T]:
    """Give the same items, made in a thread that is at most ``count`` of them ahead.

    What making an item raises is raised where it would have been taken.

    Raises:
        MemoryError: no room for the thread.
    """
    check_threads_fit()
    queue: Queue = Queue(count)
    left = Event()

    def put(entry: tuple[T | object, BaseException | None]) -> bool:
        while not left.is_set():
            try:
                queue.put(entry, timeout=0.1)
                return True
            except Full:
                continue
        return False

    def make() -> None:
        try:
            for item in items:
                if not put((item, None)):
                    return
            put((_END, None))
        except BaseException as error:  # noqa: BLE001 - raised in the thread that waits for the item
            put((_END, error))

    thread = Thread(target=make, daemon=True)
    thread.start()
    try:
        while True:
            item, error = queue.get()
            if error is not None:
                raise error
            if item is _END:
                return
            yield item
    finally:
        left.set()
        while True:  # an item that was made in vain is not kept
            try:
                queue.get_nowait()
            except Empty:
                break
        thread.join()


@contextmanager
def behind(count: int = 2) -> Iterator[Callable[..., None]]:
    """Give a function that calls another one in a thread, in order, and waits while ``count`` calls are open.

    What a call raises is raised by one of the next, or at the end. Calls that are open when the ``with`` is left by
    an error are made all the same. The first raises MemoryError where there is no room for the thread.
    """
    begun = False
    with ThreadPoolExecutor(1) as pool:
        waiting: deque[Future] = deque()

        def call(function: Callable[..., None], *args: object) -> None:
            nonlocal begun
            if not begun:
                check_threads_fit()
                begun = True
            while len(waiting) >= count or (waiting and waiting[0].done()):
                waiting.popleft().result()
            waiting.append(pool.submit(function, *args))

        yield call
        while waiting:
            waiting.popleft().result()
