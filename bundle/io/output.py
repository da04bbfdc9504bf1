"""Images, masks and stacks as files: the suffix of the name says in which format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from .ome_tiff import write_ome_tiff_planes
from .ome_zarr import write_ome_zarr_planes
from .planes import Layout


def _write_nifti_planes(path: str | Path, planes: Iterable[np.ndarray], layout: Layout) -> None:
    from .nifti import write_nifti_planes  # nibabel is imported where it is needed

    write_nifti_planes(path, planes, layout)


# format: the suffix that programs give its files
OUTPUT_SUFFIXES = {"ome-tiff": ".tif", "nifti": ".nii.gz", "ome-zarr": ".ome.zarr"}
_WRITERS = {
    ".tif": write_ome_tiff_planes,
    ".tiff": write_ome_tiff_planes,
    ".nii": _write_nifti_planes,
    ".nii.gz": _write_nifti_planes,
    ".zarr": write_ome_zarr_planes,
}


def write_image(
    path: str | Path,
    array: np.ndarray,
    axes: str,
    spacing: Sequence[float] | None = None,
    channels: Sequence[str] = (),
    affine: np.ndarray | None = None,
    record: Mapping[str, Any] | None = None,
) -> None:
    """Write an array as OME-TIFF (``.tif``, ``.tiff``), NIfTI (``.nii``, ``.nii.gz``) or OME-Zarr (``.zarr``).

    Args:
        path: the file to write; its folder is made where it is missing.
        array: the values, ``uint8/16/32``, ``int8/16/32``, ``float32/64``, or ``bool``, which is a mask and is
            written as 0 and 255.
        axes: see :py:class:`Layout`, as all that follow.
        spacing: micrometres per pixel.
        channels: names.
        affine: of a NIfTI file.
        record: what made the image.

    Raises:
        InputError: the file cannot be written, its suffix is none of these, or OME-Zarr is not installed.
        ValueError: array, axes and spacing do not fit each other.
    """
    array = np.asarray(array)
    steps = None if spacing is None else tuple(spacing)
    layout = Layout(array.shape, array.dtype, axes, steps, tuple(channels), affine, record)
    write_image_planes(path, array.reshape(-1, *layout.plane), layout)


def write_image_planes(path: str | Path, planes: Iterable[np.ndarray], layout: Layout) -> None:
    """Write an image plane by plane, so that a stack need never be in memory whole.

    Planes of more than 4096 pixels a side are stored in tiles, and with a pyramid: OME-TIFF in SubIFDs, OME-Zarr, which
    has both for every image, in its multiscales; NIfTI has neither.

    Args:
        path: the file to write; see :py:func:`write_image`.
        planes: the 2D arrays ``[Y, X]`` in the order of the leading axes, as many as the layout says; each whole or in
            parts ``[n, X]``, one below the other, so that a plane need not be in memory whole either.
        layout: what the file shall say of them.

    Raises:
        InputError: the file cannot be written, its suffix is none of these, or OME-Zarr is not installed.
        ValueError: the planes are not as announced.
    """
    name = Path(path).name.lower()
    writer = next((writer for suffix, writer in _WRITERS.items() if name.endswith(suffix)), None)
    if writer is None:
        raise InputError(path, "is of no format that is written", f"end its name in one of {', '.join(_WRITERS)}")
    writer(path, planes, layout)
