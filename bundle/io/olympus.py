"""Olympus FluoView files, read by oiffile: OIF (a file and its folder) and OIB (the same in one compound file)."""

from __future__ import annotations

import re
import weakref
from collections.abc import Mapping
from itertools import product
from math import prod
from pathlib import Path, PurePosixPath

import numpy as np
import oiffile
import tifffile

from ..errors import InputError
from . import compound
from .image import Recording
from .ome_xml import MOST_PLANES
from .pages import check_whole, stored_type
from .remarks import quiet
from .spacing import to_micrometres

_AGAIN = "copy it again, with everything that belongs to it"


def recordings(path: Path) -> list[Recording]:
    """Open an OIF or OIB file; see :py:class:`bundle.io.image.Recording`."""
    folder = path.with_name(f"{path.name}.files")
    if path.suffix.lower() == ".oif" and not folder.is_dir():
        raise InputError(path, f"has its planes in the folder {folder.name}, which is missing", _AGAIN)
    if path.suffix.lower() != ".oif":
        compound.check_chains(path)
    file = oiffile.OifFile(path)
    if file.is_oib:
        _check_length(path, file)
    settings = file.mainfile
    sections = [section for name, section in settings.items() if re.fullmatch(r"Axis \d Parameters Common", name)]
    about = {section["AxisCode"]: section for section in sections}
    # stored fastest first: the two axes of a plane, then those that number the planes
    axes = settings["Axis Parameter Common"]["AxisOrder"][::-1]
    size = {axis: max(1, int(about[axis]["MaxSize"])) for axis in axes}
    if prod(size[axis] for axis in axes[:-2]) > MOST_PLANES:
        raise InputError(path, f"declares more planes than the {MOST_PLANES} that are read", _AGAIN)
    planes = _planes(path, file, {axis: size[axis] for axis in axes[:-2]})

    def read(index: Mapping[str, int]) -> np.ndarray:
        with quiet(), file.open_file(planes[tuple(index[axis] for axis in axes[:-2])]) as stream:
            with tifffile.TiffFile(stream) as tiff:
                check_whole(path, tiff)
                return tiff.pages.first.asarray()

    # an OIB stays open as long as it can be read: its directory takes too long to parse for every plane
    weakref.finalize(read, file.close)
    with quiet(), file.open_file(next(iter(planes.values()))) as stream, tifffile.TiffFile(stream) as tiff:
        dtype = stored_type(tiff.pages.first).newbyteorder("=")
    spacing = {axis: _step(settings, axis, about[axis]) for axis in "ZYX" if axis in axes}
    names = tuple(settings.get(f"Channel {i + 1} Parameters", {}).get("CH Name", "") for i in range(size.get("C", 0)))
    return [
        Recording(path, axes, tuple(size.values()), dtype, read, spacing, tuple(map(str, names)) if any(names) else ())
    ]


def _planes(path: Path, file: oiffile.OifFile, size: Mapping[str, int]) -> dict[tuple[int, ...], str]:
    """Return the file of every plane, named after its place: ``s_C001Z012.tif`` is channel 1 of slice 12."""
    found = {}
    for name in file.glob():
        # an OIF names its files as the system does, an OIB with a slash
        place = re.fullmatch(r"s_((?:[A-Z]\d{3,})+)\.tif", PurePosixPath(name.replace("\\", "/")).name)
        if place:
            numbers = {axis: int(number) - 1 for axis, number in re.findall(r"([A-Z])(\d+)", place[1])}
            if numbers.keys() <= size.keys():
                found[tuple(numbers.get(axis, 0) for axis in size)] = name
    missing = [place for place in product(*map(range, size.values())) if place not in found]
    if missing:
        named = ", ".join(f"{axis} {i + 1}" for axis, i in zip(size, missing[0], strict=True))
        raise InputError(path, f"lacks {len(missing)} of its planes, the first at {named}", _AGAIN)
    return found


def _check_length(path: Path, file: oiffile.OifFile) -> None:
    compound = file.filesystem.com  # type: ignore[attr-defined]  # of a compound file alone
    needed = sum(compound.direntry(name).stream_size for name in compound.files())
    if needed > path.stat().st_size:
        raise InputError(path, "is truncated: it is shorter than its contents", _AGAIN)


def _step(settings: Mapping, axis: str, about: Mapping) -> float | None:
    """Return the distance of two pixels in micrometres."""
    if axis in "YX":
        image, side = settings.get("Reference Image Parameter", {}), {"Y": "Height", "X": "Width"}[axis]
        return to_micrometres(image.get(f"{side}ConvertValue"), image.get(f"{side}Unit"))
    step = about.get("Interval")
    if step is None and int(about["MaxSize"]) > 1:
        # the stage may move either way
        step = abs(about["EndPosition"] - about["StartPosition"]) / (int(about["MaxSize"]) - 1)
    return to_micrometres(step, about.get("UnitName"))
