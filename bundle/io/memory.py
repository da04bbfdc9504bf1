"""How much memory the computer has, so that what a damaged file declares is never asked of it."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from math import prod
from pathlib import Path

import numpy as np

from ..errors import InputError


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
