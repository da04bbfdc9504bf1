"""What to label next: the places that stand for most of what is likely to be wrong."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .evidence import Evidence
from .expectation import Kind, Learned

__all__ = ["LEARNT", "Box", "Choice", "boxes", "choose", "look_into_boxes"]

# of what is wrong, labels of every kind of place take away this share: fine-tuning on 50 images of VessMAP brought a
# network that had seen phantoms alone from 0.860 to 0.911 (docs/experiments/training.md, Few labels)
LEARNT = 0.36


@dataclass(frozen=True)
class Box:
    """A part of an image or of a slice, and what was seen in it.

    Args:
        z: number of the slice of a stack; None of an image or a fused stack.
        rows: of the box.
        columns: the same.
        evidence: what was seen in it.
    """

    z: int | None
    rows: slice
    columns: slice
    evidence: Evidence

    def __str__(self) -> str:
        of_stack = "" if self.z is None else f"slice {self.z}, "
        rows, columns = (f"{side.start} to {side.stop - 1}" for side in (self.rows, self.columns))
        return f"{of_stack}rows {rows}, columns {columns}"


@dataclass(frozen=True)
class Choice:
    """Which places to label, the first first.

    Args:
        order: their numbers.
        covered: the share of all that is likely to be wrong for which the first 0, 1, … of them stand, rising.
        expected: the mean Dice to expect after the first 0, 1, … labels.
        dice: of each place as it is, expected; of one where nothing was found 1 if nothing was doubted either.
        wrong: pixels of each place that are likely to be wrong.
    """

    order: tuple[int, ...]
    covered: tuple[float, ...]
    expected: tuple[float, ...]
    dice: tuple[float, ...]
    wrong: tuple[float, ...]


def boxes(shape: tuple[int, int], side: int) -> list[tuple[slice, slice]]:
    """Boxes of one size that cover an image ``[Y, X]``, as few as do and evenly spread.

    Args:
        shape: of the image.
        side: of a box, in pixels; an image that is smaller is one box.
    """
    starts = []
    for extent in shape:
        count = max(1, math.ceil(extent / side))
        starts.append(np.round(np.linspace(0, max(extent - side, 0), count)).astype(int).tolist())
    return [
        (slice(y, min(y + side, shape[0])), slice(x, min(x + side, shape[1]))) for y in starts[0] for x in starts[1]
    ]


def look_into_boxes(
    image: np.ndarray, probability: np.ndarray, disagreement: np.ndarray, mask: np.ndarray, side: int
) -> Iterator[Box]:
    """The boxes of an image, or of each slice of a stack, one after the other; those without a pixel are left out.

    Args:
        image: what was segmented, ``[Y, X]`` or ``[Z, Y, X]``.
        probability: of vessels, 0 to 1, of its shape.
        disagreement: of the two cascades, 0 to 1, of its shape.
        mask: bool, of its shape.
        side: of a box, in pixels.
    """
    for z in [None] if mask.ndim == 2 else range(len(mask)):
        whole = [array if z is None else array[z] for array in (image, probability, disagreement, mask)]
        near = [] if z is None else [image[n] for n in (z - 1, z + 1) if 0 <= n < len(image)]
        for box in boxes(whole[0].shape, side):
            grey, chance, doubt, found = (array[box] for array in whole)
            if np.isfinite(grey).any():
                yield Box(z, *box, Evidence.of(grey, chance, doubt, found, [plane[box] for plane in near]))


def choose(
    places: Sequence[Evidence], learned: Learned, kind: Kind, count: int, labelled: Sequence[int] = ()
) -> Choice:
    """Choose places to label, each of which stands for what is like it.

    A place is worth what is likely to be wrong in all places times how alike they are to it, beyond what those that
    were chosen before stand for: facility location, whose greedy solution is within 1 − 1/e of the best (Nemhauser,
    Wolsey and Fisher, Mathematical Programming 14:265, 1978, doi:10.1007/BF01588971). So uncertain places come first,
    and no two that are alike (after Yang et al., Suggestive annotation, 2017, doi:10.1007/978-3-319-66179-7_46).

    Args:
        places: what was seen in each.
        learned: what Dice to expect of such.
        kind: see :meth:`Learned.expect`.
        count: of places to choose, at most.
        labelled: numbers of places that have a label already: they stand for what is like them, and are not chosen.
    """
    dice, wrong = np.array([_likely(place, learned, kind) for place in places]).T
    features = np.array([list(place.features().values()) for place in places])
    scaled = (features - features.mean(0)) / np.maximum(features.std(0), 0.01)
    squares = (scaled**2).mean(1)
    apart = squares[:, None] + squares[None] - 2 * scaled @ scaled.T / scaled.shape[1]
    alike = np.exp(-np.maximum(apart, 0))  # 1/e where two differ by a standard deviation in every feature
    total = max(float(wrong.sum()), 1e-9)
    stands = alike[:, list(labelled)].max(1, initial=0)
    order: list[int] = []
    steps = [stands]
    while len(order) < min(count, len(places) - len(set(labelled))):
        gain = (np.maximum(alike - stands[:, None], 0) * wrong[:, None]).sum(0)
        gain[[*order, *labelled]] = -1
        order.append(int(np.argmax(gain)))
        stands = np.maximum(stands, alike[:, order[-1]])
        steps.append(stands)
    return Choice(
        tuple(order),
        tuple(float((step * wrong).sum() / total) for step in steps),
        tuple(float(np.mean(1 - (1 - dice) * (1 - LEARNT * step))) for step in steps),
        tuple(dice.tolist()),
        tuple(wrong.tolist()),
    )


def _likely(place: Evidence, learned: Learned, kind: Kind) -> tuple[float, float]:
    """The Dice of a place, and how many of its pixels are likely to be wrong."""
    if place.empty:
        missed = place.sums["s"]
        return 1 / (1 + missed), missed
    dice = learned.expect(place, kind).dice
    return dice, (1 - dice) * (place.sums["found"] + place.sums["s"])
