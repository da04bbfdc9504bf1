"""How much memory there is: for what a damaged file declares, and for a thread."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from math import prod
from mmap import mmap
from pathlib import Path

import numpy as np

from ..errors import InputError

_USUAL_STACK = 1 << 23
_BESIDE_THE_STACK = 72 << 20  # glibc sets 64 MiB of addresses aside for what a thread allocates; Python takes some more


@cache
def installed() -> int:
    """Bytes of memory of this computer; where the system does not tell, as many as can be counted."""
    if hasattr(os, "sysconf"):
        pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
        return pages * size if min(pages, size) > 0 else 1 << 62
    if hasattr(ctypes, "windll"):
        status = (ctypes.c_ulonglong * 8)()  # MEMORYSTATUSEX: its length and the load in the first, then the total
        ctypes.memmove(status, (64).to_bytes(4, "little"), 4)
        if ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
            return int(status[1])
    return 1 << 62


def check_fits(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Refuse what cannot be in memory before memory is asked for it.

    Args:
        path: the file, for the message.
        shape: of what would be read at once.
        dtype: its type.

    Raises:
        InputError: it is larger than the computer's memory.
    """
    needed = prod(shape) * np.dtype(dtype).itemsize
    if needed > installed():
        sides = " × ".join(map(str, shape))
        here = f"{installed() / 1e9:.4g} GB"
        raise InputError(
            path,
            f"declares {sides} pixels, {needed / 1e9:.4g} GB at once, where this computer has {here}",
            "if it is not damaged, cut it into smaller ones",
        )


def check_threads_fit(count: int = 1) -> None:
    """Make sure that threads can begin.

    One whose own first steps find no memory ends the program (OpenMP, glibc), or lets it wait forever for a sign of it
    (Python). So what they take is asked for before, and given back.

    Args:
        count: of the threads.

    Raises:
        MemoryError: they do not fit.
    """
    try:
        mmap(-1, count * (_stack() + _BESIDE_THE_STACK)).close()
    except OSError as error:
        raise MemoryError("no room for a thread") from error


def _stack() -> int:
    """Bytes of addresses that the system sets aside for the stack of a thread."""
    try:
        from resource import RLIM_INFINITY, RLIMIT_STACK, getrlimit
    except ImportError:  # Windows
        return _USUAL_STACK
    size = getrlimit(RLIMIT_STACK)[0]
    return _USUAL_STACK if size == RLIM_INFINITY else size
