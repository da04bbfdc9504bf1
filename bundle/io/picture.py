"""PNG, JPEG and BMP, read by Pillow."""

from __future__ import annotations

import warnings
from pathlib import Path

import imagecodecs
import numpy as np
import PIL.Image

from ..errors import InputError
from .image import Recording

# Pillow's modes whose values are intensities as they stand; the others are converted to colours
_PLAIN = {"1", "L", "I", "F", "I;16", "I;16L", "I;16B", "LA", "RGB", "RGBA"}


def recordings(path: Path) -> list[Recording]:
    """Open a picture; see :py:class:`bundle.io.image.Recording`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PIL.Image.DecompressionBombWarning)
            with PIL.Image.open(path) as picture:
                width, height = picture.size
                mode = picture.mode
    except PIL.UnidentifiedImageError as error:
        raise InputError(path, f"is no {path.suffix[1:].upper()} image", "get another copy") from error
    except PIL.Image.DecompressionBombError as error:
        raise InputError(path, "has more pixels than are read from a picture", "save it as TIFF") from error
    if mode not in ("1", "L", "P", "I", "I;16") and path.suffix.lower() == ".png" and _bit_depth(path) == 16:
        return [_deep_colours(path)]
    colour = mode if mode in _PLAIN else "RGBA" if mode in ("PA", "La", "RGBa") else "RGB"
    sample = np.asarray(PIL.Image.new(colour, (1, 1)))

    def read(_index: object) -> np.ndarray:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PIL.Image.DecompressionBombWarning)
            with PIL.Image.open(path) as picture:
                return np.asarray(picture if colour == mode else picture.convert(colour))

    axes = "YXS" if sample.ndim == 3 else "YX"
    return [Recording(path, axes, (height, width, *sample.shape[2:]), sample.dtype.newbyteorder("="), read)]


def _bit_depth(png: Path) -> int:
    with png.open("rb") as file:
        return file.read(25)[24]  # of the header chunk, which always comes first


def _deep_colours(path: Path) -> Recording:
    """Read a PNG of several 16-bit samples, which Pillow would cut to 8 bits, by imagecodecs."""
    array = imagecodecs.png_decode(path.read_bytes())
    return Recording(path, "YXS", array.shape, array.dtype, lambda _index: array)
