"""The methods of fusion by their names."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from .likelihood import weighted
from .measures import Measure, hessian, laplacian, maximum, select, variance
from .planes import Planes
from .wavelet import wavelet

METHODS: dict[str, Callable[[Planes], tuple[np.ndarray, np.ndarray]]] = {
    "maximum": maximum,
    "hessian": partial(select, measure=hessian),
    "laplacian": partial(select, measure=laplacian),
    "variance": partial(select, measure=variance),
    "wavelet": wavelet,
}
DEFAULT = "maximum"


def fuse(planes: Planes, method: str | Measure = DEFAULT) -> tuple[np.ndarray, np.ndarray]:
    """Fuse the slices of a stack, one at a time.

    Args:
        planes: gives the slices in order, 2D arrays of one type and size, whenever it is called. A method may go over
            the stack more than once; it holds a dozen planes in memory, wavelets thirty, however many slices there are.
        method: a key of `METHODS`, or the likelihood of a vessel in a slice, a function from `[Y, X]` to `[Y, X]` in
            [0, 1], such as a network's, by which the slices are weighted.

    Returns:
        The fused plane, of the slices' type and at each pixel within the values that the stack has there; and the
        depth map, float32: for each pixel the index of the slice in focus, counted from 0, with fractions between
        slices. Of equally focused slices it is the first. Where nothing tells a depth it runs smoothly between the
        depths around.
    """
    return weighted(planes, method) if callable(method) else METHODS[method](planes)


class Fusing:
    """How stacks are fused: the argument of :class:`bundle.transforms.FuseFocus`."""

    def __init__(self, method: str | Measure = DEFAULT) -> None:
        if not callable(method) and method not in METHODS:
            raise ValueError(f"method must be one of {', '.join(METHODS)}, not {method!r}")
        self.method = method
