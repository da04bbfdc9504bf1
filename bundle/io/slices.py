"""A folder of single images that are the slices of one stack, in the order of the numbers in their names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..errors import InputError
from .image import Recording

_ONE = "keep one file for each slice in the folder"


def recordings(folder: Path) -> list[Recording]:
    """Open a folder as one stack; see :py:class:`bundle.io.image.Recording`. Its pixel size is the first image's.

    Raises:
        InputError: there are no images, or the first holds more than one plane of one channel or colour.
    """
    from .formats import is_readable, open_recordings

    files = sorted((path for path in folder.iterdir() if path.is_file() and is_readable(path)), key=in_order)
    files = [path for path in files if not path.name.startswith(".")]
    if not files:
        raise InputError(folder, "no image in this folder", "name the folder that holds the slices")

    def opened(number: int) -> Recording:
        scenes = open_recordings(files[number])
        if len(scenes) > 1 or any(scenes[0].size.get(axis, 1) > 1 for axis in "TRZ"):
            raise InputError(files[number], "is no single slice", _ONE)
        return scenes[0]

    first = opened(0)
    outer = [axis for axis in first.axes if axis not in "TRZ"]
    shape = tuple(first.size[axis] for axis in outer)

    def checked(number: int) -> Recording:
        slice_ = opened(number)
        found = tuple(slice_.size.get(axis, 1) for axis in outer)
        if (found, slice_.dtype) != (shape, first.dtype):
            own, other = (" × ".join(map(str, size)) for size in (found, shape))
            raise InputError(files[number], f"is {own} {slice_.dtype}, the first slice {other} {first.dtype}", _ONE)
        return slice_

    def read(index: Mapping[str, int]) -> np.ndarray:
        return checked(index["Z"]).read({**dict.fromkeys("TRZ", 0), **index, "Z": 0})

    def rows(index: Mapping[str, int], start: int, stop: int) -> np.ndarray:
        some = checked(index["Z"]).rows
        at = {**dict.fromkeys("TRZ", 0), **index, "Z": 0}
        return read(index)[start:stop] if some is None else some(at, start, stop)

    return [
        Recording(
            folder,
            "Z" + "".join(outer),
            (len(files), *shape),
            first.dtype,
            read,
            {axis: first.spacing.get(axis) for axis in "YX"},
            first.channels,
            samples=first.samples,
            rows=None if first.rows is None else rows,
            problem=first.problem,
        )
    ]


def in_order(path: Path) -> list[tuple[int, str]]:
    """By which names are sorted: numbers by their value, so that 10 comes after 9, what is between by its letters."""
    return [(int(part), "") if part.isdecimal() else (-1, part.casefold()) for part in re.split(r"(\d+)", path.name)]
