"""Microscope files as napari's layers, and layers as files: axes, channels and pixel sizes kept right."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..io import (
    SUFFIXES,
    Image,
    Recording,
    choose,
    image_name,
    is_folder_format,
    is_readable,
    open_recordings,
    write_image,
)
from .layers import Layer, Layout, spacing_of

__all__ = ["FOLDERS", "PATTERNS", "napari_get_reader", "read_layers", "sample", "write_layer"]

# what napari.yaml says this reader takes; tests/test_desk.py holds them together
PATTERNS = tuple(f"*{suffix}" for suffix in SUFFIXES)
FOLDERS = True  # OME-Zarr, and folders of slices
EAGER = 1 << 29  # bytes; a larger layer is read slice by slice, when the slice is shown
COLOURMAPS = ("green", "magenta", "cyan", "yellow", "red", "blue")


def napari_get_reader(path: str | Sequence[str]) -> Callable[[str | Sequence[str]], list[Layer]] | None:
    """The reader of a file or of several, as napari asks for it; None of what is not read here."""
    paths = [path] if isinstance(path, str | os.PathLike) else list(path)
    return read_layers if paths and all(_is_ours(Path(one)) for one in paths) else None


def _is_ours(path: Path) -> bool:
    return is_folder_format(path) if path.is_dir() else is_readable(path)


def read_layers(path: str | os.PathLike | Sequence[str]) -> list[Layer]:
    """Read files: a layer for each channel of each scene.

    Args:
        path: one file, or several.

    Returns:
        Layers as napari takes them: data ``[Z, Y, X]`` or ``[Y, X]``, with positions and times before them where there
        are several; arguments, among them the scale in micrometres and its unit; and "image".

    Raises:
        InputError: a file cannot be read; its text is one line.
    """
    paths = [path] if isinstance(path, str | os.PathLike) else path
    return [layer for one in paths for layer in _layers(Path(one))]


def _layers(path: Path) -> list[Layer]:
    scenes = open_recordings(path)
    found = []
    for number, recording in enumerate(scenes):
        name = image_name(path) + (f" {recording.name or f'scene {number}'}" if len(scenes) > 1 else "")
        channels = _channels(recording)
        for k, (channel, told) in enumerate(channels):
            images = [
                [_image(recording, channel, t, r) for t in range(recording.size.get("T", 1))]
                for r in range(recording.size.get("R", 1))
            ]
            colours = {"colormap": _colourmap(told, k), "blending": "additive"} if len(channels) > 1 else {}
            first = images[0][0]
            counts = {"position": len(images), "time": len(images[0])}
            before = [label for label, count in counts.items() if count > 1]
            layout = Layout.of(first.shape, first.spacing, before)
            title = " ".join(filter(None, (name, told)))
            options = {"name": title, "visible": number == 0, "metadata": {"path": str(path)}, **colours}
            found.append((_stacked(images), options | layout.arguments(), "image"))
    return found


def _image(recording: Recording, channel: str | None, time: int, position: int) -> Image:
    size = recording.size
    return choose(
        [recording],
        channel=channel,
        time=time if size.get("T", 1) > 1 else None,
        position=position if size.get("R", 1) > 1 else None,
    )


def _channels(recording: Recording) -> list[tuple[str | None, str]]:
    """What to say to choose each channel, and what to call it; colours are channels where they differ."""
    count = recording.size.get("C", 1)
    names = recording.channels if any(recording.channels) else tuple(f"channel {c}" for c in range(count))
    plain: list[tuple[str | None, str]] = (
        [(None, "")] if count == 1 else [(str(c), name or f"channel {c}") for c, name in enumerate(names)]
    )
    if recording.size.get("S", 1) == 1:
        return plain
    try:
        image = _image(recording, plain[0][0], 0, 0)
        image.plane(len(image) // 2)
    except InputError as error:
        if "--channel" not in error.remedy:
            raise
        colours = [colour for colour in recording.sample_names if colour != "alpha"]
        return [
            (" ".join(filter(None, (channel, colour))), " ".join(filter(None, (name, colour))))
            for channel, name in plain
            for colour in colours
        ]
    return plain


def _colourmap(name: str, number: int) -> str:
    colour = name.rpartition(" ")[2].casefold()
    return colour if colour in COLOURMAPS else COLOURMAPS[number % len(COLOURMAPS)]


def _stacked(images: list[list[Image]]) -> Any:
    """One array of all positions and times; a large one of dask, which reads a slice when it is shown."""
    first = images[0][0]
    every = [image for row in images for image in row]
    shape = (*(count for count in (len(images), len(images[0])) if count > 1), *first.shape)
    if math.prod(shape) * first.dtype.itemsize <= EAGER:
        return np.stack([image.array() for image in every]).reshape(shape)
    import dask
    from dask import array as lazy

    planes = [
        lazy.from_delayed(dask.delayed(image.plane, pure=False)(z), first.shape[-2:], first.dtype)
        for image in every
        for z in range(len(image))
    ]
    return lazy.stack(planes).reshape(shape)


def write_layer(path: str, data: np.ndarray, meta: Mapping[str, Any]) -> list[str]:
    """Write an image or labels as OME-TIFF with their pixel size, which napari's own writer leaves out.

    Args:
        path: the file to write.
        data: ``[Y, X]`` or ``[Z, Y, X]``.
        meta: the layer's arguments, as napari gives them.

    Raises:
        InputError: the layer has other axes, or the file cannot be written.
    """
    array = np.asarray(data[0] if meta.get("multiscale") else data)
    if array.ndim not in (2, 3) or meta.get("rgb"):
        raise InputError(path, f"a layer of {array.ndim} axes is not written", "show one time, in grey, and export it")
    spacing = spacing_of(meta.get("scale", ()), meta.get("units"), array.ndim)
    if array.dtype.itemsize == 8:  # labels are int64 in napari, and few hold more than 65,535
        array = array.astype(np.float32 if array.dtype.kind == "f" else np.int32)
    write_image(path, array, "ZYX"[-array.ndim :], spacing)
    return [path]


def sample() -> list[Layer]:
    """A phantom stack, whose vessels are known, to try everything on."""
    from ..phantoms import make_phantom

    phantom = make_phantom((12, 192, 224), (2.0, 0.8, 0.8), seed=3)
    layout = Layout.of(phantom.stack.shape, phantom.spacing)
    truth = {"name": "phantom truth", "visible": False} | layout.arguments()
    return [
        (phantom.stack, {"name": "phantom"} | layout.arguments(), "image"),
        (phantom.mask.astype(np.uint8), truth, "labels"),
    ]
