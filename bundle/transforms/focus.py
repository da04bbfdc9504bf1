"""Multi-focus fusion: one image, sharp everywhere, from the slices of a stack, and the depth that each pixel has."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping

import numpy as np
from monai.config import KeysCollection, NdarrayOrTensor
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform
from monai.utils import TransformBackends, convert_to_dst_type
from scipy.ndimage import gaussian_filter, laplace, median_filter

from .arrays import channels_first

Planes = Callable[[], Iterable[np.ndarray]]


def maximum(planes: Planes) -> tuple[np.ndarray, np.ndarray]:
    """Maximum projection: the brightest value of each pixel, and the slice that it comes from.

    Args:
        planes: see :func:`fuse`.

    Returns:
        The fused plane and the depth map.
    """
    return _best(planes, lambda plane: plane)


def laplacian(planes: Planes, sigma: float = 2.0, median: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Energy of the Laplacian: each pixel from the slice where its neighbourhood is sharpest.

    The focus of a pixel is the squared Laplacian, averaged around it by a Gaussian; the slice of highest focus is its
    depth, and a median filter takes out lone outliers. A second pass reads the values at that depth, so that each is
    one that the stack holds at that pixel. Source: S. K. Nayar, Y. Nakagawa, Shape from focus, 1994,
    DOI 10.1109/34.308479.

    Args:
        planes: see :func:`fuse`.
        sigma: width of the average, in pixels.
        median: side of the median filter, in pixels.

    Returns:
        The fused plane and the depth map.
    """
    _, depth = _best(planes, lambda plane: gaussian_filter(laplace(plane.astype(np.float32)) ** 2, sigma))
    depth = median_filter(depth, size=median)
    return along(planes, depth), depth


METHODS = {"maximum": maximum, "laplacian": laplacian}


def fuse(planes: Planes, method: str = "maximum") -> tuple[np.ndarray, np.ndarray]:
    """Fuse the slices of a stack, one at a time.

    Args:
        planes: gives the slices in order, each `[X, Y]` of one type and size, whenever it is called; a method may go
            over the stack more than once, and holds a few planes in memory, however many there are.
        method: a key of `METHODS`.

    Returns:
        The fused plane, of the slices' type and within their values; and the depth map, float32: for each pixel the
        index of the slice, counted from 0, that its fused value comes from. Between equals it is the first.
    """
    return METHODS[method](planes)


def along(planes: Planes, depth: np.ndarray) -> np.ndarray:
    """Read a stack along a depth map; with the map of one channel, this fuses another alike.

    Args:
        planes: see :func:`fuse`.
        depth: `[X, Y]`, slice indices.

    Returns:
        `[X, Y]`, of the slices' type.
    """
    fused = None
    for index, plane in enumerate(planes()):
        fused = plane.copy() if fused is None else np.where(depth == index, plane, fused)
    return fused


def _best(planes: Planes, focus: Callable[[np.ndarray], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the highest focus of each pixel over the slices, and the index of the first slice that has it."""
    for index, plane in enumerate(planes()):
        measure = focus(plane)
        if index == 0:
            highest, depth = measure.copy(), np.zeros(measure.shape, np.float32)
        else:
            better = measure > highest
            highest[better] = measure[better]
            depth[better] = index
    return highest, depth


class FuseFocus(Transform):
    """Multi-focus fusion of a stack into one image (section II-A of the paper).

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
            The fused image, and the depth map `[C, X, Y]`, float32, as :func:`fuse` defines it; it is 0 everywhere for
            an image `[C, X, Y]`.
        """
        stack = channels_first(img)
        if stack.ndim == 3:
            return img, convert_to_dst_type(np.zeros(stack.shape, np.float32), img, dtype=np.float32)[0]
        fused, depth = zip(
            *(fuse(lambda channel=channel: np.moveaxis(channel, -1, 0), self.method) for channel in stack), strict=True
        )
        return _flat(np.stack(fused), img, stack.dtype), _flat(np.stack(depth), img, np.float32)


def _flat(plane: np.ndarray, stack: NdarrayOrTensor, dtype: type) -> NdarrayOrTensor:
    """Give a plane the kind and the metadata of the stack that it comes from, less the z axis."""
    out = convert_to_dst_type(plane, stack, dtype=dtype)[0]
    if isinstance(out, MetaTensor) and out.meta.get("spacing") is not None:
        out.meta["spacing"] = tuple(out.meta["spacing"])[-2:]
    return out


class FuseFocusd(MapTransform):
    """Dictionary twin of :class:`FuseFocus`.

    Args:
        keys: stacks to fuse.
        method: as there.
        depth: whether to put the depth map of each item KEY under `KEY_depth`.
        allow_missing_keys: whether a key may be absent.
    """

    backend = FuseFocus.backend

    def __init__(
        self, keys: KeysCollection, method: str = "maximum", depth: bool = False, allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.transform = FuseFocus(method)
        self.depth = depth

    def __call__(self, data: Mapping[Hashable, NdarrayOrTensor]) -> dict[Hashable, NdarrayOrTensor]:
        out = dict(data)
        for key in self.key_iterator(out):
            out[key], depth = self.transform.fuse(out[key])
            if self.depth:
                out[f"{key}_depth"] = depth
        return out
