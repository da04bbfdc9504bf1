"""The skeleton of a mask that is larger than memory, the same as that of the whole.

What a step of the thinning does to a voxel depends on no voxel further than :attr:`Thinning.REACH` from it. So a brick
is thinned by some steps with as much around it as those steps reach, its own part is kept, and after all bricks come
the next steps. Distances and pinholes likewise take as much around a brick as they need. The states lie on disk: about
six bytes for each voxel.
"""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import numpy as np

from ..volumes import StoredVolume
from .distances import depth
from .fields import Box, Field
from .pinholes import PINHOLE, fill_pinholes
from .thinning import Thinning, middle, steps_of

__all__ = ["skeleton_by_blocks", "stored_without_pinholes"]

_STEPS = 6  # in one round
_HALO = 24  # voxels, of the first try at distances


def stored_without_pinholes(field: Field, pinholes: int | None, folder: Path) -> Field:
    """A mask with its pinholes filled, on disk.

    Args:
        field: the mask.
        pinholes: as of :func:`fill_pinholes`.
        folder: where it is stored.
    """
    image = field.shape[0] == 1
    size = PINHOLE[2 if image else 3] if pinholes is None else pinholes
    halo = size + math.ceil(4 * size ** (1 / (2 if image else 3))) + 1
    out = _stored(folder, field, bool)
    for box in field.bricks():
        large, inner = field.around(box, halo)
        block = field.read(large)
        filled = fill_pinholes(block[0] if image else block, pinholes).reshape(block.shape)
        _write(out, box, filled[inner])
    return Field(out, field.voxels)


def skeleton_by_blocks(
    field: Field, spacing: tuple[float, float, float], folder: Path
) -> tuple[np.ndarray, np.ndarray]:
    """Thin a mask brick by brick.

    Args:
        field: the mask, its pinholes filled.
        spacing: micrometres.
        folder: an empty or absent one, where the states are.

    Returns:
        The voxels of the skeleton, ``[N, 3]``, in the order in which an array holds them, and the depth of each.
    """
    depths = _stored(folder / "depth", field, np.float32)
    last = 0
    for box in field.bricks():
        block = _depth_of(field, box, spacing)
        if np.isinf(block).any():  # there is no background anywhere
            return np.array([middle(field.shape)]), np.array([np.inf])
        last = max(last, int(steps_of(block[block > 0], spacing).max(initial=0)))
        _write(depths, box, block)
    deep = Field(depths, field.voxels)
    state, first, changed = field, 0, True
    stored: StoredVolume | None = None
    while first <= last or changed:
        before, old, changed = state, stored, False
        stored = _stored(folder / f"step-{first}", field, bool)
        state = Field(stored, field.voxels)
        for box in field.bricks():
            large, inner = field.around(box, _STEPS * Thinning.REACH)
            alive = before.read(large)
            steps = steps_of(deep.values(large)[alive], spacing)
            core = alive[inner]
            if (steps < first + _STEPS).any():
                thinning = Thinning(alive, steps, tuple(side.start for side in large))
                thinning.run(first, first + _STEPS)
                left = thinning.alive[inner]
                changed |= bool((left != core).any())
                core = left
            _write(stored, box, core)
        if old is not None:
            shutil.rmtree(old.folder)
        first += _STEPS
    found, values = [], []
    for box in field.bricks():
        alive = state.read(box)
        found.append(np.argwhere(alive) + [side.start for side in box])
        values.append(deep.values(box)[alive])
    voxels = np.concatenate(found)
    order = np.lexsort(voxels.T[::-1])
    return voxels[order], np.concatenate(values)[order]


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
