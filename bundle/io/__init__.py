"""Images and stacks from microscope files, and back: axes, channels and pixel sizes kept right."""

import importlib
from typing import TYPE_CHECKING

from .atomic import atomic, atomic_folder, check_writable, remove, scratch_folder
from .extras import format_library
from .formats import SUFFIXES, is_folder_format, is_readable, open_image, open_recordings
from .image import Image, Recording, choose, relabel
from .inputs import as_source, expand, image_name, list_images
from .kinds import FORMS, KINDS, output_path, record_path
from .lock import alone
from .masks import ANY, Foreground, is_foreground, vessels_of, why_no_mask
from .memory import check_threads_fit
from .ome_tiff import write_ome_tiff, write_ome_tiff_planes
from .ome_zarr import OmeZarrParts
from .output import OUTPUT_SUFFIXES, write_image, write_image_planes
from .planes import DTYPES, Layout
from .provenance import (
    Provenance,
    is_output,
    note_finding,
    read_findings,
    read_record,
    reading_record,
    refuse_others,
    size_and_time,
    write_record,
)
from .reading import Reading
from .remarks import remark
from .source import Source
from .sources import raw_images, sources
from .spacing import is_possible_size, plausible_spacing

if TYPE_CHECKING:
    from .reader import MicroscopyReader
    from .writer import OMETiffWriter

__all__ = [
    "ANY",
    "DTYPES",
    "FORMS",
    "KINDS",
    "OUTPUT_SUFFIXES",
    "SUFFIXES",
    "Foreground",
    "Image",
    "Layout",
    "MicroscopyReader",
    "OMETiffWriter",
    "OmeZarrParts",
    "Provenance",
    "Reading",
    "Recording",
    "Source",
    "alone",
    "as_source",
    "atomic",
    "atomic_folder",
    "check_threads_fit",
    "check_writable",
    "choose",
    "expand",
    "format_library",
    "image_name",
    "is_folder_format",
    "is_foreground",
    "is_output",
    "is_possible_size",
    "is_readable",
    "list_images",
    "note_finding",
    "open_image",
    "open_recordings",
    "output_path",
    "plausible_spacing",
    "record_path",
    "raw_images",
    "read_findings",
    "read_record",
    "reading_record",
    "refuse_others",
    "relabel",
    "remark",
    "remove",
    "scratch_folder",
    "size_and_time",
    "sources",
    "write_image",
    "write_image_planes",
    "write_ome_tiff",
    "vessels_of",
    "why_no_mask",
    "write_ome_tiff_planes",
    "write_record",
]

_OF_MONAI = {"MicroscopyReader": "reader", "OMETiffWriter": "writer"}


def __getattr__(name: str) -> type:
    # MONAI takes seconds to import, and most of what reads and writes files needs nothing of it
    if name in _OF_MONAI:
        return getattr(importlib.import_module(f".{_OF_MONAI[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
