"""Writing what was found in an image, or in the fusion of a stack."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..io import Source, write_image
from ..pictures import for_people, mask_overlay, write_png
from ..trust import Expectation
from .disagreement import least_agreed
from .expecting import expected_of_image, note_expectation, write_expectations
from .outputs import Outputs
from .remarks import say_found, vessel_share
from .second_opinion import SecondOpinion

__all__ = ["Found", "FoundWriter"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Found:
    """What was found in an image; arrays in the order of its file, ``[Y, X]`` or ``[Z, Y, X]``.

    Args:
        mask: bool.
        maps: ``probability``, float32, and ``disagreement`` where the network gives it.
        image: what was segmented, before its contrast was enhanced, float32.
        dtype: the file's own.
        depth: of a stack that was fused.
        spacing: micrometres along the axes, if the file told.
        affine: of a NIfTI file.
        scale: factor by which the network saw it resampled.
        expectation: of what the run's own network found; found out if None.
        second: whose network made the mask, if the run's own did not.
    """

    mask: np.ndarray
    maps: Mapping[str, np.ndarray]
    image: np.ndarray
    dtype: str
    depth: np.ndarray | None = None
    spacing: tuple[float, ...] | None = None
    affine: np.ndarray | None = None
    scale: float = 1.0
    expectation: Expectation | None = None
    second: SecondOpinion | None = None


class FoundWriter:
    """Write what was found in the images of a run, and say at its end where to look first.

    Args:
        outputs: the run's.
    """

    def __init__(self, outputs: Outputs) -> None:
        self.outputs = outputs

    def write(self, source: Source, found: Found) -> None:
        """Write the outputs of an image, the mask last, so that where it stands everything stands.

        Raises:
            InputError: a file cannot be written, or the input has changed since it was read.
        """
        try:
            self._write(source, found)
        except OSError as error:
            lost = self.outputs.lost(error)
            if lost is None:
                raise
            raise lost from error

    def _write(self, source: Source, found: Found) -> None:
        images = dict(found.maps)
        if found.depth is not None:
            images["fused"] = _as_stored(found.image, found.dtype)
            images["depth"] = found.depth
        self.outputs.begin(source, [*images, "overlay", "mask"])
        expectation = found.expectation
        if expectation is None and "probability" in images and "disagreement" in images:
            expectation = expected_of_image(found.image, images["probability"], images["disagreement"], found.mask)
        note_expectation(self.outputs, source, expectation, found.second)
        for kind, array in images.items():
            self._image(source, kind, array, found)
        # in the file's own type, whose few values are quickly counted
        image = _as_stored(found.image, found.dtype) if found.depth is None else found.image
        picture = for_people(mask_overlay(image, found.mask), found.spacing[-1] if found.spacing else None)
        write_png(self.outputs.path(source, "overlay"), picture)
        self.outputs.confirm(source)
        self._image(source, "mask", found.mask, found)
        grey = image if image.ndim == 2 else image.max(axis=0)
        words = [vessel_share(int(np.count_nonzero(found.mask)), found.mask.shape, grey)]
        if found.second:
            words.append(found.second.words)
        say_found(self.outputs, source, words, expectation, found.mask, found.image, found.scale)

    def say_where_to_look(self) -> None:
        """Write the table of what to expect, and name the images on whose vessels the cascades agree least.

        The folder's masks of this run's weights and mode count, those of earlier runs too: one that was interrupted
        goes on with the others. How far the cascades differ tells nothing from weights to weights.

        Raises:
            InputError: the table cannot be written.
        """
        found = write_expectations(self.outputs)
        names = least_agreed(found)
        if names:
            each = ", ".join(f"{name} ({found[name]:.3f})" for name in names)
            logger.info(
                "of the %d masks of this kind in %s look first at those where the cascades agree least "
                "(mean difference on vessels): %s",
                len(found),
                self.outputs.folder,
                each,
            )

    def _image(self, source: Source, kind: str, array: np.ndarray, found: Found) -> None:
        record = self.outputs.provenance(source, kind).record
        path, axes = self.outputs.path(source, kind), "ZYX"[-array.ndim :]
        write_image(path, array, axes, found.spacing, affine=found.affine, record=record)


def _as_stored(array: np.ndarray, dtype: str) -> np.ndarray:
    """Values in the file's own type, where float32, as which they were read, holds that type exactly."""
    integer = np.issubdtype(dtype, np.integer) and np.can_cast(dtype, np.float32)
    return array.astype(dtype) if integer else array
