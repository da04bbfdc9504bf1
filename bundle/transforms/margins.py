"""Parts of an image that show nothing, as the margin of a mosaic: found, filled, and drawn in training."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import numpy as np
import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import MapTransform, Randomizable, Transform
from monai.utils import TransformBackends
from scipy.ndimage import distance_transform_edt, label, maximum_filter, minimum_filter

from ..errors import InputError

__all__ = ["RandMargin", "RandMargind", "empty_margin", "mirrored"]

SIDE = 33  # pixels of the square that fits wherever nothing is shown; odd, so that it has a middle
LEAST = 500  # pixels of a margin
ELSEWHERE = 0.05  # share of the other pixels that may have the margin's value by chance


def empty_margin(plane: np.ndarray) -> np.ndarray | None:
    """Where an image shows nothing, such as the black around the tiles of a mosaic.

    That is where a square of 33 pixels of its lowest value fits, beyond the image's border too, with all of that value
    that adjoins, unless many other pixels have that value: then the background was taken off, and the empty squares are
    background as well.

    Args:
        plane: ``[X, Y]``, any real type.

    Returns:
        Boolean ``[X, Y]``; None if there is no such place. All of an image of a single value is one.
    """
    lowest = plane == plane.min()
    if lowest.all():
        return lowest
    if np.count_nonzero(lowest) < LEAST:
        return None
    beyond = np.pad(lowest.view(np.uint8), SIDE - 1, constant_values=1)
    fits = minimum_filter(beyond, SIDE, mode="constant", cval=0)
    inside = slice(SIDE - 1, 1 - SIDE)
    squares = maximum_filter(fits, SIDE, mode="constant", cval=0)[inside, inside].view(bool)
    other = ~squares
    if np.count_nonzero(squares) < LEAST or np.count_nonzero(lowest & other) > ELSEWHERE * np.count_nonzero(other):
        return None
    areas, count = label(lowest)
    adjoin = np.zeros(count + 1, bool)
    adjoin[areas[squares]] = True
    margin = adjoin[areas]
    return None if np.ptp(plane[~margin]) == 0 else margin


def mirrored(plane: np.ndarray, margin: np.ndarray) -> np.ndarray:
    """Fill a margin by the image, mirrored at the margin's border, and again where one image does not reach.

    Args:
        plane: ``[X, Y]``.
        margin: boolean ``[X, Y]``, not everywhere true.

    Returns:
        A filled copy.
    """
    filled, left = plane.copy(), margin.copy()
    last = np.array(plane.shape)[:, None] - 1
    while left.any():
        places = np.array(np.nonzero(left))
        nearest = distance_transform_edt(left, return_distances=False, return_indices=True)[:, *places]
        across = 2 * nearest - places
        known = ((across >= 0) & (across <= last)).all(0)
        known[known] = ~left[tuple(across[:, known])]
        if not known.any():  # one row of pixels has no other behind it
            across, known = nearest, np.ones_like(known)
        to, of = places[:, known], across[:, known]
        filled[tuple(to)] = filled[tuple(of)]
        left[tuple(to)] = False
    return filled


class RandMargin(Randomizable, Transform):
    """Now and then give a rectangle of an image, or all of it, a single dark grey.

    A network that normalises every image by itself makes as much of an image without anything as of any other, unless
    it was shown such. Margins of exactly one value never reach it (:func:`empty_margin`), dark and noisy ones do. Of
    the rectangle's sides each is between a third of the image's and all of it; both are all of it in a quarter of the
    cases. The grey value is 0 in half of them, else up to a tenth: from bright ones a network learns that the inside of
    a wide vessel is empty too.

    Args:
        prob: how often.
        brightest: the grey value that is not reached.

    Raises:
        InputError: ``prob`` is no number from 0 to 1.
    """

    backend = [TransformBackends.TORCH, TransformBackends.NUMPY]

    def __init__(self, prob: float = 0.1, brightest: float = 0.1) -> None:
        if isinstance(prob, bool) or not isinstance(prob, int | float) or not 0 <= prob <= 1:
            raise InputError(None, f"margins {prob} is no share", "give 0 for none, or a number up to 1, such as 0.08")
        self.prob = prob
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


class RandMargind(Randomizable, MapTransform):
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

    backend = RandMargin.backend

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
        self.transform = RandMargin(prob, brightest)

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> RandMargind:
        """Seed the draws."""
        super().set_random_state(seed, state)
        self.transform.set_random_state(seed, state)
        return self

    def __call__(self, data: Mapping[Hashable, NdarrayOrTensor]) -> dict[Hashable, NdarrayOrTensor]:
        out = dict(data)
        self.transform.randomize(tuple(out[self.image_key].shape[-2:]))
        for key in self.key_iterator(out):
            out[key] = self.transform(out[key], None if key == self.image_key else 0.0, randomize=False)
        return out
