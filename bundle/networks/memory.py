"""Memory of feature maps, kept for the next ones, and threads that begin while there is memory for them."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress

import torch

from ..io import check_threads_fit

__all__ = ["give_memory_back", "keep_memory", "start_threads"]

# of glibc's malloc.h
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX, _ARENA_MAX = -1, -2, -4, -8
_KEPT = 1 << 29  # bytes that are free and not given back
_AT_ONCE = 1 << 26


def keep_memory() -> None:
    """Let this process keep the memory of a feature map that is done for the next one, where the system allows it.

    By default Linux takes back what is larger than some megabytes, and hands it out again page by page, each of which
    it fills with zeros first. Half a gigabyte more stays in use. Elsewhere nothing is changed.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        change = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # a libc of another kind
        return
    # one arena for all threads: in one of its own a thread cannot use what another has freed
    for setting, value in ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _KEPT), (_TOP_PAD, _AT_ONCE), (_ARENA_MAX, 1)):
        change(setting, value)


def give_memory_back() -> None:
    """Give the system what this process holds of memory and does not use, where it can.

    After :func:`keep_memory`, when the network has seen all of a large image: what comes then needs no feature maps,
    and of a wide page a gigabyte and a half would lie idle.
    """
    if sys.platform.startswith("linux"):
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


def start_threads() -> None:
    """Let the threads begin on which PyTorch computes, or let it compute on one where memory has no room for them.

    OpenMP would start them when a network first computes, and ends the whole program where it cannot.
    """
    others = torch.get_num_threads() - 1
    if others == 0:
        return
    try:
        check_threads_fit(others)
    except MemoryError:
        torch.set_num_threads(1)
        return
    torch.conv2d(torch.zeros(1, 8, 64, 64), torch.zeros(8, 8, 3, 3))  # more than one thread takes
