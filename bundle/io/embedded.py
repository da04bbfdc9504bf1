"""What made an image, told within the image itself."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

import tifffile

if TYPE_CHECKING:
    import nibabel

__all__ = ["ANNOTATION", "ATTRIBUTE", "as_annotation", "as_comment", "read_embedded"]

NAMESPACE = "vessel-cascades/provenance"
COMMENT = 6  # NIfTI's code of an extension that is text
ATTRIBUTE = "vessel-cascades"
ANNOTATION = "Annotation:0"


def as_annotation(record: Mapping[str, Any]) -> str:
    """A record as an OME-XML map annotation, which OMERO and Fiji show as a table; values that are no text as JSON."""
    pairs = "".join(
        f"<M K={quoteattr(key)}>{escape(value if isinstance(value, str) else json.dumps(value))}</M>"
        for key, value in record.items()
    )
    return (
        f'<StructuredAnnotations><MapAnnotation ID="{ANNOTATION}" Namespace="{NAMESPACE}">'
        f"<Value>{pairs}</Value></MapAnnotation></StructuredAnnotations>"
    )


def as_comment(record: Mapping[str, Any]) -> nibabel.nifti1.Nifti1Extension:
    """A record as an extension of a NIfTI header."""
    import nibabel  # which images of other kinds need not wait for

    return nibabel.nifti1.Nifti1Extension(COMMENT, json.dumps({ATTRIBUTE: record}).encode())


def read_embedded(path: str | os.PathLike) -> dict[str, Any] | None:
    """The record that an image holds; None if it holds none, or is none of the formats that can."""
    path = Path(path)
    name = path.name.lower()
    try:
        if name.endswith((".tif", ".tiff")):
            return _of_tiff(path)
        if name.endswith((".nii", ".nii.gz")):
            return _of_nifti(path)
        if name.endswith(".zarr"):
            return json.loads((path / ".zattrs").read_text(encoding="utf-8")).get(ATTRIBUTE)
    except Exception:  # a file that is damaged, or another's, tells nothing
        return None
    return None


def _of_tiff(path: Path) -> dict[str, Any] | None:
    with tifffile.TiffFile(path) as tiff:
        description = tiff.pages.first.description
    if NAMESPACE not in description:
        return None
    root = ElementTree.fromstring(description)
    for annotation in root.iterfind(".//{*}MapAnnotation"):
        if annotation.get("Namespace") == NAMESPACE:
            pairs = {pair.get("K", ""): pair.text or "" for pair in annotation.iterfind("{*}Value/{*}M")}
            return {key: json.loads(text) if key in ("inputs", "options") else text for key, text in pairs.items()}
    return None


def _of_nifti(path: Path) -> dict[str, Any] | None:
    import nibabel

    with (gzip.open if path.name.endswith(".gz") else open)(path, "rb") as stream:
        start = stream.read(4)
        kind = nibabel.Nifti2Header if 540 in (int.from_bytes(start, "little"), int.from_bytes(start, "big")) else None
        stream.seek(0)
        header = (kind or nibabel.Nifti1Header).from_fileobj(stream)
    for extension in header.extensions:
        if extension.get_code() == COMMENT:
            return json.loads(bytes(extension.content))[ATTRIBUTE]
    return None
