"""Images, masks and stacks as files: the suffix of the name says in which format."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ..errors import InputError
from .nifti import write_nifti_planes
from .ome_tiff import write_ome_tiff_planes
from .ome_zarr import write_ome_zarr_planes

# format: the suffix that programs give its files
OUTPUT_SUFFIXES = {"ome-tiff": ".tif", "nifti": ".nii.gz", "ome-zarr": ".ome.zarr"}
_WRITERS = {
    ".tif": write_ome_tiff_planes,
    ".tiff": write_ome_tiff_planes,
    ".nii": write_nifti_planes,
    ".nii.gz": write_nifti_planes,
    ".zarr": write_ome_zarr_planes,
}


def write_image(
    path: str | Path,
    array: np.ndarray,
    axes: str,
    spacing: Sequence[float] | None = None,
    channels: Sequence[str] = (),
    affine: np.ndarray | None = None,
) -> None:
    """Write an array as OME-TIFF (``.tif``, ``.tiff``), NIfTI (``.nii``, ``.nii.gz``) or OME-Zarr (``.zarr``).

    Args:
        path: the file to write; its folder is made where it is missing.
        array: the values, ``uint8/16/32``, ``int8/16/32``, ``float32/64``, or ``bool``, which is a mask and is
            written as 0 and 255.
        axes: one letter per dimension, of ``CZYX`` in this order: ``"YX"``, ``"ZYX"``, ``"CYX"``, ``"CZYX"``.
        spacing: micrometres per pixel along the axes other than C, in their order; None where it is unknown.
        channels: the channels' names; NIfTI has no place for them.
        affine: where the image lies, as of :py:class:`bundle.io.Image`; of use to NIfTI alone.

    Raises:
        InputError: the file cannot be written, its suffix is none of these, or OME-Zarr is not installed.
        ValueError: array, axes and spacing do not fit each other.
    """
    array = np.asarray(array)
    planes = array.reshape(-1, *array.shape[-2:])
    write_image_planes(path, planes, array.shape, array.dtype, axes, spacing, channels, affine)


def write_image_planes(
    path: str | Path,
    planes: Iterable[np.ndarray],
    shape: Sequence[int],
    dtype: np.dtype | type | str,
    axes: str,
    spacing: Sequence[float] | None = None,
    channels: Sequence[str] = (),
    affine: np.ndarray | None = None,
) -> None:
    """Write an image plane by plane, so that a stack need never be in memory whole.

    Args:
        path: the file to write; see :py:func:`write_image`.
        planes: the 2D arrays ``[Y, X]`` in the order of the leading axes, as many as ``shape`` says.
        shape: the shape of the whole, in the order of ``axes``.
        dtype: the type of every plane.
        axes: see :py:func:`write_image`.
        spacing: see :py:func:`write_image`.
        channels: see :py:func:`write_image`.
        affine: see :py:func:`write_image`.

    Raises:
        InputError: the file cannot be written, its suffix is none of these, or OME-Zarr is not installed.
        ValueError: the planes do not fit shape and dtype, or these do not fit each other.
    """
    name = Path(path).name.lower()
    writer = next((writer for suffix, writer in _WRITERS.items() if name.endswith(suffix)), None)
    if writer is None:
        raise InputError(path, "is of no format that is written", f"end its name in one of {', '.join(_WRITERS)}")
    place = {} if affine is None or writer is not write_nifti_planes else {"affine": affine}
    writer(path, planes, shape, dtype, axes, spacing, channels, **place)
