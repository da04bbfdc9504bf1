"""Parts of an image that show nothing, drawn in training."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import Randomizable, Transform
from monai.utils import TransformBackends

from .arrays import RandomTwin, share

__all__ = ["RandMargin", "RandMargind"]


class RandMargin(Randomizable, Transform):
    """Now and then give a rectangle of an image, or all of it, a single dark grey.

    A network that normalises every image by itself makes as much of an image without anything as of any other, unless
    it was shown such. In inference margins of exactly one value (:func:`~bundle.transforms.margins.empty_margin`) never
    reach it; whether these rectangles prepare it for dark surroundings with noise was not tried. Of the rectangle's
    sides each is between a third of the image's and all of it; both are all of it in a quarter of the cases. The grey
    value is 0 in half of them, else up to a tenth: from bright ones a network learns that the inside of a wide vessel
    is empty too.

    Args:
        prob: how often.
        brightest: the grey value that is not reached.

    Raises:
        InputError: ``prob`` is no number from 0 to 1.
    """

    backend = [TransformBackends.TORCH, TransformBackends.NUMPY]

    def __init__(self, prob: float = 0.1, brightest: float = 0.1) -> None:
        self.prob = share("margins", prob, 0.08)
        self.brightest = brightest
        self.part: tuple[slice, slice] | None = None
        self.grey = 0.0

    def randomize(self, data: tuple[int, int]) -> None:
        """Draw whether there is a rectangle in an image of X and Y, and then which, and its grey value."""
        self.part = None
        if self.R.random() >= self.prob:
            return
        whole = self.R.random() < 0.25
        sides = [side if whole else round(side * self.R.uniform(1 / 3, 1)) for side in data]
        starts = [self.R.randint(side - length + 1) for side, length in zip(data, sides, strict=True)]
        self.grey = self.brightest * self.R.random() if self.R.random() < 0.5 else 0.0
        x, y = (slice(start, start + length) for start, length in zip(starts, sides, strict=True))
        self.part = (x, y)

    def __call__(self, img: NdarrayOrTensor, grey: float | None = None, randomize: bool = True) -> NdarrayOrTensor:
        """Blank.

        Args:
            img: ``[C, X, Y]``, values from 0 to 1; stays as it is.
            grey: another value than the one that was drawn.
            randomize: whether to draw; else the rectangle is the last one's.

        Returns:
            The same shape and kind.
        """
        if randomize:
            self.randomize(tuple(img.shape[-2:]))
        if self.part is None:
            return img
        out = img.clone() if isinstance(img, torch.Tensor) else img.copy()
        out[..., self.part[0], self.part[1]] = self.grey if grey is None else grey
        return out


class RandMargind(RandomTwin, of=RandMargin):
    """Dictionary twin of :class:`RandMargin`, which says that the rectangle holds no vessel.

    Args:
        keys: the image, and whatever becomes 0 in the rectangle (mask, distance map), all of one size.
        image_key: which of them is the image.
        prob: how often.
        brightest: the grey value that is not reached.
        allow_missing_keys: whether a key may be absent.

    Raises:
        InputError: ``prob`` is no number from 0 to 1.
    """

    def __init__(
        self,
        keys: KeysCollection,
        image_key: str = "image",
        prob: float = 0.1,
        brightest: float = 0.1,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, prob, brightest, allow_missing_keys=allow_missing_keys)
        self.image_key = image_key

    def randomize(self, data: Mapping[Hashable, NdarrayOrTensor]) -> None:
        """Draw for the size of the image."""
        self.transform.randomize(tuple(data[self.image_key].shape[-2:]))

    def changed(self, key: Hashable, item: NdarrayOrTensor) -> NdarrayOrTensor:
        """The item with its rectangle: of the drawn grey in the image, else 0."""
        return self.transform(item, None if key == self.image_key else 0.0, randomize=False)
