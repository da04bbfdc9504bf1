"""Nikon ND2, read by nd2: every position of the stage is a scene."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .extras import Kept, format_library
from .image import Recording


def recordings(path: Path) -> list[Recording]:
    """Open an ND2 file; see :py:class:`bundle.io.image.Recording`."""
    nd2 = format_library("nd2", path, "Nikon ND2")
    kept = Kept(nd2.ND2File(path))
    file = kept.file
    size = dict(file.sizes)
    loops = [axis for axis in size if axis not in "CYXS"]
    # frames are numbered over the loops; one holds all channels of its place
    frames = {tuple(place.get(axis, 0) for axis in loops): i for i, place in enumerate(file.loop_indices or [{}])}
    channels = [channel for channel in file.metadata.channels or ()]
    names = tuple(channel.channel.name or "" for channel in channels) if len(channels) == size.get("C", 1) else ()
    calibrated = channels[0].volume.axesCalibrated if channels else (False,) * 3
    voxel = file.voxel_size()
    spacing = {
        axis.upper(): getattr(voxel, axis) if known else None for axis, known in zip("xyz", calibrated, strict=True)
    }
    axes = "".join(axis for axis in size if axis != "P")

    def scene(position: int, name: str) -> Recording:
        def read(index: Mapping[str, int]) -> np.ndarray:
            place = {**index, "P": position}
            frame = kept.file.read_frame(frames[tuple(place[axis] for axis in loops)])
            whole = frame.reshape(size.get("C", 1), size["Y"], size["X"], size.get("S", 1))
            plane = whole[index.get("C", 0)]
            return plane if "S" in size else plane[..., 0]

        shape = tuple(size[axis] for axis in axes)
        return Recording(
            path, axes, shape, file.dtype.newbyteorder("="), read, spacing, names if any(names) else (), name
        )

    return [scene(position, name) for position, name in enumerate(_positions(file, size.get("P", 1)))]


def _positions(file: Any, count: int) -> list[str]:
    for loop in file.experiment:
        if loop.type == "XYPosLoop" and len(loop.parameters.points) == count:
            return [point.name or "" for point in loop.parameters.points]
    return [""] * count
