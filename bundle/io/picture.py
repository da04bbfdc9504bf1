"""PNG, JPEG and BMP, read by Pillow: what a viewer shows."""

from __future__ import annotations

import io
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import imagecodecs
import numpy as np
import PIL.Image
import PIL.ImageOps

from ..errors import InputError
from .colours import false_colours, looked_up, table_of_greys
from .image import Recording
from .remarks import remark

_AGAIN = "get another copy"
_FORMATS = ("PNG", "JPEG", "BMP", "DIB")
# Pillow's modes whose values are intensities as they stand
_PLAIN = {"1", "L", "I", "F", "I;16", "I;16L", "I;16B", "LA", "RGB", "RGBA"}
_OTHER_COLOURS = {
    "CMYK": "printing inks (CMYK)",
    "YCbCr": "brightness and differences of colour (YCbCr)",
    "LAB": "CIE L*a*b* colours",
    "HSV": "hue and saturation (HSV)",
}
_ORIENTATION = 0x0112
_PNG = b"\x89PNG\r\n\x1a\n"


def recordings(path: Path) -> list[Recording]:
    """Open a picture; see :py:class:`bundle.io.image.Recording`.

    It is turned as its EXIF says, as viewers do. A table of colours becomes the colours, with the number in the table
    as a further sample; a table of greys, and one by which larger numbers are shown brighter, becomes grey values.
    """
    with _opened(path) as picture:
        width, height = picture.size
        mode, form = picture.mode, picture.format
        frames = getattr(picture, "n_frames", 1)
        turned = picture.getexif().get(_ORIENTATION, 1)
        transparent = "transparency" in picture.info
        table = None
        if mode == "P":
            table = np.array(picture.getpalette("RGB"), np.uint8).reshape(-1, 3)
    if mode in _OTHER_COLOURS:
        raise InputError(path, f"is stored in {_OTHER_COLOURS[mode]}", "save it as plain grey values or as RGB")
    if frames > 1 and form == "MPO":
        remark(path, f"holds {frames} pictures, of which the first is read")
    elif frames > 1:
        raise InputError(path, f"is an animation of {frames} pictures", "save one of them, or all as a TIFF stack")
    turned = turned if turned in range(2, 9) else 1
    if turned > 1:
        remark(path, f"says that it is to be shown turned or mirrored (EXIF orientation {turned}), and is read so")
    if form == "PNG" and mode in ("LA", "RGB", "RGBA") and _bit_depth(path) == 16:
        return [_deep_colours(path)]
    names: tuple[str, ...] = {"LA": ("grey", "alpha")}.get(mode, ())
    to = mode
    if table is not None:
        if transparent:
            to, names = "RGBA", ("red", "green", "blue", "alpha")
        elif not table_of_greys(table) and not false_colours(table):
            names = ("red", "green", "blue", "index")
    elif mode == "L" and transparent:
        to, names = "LA", ("grey", "alpha")
    elif mode == "RGB" and transparent:
        to, names = "RGBA", ()
    elif mode not in _PLAIN:
        to, names = ("LA", ("grey", "alpha")) if mode == "La" else ("RGBA", ())

    def read(_index: object) -> np.ndarray:
        with _opened(path) as picture:
            picture = PIL.ImageOps.exif_transpose(picture) if turned > 1 else picture
            numbers = np.asarray(picture if to == picture.mode else picture.convert(to))
        if table is None or to != "P" or false_colours(table) and not table_of_greys(table):
            return numbers
        # numbers beyond the table stand for black
        whole = np.zeros((256, 3), np.uint8)
        whole[: len(table)] = table
        if table_of_greys(table):
            return looked_up(numbers, whole[:, 0])
        return looked_up(numbers, np.hstack([whole, np.arange(256, dtype=np.uint8)[:, None]]))

    sample = np.asarray(PIL.Image.new(to, (1, 1)))
    samples = sample.shape[2:] or ((len(names),) if names else ())
    shape = (width, height) if turned > 4 else (height, width)
    dtype = sample.dtype.newbyteorder("=")
    return [Recording(path, "YXS" if samples else "YX", (*shape, *samples), dtype, read, samples=names)]


@contextmanager
def _opened(path: Path) -> Iterator[PIL.Image.Image]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large pictures, and of metadata
            with PIL.Image.open(path, formats=_FORMATS) as picture:
                yield picture
    except PIL.UnidentifiedImageError as error:
        raise InputError(path, "is no PNG, JPEG or BMP image, or is damaged", _AGAIN) from error
    except PIL.Image.DecompressionBombError as error:
        raise InputError(path, "has more pixels than are read from a picture", "save it as TIFF") from error
    except (SyntaxError, ValueError, OSError, zlib.error) as error:  # so Pillow reports damage
        if isinstance(error, InputError) or (isinstance(error, OSError) and error.errno):
            raise
        raise InputError(path, "is damaged or truncated", _AGAIN) from error


def _bit_depth(png: Path) -> int:
    with png.open("rb") as file:
        return file.read(25)[24]  # of the header chunk, which always comes first


def _deep_colours(path: Path) -> Recording:
    """Read a PNG of several 16-bit samples, which Pillow would cut to 8 bits, by imagecodecs."""
    array = imagecodecs.png_decode(_essential(path))
    names = ("grey", "alpha") if array.shape[-1] == 2 else ()
    return Recording(path, "YXS", array.shape, array.dtype, lambda _index: array, samples=names)


def _essential(path: Path) -> bytes:
    """A PNG without what is no pixel, each of its parts whole: of anything else libpng prints lines of its own."""
    content, kept, packed, place = path.read_bytes(), io.BytesIO(), zlib.decompressobj(), len(_PNG)
    kept.write(_PNG)
    while place < len(content):
        length = int.from_bytes(content[place : place + 4], "big")
        kind, data = content[place + 4 : place + 8], content[place + 8 : place + 8 + length]
        check = content[place + 8 + length : place + 12 + length]
        if len(check) < 4 or int.from_bytes(check, "big") != zlib.crc32(kind + data):
            break
        if kind in (b"IHDR", b"PLTE", b"IDAT", b"IEND"):
            kept.write(content[place : place + 12 + length])
        try:
            if kind == b"IDAT":
                packed.decompress(data)
        except zlib.error:
            break
        if kind == b"IEND" and packed.eof:
            return kept.getvalue()
        place += 12 + length
    raise InputError(path, "is damaged or truncated", _AGAIN)
