"""How well masks agree with what is known, on pixels that taught nothing, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .annotation import BACKGROUND, UNLABELLED, VESSEL, Annotation

__all__ = ["FOLDS", "LEAST_PROBABILITY", "Division", "dice_of", "divided", "gain_of", "relief_of", "tally"]

FOLDS = 3
# pixels beside a cut by which no fold is judged: a vessel that is cut there lies on both sides
GUARD = 8
# pieces of a strip: a few vessels each, so that what goes wrong in one says little of the next
PIECES = 6
# S is never surer than this: a single pixel of 0 would outweigh all others
LEAST_PROBABILITY = 1e-4


@dataclass(frozen=True)
class Division:
    """An annotation in folds, of which each is held back once, and those in pieces that err each by itself.

    Args:
        fold: ``[X, Y]``, int8: number of the fold from 0, −1 where nothing is labelled or a guard lies.
        piece: ``[X, Y]``, int32: number of the piece from 0, −1 in the same places.
    """

    fold: np.ndarray
    piece: np.ndarray

    @property
    def pieces(self) -> int:
        """How many there are."""
        return int(self.piece.max()) + 1

    def held_back(self, fold: int) -> np.ndarray:
        """The pieces of a fold, ``[P]``, bool."""
        pieces = np.zeros(self.pieces, bool)
        pieces[self.piece[self.fold == fold]] = True
        return pieces

    def taught(self, fold: int) -> np.ndarray:
        """What may teach while a fold is held back, ``[X, Y]``, bool."""
        return (self.fold >= 0) & (self.fold != fold)


def divided(annotation: Annotation) -> Division:
    """Divide a mask into three strips with as many vessel pixels each, strokes into three hands of both kinds.

    Strips lie across the axis along which the vessel pixels reach farther, with guards between them, and are cut into
    pieces along the other. Each stroke is a piece. Where there are fewer strokes of a kind than folds, they are cut
    like a mask.

    Args:
        annotation: what is known.
    """
    label = annotation.label
    if not annotation.whole:
        kinds = [ndimage.label(label == kind, np.ones((3, 3))) for kind in (VESSEL, BACKGROUND)]
        if min(count for _, count in kinds) >= FOLDS:
            return _dealt([strokes for strokes, _ in kinds])
    return _strips(label)


def _dealt(kinds: Sequence[np.ndarray]) -> Division:
    """Strokes in the order of the image, dealt out like cards, so that neighbours go into different folds."""
    fold = np.full(kinds[0].shape, -1, np.int8)
    piece = np.full(kinds[0].shape, -1, np.int32)
    before = 0
    for strokes in kinds:
        drawn, numbers = strokes > 0, strokes - 1
        piece[drawn] = before + numbers[drawn]
        fold[drawn] = numbers[drawn] % FOLDS
        before += int(strokes.max())
    return Division(fold, piece)


def _strips(label: np.ndarray) -> Division:
    vessel = np.argwhere(label == VESSEL)
    axis = int(np.argmax(np.ptp(vessel, axis=0))) if len(vessel) else int(np.argmax(label.shape))
    places = vessel[:, axis] if len(vessel) else np.arange(label.shape[axis])
    cuts = np.quantile(places, np.arange(1, FOLDS) / FOLDS)
    along = np.arange(label.shape[axis])
    fold = np.searchsorted(cuts, along, side="right")
    fold[(np.abs(along[:, None] - cuts) < GUARD).any(axis=1)] = -1
    across = np.arange(label.shape[1 - axis]) * PIECES // label.shape[1 - axis]
    fold, across = (fold[:, None], across[None]) if axis == 0 else (fold[None], across[:, None])
    known = (label != UNLABELLED) & (fold >= 0)
    piece = np.where(known, fold * PIECES + across, -1).astype(np.int32)
    return Division(np.where(known, fold, -1).astype(np.int8), piece)


def tally(mask: np.ndarray, probability: np.ndarray, annotation: Annotation, division: Division) -> np.ndarray:
    """What a mask got right, missed and found wrongly in each piece, and how far its probability was off.

    In shares, so that every image counts alike: of a mask, of its vessel pixels. Strokes tell nothing of how much of
    the image is vessel, and how long one is tells nothing of how much it matters: each counts alike, and so do both
    kinds. How far S was off is its cross entropy, in nats a pixel: the mean of vessel and background, if a piece holds
    both.

    Args:
        mask: bool, ``[X, Y]``.
        probability: S, of which the mask is made.
        annotation: what is known.
        division: of it.

    Returns:
        ``[P, 4]``, of each piece.
    """
    judged = division.piece >= 0
    pieces, found = division.piece[judged], mask[judged]
    vessel = annotation.label[judged] == VESSEL
    right, missed, wrong, free = (
        np.bincount(pieces[kind], minlength=division.pieces)
        for kind in (found & vessel, ~found & vessel, found & ~vessel, ~found & ~vessel)
    )
    vessels, backgrounds = counted = right + missed, wrong + free
    if annotation.whole:
        vessels = backgrounds = np.full(division.pieces, max(vessels.sum(), 1))
    else:  # of each stroke its share, of both kinds the mean
        vessels, backgrounds = (np.maximum(kind * np.sum(kind > 0), 1) for kind in (vessels, backgrounds))
    given = np.clip(probability[judged], LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    off = [
        np.bincount(pieces[kind], -np.log(of[kind]), division.pieces)
        / np.maximum(np.bincount(pieces[kind], minlength=division.pieces), 1)
        for kind, of in ((vessel, given), (~vessel, 1 - given))
    ]
    entropy = np.sum(off, axis=0) / np.maximum((counted[0] > 0).astype(int) + (counted[1] > 0), 1)
    return np.stack([right / vessels, missed / vessels, wrong / backgrounds, entropy], axis=1)


def dice_of(tallies: np.ndarray) -> float:
    """Dice of :func:`tally`, ``[P, 4]``, over all pieces: 0 to 1; 1 if there is no vessel and none was found."""
    return float(_dice(tallies.sum(axis=0)))


def gain_of(after: np.ndarray, before: np.ndarray) -> tuple[float, float]:
    """By how much Dice rises, and the standard error of that, as it would differ had other pieces been labelled.

    The jackknife: each piece is left out in turn (Efron and Stein, The jackknife estimate of variance,
    doi:10.1214/aos/1176345462).

    Args:
        after: of :func:`tally`, ``[P, 4]``.
        before: the same of another mask.

    Returns:
        The gain, and its standard error: infinite of a single piece, which says nothing of others.
    """
    gain = dice_of(after) - dice_of(before)
    if len(after) < 2:
        return gain, float("inf")
    without = _dice(after.sum(axis=0) - after) - _dice(before.sum(axis=0) - before)
    return gain, float(np.sqrt((len(after) - 1) * np.var(without)))


def relief_of(after: np.ndarray, before: np.ndarray) -> tuple[float, float]:
    """By how much less S is off, and the standard error of that, of pieces taken together as :func:`gain_of` does.

    Dice is a ratio of sums, in which a piece with much vessel counts for many others, so that what helps in most pieces
    may not show for sure; here each counts alike.

    Args:
        after: of :func:`tally`, ``[P, 4]``.
        before: the same of another mask.

    Returns:
        The mean, in nats a pixel, and its standard error: infinite of a single piece.
    """
    less = before[:, 3] - after[:, 3]
    if len(less) < 2:
        return float(less.mean()), float("inf")
    return float(less.mean()), float(less.std(ddof=1) / np.sqrt(len(less)))


def _dice(sums: np.ndarray) -> np.ndarray:
    """Of sums ``[…, 3]`` of what is right, missed and wrong, and what else there is."""
    right, missed, wrong = np.moveaxis(sums[..., :3], -1, 0)
    total = 2 * right + missed + wrong
    return np.where(total > 1e-9, 2 * right / np.maximum(total, 1e-9), 1.0)
