"""Stacks on the disk as blocks that are read by rows, whatever the format and the chunks of their files."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..io import ANY, Foreground, open_image, why_no_mask
from ..volumes import Slab, StoredVolume, Workers, band_rows

__all__ = ["Blocks"]

_MOST = 1 << 20  # values of a file that are told apart: no mask of labels has more


class Blocks:
    """Stacks are copied slice by slice: each is read once, or a mask twice, and no more than a slice is in memory.

    Args:
        folder: that all workers see; a mask takes a bit a voxel, all else what it takes in the file's type.
        workers: who copies.
    """

    def __init__(self, folder: str | Path, workers: Workers) -> None:
        self.folder, self.workers = Path(folder), workers

    def mask(
        self, path: Path, options: Mapping[str, Any], foreground: Foreground = None
    ) -> tuple[StoredVolume, np.ndarray]:
        """A mask, and where any of its slices is vessel, ``[Y, X]``.

        Args:
            path: of a stack.
            options: of :func:`bundle.io.open_image`.
            foreground: of :func:`bundle.io.vessels_of`.

        Raises:
            InputError: it cannot be read.
            ValueError: it is no mask, as of :func:`bundle.io.why_no_mask`.
        """
        path, depth = path.absolute(), len(open_image(path, **options))
        slabs = self.workers.slabs(depth)
        found = self.workers.each("looking at values", partial(_values, path, options), slabs)
        values = np.unique(np.concatenate(found))
        wrong = why_no_mask(values, foreground)
        if wrong is not None:
            if foreground is None:  # a slice tells more of it than its values
                planes = (why_no_mask(plane) for plane in open_image(path, **options).planes())
                wrong = next((why for why in planes if why is not None), wrong)
            raise ValueError("; ".join(wrong).removeprefix("is "))
        plain = foreground in (None, ANY) or bool(np.isin(values, (0, 255)).all())
        return self._copied("mask", path, options, bool, None if plain else foreground)

    def region(self, path: Path, options: Mapping[str, Any]) -> tuple[StoredVolume, np.ndarray]:
        """Where a stack is not 0, and where any of its slices is not, ``[Y, X]``."""
        return self._copied("region", path.absolute(), options, bool, None)

    def values(self, name: str, path: Path, options: Mapping[str, Any]) -> tuple[StoredVolume, np.ndarray]:
        """The grey values of a stack, and the highest along z, ``[Y, X]``."""
        return self._copied(name, path.absolute(), options, open_image(path, **options).dtype, None)

    def _copied(
        self, name: str, path: Path, options: Mapping[str, Any], dtype: np.dtype | type, label: Foreground
    ) -> tuple[StoredVolume, np.ndarray]:
        depth, height, width = open_image(path, **options).shape
        out = StoredVolume(self.folder / name, (depth, height, width), dtype, band_rows(width))
        copy = partial(_copy, path, options, label, out)
        return out, np.maximum.reduce(self.workers.each(f"reading {name}", copy, self.workers.slabs(depth)))


def _values(path: Path, options: Mapping[str, Any], slab: Slab) -> np.ndarray:
    """The different values of some slices."""
    image = open_image(path, **options)
    found = np.zeros(0, image.dtype)
    for z in range(*slab):
        plane = image.plane(z)
        vessel = plane[plane != 0]
        one = not vessel.size or bool((vessel == vessel[0]).all())
        values = vessel[:1] if one else np.unique(vessel)
        found = np.union1d(found, values if vessel.size == plane.size else np.append(values, plane.dtype.type(0)))
        if found.size > _MOST:
            break
    return found


def _copy(path: Path, options: Mapping[str, Any], label: Foreground, out: StoredVolume, slab: Slab) -> np.ndarray:
    """Store some slices, and tell their highest values: as they are, or of a mask where it is the label or not 0."""
    image, highest = open_image(path, **options), None
    for z in range(*slab):
        plane = image.plane(z)
        if out.dtype == bool:
            plane = plane != 0 if label is None else plane == label
        for start, stop in out.bands:
            out.write(z, start, plane[start:stop])
        highest = plane if highest is None else np.maximum(highest, plane)
    assert highest is not None
    return highest
