"""The TIFF family, read by tifffile: OME-TIFF, ImageJ, LSM and plain pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from math import prod
from pathlib import Path

import numpy as np
import tifffile

from ..errors import InputError
from .image import Recording
from .ome_xml import Ome, OmeImage, parse
from .remarks import remark
from .spacing import to_micrometres

_AGAIN = "get another copy"
_checked_here: ContextVar[bool] = ContextVar("checked_here", default=False)
tifffile.logger().addFilter(lambda _record: not _checked_here.get())
_JPEG = {6, 7, 34892, 33007}
_UNKNOWN = "IQ"  # tifffile's letters for an axis of which the file says nothing


def recordings(path: Path) -> list[Recording]:
    """Open a TIFF file; see :py:class:`bundle.io.image.Recording`."""
    if path.name.lower().endswith(".companion.ome"):
        return _companion(path, path)
    try:
        with quiet(), tifffile.TiffFile(path) as tiff:
            return _recordings(path, tiff)
    except tifffile.TiffFileError as error:
        raise InputError(path, f"is no TIFF file ({error})", _AGAIN) from error


def check_whole(path: Path, tiff: tifffile.TiffFile) -> None:
    """Refuse a file whose chain of pages breaks off, which tifffile takes for its end.

    Raises:
        InputError: the chain leads out of the file.
    """
    pages = tiff.pages
    if len(pages) == 0:
        raise InputError(path, "holds no image", _AGAIN)
    if tiff.is_lsm or tiff.is_ndpi:  # beyond 4 GB their offsets wrap around
        return
    tiff.filehandle.seek(pages.next_page_offset)
    end = tiff.filehandle.read(tiff.tiff.offsetsize)
    if len(end) < tiff.tiff.offsetsize or any(end):
        raise InputError(
            path, f"is truncated: the page after page {len(pages)} lies beyond the end of the file", _AGAIN
        )


@contextmanager
def quiet() -> Iterator[None]:
    """Silence tifffile's log: what it would report and read on from is checked here and refused."""
    token = _checked_here.set(True)
    try:
        yield
    finally:
        _checked_here.reset(token)


def _recordings(path: Path, tiff: tifffile.TiffFile) -> list[Recording]:
    check_whole(path, tiff)
    ome = _ome(path, tiff)
    if ome is not None and ome.companion is not None:
        return _companion(path, path.with_name(ome.companion))
    every = tiff.series
    series = [s for s in every if not s.keyframe.is_reduced] or every
    for one in series:
        _check_pages(path, one)
    if ome is not None and series[0].kind == "ome":
        if len(ome.images) != len(series):
            raise InputError(path, f"describes {len(ome.images)} images, of which {len(series)} are found", _AGAIN)
        return [
            _recording(path, one, image.spacing, image.channels, image.name)
            for one, image in zip(series, ome.images, strict=True)
        ]
    if len(series) > 1 and series[0].kind == "generic":
        listed = ", ".join(f"{len(s)} of {_page_type(s.keyframe)}" for s in series)
        raise InputError(
            path, f"holds pages of different sizes or types: {listed}", "save each kind in a file of its own"
        )
    if tiff.is_imagej:
        return [_imagej(path, tiff, series[0])]
    if tiff.is_lsm:
        return [_lsm(path, tiff, one) for one in series]
    return [_recording(path, one, name=one.name) for one in series]


def _ome(path: Path, tiff: tifffile.TiffFile) -> Ome | None:
    if tiff.ome_metadata is None:
        return None
    try:
        ome = parse(tiff.ome_metadata)
    except ValueError:
        remark(path, "its OME-XML is damaged; axes and pixel sizes are read from the pages alone")
        return None
    _check_files(path, path.parent, ome.images)
    return ome


def _check_files(path: Path, folder: Path, images: Sequence[OmeImage]) -> None:
    named = dict.fromkeys(data.file for image in images for data in image.data if data.file)
    missing = [name for name in named if name.casefold() != path.name.casefold() and not (folder / name).is_file()]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError(path, f"continues in {missing[0]}{more}, which is missing", "put all its files in one folder")


def _check_pages(path: Path, series: tifffile.TiffPageSeries) -> None:
    """Refuse a series of which a plane is missing, cut off, or of another size or type than the first."""
    key = series.keyframe
    if series.dataoffset is not None:
        if series.dataoffset + series.nbytes > key.parent.filehandle.size:
            raise InputError(path, "is truncated: its pixels end beyond the end of the file", _AGAIN)
        return
    declared, pages = prod(series.shape) // prod(key.shape), list(series)
    found = sum(page is not None for page in pages)
    if found < declared:
        raise InputError(path, f"is truncated: it declares {declared} planes and holds {found}", _AGAIN)
    for number, page in enumerate(pages, 1):
        handle = page.parent.filehandle
        ends = map(sum, zip(page.dataoffsets, page.databytecounts, strict=True))
        if max(ends, default=0) > handle.size:
            raise InputError(
                path, f"is truncated: plane {number} of {len(pages)} ends beyond the end of the file", _AGAIN
            )
        if page is key or series.kind == "lsm":
            continue
        with opened(handle):  # frames are taken for pages like the first until their own tags are read
            own = page.aspage()
        if own.shape != key.shape or own.dtype != key.dtype:
            raise InputError(
                path,
                f"changes in mid-stack: plane {number} is {_page_type(own)}, the first is {_page_type(key)}",
                "save each kind in a file of its own",
            )


def _page_type(page: tifffile.TiffPage) -> str:
    return f"{' × '.join(map(str, page.shape))} {page.dtype}"


def _recording(
    path: Path,
    series: tifffile.TiffPageSeries,
    spacing: Mapping[str, float | None] | None = None,
    channels: tuple[str, ...] = (),
    name: str = "",
) -> Recording:
    axes, undeclared = _known_axes(series.axes, series.shape)
    # the trailing axes lie within a page: rows, columns, samples, in some formats channels
    within = min(axes.index(axis) for axis in "YXS" if axis in axes)
    split = next(k for k in range(within, -1, -1) if prod(series.shape[k:]) == prod(series.keyframe.shape))
    outer, inner = axes[:split], axes[split:]

    def read(index: Mapping[str, int]) -> np.ndarray:
        at = [index[axis] for axis in outer]
        flat = int(np.ravel_multi_index(at, series.shape[:split])) if at else 0
        page = _page(series, flat).reshape(series.shape[split:])
        plane = page[tuple(slice(None) if axis in "YXS" else index[axis] for axis in inner)]
        return np.moveaxis(plane, 0, -1) if inner.find("S") in range(inner.find("Y")) else plane

    def rows(index: Mapping[str, int], start: int, stop: int) -> np.ndarray:
        at = [index[axis] for axis in outer]
        return _page_rows(series, int(np.ravel_multi_index(at, series.shape[:split])) if at else 0, start, stop)

    # some rows can be had of pages that are nothing but rows, columns and samples
    some = rows if inner in ("YX", "YXS") and series.keyframe.shaped[:2] == (1, 1) else None
    dtype = series.dtype.newbyteorder("=")
    return Recording(path, axes, series.shape, dtype, read, spacing or {}, channels, name, undeclared, some)


def _page(series: tifffile.TiffPageSeries, index: int) -> np.ndarray:
    key = series.keyframe
    page = key if series.dataoffset is not None else series[index]
    # the file is open for one plane at a time: a list of many images would run out of file handles
    with quiet(), opened(page.parent.filehandle) as handle:
        if series.dataoffset is None:
            return page.asarray()
        handle.seek(series.dataoffset + index * key.nbytes)
        return np.frombuffer(handle.read(key.nbytes), key.dtype.newbyteorder(key.parent.byteorder))


def _page_rows(series: tifffile.TiffPageSeries, index: int, start: int, stop: int) -> np.ndarray:
    """Read some rows of a page: the bytes they lie in, or the strips and tiles that hold them."""
    key = series.keyframe
    page = key if series.dataoffset is not None else series[index]
    with quiet(), opened(page.parent.filehandle) as handle:
        raw = key.dtype.newbyteorder(key.parent.byteorder)
        row = key.nbytes // key.imagelength
        first, ends = page.dataoffsets[0], map(sum, zip(page.dataoffsets, page.databytecounts, strict=True))
        if series.dataoffset is not None or (key.is_final and list(page.dataoffsets[1:]) == list(ends)[:-1]):
            first = first if series.dataoffset is None else series.dataoffset + index * key.nbytes
            handle.seek(first + start * row)
            return np.frombuffer(handle.read((stop - start) * row), raw).reshape(stop - start, *key.shape[1:])
        height = key.tilelength if key.is_tiled else key.rowsperstrip
        across = -(-key.imagewidth // key.tilewidth) if key.is_tiled else 1
        wanted = range(start // height * across, -(-stop // height) * across)
        offsets, counts = ([values[i] for i in wanted] for values in (page.dataoffsets, page.databytecounts))
        part = np.full((stop - start, *key.shape[1:]), key.nodata, key.dtype)
        for data, number in handle.read_segments(offsets, counts, wanted):
            # tables that all strips of a JPEG page share are its own
            tables = {"jpegtables": page.jpegtables, "jpegheader": page.jpegheader} if key.compression in _JPEG else {}
            pixels, (_, _, y, x, _), _ = key.decode(data, number, **tables)
            if pixels is None:  # a strip that is not stored
                continue
            low, high = max(start, y), min(stop, y + pixels.shape[1])
            piece = pixels[0, low - y : high - y, : key.imagewidth - x].reshape(high - low, -1, *key.shape[2:])
            part[low - start : high - start, x : x + piece.shape[1]] = piece
        return part


@contextmanager
def opened(handle: tifffile.FileHandle) -> Iterator[tifffile.FileHandle]:
    """Open a closed file for a while."""
    if not handle.closed:
        yield handle
        return
    handle.open()
    try:
        yield handle
    finally:
        handle.close()


def _known_axes(axes: str, shape: Sequence[int]) -> tuple[str, bool]:
    """Return the axes with one letter each, and whether Z is only assumed: a lone axis of unknown meaning."""
    long = [i for i, (axis, n) in enumerate(zip(axes, shape, strict=True)) if axis in _UNKNOWN and n > 1]
    stated = {axis for axis, n in zip(axes, shape, strict=True) if n > 1}
    assumed = len(long) == 1 and "Z" not in stated
    letters = list(axes.replace("Z", "I") if assumed else axes)
    if assumed:
        letters[long[0]] = "Z"
    spare = iter("IQJKNOUV")
    return "".join(next(spare) if axis in _UNKNOWN else axis for axis in letters), assumed


def _imagej(path: Path, tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> Recording:
    about = tiff.imagej_metadata
    planes, declared = prod(series.shape) // prod(series.keyframe.shape), about.get("images", 1)
    if planes * series.keyframe.samplesperpixel < declared:
        raise InputError(path, f"is truncated: it declares {declared} planes and holds {planes}", _AGAIN)
    tags, unit = series.keyframe.tags, about.get("unit")
    spacing = {axis: _per_pixel(tags, f"{axis}Resolution", about.get(f"{axis.lower()}unit", unit)) for axis in "YX"}
    spacing["Z"] = to_micrometres(about.get("spacing", 1), about.get("zunit", unit))
    recording = _recording(path, series, spacing)
    if "spacing" not in about and recording.size.get("Z", 1) > 1 and spacing["Z"] is not None:
        remark(path, f"states no z step, by which ImageJ means {spacing['Z']:g} µm; --spacing states another")
    return recording


def _per_pixel(tags: tifffile.TiffTags, tag: str, unit: str | None) -> float | None:
    count, length = tags.valueof(tag, default=(0, 0))
    if not (count and length):
        return None
    return to_micrometres(length / count, unit)


def _lsm(path: Path, tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> Recording:
    about = tiff.lsm_metadata
    spacing = {axis: to_micrometres(about.get(f"VoxelSize{axis}"), "m") for axis in "ZYX"}
    names = tuple(about.get("ChannelColors", {}).get("ColorNames", ()))
    return _recording(path, series, spacing, names)


def _companion(path: Path, companion: Path) -> list[Recording]:
    """Read planes in single files that one ``.companion.ome`` file describes."""
    if not companion.is_file():
        raise InputError(path, f"is described by {companion.name}, which is missing", "put all its files in one folder")
    try:
        images = parse(companion.read_text(encoding="utf-8")).images
    except ValueError as error:
        raise InputError(companion, str(error), _AGAIN) from error
    _check_files(companion, companion.parent, images)
    return [_described(path, companion, image) for image in images]


def _described(path: Path, companion: Path, image: OmeImage) -> Recording:
    places: dict[int, tuple[Path, int]] = {}
    for data in image.data:
        if data.file is None:
            raise InputError(companion, "does not name the file of every plane", "export the image as one OME-TIFF")
        file = companion.with_name(data.file)
        for i in range(1 if data.count is None else data.count):
            places[data.first + i] = file, data.page + i
    declared = prod(image.shape[:-2])
    if len(places) < declared:
        raise InputError(companion, f"declares {declared} planes and places {len(places)}", _AGAIN)

    def read(index: Mapping[str, int]) -> np.ndarray:
        file, page = places[int(np.ravel_multi_index([index[axis] for axis in image.axes[:-2]], image.shape[:-2]))]
        with quiet(), tifffile.TiffFile(file) as tiff:
            return tiff.pages[page].asarray()

    file, page = places[0]
    with quiet(), tifffile.TiffFile(file) as tiff:
        dtype = tiff.pages[page].dtype.newbyteorder("=")
    return Recording(path, image.axes, image.shape, dtype, read, image.spacing, image.channels, image.name)
