"""What every transform here asks of its input: one of MONAI's array kinds, `[C, X, Y]` or `[C, X, Y, Z]`, finite."""

from __future__ import annotations

import numpy as np
import torch
from monai.config import NdarrayOrTensor
from monai.data import MetaTensor

from ..errors import InputError


def require_finite(array: np.ndarray, path: str | None = None) -> None:
    """Refuse NaN and infinity, which every comparison would take for background.

    Args:
        array: values of any type and shape.
        path: the file they come from, for the message.

    Raises:
        InputError: if a value is NaN or infinite.
    """
    if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
        raise InputError(path, "the image holds NaN or infinite values", "replace them by numbers first")


def channels_first(image: NdarrayOrTensor) -> np.ndarray:
    """Take an image as a NumPy array.

    Args:
        image: `[C, X, Y]` or `[C, X, Y, Z]`, numeric or boolean.

    Returns:
        The same values; memory may be shared with `image`.

    Raises:
        InputError: if the number of axes is another, an axis is empty, or a value is NaN or infinite; it names the
            file if the metadata do.
    """
    path = source(image)
    array = image.detach().cpu().numpy() if isinstance(image, torch.Tensor) else np.asarray(image)
    if array.ndim not in (3, 4):
        raise InputError(path, f"an image of shape {array.shape}", "give [C, X, Y] or [C, X, Y, Z]")
    if not array.size:
        raise InputError(path, f"an empty image of shape {array.shape}")
    require_finite(array, path)
    return array


def source(image: NdarrayOrTensor) -> str | None:
    """Return the file that an image was read from, or None where its metadata do not tell."""
    return image.meta.get("filename_or_obj") if isinstance(image, MetaTensor) else None
