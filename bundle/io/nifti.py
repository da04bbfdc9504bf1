"""NIfTI, read by nibabel; its axes are X, Y, Z, time, channel."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import nibabel
import numpy as np

from ..errors import InputError
from .image import Recording
from .spacing import to_micrometres

_UNITS = {"meter": "m", "mm": "mm", "micron": "µm"}


def recordings(path: Path) -> list[Recording]:
    """Open a NIfTI file; see :py:class:`bundle.io.image.Recording`."""
    try:
        # kept open, since a compressed file can only be read forwards
        image = nibabel.load(path, keep_file_open=True)
    except nibabel.filebasedimages.ImageFileError as error:
        raise InputError(path, "is no NIfTI file", "get another copy") from error
    header, data = image.header, image.dataobj
    axes = "XYZTC"[: len(data.shape)]
    if len(data.shape) < 2 or len(data.shape) > 5:
        raise InputError(path, f"has {len(data.shape)} dimensions", "2 to 5 are read")
    if (
        path.suffix.lower() == ".nii"
        and path.stat().st_size < data.offset + np.prod(data.shape) * header.get_data_dtype().itemsize
    ):
        raise InputError(path, "is truncated: its pixels end beyond the end of the file", "get another copy")
    scaled = (data.slope, data.inter) != (1.0, 0.0)
    dtype = np.dtype(np.float64) if scaled else header.get_data_dtype().newbyteorder("=")

    def read(index: Mapping[str, int]) -> np.ndarray:
        plane = data[(slice(None), slice(None), *(index[axis] for axis in axes[2:]))]
        return np.asarray(plane, dtype).T

    unit = _UNITS.get(header.get_xyzt_units()[0])
    spacing = {axis: to_micrometres(float(step), unit) for axis, step in zip("XYZ", header.get_zooms(), strict=False)}
    return [Recording(path, axes[:1:-1] + "YX", data.shape[:1:-1] + data.shape[1::-1], dtype, read, spacing)]
