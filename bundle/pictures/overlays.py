"""Pictures of masks: against the truth, and on the image they were found in. Arrays are in file order, YX or ZYX."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import imagecodecs
import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from ..io import atomic
from ..transforms import Stretching, ball, stretch
from ..volumes import dilated

# the colours of the paper's Fig. 5, by prediction + 2 * truth
_ERRORS = np.array([(0, 0, 0), (255, 0, 0), (0, 0, 255), (255, 255, 255)], dtype=np.uint8)
# stands out from every grey, and from red and blue for the colour-blind
_OUTLINE = np.array((255, 0, 255), dtype=np.uint8)
_CONTRAST = Stretching(0.5, 99.5)
_CROSS = ball(2, (1.0, 1.0))
_SIDE, _LEAST = 512, 64  # pixels: of a picture that needs no enlarging, and of one that has room for a scale bar


def error_overlay(prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Colour right and wrong: true positive white, false positive red, false negative blue, true negative black.

    The colours of the paper's Fig. 5. Of stacks the maximum projections are compared, so that an error before or
    behind a vessel does not show.

    Args:
        prediction: ``[Y, X]`` or ``[Z, Y, X]``, nonzero is vessel.
        truth: the same shape.

    Returns:
        uint8 ``[Y, X, 3]``.

    Raises:
        ValueError: the shapes differ.
    """
    if prediction.shape != truth.shape:
        raise ValueError(f"prediction {prediction.shape} and truth {truth.shape} differ in shape")
    return _ERRORS[_project(prediction != 0) + 2 * _project(truth != 0)]


def mask_overlay(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Draw the outline of a mask on its image.

    Grey values are stretched linearly between two percentiles, of which a margin is no part. The outline is one pixel
    wide and lies just outside the mask, so that the thinnest vessel stays visible. Stacks are shown by their maximum
    projection.

    Args:
        image: ``[Y, X]`` or ``[Z, Y, X]``, any real type.
        mask: ``[Y, X]`` or ``[Z, Y, X]`` with the same rows and columns, nonzero is vessel.

    Returns:
        uint8 ``[Y, X, 3]``.

    Raises:
        ValueError: the rows and columns differ.
    """
    image, mask = _project(image), _project(mask != 0)
    if image.shape != mask.shape:
        raise ValueError(f"image {image.shape} and mask {mask.shape} differ in rows and columns")
    low, high, margin = _CONTRAST.limits([lambda: [image]], image.shape)
    if low == high:  # a few bright pixels on a constant ground
        low, high = image.min(), image.max()
    if image.dtype.kind == "u" and image.dtype.itemsize <= 2 and image.size > np.iinfo(image.dtype).max:
        levels = np.arange(np.iinfo(image.dtype).max + 1, dtype=image.dtype)
        grey = _shades(levels, low, high, margin)[image]
    else:
        grey = _shades(image, low, high, margin)
    picture = np.repeat(grey[..., np.newaxis], 3, axis=-1)
    picture[dilated(mask, _CROSS) & ~mask] = _OUTLINE
    return picture


def _shades(values: np.ndarray, low: float, high: float, margin: float | None) -> np.ndarray:
    return np.round(255 * stretch(values, low, high, margin)).astype(np.uint8)


def for_people(picture: np.ndarray, pixel: float | None = None) -> np.ndarray:
    """Enlarge a small picture, so that its outlines can be seen, and draw a scale bar where the scale is known.

    Args:
        picture: uint8 ``[Y, X, 3]``.
        pixel: micrometres of a pixel, or None.

    Returns:
        uint8 ``[n Y, n X, 3]`` with a whole number n, 1 unless the longer side is below 512 pixels.
    """
    zoom = -(-_SIDE // max(picture.shape[:2]))
    picture = picture.repeat(zoom, 0).repeat(zoom, 1)
    height, width = picture.shape[:2]
    length = None if pixel is None else round_length(width * pixel / zoom / 4)
    if length is None or height < _LEAST:
        return picture
    drawn = PIL.Image.fromarray(picture)
    canvas = PIL.ImageDraw.Draw(drawn)
    unit = max(1, round(max(height, width) / _SIDE))
    right, bottom = width - 12 * unit, height - 12 * unit
    left = right - round(length * zoom / pixel)
    canvas.rectangle((left - unit, bottom - 5 * unit, right + unit, bottom + unit), fill="black")
    canvas.rectangle((left, bottom - 4 * unit, right, bottom), fill="white")
    canvas.text(
        ((left + right) / 2, bottom - 8 * unit),
        f"{length:g} µm",
        fill="white",
        font=PIL.ImageFont.truetype(_font(), 14 * unit),
        anchor="ms",
        stroke_width=unit,
        stroke_fill="black",
    )
    return np.asarray(drawn)


def _font() -> str:
    """A font that has the sign of micrometres, and comes with matplotlib on every system."""
    # its place is found without its import, which takes half a second
    spec = find_spec("matplotlib")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("matplotlib is not installed", name="matplotlib")
    return str(Path(spec.submodule_search_locations[0]) / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf")


def round_length(most: float) -> float | None:
    """The longest of 1, 2 and 5 times a power of ten that is no longer than ``most``; None of nothing."""
    if not most > 0:
        return None
    power = 10 ** np.floor(np.log10(most))
    return float(max(step for step in (1, 2, 5) if step * power <= most * (1 + 1e-9)) * power)


def write_png(path: str | Path, rgb: np.ndarray) -> None:
    """Write a picture as PNG; the same picture gives the same bytes.

    Args:
        path: the file to write.
        rgb: uint8 ``[Y, X, 3]``.

    Raises:
        InputError: the file cannot be written.
    """
    with atomic(path) as partial:
        # noise and flat colours become no smaller by the filters of the format, and a third of the time is enough
        partial.write_bytes(imagecodecs.png_encode(rgb, level=1, filter=imagecodecs.PNG.FILTER.NONE))


def write_panel(path: str | Path, pictures: Mapping[str, np.ndarray]) -> None:
    """Write pictures side by side, each under its title.

    Args:
        path: the PNG to write.
        pictures: title and picture, grey ``[Y, X]`` or uint8 RGB ``[Y, X, 3]``.

    Raises:
        InputError: the file cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4 * len(pictures), 4.3), layout="constrained")
    for axes, (title, picture) in zip(
        figure.subplots(1, len(pictures), squeeze=False)[0], pictures.items(), strict=True
    ):
        axes.imshow(picture, cmap="gray", interpolation="nearest")
        axes.set_title(title)
        axes.set_axis_off()
    with atomic(path) as partial:
        figure.savefig(partial, format="png", dpi=100, metadata={"Software": None})


def _project(array: np.ndarray) -> np.ndarray:
    return array if array.ndim == 2 else array.max(axis=0)
