"""Fusion as MONAI transforms."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import numpy as np
from monai.config import KeysCollection, NdarrayOrTensor
from monai.data import MetaTensor
from monai.transforms import Transform
from monai.utils import TransformBackends, convert_to_dst_type

from ...errors import InputError
from ..arrays import DictionaryTwin, channels_first, source
from .fusion import DEFAULT, Fusing, fuse
from .measures import Measure
from .planes import Planes, along


class FuseFocus(Fusing, Transform):
    """Multi-focus fusion of a stack into one image (section II-A of the paper).

    What changed the stack's space before cannot be inverted after it: put it after those transforms that the inverse
    shall not undo, and before those that it shall.

    Args:
        method: "maximum", the maximum projection; "hessian", "laplacian" or "variance", the slice where a pixel's
            neighbourhood is sharpest by that measure; "wavelet", the sharpest wavelet coefficients; or a function that
            gives the likelihood of a vessel in a slice, `[Y, X]` to `[Y, X]`, by which the slices are weighted.

    Raises:
        ValueError: an unknown method.
    """

    backend = [TransformBackends.NUMPY]

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
        pairs = [fuse(_slices(channel), self.method) for channel in stack]
        fused, depth = (_flat(np.stack([plane.T for plane in planes]), img) for planes in zip(*pairs, strict=True))
        return fused, depth

    @staticmethod
    def along(img: NdarrayOrTensor, depth: NdarrayOrTensor) -> NdarrayOrTensor:
        """Read a stack along a depth map, such as another channel's.

        Args:
            img: stack `[C, X, Y, Z]`.
            depth: `[1, X, Y]`, for all channels, or `[C, X, Y]`: index of the slice to read, counted from 0.

        Returns:
            `[C, X, Y]`, of the stack's type.

        Raises:
            InputError: the depth map does not fit the stack, or a value is NaN or infinite.
        """
        stack, depths = channels_first(img), channels_first(depth)
        if stack.ndim != 4 or depths.ndim != 3 or len(depths) not in (1, len(stack)):
            shapes = f"a depth map of shape {depths.shape} for a stack of shape {stack.shape}"
            raise InputError(source(img), shapes, "give [1, X, Y] or [C, X, Y] for [C, X, Y, Z]")
        depths = np.broadcast_to(depths, (len(stack), *depths.shape[1:]))
        try:
            read = [along(_slices(channel), depth.T).T for channel, depth in zip(stack, depths, strict=True)]
        except ValueError as error:
            raise InputError(source(img), str(error), "give the depth map of this stack") from None
        return _flat(np.stack(read), img)


def _slices(channel: np.ndarray) -> Planes:
    """The slices YX of `[X, Y, Z]`, as files hold them, so that a file and its array are fused alike."""
    return lambda: channel.T


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


class FuseFocusd(DictionaryTwin, of=FuseFocus):
    """Dictionary twin of :class:`FuseFocus`.

    Args:
        keys: stacks to fuse.
        method: as there.
        depth: whether to put the depth map of each item KEY that is a stack under `KEY_depth`.
        along: key of a depth map along which the stacks are read, instead of being fused by themselves.
        allow_missing_keys: whether a key may be absent.

    Raises:
        ValueError: both `depth` and `along` are asked for.
    """

    def __init__(
        self,
        keys: KeysCollection,
        method: str | Measure = DEFAULT,
        depth: bool = False,
        along: str | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, method, allow_missing_keys=allow_missing_keys)
        if depth and along is not None:
            raise ValueError(f"read along {along}, the stacks have no depth of their own to give")
        self.depth = depth
        self.along = along

    def __call__(self, data: Mapping[Hashable, NdarrayOrTensor]) -> dict[Hashable, NdarrayOrTensor]:
        out = dict(data)
        for key in self.key_iterator(out):
            stack = out[key]
            if self.along is not None:
                out[key] = self.transform.along(stack, out[self.along])
                continue
            out[key], depth = self.transform.fuse(stack)
            if self.depth and stack.ndim == 4:
                out[f"{key}_depth"] = depth
        return out
