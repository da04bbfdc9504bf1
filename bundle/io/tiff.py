"""The TIFF family, read by tifffile: OME-TIFF, ImageJ, LSM and plain pages."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from math import prod
from pathlib import Path

import numpy as np
import tifffile

from ..errors import InputError
from . import calibration, ndtiff, ome_files
from .image import Recording
from .ome_xml import MOST_PLANES, parse
from .pages import AGAIN, check_ends, check_page, check_whole, meaning, opened, page_rows, page_type, stored_type
from .remarks import quiet, remark
from .spacing import to_micrometres

# kinds of files in which a table of colours shows what a microscope counted
_MICROSCOPES = {"lsm", "fluoview", "mmstack", "stk", "scanimage", "sis"}
_UNKNOWN = "IQ"  # tifffile's letters for an axis of which the file says nothing


def recordings(path: Path) -> list[Recording]:
    """Open a TIFF file; see :py:class:`bundle.io.image.Recording`."""
    if path.name.lower().endswith(".companion.ome"):
        try:
            describing, ome = ome_files.describing_file(path, parse(ome_files.description(path) or ""))
        except ValueError as error:
            raise error if isinstance(error, InputError) else InputError(path, str(error), AGAIN) from error
        return ome_files.recordings(path, describing, ome)
    try:
        with quiet(), tifffile.TiffFile(path) as tiff:
            return _recordings(path, tiff)
    except tifffile.TiffFileError as error:
        raise InputError(path, "is no TIFF file, or is damaged", AGAIN) from error


def _recordings(path: Path, tiff: tifffile.TiffFile) -> list[Recording]:
    check_whole(path, tiff)
    if tiff.is_stk:
        raise InputError(path, "is a MetaMorph stack (STK), which is not read", "open it in Fiji and save it as TIFF")
    about = tiff.micromanager_metadata or {}
    if about.get("MajorVersion", 0) >= 2:
        return ndtiff.recordings(path, about.get("Summary", {}))
    if tiff.ome_metadata is not None and not (tiff.is_mmstack and _mmstack_fits(tiff)):
        try:
            describing, ome = ome_files.describing_file(path, parse(tiff.ome_metadata))
            return ome_files.recordings(path, describing, ome)
        except ValueError as error:
            if isinstance(error, InputError):
                raise
            with tifffile.TiffFile(path, is_ome=False) as plain:  # tifffile would follow what was refused here
                return [_without_description(scene, str(error)) for scene in _series(path, plain)]
    found = _series(path, tiff)
    if tiff.ome_metadata is None and re.search(r"\.ome\.tiff?$", path.name.lower()):
        return [_without_description(scene, "its name promises an OME-XML, which it does not hold") for scene in found]
    return found


def _series(path: Path, tiff: tifffile.TiffFile) -> list[Recording]:
    every = tiff.series
    series = [s for s in every if not s.keyframe.is_reduced] or every
    for one in series:
        _check_pages(path, one)
    if len(series) > 1 and series[0].kind == "generic":
        listed = ", ".join(f"{len(s)} of {page_type(s.keyframe)}" for s in series)
        raise InputError(
            path, f"holds pages of different sizes or types: {listed}", "save each kind in a file of its own"
        )
    if tiff.is_imagej and series[0].kind == "imagej":
        return [_imagej(path, tiff, series[0])]
    if tiff.is_lsm:
        return [_lsm(path, tiff, one) for one in series]
    return [_recording(path, one, _spacing(path, tiff), name=one.name) for one in series]


def _without_description(scene: Recording, damage: str) -> Recording:
    """Of a file whose OME-XML is damaged or missing the axes must be stated, if it holds more than one plane."""
    planes = {axis: n for axis, n in scene.size.items() if axis not in "YXS" and n > 1}
    if not planes or not scene.undeclared:
        remark(scene.path, f"{damage}; axes and pixel sizes are read from what else it says")
        return scene
    remedy = f"get another copy, or state what its {prod(planes.values())} planes are with --axes, such as ZYX"
    return replace(scene, problem=(damage, remedy))


def _mmstack_fits(tiff: tifffile.TiffFile) -> bool:
    """Whether Micro-Manager's own index can be followed: tifffile makes room for all that it counts."""
    about = tiff.micromanager_metadata or {}
    if "IndexMap" not in about or not len(about["IndexMap"]):
        return False
    summary = about.get("Summary", {})
    most = (about["IndexMap"][:, :4].max(axis=0).astype(float) + 1).tolist()
    stated = [summary.get(name, 1) for name in ("Channels", "Slices", "Frames", "Positions")]
    counts = [max(a, float(b)) if isinstance(b, int | float) else a for a, b in zip(most, stated, strict=True)]
    return prod(counts) <= MOST_PLANES


def _spacing(path: Path, tiff: tifffile.TiffFile) -> dict[str, float | None]:
    """By what Micro-Manager says, and by ImageJ's description beside it."""
    sources = {}
    if tiff.is_mmstack:
        sources["Micro-Manager"] = calibration.micromanager((tiff.micromanager_metadata or {}).get("Summary", {}))
        if tiff.ome_metadata is not None:
            with suppress(ValueError):
                sources["OME-XML"] = parse(tiff.ome_metadata).images[0].spacing
        about = tiff.imagej_metadata or {}
        if "unit" in about:
            sources["ImageJ"] = calibration.imagej(path, tiff.pages.first, about) | {"Z": None}
    return calibration.agreed(path, sources, {calibration.TAGS: calibration.resolution_tags(tiff.pages.first)})


def _check_pages(path: Path, series: tifffile.TiffPageSeries) -> None:
    """Refuse a series of which a plane is missing, cut off, or of another size or type than the first."""
    key = series.keyframe
    if series.dataoffset is not None:
        if series.dataoffset + series.nbytes > key.parent.filehandle.size:
            raise InputError(path, "is truncated: its pixels end beyond the end of the file", AGAIN)
        return
    declared, pages = prod(series.shape) // prod(key.shape), [page for page in series if page is not None]
    if len(pages) < declared:
        raise InputError(path, f"is truncated: it declares {declared} planes and holds {len(pages)}", AGAIN)
    for number, page in enumerate(pages, 1):
        if page is key or series.kind in ("lsm", "mmstack"):  # whose frames are made from an index
            check_ends(path, page, number, len(pages))
            continue
        with opened(page.parent.filehandle):  # frames are taken for pages like the first until their own tags are read
            check_page(path, page.aspage(), key, number, len(pages))


def _recording(
    path: Path,
    series: tifffile.TiffPageSeries,
    spacing: Mapping[str, float | None] | None = None,
    channels: tuple[str, ...] = (),
    name: str = "",
) -> Recording:
    axes, undeclared = _known_axes(series.axes, series.shape)
    # the trailing axes lie within a page: rows, columns, samples, in some formats channels
    within = min(axes.index(axis) for axis in "YXS" if axis in axes)
    split = next(k for k in range(within, -1, -1) if prod(series.shape[k:]) == prod(series.keyframe.shape))
    outer, inner = axes[:split], axes[split:]

    meant = meaning(series.keyframe, microscope=series.kind in _MICROSCOPES)

    def flat(index: Mapping[str, int]) -> int:
        at = [index[axis] for axis in outer]
        return int(np.ravel_multi_index(at, series.shape[:split])) if at else 0

    def read(index: Mapping[str, int]) -> np.ndarray:
        page = _page(series, flat(index)).reshape(series.shape[split:])
        plane = page[tuple(slice(None) if axis in "YXS" else index[axis] for axis in inner)]
        return meant.of(np.moveaxis(plane, 0, -1) if inner.find("S") in range(inner.find("Y")) else plane)

    def rows(index: Mapping[str, int], start: int, stop: int) -> np.ndarray:
        number, key = flat(index), series.keyframe
        offset = None if series.dataoffset is None else series.dataoffset + number * key.nbytes
        page = key if offset is not None else _held(series, number)
        with quiet(), opened(page.parent.filehandle):
            return meant.of(page_rows(page, start, stop, offset))

    # some rows can be had of pages that are nothing but rows, columns and samples
    some = rows if inner in ("YX", "YXS") and series.keyframe.shaped[:2] == (1, 1) else None
    shape = series.shape
    if "S" in axes:
        samples = meant.samples if len(meant.samples) == dict(zip(axes, shape, strict=True))["S"] else ()
    else:
        samples = meant.samples if meant.table is not None or meant.white is not None else ()
        axes, shape = (axes + "S", (*shape, len(samples))) if samples else (axes, shape)
    return Recording(
        path,
        axes,
        shape,
        meant.dtype,
        read,
        spacing or {},
        channels,
        name,
        samples,
        undeclared=undeclared,
        rows=some,
        problem=meant.problem,
    )


def _held(series: tifffile.TiffPageSeries, index: int) -> tifffile.TiffPage | tifffile.TiffFrame:
    page = series[index]
    if page is None:
        raise ValueError(f"plane {index + 1} is missing")
    return page


def _page(series: tifffile.TiffPageSeries, index: int) -> np.ndarray:
    key = series.keyframe
    page = key if series.dataoffset is not None else _held(series, index)
    # the file is open for one plane at a time: a list of many images would run out of file handles
    with quiet(), opened(page.parent.filehandle) as handle:
        if series.dataoffset is None:
            return page.asarray()
        handle.seek(series.dataoffset + index * key.nbytes)
        return np.frombuffer(handle.read(key.nbytes), stored_type(key).newbyteorder(key.parent.byteorder))


def _known_axes(axes: str, shape: Sequence[int]) -> tuple[str, bool]:
    """Return the axes with one letter each, and whether Z is only assumed: a lone axis of unknown meaning."""
    long = [i for i, (axis, n) in enumerate(zip(axes, shape, strict=True)) if axis in _UNKNOWN and n > 1]
    stated = {axis for axis, n in zip(axes, shape, strict=True) if n > 1}
    assumed = len(long) == 1 and "Z" not in stated
    letters = list(axes.replace("Z", "I") if assumed else axes)
    if assumed:
        letters[long[0]] = "Z"
    spare = iter("IQJKNOUV")
    return "".join(next(spare) if axis in _UNKNOWN else axis for axis in letters), assumed


def _imagej(path: Path, tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> Recording:
    about = tiff.imagej_metadata or {}
    planes, declared = prod(series.shape) // prod(series.keyframe.shape), about.get("images", 1)
    if planes * series.keyframe.samplesperpixel < declared:
        raise InputError(path, f"is truncated: it declares {declared} planes and holds {planes}", AGAIN)
    key = series.keyframe
    sources = {"ImageJ": calibration.imagej(path, key, about)}
    spacing = calibration.agreed(path, sources, {calibration.TAGS: calibration.resolution_tags(key)})
    recording = _recording(path, series, spacing)
    if "spacing" not in about and recording.size.get("Z", 1) > 1 and spacing["Z"] is not None:
        remark(path, f"states no z step, by which ImageJ means {spacing['Z']:g} µm; --spacing states another")
    return recording


def _lsm(path: Path, tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> Recording:
    about = tiff.lsm_metadata or {}
    spacing = {axis: to_micrometres(about.get(f"VoxelSize{axis}"), "m") for axis in "ZYX"}
    names = tuple(about.get("ChannelColors", {}).get("ColorNames", ()))
    return _recording(path, series, spacing, names)
