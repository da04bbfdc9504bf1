"""Zeiss CZI, read by czifile; planes that ZEN compressed with Zstandard are decoded here, by imagecodecs."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import imagecodecs
import numpy as np

from ..errors import InputError
from .extras import format_library
from .image import Recording
from .pages import opened
from .remarks import remark
from .spacing import to_micrometres

_AGAIN = "get another copy"
# what these axes number is raw data of a method, from which ZEN computes the image
_RAW = {"H": "phases", "I": "illuminations", "R": "rotations", "V": "views", "B": "blocks"}
_ZSTD, _ZSTD_PACKED = 5, 6


def recordings(path: Path) -> list[Recording]:
    """Open a CZI file; see :py:class:`bundle.io.image.Recording`. The tiles of a mosaic lie where the stage was."""
    czifile = format_library("czifile", path, "Zeiss CZI")
    try:
        # without a directory of its planes, or without metadata, a file is cut off: czifile warns and searches
        with warnings.catch_warnings(action="error", category=UserWarning), czifile.CziFile(path) as file:
            about = ElementTree.fromstring(file.metadata())
            # the smaller copies of a pyramid are stored with fewer pixels than they stand for
            tiles = [tile for tile in file.subblock_directory if tile.shape == tile.stored_shape]
    except Exception as error:
        raise InputError(path, "is no CZI file, or is truncated", _AGAIN) from error
    if not tiles or max(tile.file_position for tile in tiles) >= path.stat().st_size:
        raise InputError(path, "is truncated: its planes lie beyond its end", _AGAIN)
    scenes: dict[int, list] = defaultdict(list)
    for tile in tiles:
        scenes[_start(tile).get("S", 0)].append(tile)
    names = {int(scene.get("Index", -1)): scene.get("Name") or "" for scene in about.iterfind(".//S/Scenes/Scene")}
    spacing = {
        distance.get("Id", ""): to_micrometres(distance.findtext("Value"), "m")
        for distance in about.iterfind(".//Scaling/Items/Distance")
    }
    channels = _channel_names(about)
    return [_scene(path, tiles, spacing, channels, names.get(scene, "")) for scene, tiles in sorted(scenes.items())]


def _channel_names(about: ElementTree.Element) -> tuple[str, ...]:
    """The channels' names; where the image does not name all of them the display's settings may."""
    for place in (".//Information/Image/Dimensions/Channels/Channel", ".//DisplaySetting/Channels/Channel"):
        names = tuple(channel.get("Name") or "" for channel in about.iterfind(place))
        if names and all(names):
            return names
    return ()


def _start(tile: Any) -> dict[str, int]:
    return {dimension.dimension: int(dimension.start) for dimension in tile.dimension_entries}


def _length(tile: Any, axis: str) -> int:
    return next(dimension.size for dimension in tile.dimension_entries if dimension.dimension == axis)


def _scene(
    path: Path, tiles: Sequence[Any], spacing: Mapping[str, float | None], channels: tuple[str, ...], name: str
) -> Recording:
    starts = [_start(tile) for tile in tiles]
    first = {axis: min(start[axis] for start in starts) for axis in starts[0] if axis not in "SM"}
    size = {
        axis: max(start[axis] + _length(tile, axis) for start, tile in zip(starts, tiles, strict=True)) - low
        for axis, low in first.items()
    }
    outer = [axis for axis in size if axis not in "YX"]
    samples = tiles[0].shape[-1]
    dtype = np.dtype(tiles[0].dtype).base.newbyteorder("=")
    if len({(tile.shape[-1], tile.dtype) for tile in tiles}) > 1:
        raise InputError(path, "holds channels of different types", "export each in a file of its own")
    planes: dict[tuple[int, ...], list] = defaultdict(list)
    for start, tile in zip(starts, tiles, strict=True):
        planes[tuple(start[axis] - first[axis] for axis in outer)].append(tile)
    most = max(map(len, planes.values()))
    if most > 1:
        remark(path, f"is a mosaic of {most} tiles; they are placed where the stage was, the later over the earlier")

    def read(index: Mapping[str, int]) -> np.ndarray:
        wanted = tuple(index[axis] for axis in outer)
        if wanted not in planes:
            missing = ", ".join(f"{axis} {i}" for axis, i in zip(outer, wanted, strict=True) if size[axis] > 1)
            raise InputError(path, f"lacks the plane at {missing}", "the recording was broken off; get another copy")
        return _mosaic(planes[wanted], first, (size["Y"], size["X"], samples), dtype)

    raw = {axis: n for axis, n in size.items() if axis in _RAW and n > 1}
    listed = " and ".join(f"{n} {_RAW[axis]} (axis {axis})" for axis, n in raw.items())
    problem = (f"holds raw data of {listed}, no image", "process it in ZEN and save the result") if raw else None
    count = size.get("C", 1)
    return Recording(
        path,
        "".join(outer) + ("YXS" if samples > 1 else "YX"),
        (*(size[axis] for axis in outer), size["Y"], size["X"], *([samples] if samples > 1 else [])),
        dtype,
        read,
        {axis: spacing.get(axis) for axis in "ZYX"},
        channels if len(channels) == count else (),
        name,
        problem=problem,
    )


def _mosaic(tiles: Iterable[Any], first: Mapping[str, int], shape: tuple[int, int, int], dtype: np.dtype) -> np.ndarray:
    plane = np.zeros(shape, dtype)
    for tile in sorted(tiles, key=lambda tile: tile.mosaic_index or 0):
        start, pixels = _start(tile), _pixels(tile)
        y, x = start["Y"] - first["Y"], start["X"] - first["X"]
        plane[y : y + pixels.shape[0], x : x + pixels.shape[1]] = pixels
    return plane if shape[-1] > 1 else plane[..., 0]


def _pixels(tile: Any) -> np.ndarray:
    shape = _length(tile, "Y"), _length(tile, "X"), tile.shape[-1]
    with opened(tile._fh):  # closed between planes: a list of many images would run out of file handles
        block = tile.data_segment()
        if tile.compression not in (_ZSTD, _ZSTD_PACKED):
            return block.data().reshape(shape)
        packed = block.data(raw=True)
    dtype = np.dtype(tile.dtype).base
    if tile.compression == _ZSTD:
        flat = np.frombuffer(imagecodecs.zstd_decode(packed), dtype)
    else:
        flat = _unpacked(packed, dtype)
    pixels = flat.reshape(shape)
    return pixels[..., [2, 1, 0, 3][: shape[-1]]] if shape[-1] > 1 else pixels


def _unpacked(packed: bytes, dtype: np.dtype) -> np.ndarray:
    """Decode CZI's "zstd1": a header of its own length, which may say that low and high bytes were stored apart."""
    header, content = packed[: packed[0]], imagecodecs.zstd_decode(packed[packed[0] :])
    apart = len(header) >= 3 and header[1] == 1 and header[2] & 1
    if not apart:
        return np.frombuffer(content, dtype)
    return np.ascontiguousarray(np.frombuffer(content, np.uint8).reshape(2, -1).T).view("<u2").ravel()
