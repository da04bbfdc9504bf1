"""OME-TIFF: one file, or several that belong together, of which one file's OME-XML says where each plane lies.

That file is one of them, a master file, or a ``.companion.ome``; files that only name it say ``BinaryOnly``. Only files
in the describing file's own folder and below are read, whatever an OME-XML says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from math import prod
from pathlib import Path, PureWindowsPath

import numpy as np
import tifffile

from ..errors import InputError
from .calibration import TAGS, agreed, resolution_tags
from .image import Recording
from .ome_xml import Ome, OmeImage, parse
from .pages import AGAIN, check_page, check_whole, meaning, opened, page_rows
from .remarks import quiet

TOGETHER = "put all its files in one folder"


def description(path: Path) -> str | None:
    """The OME-XML of an OME-TIFF or of a ``.companion.ome``; None of a TIFF file that has none.

    Raises:
        InputError: it cannot be read.
    """
    if path.name.lower().endswith(".companion.ome"):
        try:
            return path.read_text(encoding="utf-8-sig")
        except UnicodeError as error:
            raise InputError(path, "is no OME-XML in UTF-8", AGAIN) from error
    with quiet(), tifffile.TiffFile(path) as tiff:
        return tiff.ome_metadata


def members(path: Path) -> set[Path]:
    """The files of the recording that a file belongs to, with what describes it; only itself if it is one alone.

    Raises:
        InputError: what describes it cannot be read, or names files elsewhere.
        ValueError: its OME-XML is damaged.
    """
    xml = description(path)
    if xml is None:
        return {path}
    describing, ome = describing_file(path, parse(xml))
    named = {data.file for image in ome.images for data in image.data}
    return {path, describing, *(beside(describing, name) for name in named if name is not None)}


def describing_file(path: Path, ome: Ome) -> tuple[Path, Ome]:
    """Follow an OME-XML that only names the file that describes it.

    Args:
        path: the file with the OME-XML.
        ome: what it says.

    Returns:
        The file that describes the recording, ``path`` or another, and its OME-XML.

    Raises:
        InputError: that file is missing, damaged, or describes nothing itself.
    """
    if ome.described_by is None:
        return path, ome
    other = beside(path, ome.described_by)
    if not other.is_file():
        raise InputError(path, f"is described by {ome.described_by}, which is missing", TOGETHER)
    xml = description(other)
    try:
        found = parse(xml) if xml is not None else None
    except ValueError as error:
        raise InputError(other, str(error), AGAIN) from error
    if found is None or found.described_by is not None:
        raise InputError(path, f"is described by {other.name}, which describes nothing", AGAIN)
    return other, found


def beside(path: Path, name: str) -> Path:
    """A file that an OME-XML names, in the folder of ``path`` or below it.

    A name with a path of the computer that wrote it, as some programs store it, stands for the file of that name here.

    Raises:
        InputError: the name leads elsewhere, and no such file is here.
    """
    stated = PureWindowsPath(name)  # which takes / and \\ for what they are
    if stated.is_absolute() or stated.drive or stated.root or ".." in stated.parts:
        here = path.with_name(stated.name) if stated.name else path
        if not here.is_file():
            raise InputError(path, f"names the file {name}, outside its own folder, which is not read", TOGETHER)
        return here
    return path.parent.joinpath(*stated.parts)


def recordings(path: Path, describing: Path, ome: Ome) -> list[Recording]:
    """The images that an OME-XML describes, as scenes.

    Args:
        path: the file that was named, for messages.
        describing: the file that holds the OME-XML.
        ome: what it says.

    Raises:
        InputError: a file is missing, or holds other planes than are declared.
    """
    named = dict.fromkeys(data.file for image in ome.images for data in image.data if data.file is not None)
    renamed = {name for name in named if name.casefold() == describing.name.casefold()}
    places = {name: describing if name in renamed else beside(describing, name) for name in named}
    missing = [name for name, file in places.items() if not file.is_file()]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError(path, f"continues in {missing[0]}{more}, which is missing", TOGETHER)
    if describing.name.lower().endswith(".companion.ome") and any(d.file is None for i in ome.images for d in i.data):
        raise InputError(describing, "does not name the file of every plane", "export the image as one OME-TIFF")
    files = {file: _File(file) for file in {describing, *places.values()}}
    of = {None: files[describing]} | {name: files[file] for name, file in places.items()}
    return [_recording(path, image, of, describing) for image in ome.images]


class _File:
    """A TIFF file whose pages are found once; it is open only while one of them is read."""

    def __init__(self, file: Path) -> None:
        self.path = file

    @cached_property
    def tiff(self) -> tifffile.TiffFile:
        try:
            with quiet(), tifffile.TiffFile(self.path) as tiff:
                check_whole(self.path, tiff)  # finds all pages
                return tiff
        except tifffile.TiffFileError as error:
            raise InputError(self.path, "is no TIFF file", AGAIN) from error

    @cached_property
    def count(self) -> int:
        return len(self.tiff.pages)

    @contextmanager
    def page(self, number: int) -> Iterator[tifffile.TiffPage]:
        """A page, of which the tags were read, and the file is open."""
        if number >= self.count:
            raise InputError(self.path, f"has {self.count} pages, where {number + 1} are declared", AGAIN)
        with quiet(), opened(self.tiff.filehandle):
            yield self.tiff.pages[number].aspage()


def _recording(path: Path, image: OmeImage, files: Mapping[str | None, _File], describing: Path) -> Recording:
    outer = "".join(axis for axis, n in zip(image.axes[:-2], image.shape, strict=False) if n > 1)
    sizes = tuple(n for n in image.shape[:-2] if n > 1)
    declared = prod(sizes)
    places: dict[int, tuple[_File, int]] = {}
    for data in image.data:
        file = files[data.file]
        count = min(file.count - data.page, declared - data.first) if data.count is None else data.count
        places.update((data.first + i, (file, data.page + i)) for i in range(count))
    own = [number for number, (file, _) in places.items() if file.path == path]
    held = len(places) - sum(places[number][1] >= places[number][0].count for number in own)
    if held < declared:
        raise InputError(describing, f"is truncated: it declares {declared} planes and holds {held}", AGAIN)
    file, number = places[0]
    with file.page(number) as key:
        meant = meaning(key, microscope=True)
    if set(key.axes) - set("YXS") or (key.samplesperpixel > 1) != (image.samples > 1):
        raise InputError(
            describing, f"declares {image.samples} samples in a pixel and holds pages of axes {key.axes}", AGAIN
        )

    def planes(index: Mapping[str, int]) -> tuple[_File, int]:
        return places[int(np.ravel_multi_index([index[axis] for axis in outer], sizes)) if outer else 0]

    def read(index: Mapping[str, int]) -> np.ndarray:
        file, number = planes(index)
        with file.page(number) as page:
            check_page(file.path, page, key, number + 1, file.count)
            stored = page.asarray()
        return meant.of(stored if key.axes[0] == "Y" else np.moveaxis(stored, 0, -1))

    def rows(index: Mapping[str, int], start: int, stop: int) -> np.ndarray:
        file, number = planes(index)
        with file.page(number) as page:
            check_page(file.path, page, key, number + 1, file.count)
            return meant.of(page_rows(page, start, stop))

    for place in sorted(own):
        file, number = places[place]
        with file.page(number) as page:
            check_page(path, page, key, place + 1, declared)
    spacing = agreed(path, {"OME-XML": image.spacing}, {TAGS: resolution_tags(key)})
    inner = "YXS" if meant.samples else "YX"
    shape = key.imagelength, key.imagewidth
    if shape != image.shape[-2:]:
        stated = " × ".join(map(str, image.shape[-2:]))
        raise InputError(describing, f"declares planes of {stated} pixels and holds {shape[0]} × {shape[1]}", AGAIN)
    return Recording(
        path,
        outer + inner,
        (*sizes, *shape, *([len(meant.samples)] if meant.samples else [])),
        meant.dtype,
        read,
        spacing,
        image.channels,
        image.name,
        meant.samples,
        rows=rows if key.axes[0] == "Y" else None,
        problem=meant.problem,
    )
