"""Parts of an image that show nothing, as the margin of a mosaic or a field beyond the tissue."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import MapTransform, Randomizable
from monai.utils import TransformBackends

__all__ = ["RandMargind"]


class RandMargind(Randomizable, MapTransform):
    """Now and then give a rectangle of an image, or all of it, a single dark grey, and say that it holds no vessel.

    A network that normalises every image by itself makes as much of an image without anything as of any other, and
    loses the vessels of an image that is half empty, unless it was shown such. Of the rectangle's sides each is between
    a third of the image's and all of it; both are all of it in a quarter of the cases. The grey value is 0 in half of
    them, else up to a tenth: from bright ones a network learns that the inside of a wide vessel is empty too.

    Args:
        keys: the image, ``[C, X, Y]`` with values from 0 to 1, and whatever becomes 0 in the rectangle (mask, distance
            map), all of one size.
        image_key: which of them is the image.
        prob: how often.
        brightest: the grey value that is not reached.
        allow_missing_keys: whether a key may be absent.
    """

    backend = [TransformBackends.TORCH, TransformBackends.NUMPY]

    def __init__(
        self,
        keys: KeysCollection,
        image_key: str = "image",
        prob: float = 0.1,
        brightest: float = 0.1,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.image_key = image_key
        self.prob = prob
        self.brightest = brightest

    def randomize(self, size: tuple[int, int]) -> tuple[tuple[slice, slice], float] | None:
        """Draw whether there is a rectangle, and then which, and its grey value."""
        if self.R.random() >= self.prob:
            return None
        whole = self.R.random() < 0.25
        sides = [side if whole else round(side * self.R.uniform(1 / 3, 1)) for side in size]
        starts = [self.R.randint(side - length + 1) for side, length in zip(size, sides, strict=True)]
        grey = self.brightest * self.R.random() if self.R.random() < 0.5 else 0.0
        part = tuple(slice(start, start + length) for start, length in zip(starts, sides, strict=True))
        return part, grey

    def __call__(self, data: Mapping[Hashable, NdarrayOrTensor]) -> dict[Hashable, NdarrayOrTensor]:
        out = dict(data)
        drawn = self.randomize(tuple(out[self.image_key].shape[-2:]))
        if drawn is None:
            return out
        part, grey = drawn
        for key in self.key_iterator(out):
            array = out[key]
            out[key] = array.clone() if isinstance(array, torch.Tensor) else array.copy()
            out[key][..., part[0], part[1]] = grey if key == self.image_key else 0
        return out
