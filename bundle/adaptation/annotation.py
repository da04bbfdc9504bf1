"""What a user has said of an image: vessel here, none there, and nothing of the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

__all__ = ["BACKGROUND", "UNLABELLED", "VESSEL", "Annotation", "scribbled"]

UNLABELLED, BACKGROUND, VESSEL = -1, 0, 1


@dataclass(frozen=True)
class Annotation:
    """An image, ready for the networks, and what is known of its pixels.

    Args:
        name: of the image, for messages.
        images: the same image by contrast ("slice", "volume", "equalized"), each ``[X, Y]``, float32 in [0, 1].
        label: ``[X, Y]``, int8: :data:`VESSEL`, :data:`BACKGROUND` or :data:`UNLABELLED`.
        whole: whether every pixel was looked at, as in a mask, and not some of them, as in scribbles.
        looks: the image as bright and as noisy as other images of its kind, by contrast like ``images``: what is
            learned has to hold for them too. None known: empty.

    Raises:
        ValueError: image and label differ in size.
    """

    name: str
    images: Mapping[str, np.ndarray]
    label: np.ndarray
    whole: bool
    looks: Sequence[Mapping[str, np.ndarray]] = field(default=())

    def __post_init__(self) -> None:
        for images in (self.images, *self.looks):
            for contrast, image in images.items():
                if image.shape != self.label.shape:
                    raise ValueError(f"the image ({contrast}) has {image.shape} pixels, its label {self.label.shape}")

    def only(self, part: np.ndarray) -> Annotation:
        """The same with nothing known outside a part ``[X, Y]``, bool."""
        return replace(self, label=np.where(part, self.label, np.int8(UNLABELLED)))


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
