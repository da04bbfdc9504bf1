"""A volume in a folder, a file for each block."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np

from ..errors import InputError
from ..io import atomic
from .workers import Slab, Workers

# pixels of a block: a slice of up to 2,896 × 2,896 is one block, and few of them at a time are in memory
BLOCK_PIXELS = 1 << 23
# pixels of a plane, up to which it is worked on in memory: beyond, that would take more than two gigabytes. What is
# tiled on the disk is told by a plane's longer side instead (bundle/io/planes.py), since there viewers decide
PAGE_PIXELS = 4096 * 4096


class Volume(Protocol):
    """What can be read by blocks."""

    shape: tuple[int, int, int]

    def rows(self, z: int, start: int, stop: int) -> np.ndarray:
        """Rows ``start`` to ``stop`` (not included) of slice ``z``, ``[stop - start, X]``."""


def band_rows(width: int) -> int:
    """How many rows of a plane of this width make a block."""
    return max(1, BLOCK_PIXELS // width)


class StoredVolume:
    """A volume of which each block is a ``.npy`` file that appears when it is whole.

    Blocks are read by plain file access: the pages of a memory map would count as memory, and grow with depth.

    Args:
        folder: where its files are; made with the first block.
        shape: Z, Y, X.
        dtype: of the values; bool is stored as bits.
        rows: height of a block; the last of a slice may be lower.
    """

    def __init__(self, folder: str | Path, shape: tuple[int, int, int], dtype: np.dtype | type, rows: int) -> None:
        self.folder = Path(folder).absolute()  # other processes may stand elsewhere
        depth, height, width = shape
        self.shape = (int(depth), int(height), int(width))
        self.dtype = np.dtype(dtype)
        _, height, width = self.shape
        self.bands = [(start, min(start + rows, height)) for start in range(0, height, rows)]
        self._bits = self.dtype.kind == "b"
        self._stored = np.dtype(np.uint8) if self._bits else self.dtype.newbyteorder("<")
        self._stride = (width + 7) // 8 if self._bits else width

    def has(self, z: int, start: int) -> bool:
        """Whether the block of slice ``z`` that begins at row ``start`` is there, and whole."""
        try:
            size = self._path(z, start).stat().st_size
        except FileNotFoundError:
            return False
        return size == self._offset(start) + self._height(start) * self._stride * self._stored.itemsize

    def holds(self, start: int, stop: int) -> bool:
        """Whether all blocks of the slices ``start`` to ``stop`` (not included) are there."""
        return all(self.has(z, first) for z in range(start, stop) for first, _ in self.bands)

    def missing(self, workers: Workers) -> list[Slab]:
        """The slabs of which something is still to be written."""
        return [slab for slab in workers.slabs(self.shape[0]) if not self.holds(*slab)]

    def write(self, z: int, start: int, block: np.ndarray) -> None:
        """Store a block ``[rows, X]``.

        Raises:
            InputError: it cannot be written.
            ValueError: it is of another size.
        """
        if block.shape != (self._height(start), self.shape[2]):
            raise ValueError(f"a block of {block.shape} where {(self._height(start), self.shape[2])} belongs")
        stored = np.packbits(block, axis=-1) if self._bits else np.ascontiguousarray(block, self._stored)
        with atomic(self._path(z, start)) as partial, open(partial, "wb") as stream:
            np.lib.format.write_array(stream, stored, (1, 0), allow_pickle=False)

    def rows(self, z: int, start: int, stop: int) -> np.ndarray:
        """Rows of a slice, ``[stop - start, X]``; only these are read.

        Raises:
            InputError: a block is gone, or was cut off, since it was written.
        """
        parts = []
        for first, last in self.bands:
            top, bottom = max(first, start), min(last, stop)
            if top < bottom:
                offset = self._offset(first) + (top - first) * self._stride * self._stored.itemsize
                count = (bottom - top) * self._stride
                parts.append(self._read(self._path(z, first), count, offset).reshape(bottom - top, self._stride))
        array = parts[0] if len(parts) == 1 else np.concatenate(parts)
        if self._bits:
            return np.unpackbits(array, axis=-1, count=self.shape[2]).view(bool)
        return array.astype(self.dtype, copy=False)

    def plane(self, z: int) -> np.ndarray:
        """A whole slice, ``[Y, X]``."""
        return self.rows(z, 0, self.shape[1])

    def planes(self) -> Iterator[np.ndarray]:
        """All slices, in order."""
        return (self.plane(z) for z in range(self.shape[0]))

    def parts(self) -> Iterator[np.ndarray]:
        """All slices, in order, each block by block."""
        return (self.rows(z, start, stop) for z in range(self.shape[0]) for start, stop in self.bands)

    def _read(self, path: Path, count: int, offset: int) -> np.ndarray:
        try:
            values = np.fromfile(path, self._stored, count, offset=offset)
        except OSError:
            values = np.empty(0, self._stored)
        if values.size != count:
            raise InputError(path, "was taken away while it was needed", "leave the folder alone, and run again")
        return values

    def _path(self, z: int, start: int) -> Path:
        return self.folder / f"{z:06d}-{start:06d}.npy"

    def _height(self, start: int) -> int:
        return next(last for first, last in self.bands if first == start) - start

    def _offset(self, start: int) -> int:
        """Bytes of the header."""
        header = io.BytesIO()
        shape = (self._height(start), self._stride)
        np.lib.format.write_array_header_1_0(
            header, {"shape": shape, "fortran_order": False, "descr": np.lib.format.dtype_to_descr(self._stored)}
        )
        return header.tell()
