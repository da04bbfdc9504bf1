"""Whether an array is a mask, and if not, what it probably is and how it becomes one."""

from __future__ import annotations

import numpy as np

_FEW = 16  # labels of classes or objects; an image has more values
_SMOOTH = 0.9  # of the pixels of a mask that was smoothed are near its two values


def why_no_mask(array: np.ndarray) -> tuple[str, str] | None:
    """Tell why an array is no mask of 0 and one other value; None if it is.

    Args:
        array: any shape, numeric or boolean.

    Returns:
        What is wrong with it, and what to do.
    """
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
            f"no value is 0, as with the labels of ilastik: subtract {low} (Fiji: Process > Math > Subtract) if {high} "
            "is vessel; else keep its other value by Image > Adjust > Threshold"
        )
    if found.size <= _FEW:
        return problem, "its labels are of classes or objects: keep those of vessels (Fiji: Image > Adjust > Threshold)"
    least, most = float(found[0]), float(found[-1])
    near = np.count_nonzero((array < least + (most - least) / 8) | (array > most - (most - least) / 8))
    if near > _SMOOTH * array.size:
        return problem, "JPEG or smoothing made its edges grey: threshold it, and save it as PNG or TIFF"
    return problem, "is it an image? give 0 and one other value"
