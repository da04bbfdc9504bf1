"""The pages of TIFF files: whether they are whole, what their numbers mean, and reading them, all or some rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tifffile

from ..errors import InputError
from .colours import false_colours, looked_up, table_of_greys
from .remarks import hush

AGAIN = "get another copy"
SAVE_PLAIN = "save it as plain grey values or as RGB"
hush(tifffile.logger())  # what it would report and read on from is checked here and refused
_JPEG = {6, 7, 34892, 33007}
_JPEG_TABLES = ("jpegtables", "jpegheader")
# codecs that give red, green and blue, whatever the colours are stored as
_DECODED_TO_RGB = _JPEG | {33003, 33005, 34712, 50001, 50002, 52546}
_GREY, _RGB, _PALETTE, _YCBCR = 1, 2, 3, 6
_OTHER_COLOURS = {
    4: "is a transparency mask",
    5: "is stored in printing inks (CMYK)",
    8: "is stored as CIE L*a*b* colours",
    9: "is stored as ICC L*a*b* colours",
    10: "is stored as ITU L*a*b* colours",
    32803: "holds the raw data of a colour sensor",
    32844: "holds logarithms of luminance (LogL)",
    32845: "holds logarithms of luminance (LogLuv)",
    34892: "holds the raw data of a camera",
}
_ORIENTATION, _PHOTOMETRIC = 274, 262
_SMALL, _MOST_PACKED = 1 << 26, 1 << 16  # bytes; what the best codecs make of the emptiest page
# bytes of a value of each of TIFF's types
_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
# beyond the baseline: what Leica, FluoView, MetaMorph, LSM, ImageJ and Micro-Manager say of an image
_ESSENTIAL = {33628, 33629, 33630, 33631, 34361, 34362, 34412, 50838, 50839, 51123}


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


def check_whole(path: Path, tiff: tifffile.TiffFile) -> None:
    """Refuse a file whose chain of pages breaks off, which tifffile takes for its end, or whose tags lie beyond it.

    Raises:
        InputError: the chain, or what the first page says of the image, leads out of the file.
    """
    pages = tiff.pages
    if len(pages) == 0:
        raise InputError(path, "holds no image", AGAIN)
    if tiff.is_lsm or tiff.is_ndpi or pages.next_page_offset is None:  # beyond 4 GB offsets of the former wrap around
        return
    tiff.filehandle.seek(pages.next_page_offset)
    end = tiff.filehandle.read(tiff.tiff.offsetsize)
    if len(end) < tiff.tiff.offsetsize or any(end):
        raise InputError(path, f"is truncated: the page after page {len(pages)} lies beyond the end of the file", AGAIN)
    _check_tags(path, tiff)


def _check_tags(path: Path, tiff: tifffile.TiffFile) -> None:
    """Refuse tags of the first page that are stored beyond the file's end: tifffile reads on without them.

    An OME-TIFF without its description would be a stack of pages that mean nothing.
    """
    form, handle, first = tiff.tiff, tiff.filehandle, tiff.pages.first
    handle.seek(first.offset)
    count = int.from_bytes(handle.read(form.tagnosize), "little" if form.byteorder == "<" else "big")
    order: Literal["little", "big"] = "little" if form.byteorder == "<" else "big"
    within = form.tagoffsetthreshold
    for _ in range(count):
        entry = handle.read(form.tagsize)
        if len(entry) < form.tagsize:
            raise InputError(path, "is truncated: it ends within its list of tags", AGAIN)
        code, kind = (int.from_bytes(entry[i : i + 2], order) for i in (0, 2))
        middle = 4 + (form.tagsize - 4) // 2
        number, offset = int.from_bytes(entry[4:middle], order), int.from_bytes(entry[middle:], order)
        size = number * _BYTES.get(kind, 0)
        if (code < 700 or code in _ESSENTIAL) and size > within and offset + size > handle.size:
            name = tifffile.TIFF.TAGS.get(code, str(code))
            raise InputError(path, f"is truncated: its tag {name} lies beyond the end of the file", AGAIN)


def check_page(path: Path, page: tifffile.TiffPage, key: tifffile.TiffPage, number: int, count: int) -> None:
    """Refuse a page that is cut off, or of another size or type than the first.

    Args:
        path: the file, for the message.
        page: the page.
        key: the first of them.
        number: which it is, from 1.
        count: of how many.

    Raises:
        InputError: it is.
    """
    check_ends(path, page, number, count)
    if page.shape != key.shape or page.dtype != key.dtype or page.photometric != key.photometric:
        raise InputError(
            path,
            f"changes in mid-stack: plane {number} is {page_type(page)}, the first is {page_type(key)}",
            "save each kind in a file of its own",
        )


def check_ends(path: Path, page: tifffile.TiffPage | tifffile.TiffFrame, number: int, count: int) -> None:
    """Refuse a page, or what stands for one, whose pixels end beyond the end of the file."""
    ends = map(sum, zip(page.dataoffsets, page.databytecounts, strict=True))
    if max(ends, default=0) > page.parent.filehandle.size:
        raise InputError(path, f"is truncated: plane {number} of {count} ends beyond the end of the file", AGAIN)
    stored = sum(page.databytecounts)
    if page.nbytes > max(_SMALL, _MOST_PACKED * stored):
        problem = f"declares {page.nbytes / 1e9:.4g} GB in plane {number} of {count} and stores {stored} bytes of it"
        raise InputError(path, problem, AGAIN)


def page_type(page: tifffile.TiffPage) -> str:
    """Size and type of a page, for people."""
    kind = {0: " with white as 0", 2: " RGB", 3: " with a table of colours"}.get(int(page.photometric), "")
    return f"{' × '.join(map(str, page.shape))} {page.dtype}{kind}"


@dataclass(frozen=True, eq=False)
class Meaning:
    """What the numbers of a page mean.

    Args:
        dtype: the type of what :py:meth:`of` gives.
        samples: what its samples are called; none if it is grey.
        table: ``[n, …]``, what each number stands for; None if the numbers are grey values or colours themselves.
        white: the number that is white where 0 is black for the reader, and white for who wrote it; else None.
        problem: what keeps the page from being read as it is, and what to do.
    """

    dtype: np.dtype
    samples: tuple[str, ...] = ()
    table: np.ndarray | None = None
    white: int | None = None
    problem: tuple[str, str] | None = None

    def of(self, numbers: np.ndarray) -> np.ndarray:
        """The plane ``[Y, X]`` or ``[Y, X, S]`` that numbers mean, as they are stored."""
        if self.table is not None:
            return looked_up(numbers, self.table)
        if self.white is not None:
            return np.stack([self.white - numbers, numbers], axis=-1).astype(self.dtype)
        return numbers


def stored_type(page: tifffile.TiffPage | tifffile.TiffFrame) -> np.dtype:
    """The type of a page's values as they are stored.

    Raises:
        ValueError: it is none that NumPy has.
    """
    if page.dtype is None:
        raise ValueError("its values are of no known type")
    return page.dtype


def meaning(page: tifffile.TiffPage, microscope: bool = False) -> Meaning:
    """Tell what the numbers of a page mean.

    Args:
        page: the page.
        microscope: a microscope's software wrote it: a table of colours shows intensities, and is no picture's.
    """
    dtype = stored_type(page).newbyteorder("=")
    stated = page.tags.valueof(_PHOTOMETRIC)
    kind = _GREY if stated is None else int(stated)
    names = _sample_names(page, kind)
    turned = page.tags.valueof(_ORIENTATION, default=1)
    if turned not in (0, 1):
        return Meaning(
            dtype,
            names,
            problem=(
                f"says that it is to be shown turned or mirrored (orientation {turned}), which some programs do",
                f"save it the right way up, or say --axes {'YX'} to take it as it is stored",
            ),
        )
    if kind in _OTHER_COLOURS or (kind == _YCBCR and int(page.compression) not in _DECODED_TO_RGB):
        what = _OTHER_COLOURS.get(kind, "is stored as brightness and differences of colour (YCbCr)")
        return Meaning(dtype, names, problem=(what, SAVE_PLAIN))
    if page.samplesperpixel == 1 and kind == _PALETTE and page.colormap is not None and not microscope:
        table = page.colormap.T
        table = (table if table.max() < 256 else table >> 8).astype(np.uint8)
        if table_of_greys(table):
            return Meaning(np.dtype(np.uint8), (), table[:, 0])
        if not false_colours(table):
            indices = np.arange(len(table), dtype=dtype)[:, None]
            return Meaning(np.result_type(table, dtype), ("red", "green", "blue", "index"), np.hstack([table, indices]))
    if page.samplesperpixel == 1 and stated is not None and kind == 0:
        if dtype.kind not in "bu":
            problem = f"stores white as the lowest of its {dtype} values", "invert it, and save it with black as lowest"
            return Meaning(dtype, names, problem=problem)
        bits = page.bitspersample if isinstance(page.bitspersample, int) else page.bitspersample[0]
        return Meaning(dtype, ("shown", "stored"), white=1 if dtype.kind == "b" else (1 << bits) - 1)
    return Meaning(dtype, names)


def _sample_names(page: tifffile.TiffPage, kind: int) -> tuple[str, ...]:
    """What the samples of each pixel are called; nothing if there is one."""
    count = page.samplesperpixel
    if count == 1:
        return ()
    colours = ("red", "green", "blue") if kind in (_RGB, _YCBCR) and count >= 3 else ()
    extra = [int(sample) for sample in page.extrasamples]
    grey = 1 if not colours and len(extra) == count - 1 and {1, 2} & set(extra) else 0
    names = list(colours) or ["grey"] * grey
    kinds = dict(zip(range(count - len(extra), count), extra, strict=True))
    names += ["alpha" if kinds.get(i) in (1, 2) else f"sample {i}" for i in range(len(names), count)]
    return tuple(names)


def page_rows(
    page: tifffile.TiffPage | tifffile.TiffFrame, start: int, stop: int, offset: int | None = None
) -> np.ndarray:
    """Read some rows of a page: the bytes they lie in, or the strips and tiles that hold them.

    Args:
        page: the page, whose file is open; of nothing but rows, columns and samples that lie together.
        start: the first row.
        stop: the row after the last one.
        offset: where its pixels lie, if they are not compressed and not where the page says.
    """
    key: Any = page.keyframe  # every page of a series has one
    handle = page.parent.filehandle
    raw = stored_type(key).newbyteorder(key.parent.byteorder)
    row = key.nbytes // key.imagelength
    ends = map(sum, zip(page.dataoffsets, page.databytecounts, strict=True))
    if offset is not None or (key.is_final and list(page.dataoffsets[1:]) == list(ends)[:-1]):
        handle.seek((page.dataoffsets[0] if offset is None else offset) + start * row)
        return np.frombuffer(handle.read((stop - start) * row), raw).reshape(stop - start, *key.shape[1:])
    height = key.tilelength if key.is_tiled else key.rowsperstrip
    across = -(-key.imagewidth // key.tilewidth) if key.is_tiled else 1
    wanted = range(start // height * across, -(-stop // height) * across)
    offsets, counts = ([values[i] for i in wanted] for values in (page.dataoffsets, page.databytecounts))
    part = np.full((stop - start, *key.shape[1:]), key.nodata, key.dtype)
    for data, number in handle.read_segments(offsets, counts, wanted):
        # tables that all strips of a JPEG page share are its own
        tables = {name: getattr(page, name, None) for name in _JPEG_TABLES} if key.compression in _JPEG else {}
        pixels, (_, _, y, x, _), _ = key.decode(data, number, **tables)
        if pixels is None:  # a strip that is not stored
            continue
        low, high = max(start, y), min(stop, y + pixels.shape[1])
        piece = pixels[0, low - y : high - y, : key.imagewidth - x].reshape(high - low, -1, *key.shape[2:])
        part[low - start : high - start, x : x + piece.shape[1]] = piece
    return part
