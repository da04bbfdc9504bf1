"""What the desk writes: masks and tables, and annotated images to train on."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..io import open_image, write_image
from ..measurements import TABLES, Measurement, rows_of, write_definitions, write_table

__all__ = ["file_name", "save_for_training", "save_tables"]


def file_name(name: str) -> str:
    """A layer's name as that of a file on any system."""
    return re.sub(r'[\\/:*?"<>|\s]+', "_", name).strip("._") or "image"


def save_tables(folder: Path, measured: Mapping[str, Measurement]) -> None:
    """Write the tables of ``measure`` for all that was measured.

    Args:
        folder: where to.
        measured: by the image's name.

    Raises:
        InputError: nothing was measured, or the folder cannot be written to.
    """
    if not measured:
        raise InputError(None, "nothing was measured yet", "measure first")
    rows = [rows_of(name, measurement) for name, measurement in measured.items()]
    for name, table in TABLES.items():
        write_table(folder / f"{name}.csv", table, (row for found in rows for row in found[name]))
    kinds = dict.fromkeys((measurement.unit, len(measurement.axes)) for measurement in measured.values())
    write_definitions(folder / "definitions.csv", list(kinds))


def save_for_training(
    folder: Path, name: str, image: np.ndarray, mask: np.ndarray, spacing: Sequence[float] | None
) -> Path:
    """Add an image and its mask to a dataset folder, ``images/`` and ``masks/``.

    Args:
        folder: of the dataset; it may be new.
        name: of the image.
        image: ``[Y, X]``.
        mask: of its shape; nonzero is vessel.
        spacing: micrometres along Y and X, or None.

    Returns:
        The mask's file.

    Raises:
        InputError: the mask shows one kind of pixel alone; another image of this name is there; nothing can be written.
    """
    mask = np.asarray(mask) != 0
    if mask.all() or not mask.any():
        raise InputError(None, "the mask shows one kind of pixel alone", "paint vessels, and leave background")
    image_file, mask_file = (folder / part / f"{name}.tif" for part in ("images", "masks"))
    if image_file.exists() and not np.array_equal(open_image(image_file).array(), image):
        raise InputError(image_file, "is another image of this name", "rename the layer, or choose another folder")
    write_image(image_file, image, "YX", spacing)
    write_image(mask_file, mask, "YX", spacing)
    return mask_file
