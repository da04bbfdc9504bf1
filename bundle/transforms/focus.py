"""Multi-focus fusion: one image, sharp everywhere, from the slices of a stack, and the depth that each pixel has."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping

import numpy as np
from monai.config import KeysCollection, NdarrayOrTensor
from monai.data import MetaTensor
from monai.transforms import Transform
from monai.utils import TransformBackends, convert_to_dst_type
from scipy.ndimage import gaussian_filter, gaussian_laplace, median_filter

from .arrays import DictionaryTwin, channels_first

Planes = Callable[[], Iterable[np.ndarray]]


def fuse(planes: Planes, method: str = "maximum") -> tuple[np.ndarray, np.ndarray]:
    """Fuse the slices of a stack, one at a time.

    Args:
        planes: gives the slices in order, 2D arrays of one type and size, whenever it is called. A method may go over
            the stack more than once; it holds a few planes in memory, however many there are.
        method: a key of `METHODS`.

    Returns:
        The fused plane, of the slices' type and made of their values; and the depth map, float32: for each pixel the
        index of the slice in focus, counted from 0. Of equally focused slices it is the first, and a median filter of
        3 × 3 pixels takes out the lone pixels that only noise puts at another depth.
    """
    return METHODS[method](planes)


def maximum(planes: Planes) -> tuple[np.ndarray, np.ndarray]:
    """Maximum projection: the brightest value of each pixel; in focus is the slice that it comes from."""
    fused, depth = _best(planes, lambda plane: plane)
    return fused, _regularize(depth)


def laplacian(planes: Planes) -> tuple[np.ndarray, np.ndarray]:
    """Energy of the Laplacian: the value of each pixel in the slice where its neighbourhood is sharpest.

    Focus is the square of the Laplacian of Gaussian (2 pixels, a capillary's radius), averaged by a Gaussian (1 pixel).
    A second pass over the stack reads the values at the regularised depth. Source: M. Subbarao, T. Choi, A. Nikzad,
    Focusing techniques, 1993, DOI 10.1117/12.147706, there with the plain Laplacian.
    """
    _, depth = _best(planes, lambda plane: gaussian_filter(gaussian_laplace(plane.astype(np.float32), 2) ** 2, 1))
    depth = _regularize(depth)
    return along(planes, depth), depth


METHODS = {"maximum": maximum, "laplacian": laplacian}


def along(planes: Planes, depth: np.ndarray) -> np.ndarray:
    """Read a stack along a depth map.

    Args:
        planes: as of :func:`fuse`.
        depth: index of the slice to read at each pixel.

    Returns:
        The plane read, of the slices' type.
    """
    fused = None
    for index, plane in enumerate(planes()):
        fused = plane.copy() if fused is None else np.where(depth == index, plane, fused)
    return fused


def _best(planes: Planes, focus: Callable[[np.ndarray], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the highest focus of each pixel, and the index of the first slice that has it."""
    highest = depth = None
    for index, plane in enumerate(planes()):
        measure = focus(plane)
        if highest is None:
            highest, depth = measure.copy(), np.zeros(measure.shape, np.float32)
        better = measure > highest
        highest[better] = measure[better]
        depth[better] = index
    return highest, depth


def _regularize(depth: np.ndarray) -> np.ndarray:
    return median_filter(depth, size=3)


class FuseFocus(Transform):
    """Multi-focus fusion of a stack into one image (section II-A of the paper).

    What changed the stack's space before cannot be inverted after it: put it after those transforms that the inverse
    shall not undo, and before those that it shall.

    Args:
        method: "maximum", the maximum projection, or "laplacian", the sharpest slice of each neighbourhood.
    """

    backend = [TransformBackends.NUMPY]

    def __init__(self, method: str = "maximum") -> None:
        if method not in METHODS:
            raise ValueError(f"method must be one of {', '.join(METHODS)}, not {method!r}")
        self.method = method

    def __call__(self, img: NdarrayOrTensor) -> NdarrayOrTensor:
        """Fuse.

        Args:
            img: stack `[C, X, Y, Z]`, each channel on its own; an image `[C, X, Y]` is given back as it is.

        Returns:
            `[C, X, Y]`, of the stack's type.

        Raises:
            InputError: if a value is NaN or infinite.
        """
        return self.fuse(img)[0]

    def fuse(self, img: NdarrayOrTensor) -> tuple[NdarrayOrTensor, NdarrayOrTensor]:
        """Fuse, and give the depth map as well.

        Args:
            img: as in a call.

        Returns:
            The fused image, and the depth map `[C, X, Y]` as :func:`fuse` defines it, 0 everywhere for an image.
        """
        stack = channels_first(img)
        if stack.ndim == 3:
            return img, convert_to_dst_type(np.zeros(stack.shape), img, dtype=np.float32)[0]
        pairs = [fuse(lambda channel=channel: np.moveaxis(channel, -1, 0), self.method) for channel in stack]
        fused, depth = (_flat(np.stack(planes), img) for planes in zip(*pairs, strict=True))
        return fused, depth


def _flat(image: np.ndarray, stack: NdarrayOrTensor) -> NdarrayOrTensor:
    """Give an image the kind and the metadata of the stack that it comes from, less the z axis."""
    out = convert_to_dst_type(image, stack, dtype=image.dtype)[0]
    if isinstance(out, MetaTensor):
        if out.meta.get("spacing") is not None:
            out.meta["spacing"] = tuple(out.meta["spacing"])[-2:]  # in the file's order, ZYX
        if "axes" in out.meta:
            out.meta["axes"] = out.meta["axes"][-2:]
        if "spatial_shape" in out.meta:
            out.meta["spatial_shape"] = out.meta["spatial_shape"][:2]
    return out


class FuseFocusd(DictionaryTwin):
    """Dictionary twin of :class:`FuseFocus`.

    Args:
        keys: stacks to fuse.
        method: as there.
        depth: whether to put the depth map of each item KEY that is a stack under `KEY_depth`.
        allow_missing_keys: whether a key may be absent.
    """

    backend = FuseFocus.backend

    def __init__(
        self, keys: KeysCollection, method: str = "maximum", depth: bool = False, allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, FuseFocus(method), allow_missing_keys)
        self.depth = depth

    def __call__(self, data: Mapping[Hashable, NdarrayOrTensor]) -> dict[Hashable, NdarrayOrTensor]:
        out = dict(data)
        for key in self.key_iterator(out):
            stack = out[key]
            out[key], depth = self.transform.fuse(stack)
            if self.depth and stack.ndim == 4:
                out[f"{key}_depth"] = depth
        return out
