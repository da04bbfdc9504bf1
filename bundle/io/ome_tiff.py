"""OME-TIFF files, the form in which images, masks and stacks are written unless another is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import tifffile

from .atomic import atomic
from .ome_xml import describe
from .planes import checked_planes, stored_type

_CLASSIC_LIMIT = (1 << 32) - (1 << 25)  # bytes; the tags need some room too


def write_ome_tiff(
    path: str | Path, array: np.ndarray, axes: str, spacing: Sequence[float] | None = None, channels: Sequence[str] = ()
) -> None:
    """Write an array as OME-TIFF.

    The same array gives the same bytes: nothing of the date, the machine or the software's version is stored.

    Args:
        path: the file to write; its folder is made where it is missing.
        array: the values, ``uint8/16/32``, ``int8/16/32``, ``float32/64``, or ``bool``, which is a mask and is
            written as 0 and 255.
        axes: one letter per dimension, of ``CZYX`` in this order: ``"YX"``, ``"ZYX"``, ``"CYX"``, ``"CZYX"``.
        spacing: micrometres per pixel along the axes other than C, in their order; None where it is unknown.
        channels: the channels' names.

    Raises:
        InputError: the file cannot be written.
        ValueError: array, axes and spacing do not fit each other.
    """
    array = np.asarray(array)
    planes = array.reshape(-1, *array.shape[-2:])
    write_ome_tiff_planes(path, planes, array.shape, array.dtype, axes, spacing, channels)


def write_ome_tiff_planes(
    path: str | Path,
    planes: Iterable[np.ndarray],
    shape: Sequence[int],
    dtype: np.dtype | type | str,
    axes: str,
    spacing: Sequence[float] | None = None,
    channels: Sequence[str] = (),
) -> None:
    """Write an OME-TIFF plane by plane, so that a stack need never be in memory whole.

    Args:
        path: the file to write.
        planes: the 2D arrays ``[Y, X]`` in the order of the leading axes, as many as ``shape`` says.
        shape: the shape of the whole, in the order of ``axes``.
        dtype: the type of every plane.
        axes: see :py:func:`write_ome_tiff`.
        spacing: see :py:func:`write_ome_tiff`.
        channels: see :py:func:`write_ome_tiff`.

    Raises:
        InputError: the file cannot be written.
        ValueError: the planes do not fit shape and dtype, or these do not fit each other.
    """
    shape, dtype = tuple(int(n) for n in shape), np.dtype(dtype)
    stored = stored_type(dtype)
    description = describe(shape, stored, axes, spacing, channels)
    pages = int(np.prod(shape[:-2]))
    per_centimetre = {} if spacing is None else {"resolution": (1e4 / spacing[-1], 1e4 / spacing[-2])}
    with (
        atomic(path) as partial,
        tifffile.TiffWriter(
            partial, bigtiff=pages * shape[-2] * shape[-1] * stored.itemsize > _CLASSIC_LIMIT, byteorder="<"
        ) as tiff,
    ):
        planes = iter(planes)
        tiff.write(
            checked_planes(planes, shape, dtype),
            shape=(pages, *shape[-2:]),
            dtype=stored,
            photometric="minisblack",
            compression="zlib",
            resolutionunit="CENTIMETER" if spacing is not None else "NONE",
            description=description,
            metadata=None,
            software=False,
            **per_centimetre,
        )
        if next(planes, None) is not None:  # tifffile does not ask beyond the last page announced
            raise ValueError(f"more planes came than the {pages} that were announced")
