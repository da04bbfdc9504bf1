"""The paper's five metrics of one image, from its counts of right and wrong pixels (equations 11 to 15)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Confusion(NamedTuple):
    """Counts of the pixels of one image, vessel being positive; a metric whose denominator is 0 is NaN.

    Args:
        tp: vessel pixels found.
        fp: background pixels taken for vessel.
        fn: vessel pixels missed.
        tn: background pixels left alone.
    """

    tp: int
    fp: int
    fn: int
    tn: int

    @classmethod
    def between(cls, prediction: np.ndarray, truth: np.ndarray) -> Confusion:
        """Count the right and wrong pixels of one image.

        Args:
            prediction: bool mask, any shape.
            truth: bool mask of the same shape.

        Returns:
            The four counts.
        """
        tp = int(np.count_nonzero(prediction & truth))
        fp = int(np.count_nonzero(prediction)) - tp
        fn = int(np.count_nonzero(truth)) - tp
        return cls(tp, fp, fn, truth.size - tp - fp - fn)

    @property
    def sensitivity(self) -> float:
        """The share of the true vessel that was found, equation (11)."""
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def precision(self) -> float:
        """The share of what was found that is vessel, equation (12)."""
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def specificity(self) -> float:
        """The share of the background that was left alone, equation (13)."""
        return _ratio(self.tn, self.tn + self.fp)

    @property
    def accuracy(self) -> float:
        """The share of all pixels that are right, equation (14)."""
        return _ratio(self.tp + self.tn, sum(self))

    @property
    def dice(self) -> float:
        """Twice the overlap over the sum of both areas, equation (15)."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
