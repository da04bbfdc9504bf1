"""What is measured, read by boxes, whether it is in memory or on the disk.

What is counted over an image is counted brick by brick or slice by slice, in whole numbers, so that the sums are the
same however it is cut. What is measured at a line is read from a box around that line alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from ..graphs import BRICK_VOXELS, Field
from ..volumes import Volume

__all__ = ["Box", "Grid", "Within", "as_grid"]

Box = tuple[slice, ...]


class Grid:
    """An image or a stack that is read by boxes of as many axes.

    Args:
        source: ``[Y, X]`` or ``[Z, Y, X]``, or a volume.
        voxels: about how many a brick has.
    """

    def __init__(self, source: np.ndarray | Volume, voxels: int = BRICK_VOXELS) -> None:
        self.source = source
        self.shape: tuple[int, ...] = tuple(int(side) for side in source.shape)
        self.ndim = len(self.shape)
        self._field = Field(source[None] if isinstance(source, np.ndarray) and self.ndim == 2 else source, voxels)

    @property
    def size(self) -> int:
        """How many pixels or voxels it has."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def depth(self) -> int:
        """How many slices it has, an image one."""
        return self._field.shape[0]

    @property
    def plane_shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self._field.shape[1:]

    @cached_property
    def bricks(self) -> list[Box]:
        """Boxes that cover it, in order."""
        return [box[-self.ndim :] for box in self._field.bricks()]

    def brick_of(self, index: np.ndarray) -> np.ndarray:
        """In which of the bricks pixels lie, ``[P]``, of their indices ``[P, D]`` within it."""
        depth, height = self._field.brick
        rows = -(-self._field.shape[1] // height)
        z = index[:, 0] // depth if self.ndim == 3 else 0
        return z * rows + index[:, -2] // height

    def read(self, box: Box) -> np.ndarray:
        """The values of a box."""
        whole = self._field.values((slice(0, 1), *box)[-3:])  # type: ignore[arg-type]
        return whole[0] if self.ndim == 2 else whole

    def plane(self, z: int) -> np.ndarray:
        """A slice, ``[Y, X]``."""
        height, width = self.plane_shape
        return self._field.values((slice(z, z + 1), slice(0, height), slice(0, width)))[0]

    def at(self, index: np.ndarray) -> np.ndarray:
        """The values of some pixels, ``[P]``, of their indices ``[P, D]`` within it."""
        if isinstance(self.source, np.ndarray):
            return self.source[tuple(index.T)]
        if not len(index):
            return np.zeros(0, bool)
        order = np.argsort(index[:, 0], kind="stable")
        slices, starts = np.unique(index[order, 0], return_index=True)
        parts = []
        for z, some in zip(slices.tolist(), np.split(order, starts[1:]), strict=True):
            low = int(index[some, 1].min())
            rows = self.source.rows(z, low, int(index[some, 1].max()) + 1)
            parts.append(rows[index[some, 1] - low, index[some, 2]])
        values = np.concatenate(parts)
        back = np.empty(len(order), np.intp)
        back[order] = np.arange(len(order))
        return values[back]

    def around(self, box: Box, halo: Sequence[int]) -> tuple[Box, Box]:
        """A box with a halo along each axis, as far as the image reaches, and where in it the box is."""
        large = tuple(
            slice(max(0, side.start - more), min(end, side.stop + more))
            for side, end, more in zip(box, self.shape, halo, strict=True)
        )
        inner = tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(box, large, strict=True))
        return large, inner


class Within:
    """A volume of what lies in all of several masks.

    Args:
        shape: Z, Y, X.
        parts: volumes of this shape, and planes ``[Y, X]`` that hold for each slice.
    """

    def __init__(self, shape: tuple[int, int, int], parts: Sequence[np.ndarray | Volume]) -> None:
        self.shape = shape
        self.parts = list(parts)

    def rows(self, z: int, start: int, stop: int) -> np.ndarray:
        """As of :class:`bundle.volumes.Volume`, bool."""
        read = [p[start:stop] if isinstance(p, np.ndarray) else p.rows(z, start, stop) for p in self.parts]
        return np.logical_and.reduce([rows != 0 for rows in read])


def as_grid(source: np.ndarray | Volume | Grid) -> Grid:
    """An array or a volume as a grid; a grid as it is."""
    return source if isinstance(source, Grid) else Grid(source)
