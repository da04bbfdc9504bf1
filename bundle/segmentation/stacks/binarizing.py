"""From the stored probability to a mask, by blocks: hysteresis, then morphology over the volume."""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from ... import volumes
from ...errors import InputError
from ...io import Image
from ...transforms import Closing, Hysteresis, Removal, ball, pixels_of_fragment
from ...volumes import HERE, StoredVolume, Workers
from ..side_by_side import THREADS
from .steps import known_steps

__all__ = ["Binarization"]

SMALL = 1 << 21  # pixels of a slice, of which several are worked on at once in this process

Stage = tuple[str, np.ndarray | float | None]  # its name, and what it takes: a ball, or a number of voxels


class Binarization:
    """The steps from a probability to a mask.

    Args:
        steps: :class:`bundle.transforms.HysteresisThreshold`, ``CloseGaps`` and ``RemoveFragments`` or their twins.

    Raises:
        ValueError: a step of another kind, or the first is no threshold.
    """

    def __init__(self, steps: Sequence[object]) -> None:
        steps = getattr(steps, "transforms", steps)  # of MONAI's Compose
        self.threshold, *self.morphology = known_steps(steps, (Hysteresis, Closing, Removal))
        if not isinstance(self.threshold, Hysteresis):
            raise ValueError("the first step to a mask must be a HysteresisThreshold")

    def stages(self, image: Image) -> list[Stage]:
        """The steps as the image's spacing has them: balls, and numbers of voxels.

        Raises:
            InputError: a size is in micrometres, and the image has no spacing.
        """
        stages: list[Stage] = [("hysteresis", None)]
        for step in self.morphology:
            if not step.size:
                continue
            spacing = image.spacing if step.unit == "micrometer" else (1.0,) * len(image.shape)
            if spacing is None:
                problem = "a size in micrometres was asked for, but the image has no pixel spacing"
                raise InputError(image.path, problem, "give --spacing, or sizes in pixels")
            if isinstance(step, Closing):
                # made with x first, as of the array that the reader gives, since the last bit of its sums may decide
                element = ball(step.size, spacing[::-1]).T
                stages.append(("close", element.reshape((1,) * (3 - element.ndim) + element.shape)))
            else:
                stages.append(("remove", pixels_of_fragment(step.size, spacing[::-1])))
        return stages

    def by_blocks(
        self, probability: StoredVolume, stages: list[Stage], work: Path, workers: Workers = HERE
    ) -> StoredVolume:
        """The mask of a stored probability.

        Args:
            probability: the volume.
            stages: of :meth:`stages`.
            work: folder for the mask and what is made on the way. What an interrupted run left there is taken up, if
                it was by the same steps.
            workers: who does it.
        """
        if workers is HERE and math.prod(probability.shape[1:]) <= SMALL:
            workers = THREADS
        folder = work / f"mask-{self._fingerprint(stages)}"
        for other in set(work.glob("mask-*")) - {folder}:
            shutil.rmtree(other, ignore_errors=True)
        start, stop = probability.bands[0]
        outs = [
            StoredVolume(folder / f"{number}-{kind}", probability.shape, bool, stop - start)
            for number, (kind, _) in enumerate(stages)
        ]
        done = max((number for number, out in enumerate(outs) if out.holds(0, out.shape[0])), default=-1)
        for number in range(done + 1, len(stages)):
            kind, value = stages[number]
            mask, out, notes = outs[number - 1], outs[number], folder / f"notes-{number}"
            if isinstance(value, np.ndarray):
                volumes.close_gaps(mask, value, out, workers)
            elif value is not None:
                volumes.remove_fragments(mask, value, out, notes, workers)
            else:
                volumes.hysteresis(probability, self.threshold.low, self.threshold.high, out, notes, workers)
            for old in (notes, *(out.folder for out in outs[:number])):
                shutil.rmtree(old, ignore_errors=True)
        return outs[-1]

    def _fingerprint(self, stages: list[Stage]) -> str:
        """What tells the mask that these stages make of a probability from others."""
        values = [(value.shape, value.tobytes()) if isinstance(value, np.ndarray) else value for _, value in stages]
        told = [self.threshold.low, self.threshold.high, *zip((kind for kind, _ in stages), values, strict=True)]
        return hashlib.sha256(repr(told).encode()).hexdigest()[:12]

    def in_memory(self, probability: torch.Tensor) -> torch.Tensor:
        """The mask of an image ``[1, X, Y]``."""
        mask = self.threshold(probability)
        for step in self.morphology:
            mask = step(mask)
        return mask
