"""Compound files ([MS-CFB], OLE2), in which OIB keeps its files: chains of sectors that must come to an end."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from ..errors import InputError

_BEGINS = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_HEADER = struct.Struct("<8s16s6H10I")  # up to the sectors that hold the table of sectors
_LISTED = 109  # of these the header lists so many
_AGAIN = "get another copy"


def check_chains(path: Path) -> None:
    """Refuse a compound file whose sectors follow each other in a circle, or that counts more of them than it has.

    Whoever follows a circle reads forever, and keeps all that is read.

    Raises:
        InputError: it is no compound file, or one of its chains does not end.
    """
    with path.open("rb") as file:
        head = file.read(512)
        if len(head) < 512 or not head.startswith(_BEGINS):
            raise InputError(path, "is no OIB file", _AGAIN)
        fields = _HEADER.unpack_from(head)
        shift, (tables, _, _, _, small, small_count, more, more_count) = fields[5], fields[10:18]
        if shift not in (9, 12):
            raise InputError(path, "is no OIB file: its sectors are of no known size", _AGAIN)
        size = 1 << shift
        held = path.stat().st_size // size
        if max(tables, small_count, more_count) > held:
            raise InputError(path, "is damaged or truncated: it counts more sectors than it has", _AGAIN)

        def sector(number: int) -> np.ndarray:
            file.seek(size * (1 + number))
            return np.frombuffer(file.read(size).ljust(size, b"\xff"), "<u4")

        listed = list(np.frombuffer(head[-4 * _LISTED :], "<u4"))
        seen = set()
        while more_count and more < held:
            if more in seen:
                raise InputError(path, "is damaged: its table of sectors leads in a circle", _AGAIN)
            seen.add(more)
            *numbers, more = map(int, sector(more))
            listed += numbers
        table = np.concatenate([sector(int(n)) for n in listed[:tables] if n < held] or [np.zeros(0, "<u4")])
        _check_ends(path, table)
        chain: list[np.ndarray] = []
        number = small
        while len(chain) < small_count and number < len(table):
            chain.append(sector(number))
            number = int(table[number])
        _check_ends(path, np.concatenate(chain or [np.zeros(0, "<u4")]))


def _check_ends(path: Path, table: np.ndarray) -> None:
    """Refuse a table, which says for every sector the next one, in which one leads back to itself."""
    end = len(table)
    following = np.append(np.where(table < end, table, end), end).astype(np.int64)
    for _ in range(end.bit_length()):  # each time twice as far
        following = following[following]
    if (following != end).any():
        raise InputError(path, "is damaged: its sectors follow each other in a circle", _AGAIN)
