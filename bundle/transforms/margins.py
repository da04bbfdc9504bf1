"""Parts of an image that show nothing, as the margin of a mosaic: found, and filled."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
from scipy.ndimage import binary_dilation, distance_transform_edt, label, maximum_filter, minimum_filter

from ..volumes import HERE, Workers

__all__ = ["empty_margin", "hidden_pixels", "hidden_squares", "mirrored"]

SIDE = 33  # pixels of the square that fits wherever nothing is shown; odd, so that it has a middle
LEAST = 500  # pixels of a margin
EVEN = 0.8  # of a margin lies in such squares; dark tissue of few grey levels frays
FIELD = 65  # pixels of the square that fits into most of what is shown: a vessel is narrower
ABRUPT = 0.25  # of the median of what is shown, which the pixels beside a margin have at least
LOOKED_AT = 1 << 23  # pixels, about, of the image in which a margin is sought
PASSES = 8  # after which pixels that no mirror has reached have the value of the nearest

# gives the rows of an image, some at a time
Blocks = Callable[[], Iterable[np.ndarray]]


def empty_margin(plane: np.ndarray) -> np.ndarray | None:
    """Where an image shows nothing, such as the black around the tiles of a mosaic.

    That is where a square of 33 pixels of its lowest value fits, beyond the image's border too, with all of that value
    that adjoins, if the squares hold most of it: dark tissue of few grey levels frays. A background that was set to 0
    is none either. It is told by what is shown beside it: a field, into most of which squares of 65 pixels fit, and
    which ends abruptly; vessels are narrower, or fade.

    Args:
        plane: ``[X, Y]``, any real type or boolean.

    Returns:
        Boolean ``[X, Y]``; None if there is no such place. All of an image of a single value is one.
    """
    least = plane.min()
    lowest = plane == least
    if lowest.all():
        return lowest
    if np.count_nonzero(lowest) < LEAST:
        return None
    squares = opened(lowest, SIDE)
    if np.count_nonzero(squares) < LEAST:
        return None
    areas, count = label(lowest)
    adjoin = np.zeros(count + 1, bool)
    adjoin[areas[squares]] = True
    margin = adjoin[areas]
    if np.count_nonzero(squares) < EVEN * np.count_nonzero(margin):
        return None
    shown = ~margin
    if 2 * np.count_nonzero(opened(shown, FIELD)) < np.count_nonzero(shown):
        return None
    level, beside = (np.median(plane[where]) - float(least) for where in (shown, shown & binary_dilation(margin)))
    if beside < ABRUPT * level:
        return None
    return None if (plane[shown] == plane[shown][0]).all() else margin


def hidden_pixels(planes: Sequence[Blocks], shape: tuple[int, int], workers: Workers = HERE) -> tuple[int, float]:
    """How many pixels of images that belong together are margin, with but a part of one in memory at a time.

    Of images of more than some eight million pixels the maxima of squares are looked at.

    Args:
        planes: for each image, what gives its rows ``[n, columns]``, in order, whenever it is called; any real type.
        shape: rows and columns of each.
        workers: who looks at the images.

    Returns:
        The number, without that of images whose margin is above the lowest value of all; 0 if nothing else is there.
        And that lowest value.
    """
    found = workers.each("looking for margins", partial(_hidden, planes, shape), range(len(planes)))
    least = min(value for _, value in found)
    hidden = sum(count for count, value in found if value == least)
    return (0 if hidden == len(found) * shape[0] * shape[1] else hidden), least


def _hidden(planes: Sequence[Blocks], shape: tuple[int, int], number: int) -> tuple[int, float]:
    margin, square, least = hidden_squares(planes[number], shape)
    if margin is None:
        return 0, least
    heights, widths = (np.diff([*range(0, side, square), side]) for side in shape)
    return int(heights @ margin @ widths), least


def hidden_squares(blocks: Blocks, shape: tuple[int, int]) -> tuple[np.ndarray | None, int, float]:
    """Where an image of which a part is in memory shows nothing, by squares.

    Args:
        blocks: as of :func:`hidden_pixels`.
        shape: rows and columns.

    Returns:
        :func:`empty_margin` of the maxima of squares, the side of a square (1 up to some eight million pixels), and the
        lowest value of the image.
    """
    square = math.ceil(math.sqrt(shape[0] * shape[1] / LOOKED_AT))
    columns = np.arange(0, shape[1], square)
    least: Any = None
    maxima = np.zeros((0, 0))
    start = 0
    for block in blocks():
        if not start:
            least = block.min()
            maxima = np.empty((-(-shape[0] // square), len(columns)), block.dtype)
        least = min(least, block.min())
        if square == 1:
            maxima[start : start + len(block)] = block
            start += len(block)
            continue
        of = np.arange(start, start + len(block)) // square
        firsts = np.flatnonzero(np.diff(of, prepend=-1))
        highest = np.maximum.reduceat(np.maximum.reduceat(block, columns, axis=1), firsts, axis=0)
        if start % square:  # a row of squares that the block before began
            highest[0] = np.maximum(maxima[of[0]], highest[0])
        maxima[of[firsts]] = highest
        start += len(block)
    return (empty_margin(maxima) if maxima.min() == least else None), square, least


def opened(region: np.ndarray, side: int) -> np.ndarray:
    """Where a square of odd side fits into a region ``[X, Y]`` that goes on beyond the image's border."""
    padded = np.pad(region.view(np.uint8), side - 1, constant_values=1)
    fits = minimum_filter(padded, side, mode="constant", cval=0)
    inside = slice(side - 1, 1 - side)
    return maximum_filter(fits, side, mode="constant", cval=0)[inside, inside].view(bool)


def mirrored(plane: np.ndarray, margin: np.ndarray) -> np.ndarray:
    """Fill a margin by the image, mirrored at the margin's border, and again where one image does not reach.

    What eight images do not reach, far from the little that is shown, has the value of the nearest pixel.

    Args:
        plane: ``[X, Y]``.
        margin: boolean ``[X, Y]``, not everywhere true.

    Returns:
        A filled copy.
    """
    filled, left = plane.copy(), margin.copy()
    last = np.array(plane.shape)[:, None] - 1
    for number in range(PASSES + 1):
        if not left.any():
            break
        places = np.array(np.nonzero(left))
        nearest = distance_transform_edt(left, return_distances=False, return_indices=True)[:, *places]
        across = 2 * nearest - places
        known = ((across >= 0) & (across <= last)).all(0)
        known[known] = ~left[tuple(across[:, known])]
        if number == PASSES or not known.any():  # one row of pixels has no other behind it
            across, known = nearest, np.ones_like(known)
        to, of = places[:, known], across[:, known]
        filled[tuple(to)] = filled[tuple(of)]
        left[tuple(to)] = False
    return filled
