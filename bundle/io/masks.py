"""Whether an array is a mask, and if not, what it probably is and how it becomes one.

Programs that label write other numbers than 0 and 255: ilastik 1 and 2, Labkit and QuPath a number for each class,
Cellpose and others a number for each object. Which of them is vessel nobody can tell from the numbers, so that it is
asked for: a label, or ``any``, which means all but 0.
"""

from __future__ import annotations

import math

import numpy as np

ANY = "any"
Foreground = float | str | None

_FEW = 16  # labels of classes or objects; an image has more values
_SMOOTH = 0.9  # of the pixels of a mask that was smoothed are near its two values


def is_foreground(value: object) -> bool:
    """Tell whether a value says which label is vessel: a number, ``any``, or None for masks of 0 and one other."""
    if value is None or value == ANY:
        return True
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def vessels_of(array: np.ndarray, foreground: Foreground = None) -> np.ndarray:
    """Where a mask shows vessel.

    Args:
        array: any shape, numeric or boolean, of which :func:`why_no_mask` has nothing to say.
        foreground: the label of vessels, ``any`` for all that is not 0, None for masks of 0 and one other value. A mask
            of 0 and 255, or of booleans, is read as it is whatever the label.

    Returns:
        bool, the same shape.
    """
    if foreground is None or foreground == ANY or _is_plain(array):
        return np.asarray(array != 0)
    return np.asarray(array == foreground)


def _is_plain(array: np.ndarray) -> bool:
    return array.dtype == bool or bool(((array == 0) | (array == 255)).all())


def why_no_mask(array: np.ndarray, foreground: Foreground = None) -> tuple[str, str] | None:
    """Tell why an array is no mask of 0 and one other value, or of the label that is vessel; None if it is.

    Args:
        array: any shape, numeric or boolean.
        foreground: as for :func:`vessels_of`.

    Returns:
        What is wrong with it, and what to do.
    """
    if foreground is not None:
        return _why_not_of(array, foreground)
    vessel = array != 0
    values = array[vessel]
    if not values.size or (values == values[0]).all():
        return None
    found = np.unique(array)
    shown = ", ".join(f"{value:g}" for value in found[:4]) + (", …" if found.size > 4 else "")
    problem = f"is not a binary mask: it holds {shown}"
    if found.size == 2:
        low, high = (f"{value:g}" for value in found)
        return problem, (
            f"no value is 0, as with the labels of ilastik: say --foreground {high} if {high} is vessel, or {low}; or "
            f"subtract {low} (Fiji: Process > Math > Subtract)"
        )
    if found.size <= _FEW:
        return problem, (
            "its labels are of classes or objects: say --foreground and the label of vessels, or --foreground any if "
            "all but 0 are vessels"
        )
    least, most = float(found[0]), float(found[-1])
    near = np.count_nonzero((array < least + (most - least) / 8) | (array > most - (most - least) / 8))
    if near > _SMOOTH * array.size:
        return problem, "JPEG or smoothing made its edges grey: threshold it, and save it as PNG or TIFF"
    return problem, "is it an image? give 0 and one other value"


def _why_not_of(array: np.ndarray, foreground: Foreground) -> tuple[str, str] | None:
    """The same of labels. One that shows a single value shows no vessel, or nothing else."""
    found = np.unique(array)
    if foreground == ANY or found.size == 1 or _is_plain(array):
        whole = np.equal(np.mod(array, 1), 0).all() if array.dtype.kind == "f" else True
        return None if whole else ("holds fractions, no labels", "is it an image? give a mask or labels")
    if foreground in found:
        return None
    shown = ", ".join(f"{value:g}" for value in found[:4]) + (", …" if found.size > 4 else "")
    return f"has no label {foreground:g}: it holds {shown}", "say --foreground and one of these, or leave it out"
