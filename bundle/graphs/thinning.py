"""Thinning of a mask to lines one voxel wide, in the order of the distance to the background.

scikit-image's thinning of volumes deletes straight tubes of even width whole
(https://github.com/scikit-image/scikit-image/issues/3757). Here a voxel goes only if it is simple, that is, if its
going changes no piece, no loop and no cavity (Bertrand and Malandain, Pattern Recognition Letters 1994,
doi:10.1016/0167-8655(94)90046-9), and voxels go together only where they do not touch: the grid is parted into eight
subfields by the parity of z, y and x. Voxels near the background go first, by the distance in micrometres, so the lines
lie in the middle of the vessels whatever the spacing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..volumes import depth

__all__ = ["Thinning", "as_volume", "fitting", "middle", "skeleton", "steps_of", "thin"]

# 3 x 3 x 3 neighbourhoods are packed into 27 bits, x fastest: bit 13 is the voxel itself
_X_FIRST, _X_LAST = (sum(1 << (x + 3 * row) for row in range(9)) for x in (0, 2))
_Y_FIRST, _Y_LAST = (sum(1 << (x + 3 * y + 9 * z) for z in range(3) for x in range(3)) for y in (0, 2))
_ALL, _CENTRE = (1 << 27) - 1, 1 << 13
_AROUND = np.uint32(_ALL - _CENTRE)
_SIDES = np.uint32(sum(1 << bit for bit in (4, 10, 12, 14, 16, 22)))
_SIDES_AND_EDGES = np.uint32(
    sum(1 << (x + 3 * y + 9 * z) for z in range(3) for y in range(3) for x in range(3) if 1 in (x, y, z)) - _CENTRE
)
_NOT_X_FIRST, _NOT_X_LAST = np.uint32(_ALL - _X_FIRST), np.uint32(_ALL - _X_LAST)
_NOT_Y_FIRST, _NOT_Y_LAST = np.uint32(_ALL - _Y_FIRST), np.uint32(_ALL - _Y_LAST)
_ONE, _THREE, _NINE = np.uint32(1), np.uint32(3), np.uint32(9)
_CHUNK = 1 << 14  # neighbourhoods at a time: they stay in the processor's cache

# voxels go in steps of this share of the smallest spacing; finer ones give the same lines
_STEP = 0.125
_LAST_STEP = 4000


def thin(mask: np.ndarray, spacing: Sequence[float] | None = None) -> np.ndarray:
    """Thin a mask to lines, keeping each piece, loop and cavity, and the lines' ends.

    Vessel touches vessel through corners too (8 neighbours in 2D, 26 in 3D). The border of the field is no background
    to the distance: a vessel that leaves the field keeps its line up to the border.

    Args:
        mask: bool ``[Y, X]`` or ``[Z, Y, X]``.
        spacing: of the voxels along each axis, in micrometres; 1 if absent.

    Returns:
        bool, the same shape, part of the mask. No voxel of it can go without a change of topology, but the lines' ends.

    Raises:
        ValueError: the mask has neither two nor three axes, or the spacing does not fit it.
    """
    volume, spacing = as_volume(mask, spacing)
    return skeleton(volume, spacing)[0].reshape(np.shape(mask))


def skeleton(volume: np.ndarray, spacing: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    """What is left of a volume, bool ``[Z, Y, X]``, and how deep in the mask each voxel of that lies, micrometres.

    Of a volume of nothing but mask the voxel in the middle is left.
    """
    depths = depth(volume, spacing)
    if volume.size and volume.all():
        left = np.zeros_like(volume)
        left[middle(volume.shape)] = True
    else:
        thinning = Thinning(volume, steps_of(depths, spacing))
        thinning.run()
        left = thinning.alive
    return left, depths[left[volume]]


def middle(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The voxel in the middle of a field."""
    return tuple(side // 2 for side in shape)


def as_volume(
    mask: np.ndarray, spacing: Sequence[float] | None = None
) -> tuple[np.ndarray, tuple[float, float, float]]:
    """A mask as bool ``[Z, Y, X]`` and its spacing as three numbers: an image is a volume of one slice.

    Raises:
        ValueError: the mask has neither two nor three axes, or the spacing does not fit it.
    """
    mask = np.asarray(mask) != 0
    if mask.ndim not in (2, 3):
        raise ValueError(f"a mask has two or three axes, not {mask.ndim}")
    z, y, x = (1.0, *fitting(spacing, mask.ndim))[-3:]
    return mask[None] if mask.ndim == 2 else mask, (z, y, x)


def fitting(spacing: Sequence[float] | None, axes: int) -> tuple[float, ...]:
    """The spacing along so many axes, 1 if absent.

    Raises:
        ValueError: it is of another number of axes, or not positive.
    """
    spacing = (1.0,) * axes if spacing is None else tuple(float(step) for step in spacing)
    if len(spacing) != axes or not all(0 < step < np.inf for step in spacing):
        raise ValueError(f"spacing {spacing} must be {axes} positive numbers")
    return spacing


def steps_of(depths: np.ndarray, spacing: tuple[float, float, float]) -> np.ndarray:
    """In which step voxels of these depths (in micrometres) may go, uint16."""
    steps = np.asarray(depths, np.float64) / (_STEP * min(spacing)) + 1e-3  # rounding must not move a voxel on
    return np.minimum(steps, _LAST_STEP).astype(np.uint16)


class Thinning:
    """The thinning of a block: in each step the voxels that are deep enough by then may go, once through the subfields.

    What a step does to a voxel depends on no voxel further than ``REACH`` from it.

    Args:
        mask: bool ``[Z, Y, X]``.
        steps: when each voxel of the mask may go, of :func:`steps_of`, in their order in memory.
        origin: where the block's first voxel is in the whole; its parity counts.
    """

    REACH = 8  # subfields

    def __init__(self, mask: np.ndarray, steps: np.ndarray, origin: tuple[int, int, int] = (0, 0, 0)) -> None:
        # each byte tells of a voxel (2) and of its neighbours in x (1 and 4): a neighbourhood is nine bytes, not 27
        here = np.pad(mask, 1).astype(np.uint8)
        self._rows = here << 1
        self._rows[..., 1:] |= here[..., :-1]
        self._rows[..., :-1] |= here[..., 1:] << 2
        self._flat = self._rows.reshape(-1)
        plane, row = (stride // self._rows.itemsize for stride in self._rows.strides[:2])
        self._offsets = [
            (dz * plane + dy * row, np.uint32(3 * (dy + 1) + 9 * (dz + 1))) for dz in (-1, 0, 1) for dy in (-1, 0, 1)
        ]
        at = np.flatnonzero(here)
        z, rest = np.divmod(at, plane)
        y, x = np.divmod(rest, row)
        parity = ((z + origin[0] - 1) & 1) << 2 | ((y + origin[1] - 1) & 1) << 1 | ((x + origin[2] - 1) & 1)
        keys = (steps.astype(np.uint16) << 3) | parity.astype(np.uint16)
        order = np.argsort(keys, kind="stable")
        self.last = int(steps.max(initial=0))
        bounds = np.searchsorted(keys[order], np.arange(8 * (self.last + 1) + 1))
        self._coming = [at[order[a:b]] for a, b in zip(bounds[:-1], bounds[1:], strict=True)]
        self._waiting = [at[:0]] * 8

    @property
    def alive(self) -> np.ndarray:
        """What is left, bool ``[Z, Y, X]``."""
        return (self._rows[1:-1, 1:-1, 1:-1] & 2).astype(bool)

    def run(self, first: int = 0, stop: int | None = None) -> int:
        """Do the steps from ``first`` to ``stop`` (not included), or until after the last nothing goes any more.

        Returns:
            How many voxels went.
        """
        for step in range(min(first, self.last + 1)):
            self._let_in(step)
        gone, step = 0, first
        while stop is None or step < stop:
            if step <= self.last:
                self._let_in(step)
            now = sum(self._pass(subfield) for subfield in range(8))
            gone += now
            step += 1
            if not now and step > self.last:
                break
        return gone

    def _let_in(self, step: int) -> None:
        for subfield in range(8):
            coming = self._coming[8 * step + subfield]
            if coming.size:
                self._waiting[subfield] = np.concatenate([self._waiting[subfield], coming])

    def _pass(self, subfield: int) -> int:
        at = self._waiting[subfield]
        if not at.size:
            return 0
        code = np.zeros(len(at), np.uint32)
        for offset, shift in self._offsets:
            code |= self._flat[at + offset].astype(np.uint32) << shift
        goes = np.concatenate([_may_go(code[start : start + _CHUNK]) for start in range(0, len(code), _CHUNK)])
        gone = at[goes]
        self._flat[gone] &= 0b101
        self._flat[gone - 1] &= 0b011
        self._flat[gone + 1] &= 0b110
        self._waiting[subfield] = at[~goes]
        return len(gone)


def _may_go(code: np.ndarray) -> np.ndarray:
    """Whether the middle voxel of each packed neighbourhood is simple and no line's end.

    It is simple if its neighbours are of one piece, and the background that touches its sides is of one piece among
    the neighbours that share a side or an edge with it.
    """
    around = code & _AROUND
    lowest = around & (~around + _ONE)
    result = (around != lowest) & (_grown(lowest, around, _through_corners) == around)
    at = np.flatnonzero(result)
    free = ~code[at] & _SIDES_AND_EDGES
    sides = free & _SIDES
    lowest = sides & (~sides + _ONE)
    result[at] = (sides != 0) & (_grown(lowest, free, _through_sides) & _SIDES == sides)
    return result


def _grown(seeds: np.ndarray, within: np.ndarray, spread: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Seeds and all that is connected with them."""
    while True:
        grown = spread(seeds) & within
        if np.array_equal(grown, seeds):
            return grown
        seeds = grown


def _through_corners(bits: np.ndarray) -> np.ndarray:
    bits = bits | (bits & _NOT_X_LAST) << _ONE | (bits & _NOT_X_FIRST) >> _ONE
    bits = bits | (bits & _NOT_Y_LAST) << _THREE | (bits & _NOT_Y_FIRST) >> _THREE
    return bits | bits << _NINE | bits >> _NINE


def _through_sides(bits: np.ndarray) -> np.ndarray:
    along_x = (bits & _NOT_X_LAST) << _ONE | (bits & _NOT_X_FIRST) >> _ONE
    along_y = (bits & _NOT_Y_LAST) << _THREE | (bits & _NOT_Y_FIRST) >> _THREE
    return bits | along_x | along_y | bits << _NINE | bits >> _NINE
