"""For Fiji and ImageJ: ROIs for the ROI manager, and an image that shows them, with its pixel size."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from matplotlib import colormaps

from ..graphs import VascularGraph
from ..io import atomic, format_library
from .outlines import Outline, outlines

__all__ = ["fiji_rois", "write_fiji_image", "write_rois"]

_MOVE, _LINE, _CLOSE = 0, 1, 4  # of java.awt.geom.PathIterator, in which ImageJ stores composite selections
_VESSEL = bytes((255, 255, 80, 80))  # alpha, red, green, blue
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same ROIs give the same bytes


def fiji_rois(
    mask: np.ndarray, spacing: Sequence[float] | None = None, graph: VascularGraph | None = None
) -> list[Any]:
    """The vessels as ROIs: their outlines, and their centre lines as wide as they are.

    Outlines follow the edges of pixels, so that Fiji's Measure gives the area of the mask, and lie on their slice.
    Centre lines have the diameter as their width, and lie on the slice of their middle.

    Args:
        mask: ``[Y, X]`` or ``[Z, Y, X]``, nonzero is vessel.
        spacing: of the graph's unit along the mask's axes; None where that is the pixel.
        graph: of the mask, if there is one.

    Returns:
        Objects of ``roifile``.

    Raises:
        InputError: ``roifile`` is not installed.
    """
    roifile = format_library("roifile", None, "writing ROIs of Fiji", "fiji")
    found = []
    stack = np.asarray(mask).reshape(-1, *np.shape(mask)[-2:])
    for z, plane in enumerate(stack):
        for number, outline in enumerate(outlines(plane), start=1):
            roi = _area_roi(roifile, outline)
            roi.name = f"vessel-{number:04d}" if len(stack) == 1 else f"z{z + 1:04d}-vessel-{number:04d}"
            roi.position = 0 if len(stack) == 1 else z + 1
            roi.stroke_color = _VESSEL
            found.append(roi)
    if graph is None:
        return found
    steps = (1.0,) * 3 if spacing is None else (1.0, *spacing)[-3:]
    diameters = 2 * np.asarray(graph.radii, float) / steps[-1]
    low, high = np.nanpercentile(diameters, (2, 98)) if len(diameters) else (0.0, 1.0)
    for number, path in enumerate(graph.paths):
        points = path[:, :0:-1] / (steps[-1], steps[-2]) + 0.5  # Fiji counts from a pixel's corner
        if len(points) < 2:
            continue
        roi = roifile.ImagejRoi.frompoints(points.astype(np.float32), name=f"line-{number:04d}")
        roi.roitype = roifile.ROI_TYPE.POLYLINE
        diameter = float(np.nan_to_num(diameters[number]))
        roi.stroke_width = max(1, round(diameter))
        shade = colormaps["plasma"](0.3 + 0.7 * np.clip((diameter - low) / max(high - low, 1e-9), 0, 1), bytes=True)
        roi.stroke_color = bytes((160, *(int(value) for value in shade[:3])))
        middle = int(np.clip(round(path[len(path) // 2, 0] / steps[0]), 0, len(stack) - 1))
        roi.position = 0 if len(stack) == 1 else middle + 1
        found.append(roi)
    return found


def _area_roi(roifile: Any, outline: Outline) -> Any:
    rings = outline.rings
    if len(rings) == 1:
        roi = roifile.ImagejRoi.frompoints(rings[0].astype(np.int32))
        roi.roitype = roifile.ROI_TYPE.TRACED
        return roi
    path: list[float] = []
    for ring in rings:
        for kind, (x, y) in zip((_MOVE, *(_LINE,) * (len(ring) - 1)), ring.tolist(), strict=True):
            path += (kind, x, y)
        path.append(_CLOSE)
    roi = roifile.ImagejRoi()
    roi.version = 228
    roi.roitype = roifile.ROI_TYPE.RECT  # which is what composite selections say they are
    points = np.concatenate(rings)
    (roi.left, roi.top), (roi.right, roi.bottom) = points.min(0).tolist(), points.max(0).tolist()
    roi.multi_coordinates = np.array(path, np.float32)
    roi.shape_roi_size = len(path)
    return roi


def write_rois(path: str | Path, rois: Iterable[Any]) -> None:
    """Write ROIs as a ZIP that Fiji's ROI manager opens.

    Args:
        path: the file to write.
        rois: of :func:`fiji_rois`.

    Raises:
        InputError: the file cannot be written.
    """
    with atomic(path) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
        for roi in rois:
            archive.writestr(zipfile.ZipInfo(f"{roi.name}.roi", _EPOCH), roi.tobytes(), zipfile.ZIP_DEFLATED)


def write_fiji_image(
    path: str | Path, image: np.ndarray, spacing: Sequence[float] | None, rois: Sequence[Any] = ()
) -> None:
    """Write an image as Fiji's own TIFF, with its pixel size and with ROIs as its overlay.

    Args:
        path: the file to write.
        image: ``[Y, X]`` or ``[Z, Y, X]``; other numbers than uint8 and uint16 become float32, which ImageJ has.
        spacing: micrometres along its axes; None if unknown.
        rois: of :func:`fiji_rois`.

    Raises:
        InputError: the file cannot be written.
    """
    image = np.asarray(image)
    if image.dtype not in (np.uint8, np.uint16):
        image = image.astype(np.float32)
    metadata: dict[str, Any] = {"axes": "ZYX"[-image.ndim :]}
    options: dict[str, Any] = {}
    if spacing is not None:
        options["resolution"] = (1 / spacing[-1], 1 / spacing[-2])
        metadata["unit"] = "um"
        if image.ndim == 3:
            metadata["spacing"] = spacing[0]
    if rois:
        metadata["Overlays"] = [roi.tobytes() for roi in rois]
    with atomic(path) as partial:
        tifffile.imwrite(partial, image, imagej=True, metadata=metadata, **options)
