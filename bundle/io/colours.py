"""Tables of colours, by which pictures and false colours are stored as one number for each pixel."""

from __future__ import annotations

import numpy as np


def table_of_greys(table: np.ndarray) -> bool:
    """Tell whether a table ``[n, 3]`` of red, green and blue holds nothing but greys."""
    return bool((table == table[:, :1]).all())


def false_colours(table: np.ndarray) -> bool:
    """Tell whether a table ``[n, 3]`` shows larger numbers brighter throughout: the numbers are intensities then.

    So do the tables by which microscopes' programs show a channel green or red.
    """
    steps = np.diff(table.astype(int), axis=0)
    return bool((steps >= 0).all() and steps.any())


def looked_up(numbers: np.ndarray, table: np.ndarray) -> np.ndarray:
    """What numbers ``[Y, X]`` stand for in a table ``[n]`` or ``[n, S]``; ``[Y, X]`` or ``[Y, X, S]``."""
    return table[numbers]
