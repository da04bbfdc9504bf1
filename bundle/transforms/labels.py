"""Masks as training takes them: binary, and of the image's size."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import numpy as np
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import MapTransform, Transform
from monai.utils import TransformBackends, convert_to_dst_type

from ..errors import InputError
from ..io import Foreground, remark, vessels_of, why_no_mask
from .arrays import channels_first, source
from .focus import FuseFocus


class BinaryLabel(Transform):
    """Turn a mask of 0 and one other value, or labels of which one is vessel, into 0 and 1.

    Args:
        foreground: of labels, the one that is vessel, or ``any`` for all but 0; see :func:`bundle.io.vessels_of`.
    """

    backend = [TransformBackends.NUMPY]

    def __init__(self, foreground: Foreground = None) -> None:
        self.foreground = foreground

    def __call__(self, img: NdarrayOrTensor) -> NdarrayOrTensor:
        """Binarise.

        Args:
            img: mask ``[C, X, Y]`` or ``[C, X, Y, Z]``: 0, and one value for vessels (1, 254 or 255, say).

        Returns:
            The same shape, float32, 0 and 1.

        Raises:
            InputError: if there are other values, as in an image taken for a mask.
        """
        mask = channels_first(img)
        wrong = why_no_mask(mask, self.foreground)
        if wrong is not None:
            raise InputError(source(img), *wrong)
        return convert_to_dst_type(vessels_of(mask, self.foreground), img, dtype=np.float32)[0]


class BinaryLabeld(MapTransform):
    """Dictionary twin of :class:`BinaryLabel`, which also compares the mask's size with the image's.

    A mask that is empty, full or for more than half vessel, as an inverted one, gets a remark.
    A mask drawn on the slices of a stack is projected, as the stack was when it was fused.

    Args:
        keys: the masks.
        image_key: the image of the same item, already fused if it was a stack.
        allow_missing_keys: whether a key may be absent.
        foreground: of :class:`BinaryLabel`.

    Raises:
        InputError: if image and mask differ in size.
    """

    backend = BinaryLabel.backend

    def __init__(
        self,
        keys: KeysCollection,
        image_key: str = "image",
        allow_missing_keys: bool = False,
        foreground: Foreground = None,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.image_key = image_key
        self.transform = BinaryLabel(foreground)
        self.projection = FuseFocus("maximum")

    def __call__(self, data: Mapping[Hashable, NdarrayOrTensor]) -> dict[Hashable, NdarrayOrTensor]:
        out = dict(data)
        for key in self.key_iterator(out):
            image, mask = out[self.image_key], out[key]
            if mask.ndim == 4 and image.ndim == 3:
                mask = self.projection(mask)
            if image.shape[1:] != mask.shape[1:]:
                sizes = [" × ".join(map(str, array.shape[1:])) for array in (mask, image)]
                raise InputError(
                    source(mask), f"has {sizes[0]} pixels, its image {source(image)} {sizes[1]}", "give a matching pair"
                )
            out[key] = self.transform(mask)
            doubt = doubtful(np.asarray(out[key]) > 0)
            if doubt and source(mask) is not None:
                remark(source(mask), f"{doubt}; a network learns from it all the same")
        return out


def doubtful(mask: np.ndarray) -> str:
    """What makes one wonder whether a mask is what its image's annotator meant; nothing if nothing does.

    Args:
        mask: bool, of any shape.
    """
    share = mask.mean()
    if share == 0:
        return "is an empty mask, no vessel is marked"
    if share == 1:
        return "is a full mask, all of it is marked as vessel"
    if share > 0.5:
        return f"marks {100 * share:.0f} % as vessel, it may be inverted"
    return ""
