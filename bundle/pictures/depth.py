"""Depth as colour: a projection whose hue says how deep each vessel lies, and the bar that reads it back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter1d, minimum_filter1d

from ..transforms import stretch
from .overlays import round_length

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["brightest_vessel", "depth_colours", "depth_picture", "framed", "hue"]

_PERCENTILES = (1, 99)
# from yellow through green and blue to violet, darker all the way, so that order shows in grey too
_LIGHTNESS, _ANGLES, _CHROMA = (90, 52), (85, 318), 62
_FAINTEST = 0.6
_LEAST = 1e-3  # weight of a voxel without light
_SIDE = (900, 2000)  # pixels between which a picture's longer side is brought
_PAPER, _INK = "black", "white"


def hue(share: np.ndarray) -> np.ndarray:
    """The colour of a depth.

    Args:
        share: 0 for the first slice to 1 for the last, any shape.

    Returns:
        float in [0, 1], RGB along a new last axis.
    """
    table = _table()
    place = np.clip(np.asarray(share, float), 0, 1) * (len(table) - 1)
    steps = np.arange(len(table))
    return np.stack([np.interp(place, steps, table[:, k]) for k in range(3)], axis=-1)


@lru_cache
def _table() -> np.ndarray:
    """256 colours, each as strong as a screen can show it at its lightness, without leaps."""
    from skimage.color import lab2rgb, rgb2lab

    share = np.linspace(0, 1, 256)
    angle = np.deg2rad(_ANGLES[0] + share * (_ANGLES[1] - _ANGLES[0]))
    lightness = _LIGHTNESS[0] + share * (_LIGHTNESS[1] - _LIGHTNESS[0])

    def colours(chroma: np.ndarray) -> np.ndarray:
        return np.stack([lightness, chroma * np.cos(angle), chroma * np.sin(angle)], axis=-1)

    chroma = np.full(256, float(_CHROMA))
    for _ in range(_CHROMA):
        lab = colours(chroma)
        beyond = np.abs(rgb2lab(lab2rgb(lab)) - lab).max(axis=-1) > 0.1  # what a screen cannot show is clipped
        chroma -= beyond
    chroma = gaussian_filter1d(minimum_filter1d(chroma, 61, mode="nearest"), 15, mode="nearest", truncate=2.0)
    return lab2rgb(colours(chroma))


def brightest_vessel(slices: Iterable[np.ndarray], masks: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Find the brightest vessel under each pixel and how deep it lies, a slice at a time.

    A vessel is a run of voxels of the mask, one below the other. It lies at their mean slice, weighted by their grey
    values: the brightest voxel itself jumps within a vessel, as noise has it.

    Args:
        slices: the stack's slices ``[Y, X]``, in order.
        masks: the same slices of its mask, nonzero is vessel.

    Returns:
        The brightest grey value of that vessel, the slices' type, 0 where no vessel is; and its slice with fractions,
        float32, NaN where none is. Of equals it is the first.
    """
    found = run = None
    for z, (plane, mask) in enumerate(zip(slices, masks, strict=True)):
        inside = np.asarray(mask) != 0
        if found is None or run is None:
            found = np.zeros_like(plane), np.full(plane.shape, np.nan, np.float32)
            run = np.zeros_like(plane), *(np.zeros(plane.shape, np.float32) for _ in range(2))
        _settle(found, run, ~inside)
        brightest, weight, moment = run
        np.copyto(brightest, plane, where=inside & ((weight == 0) | (plane > brightest)))
        light = np.where(inside, np.maximum(plane, 0) + np.float32(_LEAST), 0).astype(np.float32)
        weight += light
        moment += light * z
    if found is None or run is None:
        raise ValueError("no slices")
    _settle(found, run, np.ones(found[0].shape, bool))
    return found


def _settle(found: tuple[np.ndarray, np.ndarray], run: tuple[np.ndarray, ...], where: np.ndarray) -> None:
    """Let the runs that have ended be what is found, where they are brighter, and begin anew."""
    (grey, depth), (brightest, weight, moment) = found, run
    ended = where & (weight > 0)
    better = ended & (np.isnan(depth) | (brightest > grey))
    grey[better] = brightest[better]
    depth[better] = moment[better] / weight[better]
    weight[ended] = moment[ended] = 0


def depth_colours(grey: np.ndarray, depth: np.ndarray, count: int) -> np.ndarray:
    """Colour each vessel by its slice: bright yellow in front, dark violet behind; stain makes it brighter.

    Args:
        grey: ``[Y, X]``, as of :func:`brightest_vessel`.
        depth: the slice, with fractions, NaN where no vessel is.
        count: number of slices.

    Returns:
        uint8 ``[Y, X, 3]``, black where no vessel is.
    """
    vessel = ~np.isnan(depth)
    picture = np.zeros((*depth.shape, 3), np.uint8)
    if vessel.any():
        values = grey[vessel]
        light = stretch(values, *np.percentile(values, _PERCENTILES))
        if not light.any():  # vessels of one grey value
            light[:] = 1
        light = _FAINTEST + (1 - _FAINTEST) * light
        picture[vessel] = np.round(255 * hue(depth[vessel] / max(count - 1, 1)) * light[:, np.newaxis])
    return picture


def depth_picture(
    grey: np.ndarray, depth: np.ndarray, count: int, spacing: Sequence[float] | None = None
) -> np.ndarray:
    """The colours of :func:`depth_colours` with a bar that says which depth has which.

    Args:
        grey: as there.
        depth: as there.
        count: as there.
        spacing: µm along Z, Y and X: depth is then in µm and a scale bar is drawn; else slices are counted from 1.

    Returns:
        uint8 ``[Y, X, 3]``, brought to a size that fits a slide.
    """
    return framed(depth_colours(grey, depth, count), count, spacing, spacing[-1] if spacing else None)


def framed(
    picture: np.ndarray, count: int, spacing: Sequence[float] | None = None, pixel: float | None = None
) -> np.ndarray:
    """Put the colour bar beside a picture coloured by :func:`hue`, and a scale bar into it.

    Args:
        picture: uint8 ``[Y, X, 3]``.
        count: number of slices.
        spacing: µm along Z, Y and X, or None.
        pixel: µm of a pixel of the picture, for the scale bar, or None.

    Returns:
        uint8 ``[Y, X, 3]``.
    """
    height, width = picture.shape[:2]
    longest = max(height, width)
    zoom = -(-_SIDE[0] // longest) if longest < _SIDE[0] else min(1.0, _SIDE[1] / longest)
    if zoom > 1:
        picture = picture.repeat(zoom, 0).repeat(zoom, 1)
    elif zoom < 1:  # means of blocks keep thin vessels, which a choice of pixels would break
        block = -(-longest // _SIDE[1])
        zoom = 1 / block
        picture = picture[: height // block * block or height, : width // block * block or width]
        rows, columns = max(picture.shape[0] // block, 1), max(picture.shape[1] // block, 1)
        tall, wide = min(block, picture.shape[0]), min(block, picture.shape[1])
        picture = picture.reshape(rows, tall, columns, wide, 3).mean((1, 3)).astype(np.uint8)
    height, width = picture.shape[:2]
    unit = max(height, width) / 900  # what is written grows with the picture
    side, margin = round(130 * unit), round(24 * unit)
    high = max(height, round(260 * unit))
    dpi = 72 * unit
    from matplotlib.figure import Figure

    figure = Figure(figsize=((width + side) / dpi, high / dpi), dpi=dpi, facecolor=_PAPER)
    share = width / (width + side)
    if pixel:
        _scale_bar(figure, width, high, side, margin, pixel / zoom, width)
    bar = figure.add_axes((share + 0.2 * side / (width + side), 0.12, 0.2 * side / (width + side), 0.76))
    end = (count - 1) * spacing[0] if spacing else count
    begin = 0.0 if spacing else 1
    if end == begin:
        end = begin + 1
    bar.imshow(hue(np.linspace(0, 1, 256))[:, np.newaxis], aspect="auto", extent=(0, 1, end, begin))
    bar.set_xticks([])
    bar.yaxis.tick_right()
    bar.yaxis.get_major_locator().set_params(integer=not spacing)
    bar.tick_params(colors=_INK, labelsize=13, length=3)
    bar.set_title("depth\n(µm)" if spacing else "slice,\nfrom 1", color=_INK, fontsize=13, loc="left", pad=10)
    for spine in bar.spines.values():
        spine.set_visible(False)
    drawn = _drawn(figure)
    top = (drawn.shape[0] - height) // 2
    canvas = drawn[..., :3].copy()
    region = canvas[top : top + height, :width]
    ink = region.copy()
    region[:] = picture
    np.maximum(region, ink, out=region)  # the scale bar, white on the black that matplotlib left
    return canvas


def _scale_bar(figure: Figure, width: int, high: int, side: int, margin: int, micrometers: float, columns: int) -> None:
    """A white line of a round number of µm, at most a quarter of the picture long."""
    length = round_length(columns * micrometers / 4)
    if length is None:
        return
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, width + side)
    axes.set_ylim(0, high)
    axes.set_axis_off()
    right = width - margin
    left = right - length / micrometers
    axes.fill_between([left, right], margin, margin * 1.3, color=_INK, linewidth=0)
    axes.text((left + right) / 2, margin * 1.6, f"{length:g} µm", color=_INK, fontsize=13, ha="center", va="bottom")


def _drawn(figure: Figure) -> np.ndarray:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())
