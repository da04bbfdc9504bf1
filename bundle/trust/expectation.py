"""The Dice to expect of a mask, learned from masks whose truth is known."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from .evidence import Evidence
from .learning import fit, logistic
from .reasons import REASONS

__all__ = ["TRUSTED", "Expectation", "Kind", "Learned", "learned"]

TRUSTED = 0.7  # expected Dice below which a mask is warned of
FILE = Path(__file__).with_name("learned.json")
FAR = 3.0  # standard deviations beyond which a feature says no more
GOOD = 0.8  # Dice from which on a mask is an example of what trusted ones look like

Kind = Literal["image", "stack"]
Of = Literal["image", "second", "stack"]  # what is learned of: images by the weights of slices are the second


@dataclass(frozen=True)
class Expectation:
    """What to expect of a mask.

    Args:
        dice: the Dice coefficient with what a person would draw, 0 to 1; NaN of an empty mask.
        reason: why it is low, in words; nothing where it is not.
        remedy: what to try; the same.
        disagreement: mean of |L − N| over the mask's vessels, by which masks are compared; NaN of an empty one.
    """

    dice: float
    reason: str = ""
    remedy: str = ""
    disagreement: float = math.nan

    @property
    def trusted(self) -> bool:
        """Whether nothing speaks against the mask; an empty one has nothing to be trusted."""
        return self.dice >= TRUSTED

    def __str__(self) -> str:
        return f"expected Dice {self.dice:.2f}" if math.isfinite(self.dice) else "no vessel"


@dataclass(frozen=True)
class Learned:
    """What was learned of one kind of images.

    Args:
        names: of the features, in order.
        mean: of each over what it was learned from.
        deviation: the same.
        coefficients: the constant, and one of each feature in standard deviations; 0 of those that do not count.
        usual: mean of each feature, in the same measure, over masks of a Dice of :data:`GOOD` and above.
        varies: its standard deviation there.
    """

    names: tuple[str, ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    coefficients: tuple[float, ...]
    usual: tuple[float, ...]
    varies: tuple[float, ...]

    @classmethod
    def of(
        cls,
        cases: Sequence[Evidence],
        dice: np.ndarray,
        signs: Mapping[str, int],
        penalty: float,
        weights: np.ndarray | None = None,
    ) -> Learned:
        """Learn from masks whose Dice is known.

        Args:
            cases: what was seen of each, none of them empty.
            dice: of each, ``[N]``.
            signs: of the features that may count, see :func:`~bundle.trust.fit`; the others only give reasons.
            penalty: the same.
            weights: of the cases; all alike if None.
        """
        features = [case.features() for case in cases]
        names = list(features[0])
        values = np.array([list(each.values()) for each in features])
        mean, deviation = values.mean(0), np.maximum(values.std(0), 0.01)
        scaled = np.clip((values - mean) / deviation, -FAR, FAR)
        good = scaled[dice >= GOOD] if (dice >= GOOD).any() else scaled
        counts = [names.index(name) for name in signs]
        coefficients = np.zeros(1 + len(names))
        found = fit(scaled[:, counts], dice, penalty, list(signs.values()), weights)
        coefficients[[0, *(1 + count for count in counts)]] = found
        numbers = (mean, deviation, coefficients, good.mean(0), np.maximum(good.std(0), 0.1))
        return cls(tuple(names), *(tuple(float(f"{value:.5g}") for value in each) for each in numbers))

    def expect(
        self, evidence: Evidence, kind: Kind = "image", looks: Callable[[], Evidence] | None = None
    ) -> Expectation:
        """What to expect of a mask, and if that is little, why, and what to do.

        Args:
            evidence: what was seen of it.
            kind: "image" of a single image or a fused stack, "stack" of slices.
            looks: gives :meth:`Evidence.of_looks` of it if the evidence is what the networks say alone; called only if
                that is not enough.
        """
        if evidence.empty and evidence.constant:
            return Expectation(math.nan, "it is equally bright everywhere", "see whether another channel shows vessels")
        if evidence.empty:
            return Expectation(math.nan, "nothing was found", "lower --high and --low, or adapt to your images")
        if looks is not None and not self._counts() <= evidence.features().keys():
            evidence, looks = evidence.and_looks(looks()), None
        dice = self._dice(evidence)
        if dice >= TRUSTED:
            return Expectation(dice, disagreement=evidence.disagreement)
        if looks is not None:
            evidence = evidence.and_looks(looks())
        values = self._scaled(evidence.features())
        unusual = dict(zip(self.names, (values - self.usual) / np.array(self.varies), strict=True))
        possible = [reason for reason in REASONS if kind in reason.remedy]
        reason = max(possible, key=lambda reason: reason.strength(unusual))
        return Expectation(dice, reason.words, reason.remedy[kind], evidence.disagreement)

    def _counts(self) -> set[str]:
        """The features that count."""
        return {name for name, count in zip(self.names, self.coefficients[1:], strict=True) if count}

    def _scaled(self, features: Mapping[str, float]) -> np.ndarray:
        """The features in standard deviations; 0 of one that is not known."""
        known = [features.get(name, mean) for name, mean in zip(self.names, self.mean, strict=True)]
        return (np.array(known) - self.mean) / self.deviation

    def _dice(self, evidence: Evidence) -> float:
        scaled = np.clip(self._scaled(evidence.features()), -FAR, FAR)
        return float(logistic(self.coefficients[0] + scaled @ np.array(self.coefficients[1:])))

    def as_dict(self) -> dict[str, Any]:
        """In JSON's types."""
        return {name: list(value) for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, noted: Mapping[str, Sequence[Any]]) -> Learned:
        """What :meth:`as_dict` gave."""
        return cls(**{name: tuple(value) for name, value in noted.items()})


@cache
def learned(of: Of) -> Learned:
    """What the package has learned of a kind of images with its shipped weights.

    Args:
        of: "image" of single images and fused stacks, "second" of the same by the weights of slices, "stack" of slices.

    By ``python -m scripts.release.learn_trust``; how well it holds is in docs/trust.md.
    """
    return Learned.from_dict(json.loads(FILE.read_text(encoding="utf-8"))[of])
