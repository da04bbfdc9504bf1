"""Connected components of a volume of which a few blocks at a time are in memory.

Voxels that touch at a corner are connected, as in :mod:`bundle.transforms.binarization`. Each slice is labelled on its
own. Going through the slices in order, those of its pieces that are connected by what came before make one class; a
class has one successor among the classes of the next slice, or ends there with everything known of its component. That
is noted on disk, and going back, each class learns from its successor what became of it. So memory does not grow with
depth, though a component may run through all slices and turn back.

A volume may be cut to slabs, each gone through by itself. Then a slab begins with the pieces of the slice before it,
of which nothing is known, and a class that hangs on one of them stays open. So do the classes of its last slice.
Between the two passes all that is open is put together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import label

from ..io import atomic
from .blocks import StoredVolume, Volume
from .workers import HERE, Slab, Workers

_CORNERS = np.ones((3, 3), bool)
# what became of a class that has no successor: numbers from _OPEN downwards count what is open in the slab
_DROPPED, _KEPT, _OPEN = -1, -2, -3
_CLOSED = np.iinfo(np.int64).max  # hangs on no piece of the slab's face

Pair = tuple[np.ndarray, np.ndarray]
Read = Callable[[int, int, int], Pair]  # (z, start, stop) of rows of a slice
Labelled = Callable[[int, int], Pair]  # (z, band)


def hysteresis(
    probability: Volume, low: float, high: float, out: StoredVolume, notes: str | Path, workers: Workers = HERE
) -> None:
    """Keep what is above ``low`` and connected to something above ``high``.

    Args:
        probability: the volume.
        low: lower threshold.
        high: upper threshold, at least ``low``.
        out: of bool, where the result goes, by the bands in which the volume is then read.
        notes: an absent folder, or that of the same work interrupted, for what is noted between the two passes.
        workers: who does it.
    """
    _keep(partial(_above, probability, low, high), 1, out, Path(notes), workers)


def remove_fragments(mask: Volume, size: float, out: StoredVolume, notes: str | Path, workers: Workers = HERE) -> None:
    """Remove the connected components with fewer than ``size`` voxels.

    Args:
        mask: a volume of bool.
        size: the smallest component that stays, in voxels.
        out: as of :func:`hysteresis`.
        notes: as of :func:`hysteresis`.
        workers: who does it.
    """
    _keep(partial(_twice, mask), size, out, Path(notes), workers)


def _above(probability: Volume, low: float, high: float, z: int, start: int, stop: int) -> Pair:
    block = probability.rows(z, start, stop)
    return block > low, block > high


def _twice(mask: Volume, z: int, start: int, stop: int) -> Pair:
    block = mask.rows(z, start, stop)
    return block, block


def _keep(read: Read, least: float, out: StoredVolume, notes: Path, workers: Workers) -> None:
    """Keep the components of the foreground that hold at least so many of the voxels that count.

    Args:
        read: gives of rows of a slice the foreground, and the voxels of it that count.
        least: how many must.
        out: where the result goes.
        notes: a folder.
        workers: who does it.
    """
    slabs = workers.slabs(out.shape[0])
    unknown = [slab for slab in slabs if not (_of_slab(notes, slab) / "open.npz").exists()]
    workers.each("finding components", partial(_go_forth, read, least, out.bands, notes), unknown)
    _settle(notes, slabs, least)
    workers.each("keeping components", partial(_go_back, read, out, notes), out.missing(workers))


def _labels(read: Read, bands: Sequence[tuple[int, int]]) -> Labelled:
    """Labels the pieces of a band of a slice: a block meets three of the slice before, and is labelled but once."""

    @lru_cache(maxsize=4)
    def labelled(z: int, band: int) -> Pair:
        foreground, counting = read(z, *bands[band])
        labels, number = label(foreground, structure=_CORNERS)
        return labels, np.bincount(labels[counting], minlength=number + 1)

    return labelled


def _go_forth(read: Read, least: float, bands: Sequence[tuple[int, int]], notes: Path, slab: Slab) -> None:
    """Go through the slices of a slab, and note what becomes of their classes, and what is open at its two ends."""
    start, stop = slab
    own = _of_slab(notes, slab)
    labelled = _labels(read, bands)
    before = _face(labelled, start - 1, len(bands)) if start else None
    face = 0 if before is None else len(before.classes)
    ends = _Ends(face)
    for z in range(start, stop):
        now = _pieces(labelled, z, len(bands), before)
        classes, successors, counts, roots = _join(now, before, least, ends)
        if before is not None and z > start:
            _note(own, z - 1, before.first, before.classes, successors)
        before = _Slice(now.first, classes, counts, roots)
    assert before is not None
    _note(own, stop - 1, before.first, before.classes, _OPEN - face - np.arange(len(before.counts)))
    ends.note(own / "open.npz", before)


def _face(labelled: Labelled, z: int, bands: int) -> _Slice:
    """The slice before a slab: what becomes of its pieces is not known, and each is a class that counts nothing."""
    alone = _pieces(labelled, z, bands, None)
    pieces = np.arange(len(alone.counts))
    return _Slice(alone.first, pieces, np.zeros_like(pieces), pieces)


def _settle(notes: Path, slabs: Sequence[Slab], least: float) -> None:
    """Decide what becomes of the components that go from slab to slab: a number or two for each piece of a face."""
    pairs: list[Pair] = []
    counts: list[np.ndarray] = []
    firsts = [0]
    last = np.zeros(0, np.int64)  # of the pieces of the slice before, the number among all that is open
    for slab in slabs:
        ends = _noted(_of_slab(notes, slab) / "open.npz")
        first, face = firsts[-1], int(ends["face"])
        open_ = np.flatnonzero(ends["roots"] != _CLOSED)
        own = np.zeros(face + len(ends["counts"]), np.int64)
        np.add.at(own, ends["ended"], ends["ended_counts"])
        own[face:] = ends["counts"]
        pairs += [
            (last, first + np.arange(face)),
            (first + ends["joined"], first + ends["to"]),
            (first + face + open_, first + ends["roots"][open_]),
        ]
        counts.append(own)
        firsts.append(first + len(own))
        last = first + face + ends["classes"]
    a, b = _all(pairs)
    groups, group = _groups(a, b, firsts[-1])
    totals = np.zeros(groups, np.int64)
    np.add.at(totals, group, np.concatenate(counts))
    kept = (totals >= least)[group]
    for slab, first, end in zip(slabs, firsts, firsts[1:], strict=False):
        _save(_of_slab(notes, slab) / "fates.npz", kept=kept[first:end])


def _go_back(read: Read, out: StoredVolume, notes: Path, slab: Slab) -> None:
    """Go back through the slices of a slab, and write what is kept of them."""
    labelled = _labels(read, out.bands)
    own = _of_slab(notes, slab)
    fates = _noted(own / "fates.npz")["kept"]
    kept = np.zeros(0, bool)
    for z in reversed(range(*slab)):
        first, classes, successors = _noted_of(own, z)
        now = successors == _KEPT
        going_on, open_ = successors >= 0, successors <= _OPEN
        now[going_on] = kept[successors[going_on]]
        now[open_] = fates[_OPEN - successors[open_]]
        kept = now
        for band, (start, _) in enumerate(out.bands):
            labels, _ = labelled(z, band)
            pieces = kept[classes[first[band] : first[band + 1]]]
            out.write(z, start, np.concatenate([[False], pieces])[labels])


class _Slice:
    """A slice that is done.

    Args:
        first: where each band's pieces begin.
        classes: of each piece.
        counts: what counts in each class.
        roots: of each class the piece of the slab's face that it hangs on, or that it hangs on none.
    """

    def __init__(self, first: np.ndarray, classes: np.ndarray, counts: np.ndarray, roots: np.ndarray) -> None:
        self.first, self.classes, self.counts, self.roots = first, classes, counts, roots


class _Ends:
    """What is open at the ends of a slab.

    Args:
        face: pieces of the slice before.
    """

    def __init__(self, face: int) -> None:
        self._face = face
        self._joined: list[Pair] = []  # pieces of the face that the slab connects
        self._ended: list[Pair] = []  # a piece of the face, and what counts in a class that hung on it and ended

    def join(self, roots: np.ndarray, new: np.ndarray) -> None:
        """Note that classes that hung on these pieces hang on those now."""
        moved = (roots != _CLOSED) & (roots != new)
        self._joined.append((roots[moved], new[moved]))

    def end(self, roots: np.ndarray, counts: np.ndarray) -> None:
        """Note that classes that hung on these pieces have ended."""
        self._ended.append((roots, counts))

    def note(self, file: Path, last: _Slice) -> None:
        """Write it down, with the slab's last slice."""
        (joined, to), (ended, counts) = _all(self._joined), _all(self._ended)
        _save(
            file,
            face=self._face,
            joined=joined,
            to=to,
            ended=ended,
            ended_counts=counts,
            classes=last.classes,
            counts=last.counts,
            roots=last.roots,
        )


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


def _pieces(labelled: Labelled, z: int, bands: int, before: _Slice | None) -> _Pieces:
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
    places = np.flatnonzero(here)
    labels = here.ravel()[places]
    at = places + 2 * (places // here.shape[1])
    # what touches a pixel is connected by what lies in its own place, if anything does
    own = values[at + width + 1]
    hit, alone = np.flatnonzero(own), np.flatnonzero(own == 0)
    pairs = [(own[hit], labels[hit])]
    at, labels = at[alone], labels[alone]
    for shift in (down * width + right for down in range(3) for right in range(3) if (down, right) != (1, 1)):
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


def _join(
    now: _Pieces, before: _Slice | None, least: float, ends: _Ends
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Join the pieces of a slice to classes, by each other and by the classes of the slice before.

    Returns:
        The class of each piece; of each class before its successor, or what became of it; what counts in each class,
        and on which piece of the slab's face it hangs.
    """
    nothing = np.zeros(0, np.int64)
    earlier, roots = (nothing, nothing) if before is None else (before.counts, before.roots)
    known, number = len(earlier), len(earlier) + len(now.counts)
    a = np.concatenate([now.across[0], known + now.inside[0]])
    b = known + np.concatenate([now.across[1], now.inside[1]])
    groups, group = _groups(a, b, number)
    counts, hangs = np.zeros(groups, np.int64), np.full(groups, _CLOSED)
    np.add.at(counts, group, np.concatenate([earlier, now.counts]))
    np.minimum.at(hangs, group[:known], roots)
    ends.join(roots, hangs[group[:known]])
    going_on, classes = np.unique(group[known:], return_inverse=True)
    ended = hangs != _CLOSED
    ended[going_on] = False
    ends.end(hangs[ended], counts[ended])
    became = np.where(hangs != _CLOSED, _OPEN - hangs, np.where(counts >= least, _KEPT, _DROPPED))
    became[going_on] = np.arange(len(going_on))
    return classes, became[group[:known]], counts[going_on], hangs[going_on]


def _groups(a: np.ndarray, b: np.ndarray, number: int) -> tuple[int, np.ndarray]:
    """Into how many groups so many things fall of which pairs belong together, and the group of each.

    Each thing hangs on one of a lower number until no pair hangs on two. SciPy's graphs do the same, in milliseconds
    even of a dozen pairs, and a slice has no more.
    """
    hangs = np.arange(number)
    while True:
        low, high = np.minimum(hangs[a], hangs[b]), np.maximum(hangs[a], hangs[b])
        apart = low != high
        if not apart.any():
            break
        a, b = a[apart], b[apart]
        np.minimum.at(hangs, high[apart], low[apart])
        while (hangs[hangs] != hangs).any():
            hangs = hangs[hangs]
    roots, group = np.unique(hangs, return_inverse=True)
    return len(roots), group


def _note(folder: Path, z: int, first: np.ndarray, classes: np.ndarray, successors: np.ndarray) -> None:
    numbers = np.concatenate([[len(first), len(classes)], first, classes, successors]).astype(np.int64)
    with atomic(folder / f"{z:06d}.npy") as partial_file, open(partial_file, "wb") as stream:
        np.save(stream, numbers)  # one array, since an archive of several takes three times as long


def _noted_of(folder: Path, z: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What :func:`_note` noted of a slice."""
    numbers = np.load(folder / f"{z:06d}.npy", allow_pickle=False)
    bands, pieces = numbers[:2]
    first, classes, successors = np.split(numbers[2:], [bands, bands + pieces])
    return first, classes, successors


def _of_slab(notes: Path, slab: Slab) -> Path:
    return notes / f"{slab[0]:06d}-{slab[1]:06d}"


def _save(file: Path, **arrays: Any) -> None:
    with atomic(file) as partial_file, open(partial_file, "wb") as stream:
        np.savez(stream, **arrays)


def _noted(file: Path) -> dict[str, np.ndarray]:
    with np.load(file, allow_pickle=False) as noted:
        return dict(noted)
