"""Segmentation of many images, one after the other, of which some may be bad."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.data import MetaTensor
from monai.data.utils import affine_to_spacing
from monai.engines import SupervisedEvaluator
from monai.engines.utils import IterationEvents
from monai.utils.enums import CommonKeys as Keys

from ..data import FAILURE
from ..errors import InputError, foreseen
from .inferers import SCALE
from .outputs import Outputs
from .writing import Found, FoundWriter

__all__ = ["SegmentationEvaluator", "SegmentationWriter"]

logger = logging.getLogger(__name__)


class SegmentationEvaluator(SupervisedEvaluator):
    """An evaluator that says in one line what is wrong with a bad input, and goes on with the next.

    Args:
        args: of :class:`monai.engines.SupervisedEvaluator`; the loader is one of :class:`bundle.data.InputDataset`,
            an image at a time.
        kwargs: the same.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.add_event_handler(IterationEvents.FORWARD_COMPLETED, _split)
        self.succeeded = self.failed = 0

    def _iteration(self, engine: Engine, batchdata: dict) -> dict | list:
        if FAILURE in batchdata:
            return self._fail(batchdata[FAILURE][0])
        try:
            output = super()._iteration(engine, batchdata)
        except Exception as exception:
            source = batchdata[Keys.IMAGE].meta["filename_or_obj"][0]
            error = foreseen(exception, source)
            if error is None:
                raise
            return self._fail(str(error if error.path else InputError(source, error.problem, error.remedy)))
        self.succeeded += 1
        return output

    def _fail(self, line: str) -> list:
        self.failed += 1
        logger.error(line)
        return []

    def run(self, global_epoch: int = 1) -> None:
        """Segment everything, and say at the end how much there was.

        Raises:
            InputError: an input failed; its own line has been logged.
        """
        self.succeeded = self.failed = 0
        if len(self.data_loader):  # ignite takes an empty loader for an endless one
            with torch.inference_mode():
                super().run(global_epoch)
        logger.info("%d segmented, %d failed", self.succeeded, self.failed)
        if self.failed:
            raise InputError(None, f"{self.failed} of {self.succeeded + self.failed} inputs failed", "see above")


def _split(engine: Engine) -> None:
    """Take the disagreement of the cascades out of the prediction, where the network gives it."""
    output = engine.state.output
    if output[Keys.PRED].shape[1] == 2:
        output[Keys.PRED], output["disagreement"] = output[Keys.PRED].split(1, 1)


class SegmentationWriter:
    """Write what was found under the input's name: mask, probability, overlay, and of a stack its fusion.

    ``NAME_mask`` (uint8, 0 and 255) is written last, so that where it stands everything stands. NAME is the input's
    file name without suffix. All but the picture are images with the input's pixel size. Of more than three of
    these weights in the folder it is said at the end of a run on which ones the cascades agree least.

    Args:
        output_dir: folder to write to.
        suffix: of the images, which says in which format they are.
        outputs: the run's; made of the others if None, and then what lies there is replaced.
    """

    def __init__(self, output_dir: str | Path, suffix: str = ".tif", outputs: Outputs | None = None) -> None:
        self.outputs = outputs or Outputs(output_dir, suffix, overwrite=True)
        self.found = FoundWriter(self.outputs)

    def attach(self, engine: Engine) -> None:
        """Attach to a :class:`SegmentationEvaluator`, behind its postprocessing."""
        engine.add_event_handler(IterationEvents.MODEL_COMPLETED, self.write)
        engine.add_event_handler(Events.COMPLETED, self.found.say_where_to_look)
        engine.add_event_handler(Events.COMPLETED, self.outputs.check_there)

    def write(self, engine: Engine) -> None:
        """Write the outputs of each image of the batch.

        Raises:
            InputError: a file cannot be written, or the input has changed since it was read.
        """
        for inputs, outputs in zip(engine.state.batch, engine.state.output, strict=True):
            meta, mask = inputs["image"].meta, outputs["pred"]
            place = mask.meta.get("world_affine")
            maps = {kind: _in_file_order(outputs[kind]) for kind in ("probability", "disagreement") if kind in outputs}
            self.found.write(
                self.outputs.source(meta["filename_or_obj"], meta.get("output_name")),
                Found(
                    mask=_in_file_order(mask).astype(bool),
                    maps=maps,
                    image=_in_file_order(inputs["original"]),
                    dtype=mask.meta["original_dtype"],
                    depth=_in_file_order(inputs["image_depth"]) if "image_depth" in inputs else None,
                    spacing=_spacing(mask),
                    affine=None if place is None else np.asarray(place),
                    scale=float(mask.meta.get(SCALE, 1.0)),
                ),
            )


def _in_file_order(image: MetaTensor) -> np.ndarray:
    """One channel of ``[1, X, Y]`` or ``[1, X, Y, Z]`` as YX or ZYX."""
    return image[0].cpu().numpy().T


def _spacing(image: MetaTensor) -> tuple[float, ...] | None:
    """Micrometres in the order of the file's axes, if the file told."""
    if image.meta.get("spacing") is None:
        return None
    return tuple(float(step) for step in affine_to_spacing(image.affine, r=image.ndim - 1))[::-1]
