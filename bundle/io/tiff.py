"""The TIFF family, read by tifffile: OME-TIFF, ImageJ, LSM and plain pages."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tifffile

from ..errors import InputError
from .image import Recording

logger = logging.getLogger(__name__)


def recordings(path: Path) -> list[Recording]:
    """Open a TIFF file; see :py:class:`bundle.io.image.Recording`."""
    try:
        with tifffile.TiffFile(path) as tiff:
            return [_recording(path, series) for series in tiff.series]
    except tifffile.TiffFileError as error:
        raise InputError(path, f"is no TIFF file ({error})", "get another copy") from error


def _recording(path: Path, series: tifffile.TiffPageSeries) -> Recording:
    axes = series.axes.replace("I", "Z").replace("Q", "Z")
    leading = len(series.shape) - len(series.keyframe.shape)

    def read(index: Mapping[str, int]) -> np.ndarray:
        at = [index[axis] for axis in axes[:leading]]
        page = series[int(np.ravel_multi_index(at, series.shape[:leading])) if at else 0]
        # open for one plane only: a list of many images would run out of file handles
        page.parent.filehandle.open()
        try:
            return page.asarray()
        finally:
            page.parent.filehandle.close()

    return Recording(path, axes, series.shape, series.dtype.newbyteorder("="), read)
