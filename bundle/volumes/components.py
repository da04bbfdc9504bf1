"""Connected components of a volume of which a few blocks at a time are in memory.

Voxels that touch at a corner are connected, as in :mod:`bundle.transforms.binarization`. Each slice is labelled on its
own. Going through the slices in order, those of its pieces that are connected by what came before make one class; a
class has one successor among the classes of the next slice, or ends there with everything known of its component. That
is noted on disk, and going back, each class learns from its successor what became of it. So memory does not grow with
depth, though a component may run through all slices and turn back.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.ndimage import label
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from ..io import atomic
from .blocks import StoredVolume, Volume

_CORNERS = np.ones((3, 3), bool)
_DROPPED, _KEPT = -1, -2

Pair = tuple[np.ndarray, np.ndarray]


def hysteresis(probability: Volume, low: float, high: float, out: StoredVolume, notes: str | Path) -> None:
    """Keep what is above ``low`` and connected to something above ``high``.

    Args:
        probability: the volume.
        low: lower threshold.
        high: upper threshold, at least ``low``.
        out: of bool, where the result goes, by the bands in which the volume is then read.
        notes: an empty or absent folder for what is noted between the two passes.
    """

    def read(z: int, start: int, stop: int) -> Pair:
        block = probability.rows(z, start, stop)
        return block > low, block > high

    _keep(read, 1, out, Path(notes))


def remove_fragments(mask: Volume, size: float, out: StoredVolume, notes: str | Path) -> None:
    """Remove the connected components with fewer than ``size`` voxels.

    Args:
        mask: a volume of bool.
        size: the smallest component that stays, in voxels.
        out: as of :func:`hysteresis`.
        notes: as of :func:`hysteresis`.
    """

    def read(z: int, start: int, stop: int) -> Pair:
        block = mask.rows(z, start, stop)
        return block, block

    _keep(read, size, out, Path(notes))


def _keep(read: Callable[[int, int, int], Pair], least: float, out: StoredVolume, notes: Path) -> None:
    """Keep the components of the foreground that hold at least so many of the voxels that count.

    Args:
        read: gives of rows of a slice the foreground, and the voxels of it that count.
        least: how many must.
        out: where the result goes.
        notes: a folder.
    """

    # a block meets three of the slice before: it is labelled again for the next, unless it is still here
    @lru_cache(maxsize=4)
    def labelled(z: int, band: int) -> Pair:
        foreground, counting = read(z, *out.bands[band])
        labels, number = label(foreground, structure=_CORNERS)
        return labels, np.bincount(labels[counting], minlength=number + 1)

    before: _Slice | None = None
    for z in range(out.shape[0]):
        now = _pieces(labelled, z, len(out.bands), before)
        classes, successors, counts = _join(now, before, least)
        if before is not None:
            _note(notes, z - 1, before.first, before.classes, successors)
        before = _Slice(now.first, classes, counts)
    if before is None:
        return
    _note(notes, out.shape[0] - 1, before.first, before.classes, np.where(before.counts >= least, _KEPT, _DROPPED))
    kept = None
    for z in reversed(range(out.shape[0])):
        first, classes, successors = _noted(notes, z)
        of_successors = np.zeros(1, bool) if kept is None else np.append(kept, False)  # the last for those without one
        kept = (successors == _KEPT) | of_successors[np.maximum(successors, -1)]
        for band, (start, _) in enumerate(out.bands):
            labels, _ = labelled(z, band)
            pieces = kept[classes[first[band] : first[band + 1]]]
            out.write(z, start, np.concatenate([[False], pieces])[labels])


class _Slice:
    """A slice that is done: where each band's pieces begin, the class of each piece, what counts in each class."""

    def __init__(self, first: np.ndarray, classes: np.ndarray, counts: np.ndarray) -> None:
        self.first, self.classes, self.counts = first, classes, counts


class _Pieces:
    """A slice's pieces: where each band's begin, what counts in each, and which are connected.

    Args:
        first: of each band, and the number of all.
        counts: of each piece.
        inside: pairs of pieces that touch across bands.
        across: pairs of a class of the slice before and a piece that touch.
    """

    def __init__(self, first: np.ndarray, counts: np.ndarray, inside: Pair, across: Pair) -> None:
        self.first, self.counts, self.inside, self.across = first, counts, inside, across


def _pieces(labelled: Callable[[int, int], Pair], z: int, bands: int, before: _Slice | None) -> _Pieces:
    first, counts, inside, across = [0], [], [], []
    above = None
    for band in range(bands):
        labels, counted = labelled(z, band)
        if above is not None:
            a, b = _touching(np.pad(above, ((0, 2), (0, 0))), labels[:1])
            inside.append((first[band - 1] + a - 1, first[band] + b - 1))
        if before is not None:
            rows = [np.zeros_like(labels[:1])] * 2
            if band:
                rows[0] = _classes(labelled(z - 1, band - 1)[0][-1:], before, band - 1)
            if band + 1 < bands:
                rows[1] = _classes(labelled(z - 1, band + 1)[0][:1], before, band + 1)
            middle = _classes(labelled(z - 1, band)[0], before, band)
            a, b = _touching(np.concatenate([rows[0], middle, rows[1]]), labels)
            across.append((a - 1, first[band] + b - 1))
        above = labels[-1:]
        counts.append(counted[1:])
        first.append(first[-1] + len(counted) - 1)
    return _Pieces(np.array(first), np.concatenate(counts), _all(inside), _all(across))


def _classes(labels: np.ndarray, before: _Slice, band: int) -> np.ndarray:
    """Labels of a band as classes of its slice, counted from 1."""
    pieces = before.classes[before.first[band] : before.first[band + 1]]
    return np.concatenate([[0], pieces + 1])[labels]


def _touching(around: np.ndarray, here: np.ndarray) -> Pair:
    """Pairs of values other than 0 that touch, of ``around`` and ``here``; ``around`` has a row more at either end."""
    width = here.shape[1] + 2
    values = np.pad(around, ((0, 0), (1, 1))).ravel()
    rows, columns = np.nonzero(here)
    labels = here[rows, columns]
    at = rows * width + columns
    pairs = []
    for shift in (down * width + right for down in range(3) for right in range(3)):
        others = values[at + shift]
        hit = np.flatnonzero(others)
        pairs.append((others[hit], labels[hit]))
    a, b = _all(pairs)
    new = np.ones(len(a), bool)  # runs of one pair are most of them
    new[1:] = (a[1:] != a[:-1]) | (b[1:] != b[:-1])
    return a[new].astype(np.int64), b[new].astype(np.int64)


def _all(pairs: list[Pair]) -> Pair:
    if not pairs:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    return np.concatenate([a for a, _ in pairs]), np.concatenate([b for _, b in pairs])


def _join(now: _Pieces, before: _Slice | None, least: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Join the pieces of a slice to classes, by each other and by the classes of the slice before.

    Returns:
        The class of each piece; of each class before its successor, or what became of it; what counts in each class.
    """
    earlier = np.zeros(0, np.int64) if before is None else before.counts
    known, number = len(earlier), len(earlier) + len(now.counts)
    a = np.concatenate([now.across[0], known + now.inside[0]])
    b = known + np.concatenate([now.across[1], now.inside[1]])
    graph = coo_matrix((np.ones(len(a), bool), (a, b)), (number, number))
    groups, group = connected_components(graph, directed=False)
    counts = np.zeros(groups, np.int64)
    np.add.at(counts, group, np.concatenate([earlier, now.counts]))
    going_on, classes = np.unique(group[known:], return_inverse=True)
    renumbered = np.where(counts >= least, _KEPT, _DROPPED)
    renumbered[going_on] = np.arange(len(going_on))
    return classes, renumbered[group[:known]], counts[going_on]


def _note(notes: Path, z: int, first: np.ndarray, classes: np.ndarray, successors: np.ndarray) -> None:
    with atomic(notes / f"{z:06d}.npz") as partial, open(partial, "wb") as stream:
        np.savez(stream, first=first, classes=classes, successors=successors)


def _noted(notes: Path, z: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    with np.load(notes / f"{z:06d}.npz", allow_pickle=False) as noted:
        return noted["first"], noted["classes"], noted["successors"]
