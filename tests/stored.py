"""Arrays as volumes that lie on the disk, and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bundle.volumes import StoredVolume


def stored(folder: Path, array: np.ndarray, rows: int) -> StoredVolume:
    """An array ``[Z, Y, X]`` in blocks of so many rows."""
    volume = StoredVolume(folder, array.shape, array.dtype, rows)
    for z in range(array.shape[0]):
        for start, stop in volume.bands:
            volume.write(z, start, array[z, start:stop])
    return volume


def whole(volume: StoredVolume) -> np.ndarray:
    """All of a volume, ``[Z, Y, X]``."""
    return np.stack(list(volume.planes()))
