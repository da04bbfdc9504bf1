"""OME-TIFF files, the form in which images, masks and stacks are written unless another is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np
import tifffile

from .atomic import atomic
from .ome_xml import describe
from .planes import Layout, checked_planes
from .pyramid import TILE, halved, in_bands, level_sizes

_CLASSIC_LIMIT = (1 << 32) - (1 << 25)  # bytes; the tags need some room too
_BUFFER = 1 << 26  # bytes that are compressed at a time


def write_ome_tiff(
    path: str | Path, array: np.ndarray, axes: str, spacing: Sequence[float] | None = None, channels: Sequence[str] = ()
) -> None:
    """Write an array as OME-TIFF, whatever its name ends in; see :py:func:`bundle.io.write_image`.

    The same array gives the same bytes: nothing of the date, the machine or the software's version is stored.
    """
    array = np.asarray(array)
    steps = None if spacing is None else tuple(spacing)
    layout = Layout(array.shape, array.dtype, axes, steps, tuple(channels))
    write_ome_tiff_planes(path, array.reshape(-1, *layout.plane), layout)


def write_ome_tiff_planes(path: str | Path, planes: Iterable[np.ndarray], layout: Layout) -> None:
    """Write an OME-TIFF plane by plane, so that a stack need never be in memory whole.

    Large planes are stored in tiles, with a pyramid in SubIFDs, as Bio-Formats writes it; of them not one is in memory
    whole: each smaller copy waits in a file without a name beside the destination.

    Args:
        path: the file to write.
        planes: see :py:func:`bundle.io.write_image_planes`.
        layout: what the file shall say of them.

    Raises:
        InputError: the file cannot be written.
        ValueError: the planes are not as announced.
    """
    size = layout.count * layout.plane[0] * layout.plane[1] * layout.stored.itemsize
    most = size * 4 / 3 if layout.large else size
    checked = checked_planes(planes, layout)
    with (
        atomic(path) as partial,
        tifffile.TiffWriter(partial, bigtiff=most > _CLASSIC_LIMIT, byteorder="<") as tiff,
    ):
        if layout.large:
            _write_pyramid(tiff, checked, layout, partial.parent)
        else:
            whole = (plane for _, plane in in_bands(checked, layout.plane[0], layout.plane[0]))
            tiff.write(whole, shape=(layout.count, *layout.plane), description=describe(layout), **_options(layout))
        next(checked, None)  # tifffile does not ask beyond the last page announced: more of them are refused here


def _options(layout: Layout, reduced: int = 1) -> dict[str, Any]:
    """What is said of a plane, or of a copy of which each pixel stands for so many along rows and columns."""
    spacing = layout.spacing
    return {
        "dtype": layout.stored,
        "photometric": "minisblack",
        # fractions are smaller by a tenth when they are packed, which takes long; of a large plane much may be empty
        "compression": None if layout.stored.kind == "f" and not layout.large else "zlib",
        "resolutionunit": "CENTIMETER" if spacing is not None else "NONE",
        "metadata": None,
        "software": False,
        "resolution": None if spacing is None else (1e4 / spacing[-1] / reduced, 1e4 / spacing[-2] / reduced),
    }


def _write_pyramid(tiff: tifffile.TiffWriter, parts: Iterable[np.ndarray], layout: Layout, folder: Path) -> None:
    sizes = level_sizes(layout.plane)
    with ExitStack() as files:
        for number, size in enumerate(sizes):
            smaller = files.enter_context(TemporaryFile(dir=folder)) if number + 1 < len(sizes) else None
            tiff.write(
                _tiles(parts, size[0], layout.mask, smaller),
                shape=(layout.count, *size),
                tile=(TILE, TILE),
                subifds=None if number else len(sizes) - 1,
                subfiletype=1 if number else 0,
                description=None if number else describe(layout),
                buffersize=_BUFFER,
                **_options(layout, 2**number),
            )
            if smaller is not None:
                smaller.seek(0)
                parts = _stored(smaller, layout.count, sizes[number + 1], layout.stored)


def _tiles(parts: Iterable[np.ndarray], height: int, mask: bool, smaller: IO[bytes] | None) -> Iterator[np.ndarray]:
    """The tiles of planes, row after row of them; what they are half as large goes to a file."""
    for _, band in in_bands(parts, height):
        if smaller is not None:
            smaller.write(halved(band, mask).tobytes())
        for left in range(0, band.shape[1], TILE):
            yield band[:, left : left + TILE]


def _stored(file: IO[bytes], count: int, size: tuple[int, int], dtype: np.dtype) -> Iterator[np.ndarray]:
    """The planes of a file, in parts."""
    height, width = size
    for _ in range(count):
        for start in range(0, height, TILE):
            rows = min(TILE, height - start)
            yield np.frombuffer(file.read(rows * width * dtype.itemsize), dtype).reshape(rows, width)
