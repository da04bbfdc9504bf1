"""A phantom: a synthetic stack and all that is true of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..graphs import VascularGraph


@dataclass(frozen=True)
class Phantom:
    """A synthetic stack with its truth. All arrays share the grid of the stack.

    Args:
        stack: what the microscope gives, `[Z, Y, X]`, uint8 or uint16.
        spacing: µm between voxels along z, y and x.
        mask: the voxels whose centre is inside a vessel, `[Z, Y, X]`, bool.
        depth: µm from the first slice to where the brightest vessel of a pixel's column is in focus: the voxel of the
            mask with the most light in focus, before noise; NaN where no vessel is, `[Y, X]`, float32.
        focus: the image that is in focus everywhere: the maximum over depth of the light in focus, without noise, in
            the digital numbers of the stack, `[Y, X]`, float32.
        graph: the network.
        settings: how it was made: the specimen's and the microscope's parameters.
        slab_mask: the pixels of each slice under which a vessel comes within half a slice step of the slice's plane,
            which is what people draw who mark a slice, `[Z, Y, X]`, bool. It is computed from the graph, not from the
            mask: a capillary that passes between two planes is in the slab of one of them and may be in no voxel.
        light: the stack without noise, neither rounded nor clipped nor processed, in digital numbers, `[Z, Y, X]`,
            float32.
    """

    stack: np.ndarray
    spacing: tuple[float, float, float]
    mask: np.ndarray
    depth: np.ndarray
    focus: np.ndarray
    graph: VascularGraph
    settings: dict
    slab_mask: np.ndarray
    light: np.ndarray

    @property
    def projected_mask(self) -> np.ndarray:
        """The pixels under which a vessel lies, `[Y, X]`, bool."""
        return np.asarray(self.mask.any(axis=0))
