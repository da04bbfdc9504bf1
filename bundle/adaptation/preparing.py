"""From arrays as microscopists have them, ``[Z, Y, X]``, to what is known of an image: an Annotation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    stretched: dict[str, np.ndarray] = {per: np.asarray(LinearContrast(per=per)(stack.T[None]))[0] for per in contrasts}
    annotations = []
    for z, label in labels.items():
        images = {per: np.ascontiguousarray(array[..., z]) for per, array in stretched.items()}
        others = sorted({len(stack) // 4, 3 * len(stack) // 4} - {z})
        looks = [{per: _like(images[per], array[..., other]) for per, array in stretched.items()} for other in others]
        annotations.append(_annotation(name, images, label, scribbles, looks))
    return annotations


def _like(image: np.ndarray, other: np.ndarray) -> np.ndarray:
    """An image with the brightness of another one, and at least its noise: what it shows, as a deeper slice would.

    A power law takes the middle grey value and the 99th percentile to those of the other, as far as it can without
    making one look of another kind.
    """
    (middle, top), (its_middle, its_top) = (
        np.maximum(np.percentile(each, (50, 99)), (0.01, 0.02)) for each in (image, other)
    )
    bend = np.log(min(its_middle / its_top, 0.95)) / np.log(min(middle / top, 0.95))
    seen = its_top * (image / top) ** np.clip(bend, 0.5, 2)
    more = np.sqrt(max(_noise(other) ** 2 - _noise(seen) ** 2, 0))
    noise = np.random.default_rng(0).standard_normal(image.shape)
    return np.clip(seen + more * noise, 0, 1).astype(np.float32)


def _noise(image: np.ndarray) -> float:
    """Standard deviation of the noise of ``[X, Y]``, of its second differences, robustly.

    After Immerkær, Fast noise variance estimation, doi:10.1006/cviu.1996.0060, with the median for the mean.
    """
    if min(image.shape) < 3:
        return 0.0
    across = np.diff(np.diff(image, 2, axis=0), 2, axis=1)  # whose deviation is six times that of the noise
    return float(np.median(np.abs(across)) / 0.6745 / 6)


def _annotation(
    name: str,
    images: dict[str, np.ndarray],
    label: np.ndarray,
    scribbles: bool,
    looks: Sequence[Mapping[str, np.ndarray]] = (),
) -> Annotation:
    label = label.T
    size = next(iter(images.values())).shape
    if label.shape != size:
        raise ValueError(
            f"has {label.shape[0]} x {label.shape[1]} pixels, the image {size[0]} x {size[1]}; give its label"
        )
    if scribbles:
        return Annotation(name, images, scribbled(label), False, looks)
    vessel = label != 0
    if vessel.any() and np.ptp(label[vessel]) != 0:
        raise ValueError("is no mask of 0 and one other value; give a mask, or say --scribbles for strokes 1 and 2")
    if not vessel.any() or vessel.all():
        raise ValueError("shows one kind of pixel alone; give a mask with vessel and background")
    return Annotation(name, images, vessel.astype(np.int8), True, looks)
