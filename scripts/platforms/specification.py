"""MONAI's specification of a bundle's metadata, checked without its schema, which lies in the network.

Source: https://docs.monai.io, "MONAI Bundle Specification", schema of 2024-07-25. Of the standard library alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_TEXTS = ("version", "monai_version", "pytorch_version", "numpy_version", "task", "description", "authors", "copyright")
_FURTHER = (
    "name",
    "schema",
    "data_source",
    "data_type",
    "image_classes",
    "label_classes",
    "pred_classes",
    "intended_use",
)
_TYPES = {
    "image",
    "label",
    "object",
    "tuples",
    "probabilities",
    "latent",
    "series",
    "raw",
    "feature",
    "image_embedding",
}
_FORMATS = {"hounsfield", "kspace", "raw", "labels", "classes", "segmentation", "magnitude", "rgb", "gray", "image"}
_VERSION = re.compile(r"\d+\.\d+(\.\w+)*")


def faults(metadata: dict) -> Iterator[str]:
    """What in a bundle's metadata is not as specified, one sentence each."""
    for key in (*_TEXTS, *_FURTHER):
        if not isinstance(metadata.get(key), str) or not metadata[key].strip():
            yield f"{key} is no text"
    for key in ("version", "monai_version", "pytorch_version", "numpy_version"):
        if not _VERSION.fullmatch(str(metadata.get(key))):
            yield f"{key} is no version"
    for key in ("changelog", "required_packages_version", "supported_apps", "network_data_format"):
        if not isinstance(metadata.get(key), dict):
            yield f"{key} is no dictionary"
    if metadata.get("version") not in metadata.get("changelog", {}):
        yield "the changelog does not tell of the version"
    references = metadata.get("references")
    if not isinstance(references, list) or not all(isinstance(one, str) for one in references):
        yield "references are no list of texts"
    data = metadata.get("network_data_format") or {}
    for side, key in (("inputs", "image"), ("outputs", "pred")):
        if key not in data.get(side, {}):
            yield f"network_data_format has no {side} {key}"
        for name, tensor in data.get(side, {}).items():
            yield from (f"{side} {name}: {fault}" for fault in _tensor_faults(tensor))


def _tensor_faults(tensor: dict) -> Iterator[str]:
    if tensor.get("type") not in _TYPES:
        yield "unknown type"
    if tensor.get("format") not in _FORMATS:
        yield "unknown format"
    channels = tensor.get("num_channels")
    if not isinstance(channels, int) or channels < 1:
        yield "num_channels is no positive number"
    named = tensor.get("channel_def") or {}  # a channel may hold several classes, each under its value
    if len(named) < 1 or not all(key.isdigit() and isinstance(text, str) for key, text in named.items()):
        yield "channel_def names no channel or class"
    shape = tensor.get("spatial_shape")
    if not isinstance(shape, list) or not shape or not all(_size(one) for one in shape):
        yield "spatial_shape is no list of numbers, * and expressions of n and p"
    if not re.fullmatch(r"(float|int|uint)\d+|bool", str(tensor.get("dtype"))):
        yield "unknown dtype"
    values = tensor.get("value_range")
    if not isinstance(values, list) or (values and not values[0] < values[-1]):
        yield "value_range is no range"
    if not isinstance(tensor.get("is_patch_data"), bool):
        yield "is_patch_data is neither true nor false"


def _size(one: object) -> bool:
    return isinstance(one, int) or (isinstance(one, str) and bool(re.fullmatch(r"\*|[\dnp*+ ()]+", one)))
