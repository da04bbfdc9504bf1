"""OME-TIFF files, the form in which images, masks and stacks are written unless another is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import tifffile

from .atomic import atomic
from .ome_xml import describe
from .planes import Layout, checked_planes

_CLASSIC_LIMIT = (1 << 32) - (1 << 25)  # bytes; the tags need some room too


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

    Args:
        path: the file to write.
        planes: see :py:func:`bundle.io.write_image_planes`.
        layout: what the file shall say of them.

    Raises:
        InputError: the file cannot be written.
        ValueError: the planes are not as announced.
    """
    spacing, stored = layout.spacing, layout.stored
    size = layout.count * layout.plane[0] * layout.plane[1] * stored.itemsize
    per_centimetre = None if spacing is None else (1e4 / spacing[-1], 1e4 / spacing[-2])
    with (
        atomic(path) as partial,
        tifffile.TiffWriter(partial, bigtiff=size > _CLASSIC_LIMIT, byteorder="<") as tiff,
    ):
        planes = iter(planes)
        tiff.write(
            checked_planes(planes, layout),
            shape=(layout.count, *layout.plane),
            dtype=stored,
            photometric="minisblack",
            compression=None if stored.kind == "f" else "zlib",  # of a probability it saves a tenth and takes long
            resolutionunit="CENTIMETER" if spacing is not None else "NONE",
            description=describe(layout),
            metadata=None,
            software=False,
            resolution=per_centimetre,
        )
        if next(planes, None) is not None:  # tifffile does not ask beyond the last page announced
            raise ValueError(f"more planes came than the {layout.count} that were announced")
