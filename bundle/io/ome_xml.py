"""The OME-XML of OME-TIFF files (schema 2016-06): what a reader needs of it, and what the writer says."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

import numpy as np

from .embedded import ANNOTATION, as_annotation
from .planes import Layout
from .spacing import to_micrometres

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
        file: the name of the file they lie in, beside this one; None for this one.
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
        spacing: micrometres per pixel along Z, Y and X, None where it is not stated.
        channels: the channels' names, or none.
        data: where its planes lie.
    """

    name: str
    axes: str
    shape: tuple[int, ...]
    spacing: dict[str, float | None]
    channels: tuple[str, ...]
    data: tuple[TiffData, ...]


@dataclass(frozen=True)
class Ome:
    """An OME-XML: its images, or the name of the companion file that describes them."""

    images: tuple[OmeImage, ...]
    companion: str | None


def parse(xml: str) -> Ome:
    """Read an OME-XML.

    Raises:
        ValueError: it is no OME-XML, or is damaged.
    """
    try:
        root = ElementTree.fromstring(xml)
        only = root.find("{*}BinaryOnly")
        images = tuple(_image(element, root.get("UUID")) for element in root.findall("{*}Image"))
    except (ElementTree.ParseError, KeyError, TypeError) as error:
        raise ValueError(f"OME-XML cannot be understood: {error!r}") from error
    return Ome(images, None if only is None else only.get("MetadataFile"))


def _image(element: ElementTree.Element, own: str | None) -> OmeImage:
    pixels = element.find("{*}Pixels")
    axes = pixels.attrib["DimensionOrder"][::-1]
    channels = pixels.findall("{*}Channel")
    samples = int(channels[0].get("SamplesPerPixel", 1)) if channels else 1
    shape = tuple(int(pixels.attrib[f"Size{axis}"]) // (samples if axis == "C" else 1) for axis in axes)
    names = tuple(channel.get("Name") or channel.get("Fluor") or "" for channel in channels)
    return OmeImage(
        element.get("Name") or "",
        axes,
        shape,
        {axis: _physical(pixels, axis) for axis in "ZYX"},
        names if any(names) else (),
        tuple(_tiff_data(data, axes, shape, own) for data in pixels.findall("{*}TiffData")),
    )


def _physical(pixels: ElementTree.Element, axis: str) -> float | None:
    name = f"PhysicalSize{axis}"
    return to_micrometres(pixels.get(name), pixels.get(f"{name}Unit", "µm"))


def _tiff_data(data: ElementTree.Element, axes: str, shape: tuple[int, ...], own: str | None) -> TiffData:
    uuid = data.find("{*}UUID")
    file = None if uuid is None or (own is not None and uuid.text == own) else uuid.get("FileName")
    count = data.get("PlaneCount", data.get("NumPlanes", "1" if "IFD" in data.attrib else None))
    index = [int(data.get(f"First{axis}", 0)) for axis in axes[:-2]]
    first = int(np.ravel_multi_index(index, shape[:-2]))
    return TiffData(first, None if count is None else int(count), int(data.get("IFD", 0)), file)


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
    told = layout.record is not None
    reference, annotation = (f'<AnnotationRef ID="{ANNOTATION}"/>', as_annotation(layout.record)) if told else ("", "")
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
