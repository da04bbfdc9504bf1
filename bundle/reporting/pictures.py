"""Pictures small enough to be carried inside a page."""

from __future__ import annotations

import base64
import io

import numpy as np
import PIL.Image
from skimage.segmentation import find_boundaries

from ..transforms import LinearContrast, stretch

__all__ = ["grey_picture", "outline_picture"]

# longer sides in pixels that are tried until a picture fits; the first leaves room for zooming in
_SIDES = (1600, 1280, 1024, 800, 640, 480, 360)
_QUALITY = 82
_OUTLINE = (255, 0, 255)  # that of the overlays: stands out from every grey, for the colour-blind too
_CONTRAST = LinearContrast(0.5, 99.5)


def grey_picture(image: np.ndarray, most: int) -> tuple[str, tuple[int, int]]:
    """An image as WebP, its contrast stretched, made smaller as far as it must be.

    Args:
        image: ``[Y, X]``, any real type; a margin of NaN is shown black.
        most: bytes that the picture may have; the smallest size tried may have more.

    Returns:
        A data URI, and the picture's rows and columns.
    """
    image = np.nan_to_num(np.asarray(image, np.float32), nan=float(np.nanmin(image)) if np.isfinite(image).any() else 0)
    low, high, margin = _CONTRAST.limits([lambda: [image]], image.shape)
    if low == high:
        low, high = image.min(), image.max()
    picture = PIL.Image.fromarray(np.round(255 * stretch(image, low, high, margin)).astype(np.uint8))
    for side in _SIDES:
        smaller = picture.copy()
        smaller.thumbnail((side, side), PIL.Image.Resampling.BOX)  # means, which keep thin vessels
        stream = io.BytesIO()
        smaller.save(stream, format="WEBP", quality=_QUALITY, method=4)
        if stream.tell() <= most:
            break
    return _uri("webp", stream), (smaller.height, smaller.width)


def outline_picture(mask: np.ndarray, shape: tuple[int, int]) -> str:
    """The outline of a mask on nothing, as PNG, to be laid over its image.

    Args:
        mask: bool, ``[Y, X]``.
        shape: rows and columns of the picture.

    Returns:
        A data URI.
    """
    small = PIL.Image.fromarray(mask.astype(np.uint8)).resize(shape[::-1], PIL.Image.Resampling.NEAREST)
    line = PIL.Image.fromarray(find_boundaries(np.asarray(small), mode="outer").astype(np.uint8), mode="P")
    line.putpalette([0, 0, 0, *_OUTLINE])
    stream = io.BytesIO()
    line.save(stream, format="PNG", transparency=0, bits=1, optimize=True)
    return _uri("png", stream)


def _uri(kind: str, stream: io.BytesIO) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode()}"
