"""The skeleton of a mask that is larger than memory, the same as that of the whole.

What a step of the thinning does to a voxel depends on no voxel further than :attr:`Thinning.REACH` from it. So a brick
is thinned by some steps with as much around it as those steps reach, its own part is kept, and after all bricks come
the next steps. Distances and pinholes likewise take as much around a brick as they need. The states lie on disk: about
six bytes for each voxel. So bricks are parts for many workers as well, each with its own files.
"""

from __future__ import annotations

import math
import shutil
from functools import partial
from pathlib import Path

import numpy as np

from ..volumes import HERE, StoredVolume, Workers, depth
from .fields import Box, Field
from .pinholes import PINHOLE, fill_pinholes
from .thinning import Thinning, middle, steps_of

__all__ = ["skeleton_by_blocks", "stored_without_pinholes"]

_STEPS = 6  # in one round
_HALO = 24  # voxels, of the first try at distances


def stored_without_pinholes(field: Field, pinholes: int | None, folder: Path, workers: Workers = HERE) -> Field:
    """A mask with its pinholes filled, on disk; as it is where none are to be filled.

    Args:
        field: the mask.
        pinholes: as of :func:`fill_pinholes`.
        folder: where it is stored.
        workers: who does it.
    """
    if pinholes == 0:
        return field
    out = _stored(folder, field, bool)
    workers.each("filling pinholes", partial(_fill, field, pinholes, out), list(field.bricks()))
    return Field(out, field.voxels)


def skeleton_by_blocks(
    field: Field, spacing: tuple[float, float, float], folder: Path, workers: Workers = HERE
) -> tuple[np.ndarray, np.ndarray]:
    """Thin a mask brick by brick.

    Args:
        field: the mask, its pinholes filled.
        spacing: micrometres.
        folder: an empty or absent one, where the states are.
        workers: who does it.

    Returns:
        The voxels of the skeleton, ``[N, 3]``, in the order in which an array holds them, and the depth of each.
    """
    bricks = list(field.bricks())
    if all(workers.each("looking for background", partial(_full, field), bricks)):
        return np.array([middle(field.shape)]), np.array([np.inf])
    depths = _stored(folder / "depth", field, np.float32)
    last = max(workers.each("looking how deep voxels lie", partial(_deepen, field, spacing, depths), bricks))
    deep = Field(depths, field.voxels)
    state, first, changed = field, 0, True
    stored: StoredVolume | None = None
    while first <= last or changed:
        before, old = state, stored
        stored = _stored(folder / f"step-{first}", field, bool)
        changed = any(workers.each("thinning", partial(_thin, before, deep, spacing, first, stored), bricks))
        state = Field(stored, field.voxels)
        if old is not None:
            shutil.rmtree(old.folder)
        first += _STEPS
    left = workers.each("collecting lines", partial(_left, state, deep), bricks)
    voxels, values = (np.concatenate(parts) for parts in zip(*left, strict=True))
    order = np.lexsort(voxels.T[::-1])
    return voxels[order], values[order]


# of a brick


def _fill(field: Field, pinholes: int | None, out: StoredVolume, box: Box) -> None:
    image = field.shape[0] == 1
    size = PINHOLE[2 if image else 3] if pinholes is None else pinholes
    large, inner = field.around(box, size + math.ceil(4 * size ** (1 / (2 if image else 3))) + 1)
    block = field.read(large)
    filled = fill_pinholes(block[0] if image else block, pinholes).reshape(block.shape)
    _write(out, box, filled[inner])


def _full(field: Field, box: Box) -> bool:
    return bool(field.read(box).all())


def _deepen(field: Field, spacing: tuple[float, float, float], depths: StoredVolume, box: Box) -> int:
    """Store how deep voxels lie, and tell in which step the last may go."""
    block = _depth_of(field, box, spacing)
    _write(depths, box, block)
    return int(steps_of(block[block > 0], spacing).max(initial=0))


def _thin(
    before: Field, deep: Field, spacing: tuple[float, float, float], first: int, out: StoredVolume, box: Box
) -> bool:
    """Do some steps, and tell whether anything went."""
    large, inner = before.around(box, _STEPS * Thinning.REACH)
    alive = before.read(large)
    steps = steps_of(deep.values(large)[alive], spacing)
    left = core = alive[inner]
    if (steps < first + _STEPS).any():
        thinning = Thinning(alive, steps, tuple(side.start for side in large))
        thinning.run(first, first + _STEPS)
        left = thinning.alive[inner]
    _write(out, box, left)
    return bool((left != core).any())


def _left(state: Field, deep: Field, box: Box) -> tuple[np.ndarray, np.ndarray]:
    """The voxels that are left, and how deep they lie."""
    alive = state.read(box)
    return np.argwhere(alive) + [side.start for side in box], deep.values(box)[alive]


def _depth_of(field: Field, box: Box, spacing: tuple[float, float, float]) -> np.ndarray:
    """The depth of the voxels of a box, 0 outside the mask; so much around it is read that none is too large."""
    halo = _HALO
    while True:
        large, inner = field.around(box, halo)
        mask = field.read(large)
        values = np.zeros(mask.shape, np.float32)
        values[mask] = depth(mask, spacing)
        values = values[inner]
        exact = True
        for axis in (0, 1):  # what is not seen begins behind the halo
            index = np.arange(values.shape[axis]).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
            if large[axis].start > 0:
                exact &= bool((values <= (halo + 1 + index) * spacing[axis]).all())
            if large[axis].stop < field.shape[axis]:
                exact &= bool((values <= (halo + 1 + index[::-1, ::-1]) * spacing[axis]).all())
        if exact:
            return values
        halo *= 2


def _stored(folder: Path, field: Field, dtype: type) -> StoredVolume:
    return StoredVolume(folder, field.shape, dtype, field.brick[1])


def _write(out: StoredVolume, box: Box, block: np.ndarray) -> None:
    for z, plane in zip(range(box[0].start, box[0].stop), block, strict=True):
        out.write(z, box[1].start, plane)
