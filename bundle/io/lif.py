"""Leica LIF, read by liffile: every image of the project is a scene."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from .extras import Kept, format_library
from .image import Recording

_AGAIN = "get another copy"


def recordings(path: Path) -> list[Recording]:
    """Open a LIF file; see :py:class:`bundle.io.image.Recording`. The wavelengths of a sweep are channels."""
    liffile = format_library("liffile", path, "Leica LIF")
    kept = Kept(liffile.LifFile(path))
    images = list(kept.file.images)
    if not images:
        raise InputError(path, "holds no image", _AGAIN)
    for image in images:
        block = image.memory_block
        if block.offset + block.size > path.stat().st_size:
            raise InputError(path, f"is truncated: {image.path} ends beyond the end of the file", _AGAIN)
    return [_scene(path, kept, image) for image in images]


def _scene(path: Path, kept: Kept, image: Any) -> Recording:
    letters, names = _letters(image)
    axes, stored = "".join(letters.values()), tuple(letters)
    within = set() if image.is_flim else set(image.frames.frame_dims)

    def read(index: Mapping[str, int]) -> np.ndarray:
        assert kept.file is not None  # keeps the file open as long as it can be read
        return image.frame(**{name: index[letter] for name, letter in letters.items() if name not in within})

    spacing = {axis: abs(_step(image.coords[axis])) * 1e6 for axis in "ZYX" if len(image.coords.get(axis, ())) > 1}
    problem = None
    if image.is_flim:
        problem = "holds lifetimes of photons, no intensities", "export the intensity image"
    elif "M" in axes:
        problem = (
            f"is a scan of {image.sizes['M']} tiles that are not merged",
            "merge them in LAS X and save the result",
        )
    elif not within >= {"Y", "X"}:
        planes = " and ".join(sorted(within - {"S"}, reverse=True))
        rows = [name for name in stored if name in within - {"S"}][0]
        as_image = "".join("Y" if name == rows else letters[name] for name in stored)
        remedy = "scan or export it as planes of Y and X"
        if "Y" not in stored:  # else its rows are what would be slices
            remedy += f"; --axes {as_image} takes each for an image, its rows as Y"
        problem = f"was scanned in planes of {planes} (axes {axes}), not of Y and X", remedy
    sizes = tuple(image.sizes[name] for name in stored)
    return Recording(
        path, axes, sizes, image.dtype.newbyteorder("="), read, spacing, names, image.path, problem=problem
    )


def _letters(image: Any) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the letter of every dimension, and the channels' names: wavelengths, where these are the channels."""
    names: tuple[str, ...] = ()
    letters: dict[str, str] = {}
    spare = iter("IQJKNOUVW")
    for name in image.dims:
        if name in ("λ", "Λ") and not {"C"} & set(image.dims) and "C" not in letters.values():
            letters[name] = "C"
            names = tuple(f"{1e9 * wavelength:.0f} nm" for wavelength in image.coords[name])
        else:
            letters[name] = name if name in tuple("TCZYXSM") else next(spare)
    return letters, names


def _step(places: np.ndarray) -> float:
    return float(places[-1] - places[0]) / (len(places) - 1)
