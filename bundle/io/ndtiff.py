"""Micro-Manager's NDTiff: TIFF files in a folder whose ``NDTiff.index`` says where the pixels of each plane lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
import tifffile

from ..errors import InputError
from .calibration import agreed, micromanager
from .image import Recording
from .ome_xml import MOST_PLANES
from .pages import AGAIN

INDEX = "NDTiff.index"
_LETTERS = {"time": "T", "z": "Z", "channel": "C", "position": "R"}
_TYPES = {0: "u1", 1: "<u2", 3: "<u2", 4: "<u2", 5: "<u2", 6: "<u2"}


@dataclass(frozen=True)
class _Plane:
    file: str
    offset: int
    shape: tuple[int, int]
    dtype: str


def members(folder: Path) -> list[Path]:
    """The files in a folder that are one NDTiff recording, first file first; none if it holds none."""
    if not (folder / INDEX).is_file():
        return []
    return [folder / name for name in dict.fromkeys(entry[1] for entry in tifffile.read_ndtiff_index(folder / INDEX))]


def recordings(path: Path, summary: Mapping) -> list[Recording]:
    """Open an NDTiff recording by one of its files.

    Args:
        path: the file.
        summary: what Micro-Manager's header says of the whole.

    Raises:
        InputError: the index is missing or damaged, or planes are missing.
    """
    index = path.with_name(INDEX)
    if not index.is_file():
        raise InputError(path, f"lacks {INDEX}, which says what its planes are", "copy the whole folder")
    planes: dict[tuple, _Plane] = {}
    letters: dict[str, str] = {}
    values: dict[str, dict] = {}
    for axes, file, offset, width, height, kind, compression, *_ in tifffile.read_ndtiff_index(index):
        if kind not in _TYPES or compression:
            raise InputError(path, "holds colour or compressed planes (NDTiff)", "export it as OME-TIFF")
        if PureWindowsPath(file).name != file or PurePosixPath(file).name != file:
            raise InputError(index, f"names the file {file}, outside its own folder, which is not read", AGAIN)
        if planes and axes.keys() != letters.keys():
            raise InputError(index, "gives planes different axes", AGAIN)
        spare = (letter for letter in "QIJKNOUVWM" if letter not in letters.values())
        for name, value in axes.items():
            letters.setdefault(name, _LETTERS.get(str(name).lower()) or next(spare))
            values.setdefault(name, {}).setdefault(value)
        planes[tuple(axes.items())] = _Plane(file, offset, (height, width), _TYPES[kind])
    if not planes:
        raise InputError(index, "names no planes", AGAIN)
    for name, found in values.items():  # numbers in their order; names as they come
        numbers = sorted(value for value in found if isinstance(value, int))
        values[name] = {value: i for i, value in enumerate(numbers if len(numbers) == len(found) else found)}
    shape = tuple(len(found) for found in values.values())
    placed = {tuple(values[name][value] for name, value in key): plane for key, plane in planes.items()}
    declared = prod(shape)
    first = next(iter(planes.values()))
    if declared > MOST_PLANES or len(placed) < declared:
        raise InputError(path, f"lacks {declared - len(placed)} of its {declared} planes", "copy the whole folder")
    if any((plane.shape, plane.dtype) != (first.shape, first.dtype) for plane in placed.values()):
        raise InputError(path, "holds planes of different sizes or types", "export each kind in a file of its own")
    ends: dict[str, int] = {}
    for plane in placed.values():
        ends[plane.file] = max(
            ends.get(plane.file, 0), plane.offset + prod(plane.shape) * np.dtype(plane.dtype).itemsize
        )
    for file, end in ends.items():
        if not path.with_name(file).is_file():
            raise InputError(path, f"continues in {file}, which is missing", "copy the whole folder")
        if path.with_name(file).stat().st_size < end:
            raise InputError(path.with_name(file), "is truncated: its pixels end beyond the end of the file", AGAIN)
    outer = "".join(letters.values())

    def read(index: Mapping[str, int]) -> np.ndarray:
        return rows(index, 0, first.shape[0])

    def rows(index: Mapping[str, int], start: int, stop: int) -> np.ndarray:
        plane = placed[tuple(index[axis] for axis in outer)]
        dtype, width = np.dtype(plane.dtype), plane.shape[1]
        with path.with_name(plane.file).open("rb") as stream:
            stream.seek(plane.offset + start * width * dtype.itemsize)
            numbers = stream.read((stop - start) * width * dtype.itemsize)
        return np.frombuffer(numbers, dtype).reshape(stop - start, width)

    def names(letter: str) -> tuple[str, ...]:
        (found,) = (values[name] for name in letters if letters[name] == letter) if letter in outer else ({},)
        return tuple(map(str, found)) if any(isinstance(value, str) for value in found) else ()

    return [
        Recording(
            path,
            outer + "YX",
            (*shape, *first.shape),
            np.dtype(first.dtype).newbyteorder("="),
            read,
            agreed(path, {"Micro-Manager": micromanager(summary)}),
            names("C"),
            positions=names("R"),
            rows=rows,
        )
    ]
