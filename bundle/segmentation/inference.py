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
from ..errors import InputError, input_error, is_out_of_memory, no_memory
from ..io import Source, write_image
from ..pictures import for_people, mask_overlay, write_png
from .disagreement import disagreement_on_mask, least_agreed
from .outputs import Outputs
from .remarks import remark_on_mask, vessel_share

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
            error = no_memory(source) if is_out_of_memory(exception) else input_error(exception)
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
    file name without suffix. All but the picture are images with the input's pixel size. Of more than three images that
    a run segments it is said at its end on which ones the cascades agree least.

    Args:
        output_dir: folder to write to.
        suffix: of the images, which says in which format they are.
        outputs: the run's; made of the others if None, and then what lies there is replaced.
    """

    def __init__(self, output_dir: str | Path, suffix: str = ".tif", outputs: Outputs | None = None) -> None:
        self.outputs = outputs or Outputs(output_dir, suffix, overwrite=True)
        self.disagreements: dict[str, float] = {}

    def attach(self, engine: Engine) -> None:
        """Attach to a :class:`SegmentationEvaluator`, behind its postprocessing."""
        engine.add_event_handler(Events.STARTED, lambda: self.disagreements.clear())
        engine.add_event_handler(IterationEvents.MODEL_COMPLETED, self.write)
        engine.add_event_handler(Events.COMPLETED, self.say_where_to_look)
        engine.add_event_handler(Events.COMPLETED, self.outputs.check_there)

    def write(self, engine: Engine) -> None:
        """Write the outputs of each image of the batch.

        Raises:
            InputError: a file cannot be written, or the input has changed since it was read.
        """
        try:
            self._write(engine)
        except OSError as error:
            lost = self.outputs.lost(error)
            if lost is None:
                raise
            raise lost from error

    def _write(self, engine: Engine) -> None:
        for inputs, outputs in zip(engine.state.batch, engine.state.output, strict=True):
            meta = inputs["image"].meta
            source = self.outputs.source(meta["filename_or_obj"], meta.get("output_name"))
            mask = outputs["pred"]
            found = _in_file_order(mask).astype(bool)
            original = _in_file_order(inputs["original"])
            images = {
                kind: _in_file_order(outputs[kind]) for kind in ("probability", "disagreement") if kind in outputs
            }
            if "image_depth" in inputs:
                images["fused"] = _as_stored(original, mask.meta["original_dtype"])
                images["depth"] = _in_file_order(inputs["image_depth"])
            self.outputs.begin(source, [*images, "overlay", "mask"])
            for kind, array in images.items():
                self._image(source, kind, array, mask)
            spacing = _spacing(mask)
            picture = for_people(mask_overlay(original, found), spacing[-1] if spacing else None)
            write_png(self.outputs.path(source, "overlay"), picture)
            self.outputs.confirm(source)
            self._image(source, "mask", found, mask)
            remark_on_mask(source, found)
            grey = original if original.ndim == 2 else original.max(axis=0)
            share = vessel_share(int(np.count_nonzero(found)), found.shape, grey)
            logger.info("%s: %s, %s", source, share, self.outputs.path(source, "mask"))
            if "disagreement" in outputs:
                self.disagreements[str(source)] = disagreement_on_mask(images["disagreement"], found)

    def say_where_to_look(self) -> None:
        """Name the images on whose vessels the cascades agree least."""
        names = least_agreed(self.disagreements)
        if names:
            each = ", ".join(f"{name} ({self.disagreements[name]:.3f})" for name in names)
            logger.info(
                "of these %d look first at those where the cascades agree least (mean difference on vessels): %s",
                len(self.disagreements),
                each,
            )

    def _image(self, source: Source, kind: str, array: np.ndarray, like: MetaTensor) -> None:
        axes, place = "ZYX"[-array.ndim :], like.meta.get("world_affine")
        write_image(
            self.outputs.path(source, kind),
            array,
            axes,
            _spacing(like),
            affine=None if place is None else np.asarray(place),
            record=self.outputs.provenance(source, kind).record,
        )


def _in_file_order(image: MetaTensor) -> np.ndarray:
    """One channel of ``[1, X, Y]`` or ``[1, X, Y, Z]`` as YX or ZYX."""
    return image[0].cpu().numpy().T


def _as_stored(array: np.ndarray, dtype: str) -> np.ndarray:
    """Values in the file's own type, where float32, as which they were read, holds that type exactly."""
    integer = np.issubdtype(dtype, np.integer) and np.can_cast(dtype, np.float32)
    return array.astype(dtype) if integer else array


def _spacing(image: MetaTensor) -> tuple[float, ...] | None:
    """Micrometres in the order of the file's axes, if the file told."""
    if image.meta.get("spacing") is None:
        return None
    return tuple(float(step) for step in affine_to_spacing(image.affine, r=image.ndim - 1))[::-1]
