"""From arrays as microscopists have them, ``[Z, Y, X]``, to what is known of an image: an Annotation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from ..transforms import AdaptiveHistogramEqualization, FuseFocus, LinearContrast
from .annotation import Annotation, scribbled

__all__ = ["annotated_image", "annotated_slices"]


def annotated_image(name: str, image: np.ndarray, label: np.ndarray, *, scribbles: bool) -> Annotation:
    """What is known of a single image, or of a stack that will be fused.

    Args:
        name: of the image, for messages.
        image: ``[Y, X]``, or a stack ``[Z, Y, X]``, which is fused.
        label: ``[Y, X]``; of ``[Z, Y, X]`` the maximum over the slices counts.
        scribbles: the label is strokes, 1 on vessel and 2 on background; else a mask, 0 and one other value.

    Raises:
        ValueError: the label is not of the image's size, or is none of its kind.
    """
    if label.ndim == 3:
        label = label.max(axis=0)
    if image.ndim == 3 and len(image) > 1:
        image = np.asarray(FuseFocus()(image.T[None]))[0].T
    equalized = np.asarray(AdaptiveHistogramEqualization()(image.reshape(image.shape[-2:]).T[None]))[0]
    return _annotation(name, {"equalized": equalized}, label, scribbles)


def annotated_slices(
    name: str, stack: np.ndarray, labels: Mapping[int, np.ndarray], *, scribbles: bool
) -> list[Annotation]:
    """What is known of slices of a stack that will be segmented slice by slice.

    Args:
        name: of the stack, for messages.
        stack: ``[Z, Y, X]``; a single slice is a stack of one.
        labels: by the slice's number from 0, ``[Y, X]`` each, as of :func:`annotated_image`.
        scribbles: the same.

    Raises:
        ValueError: a label is not of the slices' size, or is none of its kind.
    """
    contrasts: tuple[Literal["slice", "volume"], ...] = ("slice", "volume") if len(stack) > 1 else ("slice",)
    stretched = {per: np.asarray(LinearContrast(per=per)(stack.T[None]))[0] for per in contrasts}
    return [
        _annotation(name, {per: array[..., z] for per, array in stretched.items()}, label, scribbles)
        for z, label in labels.items()
    ]


def _annotation(name: str, images: dict[str, np.ndarray], label: np.ndarray, scribbles: bool) -> Annotation:
    label = label.T
    size = next(iter(images.values())).shape
    if label.shape != size:
        raise ValueError(
            f"has {label.shape[0]} x {label.shape[1]} pixels, the image {size[0]} x {size[1]}; give its label"
        )
    if scribbles:
        return Annotation(name, images, scribbled(label), False)
    vessel = label != 0
    if vessel.any() and np.ptp(label[vessel]) != 0:
        raise ValueError("is no mask of 0 and one other value; give a mask, or say --scribbles for strokes 1 and 2")
    if not vessel.any() or vessel.all():
        raise ValueError("shows one kind of pixel alone; give a mask with vessel and background")
    return Annotation(name, images, vessel.astype(np.int8), True)
