"""OME-Zarr, read and written by zarr: versions 0.1 to 0.5 are read, 0.4 is written.

NGFF, https://ngff.openmicroscopy.org: an image is a folder that holds a pyramid of arrays and says what their axes and
scales are.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice, product
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ..errors import InputError
from . import ome_xml
from .atomic import atomic_folder, plainly
from .calibration import agreed
from .embedded import ATTRIBUTE
from .extras import format_library
from .image import Recording
from .planes import Layout, checked_planes
from .pyramid import TILE, halved, in_bands, level_sizes
from .remarks import remark
from .spacing import to_micrometres

_FORM = "OME-Zarr"
_AGAIN = "get another copy"


def recordings(path: Path) -> list[Recording]:
    """Open an OME-Zarr image, or a ``bioformats2raw`` collection of images; each is a scene."""
    zarr = format_library("zarr", path, _FORM)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # what other programs write beside the rules, and zarr reads
        return _scenes(zarr, path)


def _scenes(zarr: ModuleType, path: Path) -> list[Recording]:
    try:
        group = zarr.open_group(path, mode="r")
    except (FileNotFoundError, zarr.errors.ContainsArrayError) as error:
        raise InputError(path, "is no OME-Zarr image", "name the folder that holds the image's metadata") from error
    about = _attributes(group)
    if "plate" in about or "well" in about:
        raise InputError(path, "is a plate or well of many images", "name the folder of one image, such as A/1/0")
    if "multiscales" in about:
        return [_recording(path, group, one, about) for one in about["multiscales"]]
    if "bioformats2raw.layout" not in about:
        raise InputError(path, "is a Zarr folder without the metadata of an image (multiscales)", _AGAIN)
    described = _described(path)
    names = sorted((name for name, _ in group.groups() if name.isdecimal()), key=int)
    if not names or (described and len(described) != len(names)):
        raise InputError(path, f"describes {len(described)} images and holds {len(names)}", _AGAIN)
    found = []
    for number, name in enumerate(names):
        image = _attributes(group[name])
        ome = described[number] if described else None
        found += [_recording(path, group[name], one, image, ome) for one in image["multiscales"][:1]]
    return found


def _attributes(group: Any) -> dict:
    """The metadata of a group: up to version 0.4 they stand alone, since 0.5 under ``ome``."""
    attributes = dict(group.attrs)
    return attributes.get("ome", attributes)


def _described(path: Path) -> tuple[ome_xml.OmeImage, ...]:
    """The images of ``METADATA.ome.xml``, in the folder OME or, as early versions have it, beside the Zarr folder."""
    for file in (path / "OME" / "METADATA.ome.xml", path.parent / "METADATA.ome.xml"):
        if file.is_file():
            try:
                return ome_xml.parse(file.read_text(encoding="utf-8")).images
            except ValueError:
                remark(path, "its OME-XML is damaged; channels and pixel sizes are read from the arrays alone")
    return ()


def _recording(
    path: Path, group: Any, image: Mapping, about: Mapping, ome: ome_xml.OmeImage | None = None
) -> Recording:
    level = image["datasets"][0]
    array = group[level["path"]]
    # before version 0.3 the axes were not named, and always these; in 0.3 they were names alone
    stated = [{"name": axis} if isinstance(axis, str) else axis for axis in image.get("axes", "tczyx")]
    axes = "".join(axis["name"].upper() if axis["name"] in "tczyx" else "?" for axis in stated)
    if len(axes) != array.ndim:
        raise InputError(path, f"names {len(axes)} axes of an array of {array.ndim}", _AGAIN)
    if "?" in axes or axes[-2:] != "YX":
        listed = ", ".join(str(axis["name"]) for axis in stated)
        raise InputError(path, f"has the axes {listed}", "axes of t, c, z, y, x are read, in this order")
    scale = np.ones(len(axes))
    for transformation in (*level.get("coordinateTransformations", ()), *image.get("coordinateTransformations", ())):
        if transformation["type"] == "scale" and "scale" in transformation:
            scale = scale * transformation["scale"]
    spacing = {
        letter: to_micrometres(float(step), axis.get("unit"))
        for letter, step, axis in zip(axes, scale, stated, strict=True)
        if letter in "ZYX"
    }
    labels = [str(channel.get("label", "")) for channel in about.get("omero", {}).get("channels", ())]
    names = tuple(labels) if len(labels) == dict(zip(axes, array.shape, strict=True)).get("C", 1) else ()
    if ome is not None:
        spacing = agreed(path, {"the arrays": spacing, "OME-XML": ome.spacing})
        names = names or ome.channels

    def rows(index: Mapping[str, int], start: int, stop: int) -> np.ndarray:
        return np.asarray(array[(*(index[axis] for axis in axes[:-2]), slice(start, stop))])

    return Recording(
        path,
        axes,
        array.shape,
        array.dtype.newbyteorder("="),
        lambda index: rows(index, 0, array.shape[-2]),
        spacing,
        names if any(names) else (),
        image.get("name") or (ome.name if ome else ""),
        rows=rows,
    )


def write_ome_zarr_planes(path: str | Path, planes: Iterable[np.ndarray], layout: Layout) -> None:
    """Write an OME-Zarr image (NGFF 0.4, Zarr 2) plane by plane, with a pyramid that is reduced along Y and X.

    Each level halves rows and columns (:func:`~bundle.io.pyramid.halved`). Z is not reduced, since slices are wider
    apart than pixels.

    Args:
        path: the folder to write.
        planes: see :py:func:`bundle.io.write_image_planes`.
        layout: what the file shall say of them; without a spacing no unit is stated.

    Raises:
        InputError: the folder cannot be written, or zarr is not installed.
        ValueError: the planes are not as announced.
    """
    path = Path(path)
    format_library("zarr", path, _FORM)
    with atomic_folder(path) as partial:
        parts = OmeZarrParts(partial, layout)
        parts.begin()
        parts.end(path.name, parts.fill(planes))


@dataclass(frozen=True)
class OmeZarrParts:
    """An OME-Zarr image as :func:`write_ome_zarr_planes` makes it, its planes written by one process or by many.

    Args:
        folder: to write to.
        layout: what it shall say of the planes.
    """

    folder: Path
    layout: Layout

    def begin(self) -> None:
        """Make the arrays, in place of what is there.

        Raises:
            InputError: the folder cannot be written, or zarr is not installed.
        """
        zarr = format_library("zarr", self.folder, _FORM)
        numcodecs = format_library("numcodecs", self.folder, _FORM)
        outer = self.layout.shape[:-2]
        with plainly(self.folder, self.folder):
            group = zarr.open_group(self.folder, mode="w", zarr_format=2)
            for number, size in enumerate(level_sizes(self.layout.plane)):
                group.create_array(
                    str(number),
                    shape=(*outer, *size),
                    chunks=(*(1 for _ in outer), *(min(n, TILE) for n in size)),
                    dtype=self.layout.stored,
                    compressors=numcodecs.Zstd(3),  # Blosc would decode a chunk that is cut off, into noise
                    chunk_key_encoding={"name": "v2", "separator": "/"},
                )

    def fill(self, planes: Iterable[np.ndarray], first: int = 0, count: int | None = None) -> tuple[float, float]:
        """Write planes.

        Args:
            planes: see :py:func:`bundle.io.write_image_planes`.
            first: number of the first of them.
            count: of them; all if None.

        Returns:
            The lowest and the highest value.

        Raises:
            InputError: the folder cannot be written.
            ValueError: the planes are not as announced.
        """
        layout, low, high = self.layout, np.inf, -np.inf
        with plainly(self.folder, self.folder):
            group = format_library("zarr", self.folder, _FORM).open_group(self.folder, mode="r+", zarr_format=2)
            levels = [group[str(number)] for number in range(len(level_sizes(layout.plane)))]
            places = islice(product(*map(range, layout.shape[:-2])), first, None)
            place: tuple[int, ...] = ()
            for start, band in in_bands(checked_planes(planes, layout, count), layout.plane[0]):
                if not start:
                    place, waiting = next(places), [_Waiting() for _ in levels]
                low, high = min(low, band.min()), max(high, band.max())
                last = start + len(band) == layout.plane[0]
                for number, (level, below) in enumerate(zip(levels, waiting, strict=True)):
                    below.rows.append(halved(band, layout.mask) if number else band)
                    if sum(map(len, below.rows)) < TILE and not last:  # rows of a chunk are stored together
                        break
                    band = below.rows[0] if len(below.rows) == 1 else np.concatenate(below.rows)
                    level[(*place, slice(below.start, below.start + len(band)))] = band
                    below.start, below.rows = below.start + len(band), []
        return float(low), float(high)

    def end(self, name: str, window: tuple[float, float]) -> None:
        """Say what the arrays are.

        Args:
            name: of the folder in the end.
            window: the lowest and the highest value of all.

        Raises:
            InputError: the folder cannot be written.
        """
        layout = self.layout
        name = name.removesuffix(".zarr").removesuffix(".ome")
        made = {} if layout.record is None else {ATTRIBUTE: dict(layout.record)}
        with plainly(self.folder, self.folder):
            group = format_library("zarr", self.folder, _FORM).open_group(self.folder, mode="r+", zarr_format=2)
            group.attrs.update(_metadata(name, layout, len(level_sizes(layout.plane)), window) | made)


@dataclass
class _Waiting:
    """Rows of a level that are not stored yet, and where they begin."""

    start: int = 0
    rows: list[np.ndarray] = field(default_factory=list)


def _metadata(name: str, layout: Layout, levels: int, window: tuple[float, float]) -> dict:
    kinds = {"C": "channel"}
    axes, steps = layout.axes, layout.steps
    unit = {"unit": "micrometer"} if steps else {}
    datasets = []
    for number in range(levels):
        factor = {"Y": 2**number, "X": 2**number}
        scale = [steps.get(axis, 1.0) * factor.get(axis, 1) for axis in axes]
        # a pixel of a lower level lies in the middle of those it stands for
        shift = [steps.get(axis, 1.0) * (factor.get(axis, 1) - 1) / 2 for axis in axes]
        transformations = [{"type": "scale", "scale": scale}]
        if number:
            transformations.append({"type": "translation", "translation": shift})
        datasets.append({"path": str(number), "coordinateTransformations": transformations})
    low, high = (float(value) for value in window)
    labels = layout.channels or [""] * layout.size.get("C", 1)
    shown = {"active": True, "color": "FFFFFF", "window": {"start": low, "end": high, "min": low, "max": high}}
    return {
        "multiscales": [
            {
                "version": "0.4",
                "name": name,
                "axes": [
                    {"name": axis.lower(), "type": kinds.get(axis, "space"), **({} if axis == "C" else unit)}
                    for axis in axes
                ],
                "datasets": datasets,
                "type": "maximum" if layout.mask else "mean",
            }
        ],
        "omero": {"version": "0.4", "channels": [{**shown, "label": label} for label in labels]},
    }
