"""Imaris IMS, which is HDF5, read by h5py.

https://imaris.oxinst.com/support/imaris-file-format: the full resolution lies in ``DataSet/ResolutionLevel 0``, padded
to whole chunks; attributes are texts, stored letter by letter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from .extras import Kept, format_library
from .image import Recording
from .ome_xml import MOST_PLANES
from .spacing import to_micrometres

_AGAIN = "get another copy"
_EXPORT = "save it again in Imaris, or export it as OME-TIFF"


def recordings(path: Path) -> list[Recording]:
    """Open an IMS file; see :py:class:`bundle.io.image.Recording`."""
    h5py = format_library("h5py", path, "Imaris IMS")
    kept = Kept(h5py.File(path, "r"))
    level = _inside(h5py, path, kept.file, "DataSet/ResolutionLevel 0")
    image = _inside(h5py, path, kept.file, "DataSetInfo/Image")
    if level is None or image is None:
        raise InputError(path, "is HDF5, and no image of Imaris", "save it as TIFF or OME-Zarr")
    about = {axis: int(_text(image, axis)) for axis in "ZYX"}
    times = _numbered(level, "TimePoint")
    channels = _numbered(_inside(h5py, path, level, times[0]), "Channel") if times else []
    if not channels or len(times) * len(channels) * about["Z"] > MOST_PLANES or min(about.values()) < 1:
        raise InputError(path, "holds no image, or more planes than are read", _AGAIN)
    arrays: dict[tuple[int, int], Any] = {}
    for t, time in enumerate(times):
        for c, channel in enumerate(channels):
            array = _inside(h5py, path, level, f"{time}/{channel}/Data")
            if not isinstance(array, h5py.Dataset) or array.ndim != 3:
                raise InputError(path, f"lacks {channel} of {time}", _AGAIN)
            if array.external or array.is_virtual:
                raise InputError(path, "has its pixels in another file, which is not read", _EXPORT)
            if any(stored < about[axis] for stored, axis in zip(array.shape, "ZYX", strict=True)):
                raise InputError(path, f"declares {about} and holds {array.shape}", _AGAIN)
            arrays[t, c] = array
    first = arrays[0, 0]

    def rows(index: Mapping[str, int], start: int, stop: int) -> np.ndarray:
        return kept.file and arrays[index["T"], index["C"]][index["Z"], start:stop, : about["X"]]

    names = tuple(_name(_inside(h5py, path, kept.file, f"DataSetInfo/{channel}")) for channel in channels)
    return [
        Recording(
            path,
            "TCZYX",
            (len(times), len(channels), *about.values()),
            first.dtype.newbyteorder("="),
            lambda index: rows(index, 0, about["Y"]),
            _steps(image, about),
            names if any(names) else (),
            rows=rows,
        )
    ]


def _inside(h5py: Any, path: Path, group: Any, name: str) -> Any:
    """What lies in a group under a name, if it lies in this file; a link to another file is not followed."""
    found = group
    for part in name.split("/"):
        if not isinstance(found, h5py.Group) or part not in found.keys():
            return None
        if isinstance(found.get(part, getlink=True), h5py.ExternalLink):
            raise InputError(path, f"has {part} in another file, which is not read", _EXPORT)
        found = found[part]
    return found


def _numbered(group: Any, kind: str) -> list[str]:
    """The names ``kind N`` in a group, in the order of N."""
    numbers = (re.fullmatch(rf"{kind} (\d+)", name) for name in (() if group is None else group.keys()))
    return [match[0] for match in sorted(filter(None, numbers), key=lambda match: int(match[1]))]


def _text(group: Any, name: str) -> str:
    """An attribute: a text of single letters."""
    value = group.attrs[name]
    return b"".join(np.atleast_1d(value).astype("S1").tolist()).decode("utf-8", "replace").strip()


def _name(channel: Any) -> str:
    return "" if channel is None or "Name" not in channel.attrs else _text(channel, "Name")


def _steps(image: Any, size: Mapping[str, int]) -> dict[str, float | None]:
    """Micrometres of a voxel: the image's extent in its unit, shared out among its voxels."""
    unit = _text(image, "Unit") if "Unit" in image.attrs else "um"
    steps = {}
    for axis, number in {"X": 0, "Y": 1, "Z": 2}.items():
        low, high = (float(_text(image, f"Ext{end}{number}")) for end in ("Min", "Max"))
        steps[axis] = to_micrometres(abs(high - low) / size[axis], unit)
    return steps
