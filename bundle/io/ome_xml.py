"""The OME-XML of OME-TIFF files (schema 2016-06): what a reader needs of it, and what the writer says."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from math import prod
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

import numpy as np

from .embedded import ANNOTATION, as_annotation
from .planes import Layout
from .spacing import to_micrometres

MOST_PLANES = 1 << 20
TYPES = {
    "uint8": "uint8",
    "uint16": "uint16",
    "uint32": "uint32",
    "int8": "int8",
    "int16": "int16",
    "int32": "int32",
    "float32": "float",
    "float64": "double",
}


@dataclass(frozen=True)
class TiffData:
    """Where some consecutive planes of an image lie.

    Args:
        first: the index of the first of them, counted in the image's plane order.
        count: how many they are, or None: all that the file holds.
        page: the page of the first of them.
        file: the name of the file they lie in, as stated; None for the file that holds the description.
    """

    first: int
    count: int | None
    page: int
    file: str | None


@dataclass(frozen=True)
class OmeImage:
    """One image of an OME-XML.

    Args:
        name: the image's name, or nothing.
        axes: the plane order, slowest first, and YX: such as ``"TCZYX"``.
        shape: the sizes along ``axes``.
        samples: values of each pixel: 3 of a channel that is red, green and blue.
        spacing: micrometres per pixel along Z, Y and X, None where it is not stated.
        channels: the channels' names, or none.
        data: where its planes lie.
    """

    name: str
    axes: str
    shape: tuple[int, ...]
    samples: int
    spacing: dict[str, float | None]
    channels: tuple[str, ...]
    data: tuple[TiffData, ...]


@dataclass(frozen=True)
class Ome:
    """An OME-XML: its images, or the name of the file that describes them."""

    images: tuple[OmeImage, ...]
    described_by: str | None


def parse(xml: str) -> Ome:
    """Read an OME-XML.

    Raises:
        ValueError: it is no OME-XML, is damaged, or declares what no file holds; a few words say which.
    """
    try:
        root = ElementTree.fromstring(xml)
    except (ElementTree.ParseError, ValueError) as error:
        raise ValueError("its OME-XML is damaged") from error
    if not root.tag.endswith("OME"):
        raise ValueError("its description is no OME-XML")
    only = root.find("{*}BinaryOnly")
    if only is not None:
        if not only.get("MetadataFile"):
            raise ValueError("its OME-XML does not name the file that describes it")
        return Ome((), only.get("MetadataFile"))
    images = tuple(_image(element, root.get("UUID")) for element in root.findall("{*}Image"))
    if not images:
        raise ValueError("its OME-XML describes no image")
    return Ome(images, None)


def _image(element: ElementTree.Element, own: str | None) -> OmeImage:
    pixels = element.find("{*}Pixels")
    if pixels is None:
        raise ValueError("its OME-XML describes an image without <Pixels>")
    axes = pixels.get("DimensionOrder", "")[::-1]
    if sorted(axes) != sorted("XYZCT") or axes[-2:] != "YX":
        raise ValueError(f"its OME-XML states the order {pixels.get('DimensionOrder')!r} of dimensions")
    channels = pixels.findall("{*}Channel")
    samples = {_number(channel, "SamplesPerPixel", 1) for channel in channels} or {1}
    if len(samples) > 1:
        raise ValueError("its OME-XML describes channels of different kinds, grey and coloured")
    count = samples.pop()
    size = {axis: _number(pixels, f"Size{axis}") for axis in axes}
    if count < 1 or size["C"] % count or min(size.values()) < 1:
        listed = ", ".join(f"Size{axis} {n}" for axis, n in size.items())
        raise ValueError(f"its OME-XML states impossible sizes ({listed}, SamplesPerPixel {count})")
    shape = tuple(n // count if axis == "C" else n for axis, n in size.items())
    planes = prod(shape[:-2])
    if planes > MOST_PLANES:
        raise ValueError(f"its OME-XML declares {planes} planes, of which {MOST_PLANES} are read")
    names = tuple(channel.get("Name") or channel.get("Fluor") or "" for channel in channels)
    data = pixels.findall("{*}TiffData")
    if len(data) > 2 * planes:
        raise ValueError(f"its OME-XML places {planes} planes {len(data)} times")
    return OmeImage(
        element.get("Name") or "",
        axes,
        shape,
        count,
        {axis: _physical(pixels, axis) for axis in "ZYX"},
        names if any(names) else (),
        tuple(_tiff_data(one, axes, shape, own) for one in data) or (TiffData(0, None, 0, None),),
    )


def _number(element: ElementTree.Element, name: str, default: int | None = None) -> int:
    stated = element.get(name)
    if stated is None and default is not None:
        return default
    try:
        return int(stated or "")
    except (TypeError, ValueError) as error:
        raise ValueError(f"its OME-XML states {name} {stated!r}") from error


def _physical(pixels: ElementTree.Element, axis: str) -> float | None:
    name = f"PhysicalSize{axis}"
    return to_micrometres(pixels.get(name), pixels.get(f"{name}Unit", "µm"))


def _tiff_data(data: ElementTree.Element, axes: str, shape: tuple[int, ...], own: str | None) -> TiffData:
    uuid = data.find("{*}UUID")
    file = None if uuid is None or (own is not None and uuid.text == own) else uuid.get("FileName")
    stated = "PlaneCount" if "PlaneCount" in data.attrib else "NumPlanes"
    count = _number(data, stated) if stated in data.attrib else 1 if "IFD" in data.attrib else None
    index = [_number(data, f"First{axis}", 0) for axis in axes[:-2]]
    if not all(0 <= i < n for i, n in zip(index, shape, strict=False)):
        raise ValueError(f"its OME-XML places a plane at {', '.join(map(str, index))} of {shape[:-2]}")
    first, page = int(np.ravel_multi_index(index, shape[:-2])), _number(data, "IFD", 0)
    if page < 0 or (count is not None and not 0 <= count <= prod(shape[:-2]) - first):
        raise ValueError(f"its OME-XML places {count} planes from plane {first} on, and declares {prod(shape[:-2])}")
    return TiffData(first, count, page, file)


def describe(layout: Layout) -> str:
    """Return the OME-XML of one image, in ASCII; C is slower than Z.

    Args:
        layout: the image.
    """
    names = layout.channels or [""] * layout.size.get("C", 1)
    attributes = chain(
        [("ID", "Pixels:0"), ("DimensionOrder", "XYZCT"), ("Type", TYPES[layout.stored.name])],
        ((f"Size{axis}", str(layout.size.get(axis, 1))) for axis in "XYZCT"),
        *(
            [(f"PhysicalSize{axis}", repr(length)), (f"PhysicalSize{axis}Unit", "µm")]
            for axis, length in layout.steps.items()
        ),
    )
    pixels = " ".join(f"{name}={quoteattr(value)}" for name, value in attributes)
    elements = "".join(
        f'<Channel ID="Channel:0:{i}" SamplesPerPixel="1"{f" Name={quoteattr(name)}" if name else ""}/>'
        for i, name in enumerate(names)
    )
    reference = annotation = ""
    if layout.record is not None:
        reference, annotation = f'<AnnotationRef ID="{ANNOTATION}"/>', as_annotation(layout.record)
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        'xsi:schemaLocation="http://www.openmicroscopy.org/Schemas/OME/2016-06 '
        'http://www.openmicroscopy.org/Schemas/OME/2016-06/ome.xsd">'
        f'<Image ID="Image:0"><Pixels {pixels}>{elements}<TiffData/></Pixels>{reference}</Image>{annotation}</OME>'
    )
    # TIFF descriptions are ASCII; a character reference says the same to every XML reader
    return text.encode("ascii", "xmlcharrefreplace").decode()
