"""What helps on images of one kind: nothing, other settings, or further training. Decided by what was held back."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit
from torch import nn

from ..segmentation import WholeOrWindowsInferer, WithDisagreement
from .annotation import BACKGROUND, VESSEL, Annotation
from .judging import FOLDS, LEAST_PROBABILITY, Division, dice_of, divided, gain_of, relief_of, tally
from .settings import Settings, mask_of, probability
from .tuning import blended, mean_of, tuned

__all__ = ["Adapted", "adapt", "best_start"]

SCALES = (0.5, 0.71, 1.0, 1.41, 2.0)
# larger, a network finds what is finer, noise as well: strokes, which lie well beside vessels, would not tell
SCALES_BY_STROKES = (0.5, 0.71, 1.0)
LEVELS = ((0.45, 0.95), (0.3, 0.7), (0.5, 0.5), (0.6, 0.9), (0.7, 0.97), (0.8, 0.99), (0.9, 0.99))
# strokes lie in the middle of vessels and well beside them: of edges, which the lower threshold moves, they say nothing
LEVELS_BY_STROKES = ((0.45, 0.95), (0.45, 0.6), (0.45, 0.8), (0.45, 0.99))
# what the square of a shift of the logits costs, in nats a pixel: strokes that S tells apart leave it open
SHIFT_PRICE = 0.2
# of the new weights; some of the old ones are always kept, since the next image is not quite like this one
SHARES = (0.5, 0.75)
# a change must be worth this much on pixels that it was not made from, and so many of its standard errors: of changes
# that are worth nothing one in twenty passes
LEAST_GAIN = 0.01
SURE = 1.64
# or, where Dice hangs on a few pieces, S must be off by less, and so by more of its standard errors: one in a hundred
SURER = 2.33
# what other settings must be worth for each thing that they change: of two that are level the usual ones stay
PRICE = 0.005


@dataclass(frozen=True)
class Adapted:
    """What came out.

    Args:
        kind: "unchanged", "settings" (or the level alone, by strokes) or "weights".
        network: to segment with.
        settings: to segment by.
        before: Dice of the given weights and settings on the labelled pixels.
        expected: Dice on held-back pixels of what was chosen, in all looks.
        tried: the same of everything that was tried, by its name.
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

    The annotation is divided into three folds; what two of them teach is judged on the third, as it is and in the looks
    of other images of its kind (:class:`Annotation`). From what changes nothing to what changes most, each must be
    better than the one before by a point of Dice, and so, or its S less far off, by more than chance over the pieces of
    the annotation, or the earlier one stays.

    Strokes also say at which level S is to be cut: their logits are shifted until S is likeliest on both kinds of
    strokes (Platt's scaling, of one number, at a price), and both thresholds with them.

    Of weights, the three students' are averaged, and that mean with the old ones: students of one start that saw
    different parts err in different ways (Wortsman et al., Model soups, arXiv:2203.05482), and nothing has to be
    trained once more.

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
    known = [(annotation, divided(annotation)) for annotation in annotations]
    held = [np.concatenate([division.held_back(fold) for _, division in known]) for fold in range(FOLDS)]
    everything = np.ones(len(held[0]), bool)
    found = _Found(network, known)
    whole = all(annotation.whole for annotation in annotations)
    levels = LEVELS if whole else LEVELS_BY_STROKES
    candidates = _candidates(found, settings, SCALES if whole else SCALES_BY_STROKES, progress)

    def leveled(some: Sequence[Settings]) -> list[Settings]:
        return [replace(each, low=low, high=high) for each, (low, high) in itertools.product(some, levels)]

    options = leveled(candidates)
    held_back = {
        "unchanged": found.in_all_looks(settings),
        "settings": _crossed(found.tallies, found.in_all_looks, settings, options, held),
    }
    chosen = {"unchanged": settings}
    if not whole:
        held_back["level"] = _joined([found.in_all_looks(found.at_level(settings, ~fold)) for fold in held], held)
        chosen["level"] = found.at_level(settings, everything)
    students = []
    if steps:
        seen = _best(found.tallies, settings, candidates, everything)
        for fold in range(FOLDS):
            teaching = [annotation.only(division.taught(fold)) for annotation, division in known]
            told = partial(_told, progress, f"training {fold + 1} of {FOLDS}", steps)
            students.append(tuned(network, teaching, seen, steps, seed + fold, told))
    for number, share in enumerate(SHARES if steps else (), 1):
        judged = [_Found(blended(network, student, share), known) for student in students]

        def together(choice: Settings, judged: Sequence[_Found] = judged) -> np.ndarray:
            return _joined([each.in_all_looks(choice) for each in judged], held)

        name = f"weights, {share:.0%}"
        chosen[name] = _best(together, seen, leveled([seen]), everything)
        held_back[name] = _crossed(together, together, seen, leveled([seen]), held)
        progress("judging", number, len(SHARES))
    tried = {name: dice_of(tallies) for name, tallies in held_back.items()}
    name = _chosen(held_back)
    before = dice_of(found.tallies(settings))
    if name == "settings":
        chosen[name] = _best(found.tallies, settings, options, everything)
    for share in SHARES:
        if name == f"weights, {share:.0%}":
            network = blended(network, mean_of(students), share)
    kind = "settings" if name == "level" else name.partition(",")[0]
    return Adapted(kind, network, chosen[name], before, tried[name], tried)


def best_start(networks: Sequence[nn.Module], annotations: Sequence[Annotation], settings: Settings) -> int:
    """Which of some networks to adapt: the first, unless another is a point of Dice ahead on what is labelled.

    Args:
        networks: in evaluation mode.
        annotations: what is known; all of it counts, since next to nothing is chosen by it.
        settings: of all.

    Returns:
        Its number.
    """
    known = [(annotation, divided(annotation)) for annotation in annotations]
    dice = [dice_of(_Found(network, known).tallies(settings)) for network in networks]
    best = max(range(len(networks)), key=dice.__getitem__)
    return best if dice[best] >= dice[0] + LEAST_GAIN else 0


class _Found:
    """What a network finds in annotated images, at every contrast and scale once."""

    def __init__(self, network: nn.Module, known: Sequence[tuple[Annotation, Division]]) -> None:
        self.network = WithDisagreement(network)  # faster than the network itself
        self.known = known
        self.probabilities: dict[tuple[str, float, int, int], np.ndarray] = {}
        self.kept: dict[tuple[Settings, int, int], np.ndarray] = {}
        self.shifts: dict[Settings, float] = {}  # of the logits, that the thresholds of settings stand for

    def tallies(self, settings: Settings) -> np.ndarray:
        """Of the images as they are, ``[P, 4]`` as of :func:`tally`, one after the other."""
        return np.concatenate([self._tally(settings, number, 0) for number in range(len(self.known))])

    def in_all_looks(self, settings: Settings) -> np.ndarray:
        """The mean of all looks of each image, as :meth:`tallies`."""
        return np.concatenate(
            [
                np.mean([self._tally(settings, number, look) for look in range(1 + len(annotation.looks))], axis=0)
                for number, (annotation, _) in enumerate(self.known)
            ]
        )

    def at_level(self, settings: Settings, judged: np.ndarray) -> Settings:
        """Thresholds for which S is at its likeliest on some pieces ``[P]``, bool."""
        logits: dict[int, list[np.ndarray]] = {VESSEL: [], BACKGROUND: []}
        first = 0
        for number, (annotation, division) in enumerate(self.known):
            own = judged[first : first + division.pieces]
            first += division.pieces
            pieces = (division.piece >= 0) & own[division.piece]
            found = np.clip(self._probability(settings, number, 0), LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
            for kind, values in logits.items():
                values.append(logit(found[pieces & (annotation.label == kind)]))
        vessel, background = (np.concatenate(values) for values in logits.values())

        def loss(shift: float) -> float:
            off = np.logaddexp(0, -vessel - shift).mean() + np.logaddexp(0, background + shift).mean()
            return float(off + SHIFT_PRICE * shift**2)

        if not (vessel.size and background.size):
            return settings
        shift = float(minimize_scalar(loss, bounds=(-6, 6), method="bounded").x)
        shifted = settings.shifted(shift)
        self.shifts[shifted] = shift
        return shifted

    def _tally(self, settings: Settings, number: int, look: int) -> np.ndarray:
        if (settings, number, look) not in self.kept:
            found = self._probability(settings, number, look)
            mask = mask_of(found, settings.low, settings.high)
            if settings in self.shifts:
                found = expit(logit(np.clip(found, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)) + self.shifts[settings])
            self.kept[settings, number, look] = tally(mask, found, *self.known[number])
        return self.kept[settings, number, look]

    def _probability(self, settings: Settings, number: int, look: int) -> np.ndarray:
        key = settings.contrast, settings.scale, number, look
        if key not in self.probabilities:
            annotation, _ = self.known[number]
            image = (annotation.images, *annotation.looks)[look][settings.contrast]
            inferer = WholeOrWindowsInferer(scale=settings.scale)
            self.probabilities[key] = probability(image, self.network, inferer)
        return self.probabilities[key]


def _candidates(
    found: _Found, settings: Settings, scales: Sequence[float], progress: Callable[[str, int, int], object]
) -> list[Settings]:
    """Contrasts and scales to choose from; the largest, which takes longest, only where larger was better."""
    contrasts = list(found.known[0][0].images)
    scales = sorted({settings.scale, *scales})
    candidates: list[Settings] = []
    for contrast in contrasts:
        dice: list[float] = []
        for scale in scales:
            if scale == max(scales) and dice[-1] <= dice[-2]:
                break
            candidates.append(replace(settings, contrast=contrast, scale=scale))
            dice.append(dice_of(found.tallies(candidates[-1])))
            progress("trying settings", len(candidates), len(contrasts) * len(scales))
    return candidates


def _best(
    tallies: Callable[[Settings], np.ndarray], present: Settings, options: Sequence[Settings], judged: np.ndarray
) -> Settings:
    """The settings that are surely worth most on some pieces ``[P]``, bool: the present ones if no others are."""
    before = tallies(present)[judged]

    def worth(option: Settings) -> float:
        gain, error = gain_of(tallies(option)[judged], before)
        changes = 2 * abs(math.log2(option.scale / present.scale)) + (option.contrast != present.contrast)
        return gain - error - PRICE * (changes + ((option.low, option.high) != (present.low, present.high)))

    return max((present, *options), key=worth)


def _crossed(
    chosen_by: Callable[[Settings], np.ndarray],
    judged_by: Callable[[Settings], np.ndarray],
    present: Settings,
    options: Sequence[Settings],
    held: Sequence[np.ndarray],
) -> np.ndarray:
    """Of each piece what those settings are worth that the other folds choose, ``[P, 4]``."""
    return _joined([judged_by(_best(chosen_by, present, options, ~fold)) for fold in held], held)


def _joined(tallies: Sequence[np.ndarray], held: Sequence[np.ndarray]) -> np.ndarray:
    """Of each piece what was found while its fold was held back."""
    return np.sum([np.where(fold[:, None], each, 0) for each, fold in zip(tallies, held, strict=True)], axis=0)


def _chosen(held_back: Mapping[str, np.ndarray]) -> str:
    """The last that is surely better than the last one before that was; or the level, where that is no worse.

    A level is one number, of which strokes tell much, and it helps on most images, so that it need not be proven.
    """
    best = "unchanged"
    for name, tallies in held_back.items():
        gain, error = gain_of(tallies, held_back[best])
        less, doubt = relief_of(tallies, held_back[best])
        if name != "level" and gain >= LEAST_GAIN and (gain > SURE * error or less > SURER * doubt):
            best = name
    if "level" in held_back:
        gain, less = (of(held_back["level"], held_back[best])[0] for of in (gain_of, relief_of))
        # of weights that are proven S is as they give it, so that how far it is off tells less
        no_worse = gain > 0 if best.startswith("weights") else gain >= 0 and less > 0
        best = "level" if no_worse else best
    return best


def _told(progress: Callable[[str, int, int], object], stage: str, steps: int, step: int) -> None:
    progress(stage, step, steps)
