"""What helps on images of one kind: nothing, other settings, or further training. Decided by what was held back."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from torch import nn

from ..segmentation import WholeOrWindowsInferer
from .annotation import Annotation, halves
from .settings import Settings, labelled_dice, mask_of, probability
from .tuning import blended, tuned

__all__ = ["Adapted", "adapt"]

logger = logging.getLogger(__name__)

SCALES = (0.5, 0.71, 1.0, 1.41, 2.0)
LEVELS = ((0.45, 0.95), (0.3, 0.7), (0.5, 0.5), (0.6, 0.9), (0.7, 0.97), (0.8, 0.99), (0.9, 0.99))
SHARES = (0.5, 1.0)
# a change must be worth this much on pixels that it was not made from, and must not lose on either half
LEAST_GAIN = 0.01
LOSS_OF_A_HALF = 0.005


@dataclass(frozen=True)
class Adapted:
    """What came out.

    Args:
        kind: "unchanged", "settings" or "weights".
        network: to segment with.
        settings: to segment by.
        before: Dice of the given weights and settings on the labelled pixels.
        expected: Dice on held-back pixels of what was chosen.
        tried: the same of everything that was tried, by its name, mean of the two halves.
    """

    kind: str
    network: nn.Module
    settings: Settings
    before: float
    expected: float
    tried: Mapping[str, float] = field(default_factory=dict)


def adapt(
    network: nn.Module,
    annotations: Sequence[Annotation],
    settings: Settings,
    *,
    steps: int = 60,
    seed: int = 0,
    progress: Callable[[str, int, int], object] = lambda stage, step, of: None,
) -> Adapted:
    """Choose among leaving everything, other settings, and training further.

    The annotation is cut in two. What one half teaches is judged on the other, and the other way round; what is best on
    the halves that did not teach it is then made from the whole, and only if it is better than what was there.

    Args:
        network: a :class:`bundle.networks.CascadeEnsemble` in evaluation mode, left as it is.
        annotations: what is known, one or more; all with the same contrasts.
        settings: those that are used now.
        steps: of the optimiser in each of three trainings; 0 leaves the weights.
        seed: of the trainings.
        progress: called with the stage, the step and the number of steps.

    Returns:
        What was chosen.
    """
    parts = [halves(annotation.label) for annotation in annotations]
    folds = [[a.only(part[half]) for a, part in zip(annotations, parts, strict=True)] for half in (0, 1)]
    found = _Found(network, annotations)
    candidates = [
        replace(settings, contrast=contrast, scale=scale)
        for contrast in annotations[0].images
        for scale in dict.fromkeys((settings.scale, *SCALES))
    ]
    for number, candidate in enumerate(candidates, 1):
        found.probabilities(candidate)
        progress("trying settings", number, len(candidates))
    held_back: dict[str, list[float]] = {"unchanged": [], "settings": []}
    for share in SHARES if steps else ():
        held_back[f"weights, {share:.0%}"] = []

    def shown(stage: str, step: int) -> None:
        progress(stage, step, steps)

    for teaching, judging in (folds, folds[::-1]):
        held_back["unchanged"].append(found.dice(settings, judging))
        chosen = _best(found, candidates, teaching)
        held_back["settings"].append(found.dice(chosen, judging))
        if steps:
            seen = _seen(found, candidates, teaching, settings)
            stage = f"training on half {1 + (teaching is folds[1])}"
            student = tuned(network, teaching, seen, steps, seed, partial(shown, stage))
            for share in SHARES:
                judged = _Found(blended(network, student, share), annotations)
                held_back[f"weights, {share:.0%}"].append(judged.dice(seen, judging))
    tried = {name: float(np.mean(dice)) for name, dice in held_back.items()}
    name = _chosen(held_back)
    before = found.dice(settings, annotations)
    if name == "unchanged":
        return Adapted(name, network, settings, before, tried[name], tried)
    if name == "settings":
        best = _best(found, candidates, annotations)
        return Adapted(name, network, best, before, tried[name], tried)
    seen = _seen(found, candidates, annotations, settings)
    student = tuned(network, annotations, seen, steps, seed, lambda step: progress("training on all", step, steps))
    share = SHARES[list(held_back).index(name) - 2]
    return Adapted("weights", blended(network, student, share), seen, before, tried[name], tried)


class _Found:
    """What a network finds in annotated images, at every contrast and scale once."""

    def __init__(self, network: nn.Module, annotations: Sequence[Annotation]) -> None:
        self.network = network
        self.annotations = annotations
        self.kept: dict[tuple[str, float], list[np.ndarray]] = {}
        self.masks: dict[Settings, list[np.ndarray]] = {}

    def probabilities(self, settings: Settings) -> list[np.ndarray]:
        key = settings.contrast, settings.scale
        if key not in self.kept:
            inferer = WholeOrWindowsInferer(scale=settings.scale)
            self.kept[key] = [
                probability(annotation.images[settings.contrast], self.network, inferer)
                for annotation in self.annotations
            ]
        return self.kept[key]

    def dice(self, settings: Settings, known: Sequence[Annotation]) -> float:
        """Mean over the images, on the pixels that are labelled in ``known``."""
        if settings not in self.masks:
            found = self.probabilities(settings)
            self.masks[settings] = [mask_of(probability, settings.low, settings.high) for probability in found]
        pairs = zip(self.masks[settings], known, strict=True)
        return float(np.mean([labelled_dice(mask, each) for mask, each in pairs]))


def _best(found: _Found, candidates: Sequence[Settings], known: Sequence[Annotation]) -> Settings:
    """The contrast, scale and thresholds of the highest Dice."""
    levels = itertools.product(candidates, dict.fromkeys(((candidates[0].low, candidates[0].high), *LEVELS)))
    choices = [replace(candidate, low=low, high=high) for candidate, (low, high) in levels]
    return max(choices, key=lambda choice: found.dice(choice, known))


def _seen(found: _Found, candidates: Sequence[Settings], known: Sequence[Annotation], settings: Settings) -> Settings:
    """Contrast and scale at which to train: another than the present only where it is clearly better as it is."""
    best = max(candidates, key=lambda candidate: found.dice(candidate, known))
    return best if found.dice(best, known) > found.dice(settings, known) + 2 * LEAST_GAIN else settings


def _chosen(held_back: Mapping[str, Sequence[float]]) -> str:
    """The best of what gains enough and loses on no half; the earlier, which changes less, of equals."""
    unchanged = held_back["unchanged"]
    allowed = ["unchanged"]
    for name, dice in held_back.items():
        gains = np.subtract(dice, unchanged)
        if gains.mean() >= LEAST_GAIN and gains.min() >= -LOSS_OF_A_HALF:
            allowed.append(name)
    return max(allowed, key=lambda name: np.mean(held_back[name]))
