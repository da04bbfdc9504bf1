"""Reading a stack by blocks of rows, and enhancing the contrast of its slices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ...errors import InputError
from ...io import Image, open_image
from ...transforms import Stretching, stretch
from ...volumes import HERE, Workers, band_rows

__all__ = ["Enhanced", "EnhancedSlices", "GreyBlocks", "SliceRows"]

Limits = tuple[float, float, float | None]  # of the contrast
# rows of a block at least: the tiles of a wide page are as high, and are not decoded for a few rows of each
LEAST_ROWS = 512

SliceRows = Callable[[int, int], np.ndarray]  # (start, stop) -> rows [stop - start, X] of one slice


class GreyBlocks:
    """An image's grey values as float32 would hold them, by blocks; those of 16 bits or less as they are.

    Args:
        image: the input; an image that is no stack counts as one of one slice.
        options: of :func:`bundle.io.open_image`, by which other processes open it too.
    """

    def __init__(self, image: Image, options: Mapping[str, Any] | None = None) -> None:
        self.image, self.path, self._options = image, image.path, options
        height, width = image.shape[-2:]
        self.shape = (len(image), height, width)
        rows = max(LEAST_ROWS, band_rows(width))
        self.bands = [(start, min(start + rows, height)) for start in range(0, height, rows)]
        self._narrow = image.dtype.kind in "bui" and image.dtype.itemsize <= 2

    def __reduce__(self) -> tuple[Callable[..., GreyBlocks], tuple[Path, dict[str, Any]]]:
        return _opened, (Path(self.path).absolute(), dict(self._options or {}))

    def native(self, z: int, start: int, stop: int) -> np.ndarray:
        """Rows in the file's type."""
        if (start, stop) == (0, self.shape[1]):
            return self.image.plane(z)
        return self.image.rows(z, start, stop)

    def rows(self, z: int, start: int, stop: int) -> np.ndarray:
        """Rows in a type whose values float32 holds.

        Raises:
            InputError: a value is too large for it.
        """
        rows = self.native(z, start, stop)
        if self._narrow:
            return rows
        with np.errstate(over="ignore"):
            rows = rows.astype(np.float32)
        if not np.isfinite(rows).all():
            raise InputError(self.path, "holds values beyond float32", "scale them down")
        return rows

    def blocks(self, slices: Iterable[int]) -> Iterator[np.ndarray]:
        """All blocks of the slices."""
        return (self.rows(z, start, stop) for z in slices for start, stop in self.bands)


def _opened(path: Path, options: dict[str, Any]) -> GreyBlocks:
    return GreyBlocks(open_image(path, **options), options)


class Enhanced(Protocol):
    """Slices whose contrast is enhanced; ``grey`` are they before."""

    grey: GreyBlocks

    def each(self, slices: Iterable[int]) -> Iterator[tuple[int, SliceRows]]:
        """As of :class:`EnhancedSlices`."""


class EnhancedSlices:
    """The slices of a stack with their contrast stretched, as the transform does it to the stack in memory.

    Args:
        grey: the stack. It is read once through here if its limits are those of the whole volume.
        contrast: says where the limits are, and of what.
        workers: who reads it then.
    """

    def __init__(self, grey: GreyBlocks, contrast: Stretching, workers: Workers = HERE) -> None:
        self.grey, self.contrast = grey, contrast
        self._of_volume = self._limits(range(grey.shape[0]), workers) if contrast.per == "volume" else None

    def each(self, slices: Iterable[int]) -> Iterator[tuple[int, SliceRows]]:
        """For each slice its number, and what gives its enhanced rows, which holds a slice of one block."""
        grey = self.grey
        for z in slices:
            if len(grey.bands) == 1:
                plane = grey.rows(z, 0, grey.shape[1])
                limits = self._of_volume or self.contrast.limits([partial(iter, [plane])], plane.shape)
                enhanced = stretch(plane, *limits)
                yield z, partial(_part, enhanced)
            else:
                limits = self._of_volume or self._limits([z])
                yield z, partial(self._stretched, limits, z)

    def _stretched(self, limits: Limits, z: int, start: int, stop: int) -> np.ndarray:
        return stretch(self.grey.rows(z, start, stop), *limits)

    def _limits(self, slices: Iterable[int], workers: Workers = HERE) -> Limits:
        grey = self.grey
        return self.contrast.limits([partial(grey.blocks, [z]) for z in slices], grey.shape[1:], workers)


def _part(rows: np.ndarray, start: int, stop: int) -> np.ndarray:
    return rows[start:stop]
