"""NIfTI, read and written by nibabel; its axes are X, Y, Z, time, channel."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from math import prod
from pathlib import Path

import nibabel
import numpy as np

from ..errors import InputError
from .atomic import atomic
from .calibration import agreed
from .embedded import as_comment
from .image import Recording
from .ome_xml import MOST_PLANES
from .planes import Layout, checked_planes
from .remarks import hush, quiet
from .spacing import to_micrometres

hush(nibabel.imageglobals.logger)
_UNITS = {"meter": "m", "mm": "mm", "micron": "µm"}
_MOST_PACKED = 1 << 11  # deflate packs a thousand bytes in one
_MILLIMETRES = {"meter": 1e3, "micron": 1e-3}


def recordings(path: Path) -> list[Recording]:
    """Open a NIfTI file; see :py:class:`bundle.io.image.Recording`."""
    try:
        with quiet():  # kept open, since a compressed file can only be read forwards
            image = nibabel.load(path, keep_file_open=True)
    except (nibabel.filebasedimages.ImageFileError, nibabel.spatialimages.HeaderDataError, ValueError) as error:
        raise InputError(path, "is no NIfTI file, or its header is damaged", "get another copy") from error
    header, data = image.header, image.dataobj
    axes = "XYZTC"[: len(data.shape)]
    if len(data.shape) < 2 or len(data.shape) > 5:
        raise InputError(path, f"has {len(data.shape)} dimensions", "2 to 5 are read")
    most = 1 if path.suffix.lower() == ".nii" else _MOST_PACKED
    if path.stat().st_size * most < data.offset + prod(data.shape) * header.get_data_dtype().itemsize:
        raise InputError(path, "is truncated: its pixels end beyond the end of the file", "get another copy")
    if prod(data.shape[2:]) > MOST_PLANES:
        raise InputError(path, f"declares {prod(data.shape[2:])} planes", f"{MOST_PLANES} are read")
    scaled = (data.slope, data.inter) != (1.0, 0.0)
    dtype = np.dtype(np.float64) if scaled else header.get_data_dtype().newbyteorder("=")

    def read(index: Mapping[str, int]) -> np.ndarray:
        plane = data[(slice(None), slice(None), *(index[axis] for axis in axes[2:]))]
        return np.asarray(plane, dtype).T

    unit = _UNITS.get(header.get_xyzt_units()[0])
    with quiet(), nibabel.openers.ImageOpener(path) as file:
        # nibabel makes steps of 0 and below into lengths, which the file does not state
        steps = type(header).from_fileobj(file, check=False)["pixdim"][1:4]
    spacing = {axis: to_micrometres(float(step), unit) for axis, step in zip(axes[:3], steps, strict=False)}
    millimetres = _MILLIMETRES.get(header.get_xyzt_units()[0], 1)
    if header["sform_code"] > 0 or header["qform_code"] > 0:  # else its affine is made of the steps
        lengths = np.linalg.norm(image.affine[:3, :3], axis=0)
        by_affine = {axis: to_micrometres(float(one), unit) for axis, one in zip(axes[:3], lengths, strict=False)}
        spacing = agreed(path, {"its header": spacing}, {"its affine": by_affine})
    return [
        Recording(
            path,
            axes[:1:-1] + "YX",
            data.shape[:1:-1] + data.shape[1::-1],
            dtype,
            read,
            spacing,
            affine=np.diag([millimetres] * 3 + [1]) @ image.affine,
        )
    ]


def write_nifti_planes(path: str | Path, planes: Iterable[np.ndarray], layout: Layout) -> None:
    """Write a NIfTI file plane by plane, compressed if its name ends in ``.gz``.

    Its dimensions are ``[X, Y]``, ``[X, Y, Z]`` or, with channels, ``[X, Y, Z, 1, C]``: what this package holds as
    ``array[z, y, x]`` is there ``[x, y, z]``, and its reader gives ``[z, y, x]`` again. What was found in a NIfTI file
    lies where that lies, by its affine, in millimetres. Otherwise the affine is the diagonal of
    the spacing, in micrometres, and the header says so. NIfTI's world axes point to a patient's right, front and head;
    a microscope knows no patient, so that they only mean that X, Y and Z grow with the index: a viewer that turns
    images the radiologist's way shows the first row at the bottom. Without spacing the steps are ones of no unit.

    Args:
        path: the file to write.
        planes: see :py:func:`bundle.io.write_image_planes`.
        layout: what the file shall say of them; NIfTI has no place for the channels' names. Another spacing than that
            of the affine overrules it.

    Raises:
        InputError: the file cannot be written.
        ValueError: the planes are not as announced.
    """
    path, axes, spacing, affine = Path(path), layout.axes, layout.spacing, layout.affine
    order = "XYZTC" if "C" in axes else "XYZ"[: len(axes)]
    steps = [layout.steps.get(axis, 1.0) for axis in "XYZ"]
    unit = "unknown" if spacing is None else "micron"
    place = np.diag([*steps, 1.0])
    if affine is not None:
        lengths = np.linalg.norm(affine[:3, :3], axis=0)
        measured = len(axes.replace("C", ""))
        if spacing is None or np.allclose(1e3 * lengths[:measured], steps[:measured], rtol=1e-4):
            place, steps, unit = (
                np.asarray(affine, np.float64),
                lengths.tolist(),
                "unknown" if spacing is None else "mm",
            )
    # version 1 counts to 32767 along an axis
    kind = nibabel.Nifti2Header if max(layout.shape) > np.iinfo(np.int16).max else nibabel.Nifti1Header
    header = kind(endianness="<")
    header.set_data_dtype(layout.stored)
    header.set_data_shape([layout.size.get(axis, 1) for axis in order])
    header.set_zooms(steps[: min(3, len(order))] + [1.0] * (len(order) - 3))
    header.set_xyzt_units(unit)
    for store in (header.set_sform, header.set_qform):
        store(place, code="scanner")
    if layout.record is not None:
        header.extensions.append(as_comment(layout.record))
    header.set_data_offset(header.single_vox_offset + header.extensions.get_sizeondisk())
    with atomic(path) as partial, partial.open("wb") as file:
        # neither name nor date: the same image gives the same bytes
        packed = gzip.GzipFile("", "wb", 6, file, mtime=0) if path.suffix.lower() == ".gz" else nullcontext(file)
        with packed as stream:
            header.write_to(stream)
            for plane in checked_planes(planes, layout):
                stream.write(plane.tobytes())
