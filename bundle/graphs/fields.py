"""A mask that is read by boxes, whether it is in memory or not."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..volumes import Volume

__all__ = ["BRICK_VOXELS", "Box", "Field"]

Box = tuple[slice, slice, slice]

BRICK_VOXELS = 1 << 23  # some ten bytes each are needed while a brick is worked on


class Field:
    """A mask, its size, and the bricks in which it is gone through: whole rows, so that a brick is cut in z and y only.

    Args:
        mask: bool ``[Z, Y, X]``, or a volume that is read by rows.
        voxels: about how many a brick has.
    """

    def __init__(self, mask: np.ndarray | Volume, voxels: int = BRICK_VOXELS) -> None:
        self.mask = mask
        self.voxels = voxels
        depth, height, width = (int(side) for side in mask.shape)
        self.shape = (depth, height, width)
        side = max(1, round((voxels / max(1, self.shape[2])) ** 0.5))
        height = min(side, self.shape[1])
        depth = max(1, min(self.shape[0], voxels // max(1, self.shape[2] * height)))
        self.brick = depth, max(1, min(self.shape[1], voxels // max(1, self.shape[2] * depth)))

    def bricks(self) -> Iterator[Box]:
        """Boxes that cover the field, in order."""
        depth, height = self.brick
        for z in range(0, self.shape[0], depth):
            for y in range(0, self.shape[1], height):
                yield (
                    slice(z, min(z + depth, self.shape[0])),
                    slice(y, min(y + height, self.shape[1])),
                    slice(0, self.shape[2]),
                )

    def read(self, box: Box) -> np.ndarray:
        """The voxels of a box, bool ``[Z, Y, X]``."""
        return self.values(box) != 0

    def values(self, box: Box) -> np.ndarray:
        """What is stored of a box, ``[Z, Y, X]``."""
        if isinstance(self.mask, np.ndarray):
            return self.mask[box]
        z, y, x = box
        return np.stack([self.mask.rows(plane, y.start, y.stop)[:, x] for plane in range(z.start, z.stop)])

    def around(self, box: Box, halo: int) -> tuple[Box, Box]:
        """A box with a halo in z and y, as far as the field reaches, and where in it the box is."""
        (z, large_z), (y, large_y) = (
            (side, slice(max(0, side.start - halo), min(end, side.stop + halo)))
            for side, end in zip(box[:2], self.shape, strict=False)
        )
        inner_z, inner_y = (slice(a.start - b.start, a.stop - b.start) for a, b in ((z, large_z), (y, large_y)))
        return (large_z, large_y, box[2]), (inner_z, inner_y, box[2])
