"""Writing what was found in a stack, plane by plane, each file complete or not there at all."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import InputError
from ...io import Layout, atomic, atomic_folder, check_threads_fit, write_image, write_image_planes
from ...pictures import for_people, mask_overlay, write_png
from ...trust import Evidence, Expectation
from ...volumes import StoredVolume
from ..expecting import expected_of, note_expectation
from ..outputs import Outputs
from ..remarks import remark_on_mask, vessel_share
from ..side_by_side import side_by_side
from .projections import middle_projection, picture_projection
from .reading import GreyBlocks
from .stack import SegmentedStack

__all__ = ["StackWriter"]

logger = logging.getLogger(__name__)

# of a large slice, looked at together where it is asked what Dice to expect
PART_PIXELS = 1 << 21


@dataclass(frozen=True)
class StackWriter:
    """What is written of stacks.

    Args:
        outputs: where it goes, and what makes it.
    """

    outputs: Outputs

    def path(self, stack: SegmentedStack, kind: str) -> Path:
        """The file of an output; ``kind`` is a key of :data:`bundle.io.KINDS`."""
        return self.outputs.path(stack.source, kind)

    def all_of(self, stack: SegmentedStack, also: Mapping[str, StoredVolume] | None = None) -> None:
        """Write probability, disagreement, overlay, and last the mask.

        Args:
            stack: what was found.
            also: more that is written before the mask, by its kind.

        Raises:
            InputError: a file cannot be written.
        """
        volumes = {"probability": stack.probability, "disagreement": stack.disagreement, **(also or {})}
        self.outputs.begin(stack.source, (*volumes, "overlay", "mask"))
        check_threads_fit(2)
        with ThreadPoolExecutor(2) as pool:
            written = [
                pool.submit(self.volume, stack, kind, volume.parts(), volume.dtype) for kind, volume in volumes.items()
            ]
            grey = picture_projection(GreyBlocks(stack.image).native, stack.shape).astype(np.float32)
            found = picture_projection(stack.mask.rows, stack.shape)
            spacing = stack.image.spacing
            pixel = (
                None if spacing is None else spacing[-1] * stack.shape[-1] / grey.shape[-1]
            )  # of a wide page a pixel is several
            write_png(self.path(stack, "overlay"), for_people(mask_overlay(grey, found), pixel))
            expectation = self.expectation(stack, stack.mask)
            for future in written:
                future.result()
        source = stack.source
        said = note_expectation(self.outputs, source, expectation)
        share = self.mask(stack, stack.mask.parts(), grey)
        remark_on_mask(source, middle_projection(stack.mask.rows, stack.shape))
        logger.info("%s: %s%s, %s", source, share, said, self.path(stack, "mask"))

    def expectation(self, stack: SegmentedStack, mask: StoredVolume) -> Expectation | None:
        """What to expect of a stack's mask, seen by blocks; None without a second opinion.

        Args:
            stack: what was found.
            mask: of its shape, what is to be written.
        """
        grey, depth, total, differs = GreyBlocks(stack.image), stack.shape[0], None, False

        def seen() -> Iterator[tuple]:
            for start, stop in grey.bands:
                # of a large slice a part at a time, since what is looked at takes a hundred times a part's memory
                columns = stack.shape[2] if len(grey.bands) == 1 else max(1, PART_PIXELS // (stop - start))
                near = {0: grey.rows(0, start, stop)}  # the slice and its neighbours
                for z in range(depth):
                    if z + 1 < depth:
                        near[z + 1] = grey.rows(z + 1, start, stop)
                    found = [volume.rows(z, start, stop) for volume in (stack.probability, stack.disagreement, mask)]
                    beside = [near[n] for n in (z - 1, z + 1) if n in near]
                    for left in range(0, stack.shape[2], columns):
                        part = np.s_[:, left : left + columns]
                        yield near[z][part], *(each[part] for each in found), [each[part] for each in beside]
                    near.pop(z - 1, None)

        for (_, _, disagreement, *_), evidence in side_by_side(seen(), lambda part: Evidence.of(*part), lambda _: 1):
            differs = differs or bool(disagreement.any())
            total = evidence() if total is None else total + evidence()
        return expected_of(total, stack.shape) if differs else None

    def mask(self, stack: SegmentedStack, planes: Iterable[np.ndarray], grey: np.ndarray) -> str:
        """Write the mask.

        Args:
            stack: what it is the mask of.
            planes: bool ``[Y, X]``, one after the other, each whole or in parts.
            grey: a projection of the stack, in which margins are seen.

        Returns:
            How much of the stack is vessel, in words.

        Raises:
            InputError: it cannot be written, or the input has changed since it was opened.
        """
        self.outputs.confirm(stack.source)
        voxels = 0

        def counted() -> Iterator[np.ndarray]:
            nonlocal voxels
            for plane in planes:
                voxels += int(np.count_nonzero(plane))
                yield plane

        self.volume(stack, "mask", counted(), bool)
        return vessel_share(voxels, stack.shape, grey)

    def volume(self, stack: SegmentedStack, kind: str, planes: Iterable[np.ndarray], dtype: np.dtype | type) -> None:
        """Write an output of the stack's shape, spacing and axes, plane by plane.

        It is made in the stack's folder, so that a killed run leaves nothing elsewhere.

        Args:
            stack: what it is an output of.
            kind: a key of :data:`bundle.io.KINDS`.
            planes: 2D arrays ``[Y, X]``, each whole or in parts.
            dtype: of every plane; bool is written as 0 and 255.

        Raises:
            InputError: it cannot be written.
        """
        image, final = stack.image, self.path(stack, kind)
        made = stack.work / f"{kind}{self.outputs.suffix}"
        record = self.outputs.provenance(stack.source, kind).record
        layout = Layout(image.shape, np.dtype(dtype), image.axes, image.spacing, affine=image.affine, record=record)
        try:
            write_image_planes(made, planes, layout)
        except InputError as error:
            raise InputError(final, error.problem, error.remedy) from error if error.path == str(made) else None
        with (atomic_folder if made.is_dir() else atomic)(final) as partial:
            made.replace(partial)

    def image(self, stack: SegmentedStack, kind: str, array: np.ndarray) -> None:
        """Write an output that is one image ``[Y, X]`` of the stack.

        Raises:
            InputError: it cannot be written.
        """
        spacing = stack.image.spacing and stack.image.spacing[-2:]
        record = self.outputs.provenance(stack.source, kind).record
        write_image(self.path(stack, kind), array, "YX", spacing, affine=stack.image.affine, record=record)
