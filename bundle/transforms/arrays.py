"""What the transforms have in common: the arrays they take, and the form of their dictionary twins."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import numpy as np
import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform

from ..errors import InputError


class DictionaryTwin(MapTransform):
    """Apply an array transform to the items of given keys.

    Args:
        keys: the items.
        transform: the array transform.
        allow_missing_keys: whether a key may be absent.
    """

    def __init__(self, keys: KeysCollection, transform: Transform, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.transform = transform

    def __call__(self, data: Mapping[Hashable, NdarrayOrTensor]) -> dict[Hashable, NdarrayOrTensor]:
        out = dict(data)
        for key in self.key_iterator(out):
            out[key] = self.transform(out[key])
        return out


def channels_first(image: NdarrayOrTensor) -> np.ndarray:
    """Take an image as a NumPy array, and refuse one that no transform can treat.

    NaN is refused because every comparison with it is false: it would pass for background.

    Args:
        image: `[C, X, Y]` or `[C, X, Y, Z]`, numeric or boolean.

    Returns:
        The same values; memory may be shared with `image`.

    Raises:
        InputError: if the number of axes is another, an axis is empty, or a value is NaN or infinite; it names the
            file if the metadata do.
    """
    if isinstance(image, torch.Tensor):
        image_type = torch.float32 if image.dtype == torch.bfloat16 else image.dtype  # NumPy has no bfloat16
        array = image.detach().to("cpu", image_type).numpy()
    else:
        array = np.asarray(image)
    if array.ndim not in (3, 4):
        raise InputError(source(image), f"the image has shape {array.shape}", "give [C, X, Y] or [C, X, Y, Z]")
    if not array.size:
        raise InputError(source(image), f"the image is empty, of shape {array.shape}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputError(source(image), "the image holds NaN or infinite values", "replace them by numbers first")
    return array


def source(image: NdarrayOrTensor) -> str | None:
    """Return the file that an image was read from, or None where its metadata do not tell."""
    return image.meta.get("filename_or_obj") if isinstance(image, MetaTensor) else None
