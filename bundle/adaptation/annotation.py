"""What a user has said of an image: vessel here, none there, and nothing of the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

__all__ = ["BACKGROUND", "UNLABELLED", "VESSEL", "Annotation", "halves", "scribbled"]

UNLABELLED, BACKGROUND, VESSEL = -1, 0, 1
# pixels beside a cut that neither half may be judged by: a vessel that is cut there lies in both
GUARD = 8


@dataclass(frozen=True)
class Annotation:
    """An image, ready for the networks, and what is known of its pixels.

    Args:
        name: of the image, for messages.
        images: the same image by contrast ("slice", "volume", "equalized"), each ``[X, Y]``, float32 in [0, 1].
        label: ``[X, Y]``, int8: :data:`VESSEL`, :data:`BACKGROUND` or :data:`UNLABELLED`.
        whole: whether every pixel was looked at, as in a mask, and not some of them, as in scribbles.

    Raises:
        ValueError: image and label differ in size.
    """

    name: str
    images: Mapping[str, np.ndarray]
    label: np.ndarray
    whole: bool

    def __post_init__(self) -> None:
        for contrast, image in self.images.items():
            if image.shape != self.label.shape:
                raise ValueError(f"the image ({contrast}) has {image.shape} pixels, its label {self.label.shape}")

    def only(self, part: np.ndarray) -> Annotation:
        """The same with nothing known outside a part ``[X, Y]``, bool."""
        return replace(self, label=np.where(part, self.label, np.int8(UNLABELLED)))


def halves(label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cut an image in two, so that each half has as many labelled vessel pixels, and some pixels between them.

    Along the axis along which the vessel pixels reach farther, since they are what there is little of.

    Args:
        label: ``[X, Y]`` of an :class:`Annotation`.

    Returns:
        Two parts ``[X, Y]``, bool, between which lie twice :data:`GUARD` pixels.
    """
    vessel = np.argwhere(label == VESSEL)
    axis = int(np.argmax(np.ptp(vessel, axis=0))) if len(vessel) else int(np.argmax(label.shape))
    cut = np.median(vessel[:, axis]) if len(vessel) else label.shape[axis] / 2
    place = np.arange(label.shape[axis]).reshape((-1, 1) if axis == 0 else (1, -1))
    before, after = place < cut - GUARD, place >= cut + GUARD
    return np.broadcast_to(before, label.shape), np.broadcast_to(after, label.shape)


def scribbled(strokes: np.ndarray) -> np.ndarray:
    """The label of scribbles: 1 on vessel, 2 on background, 0 where nothing was drawn.

    Args:
        strokes: ``[X, Y]``, of these three values.

    Returns:
        ``[X, Y]``, int8, as in :class:`Annotation`.

    Raises:
        ValueError: there are other values, or one of the two kinds of strokes is missing.
    """
    values = set(np.unique(strokes).tolist())
    if not values <= {0, 1, 2}:
        raise ValueError("scribbles hold other values than 0, 1 and 2")
    if not {1, 2} <= values:
        raise ValueError("scribbles need strokes of both kinds, 1 on vessel and 2 on background")
    return np.choose(strokes.astype(int), [UNLABELLED, VESSEL, BACKGROUND]).astype(np.int8)
