"""Segmentation of many images, one after the other, of which some may be bad."""

from __future__ import annotations

import logging
from collections.abc import Iterable
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
from ..errors import InputError, input_error
from ..io import KINDS, OUTPUT_SUFFIXES, output_path, remove_found, write_image
from ..pictures import for_people, mask_overlay, write_png
from .disagreement import disagreement_on_mask, least_agreed
from .remarks import remark_on_mask, vessel_share

__all__ = ["SegmentationEvaluator", "SegmentationWriter", "unfinished"]

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
            error = input_error(exception)
            if error is None:
                raise
            return self._fail(str(error))
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
    """

    def __init__(self, output_dir: str | Path, suffix: str = ".tif") -> None:
        self.output_dir = Path(output_dir)
        self.suffix = suffix
        self.disagreements: dict[str, float] = {}

    def attach(self, engine: Engine) -> None:
        """Attach to a :class:`SegmentationEvaluator`, behind its postprocessing."""
        engine.add_event_handler(Events.STARTED, lambda: self.disagreements.clear())
        engine.add_event_handler(IterationEvents.MODEL_COMPLETED, self.write)
        engine.add_event_handler(Events.COMPLETED, self.say_where_to_look)

    def write(self, engine: Engine) -> None:
        """Write the outputs of each image of the batch.

        Raises:
            InputError: a file cannot be written.
        """
        for inputs, outputs in zip(engine.state.batch, engine.state.output, strict=True):
            source = inputs["image"].meta["filename_or_obj"]
            mask = outputs["pred"]
            found = _in_file_order(mask).astype(bool)
            original = _in_file_order(inputs["original"])
            remove_found(self.output_dir, source, self.suffix)
            for kind in ("probability", "disagreement"):
                if kind in outputs:
                    self._image(source, kind, _in_file_order(outputs[kind]), mask)
            if "image_depth" in inputs:
                self._image(source, "fused", _as_stored(original, mask.meta["original_dtype"]), mask)
                self._image(source, "depth", _in_file_order(inputs["image_depth"]), mask)
            spacing = _spacing(mask)
            picture = for_people(mask_overlay(original, found), spacing and spacing[-1])
            write_png(self._path(source, "overlay"), picture)
            self._image(source, "mask", found, mask)
            remark_on_mask(source, found)
            grey = original if original.ndim == 2 else original.max(axis=0)
            share = vessel_share(np.count_nonzero(found), found.shape, grey)
            logger.info("%s: %s, %s", source, share, self._path(source, "mask"))
            if "disagreement" in outputs:
                self.disagreements[source] = disagreement_on_mask(_in_file_order(outputs["disagreement"]), found)

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

    def _path(self, source: str, kind: str) -> Path:
        return output_path(self.output_dir, source, kind, self.suffix)

    def _image(self, source: str, kind: str, array: np.ndarray, like: MetaTensor) -> None:
        axes, place = "ZYX"[-array.ndim :], like.meta.get("world_affine")
        write_image(
            self._path(source, kind), array, axes, _spacing(like), affine=None if place is None else np.asarray(place)
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


def unfinished(
    inputs: Iterable[str | Path], output_dir: str | Path, overwrite: bool = False, suffix: str = ".tif"
) -> list[Path]:
    """The inputs that have no mask yet; of the others it is said that theirs are kept.

    Where images are read from the folder that is written to, an earlier run's outputs are no inputs.

    Args:
        inputs: files.
        output_dir: where their masks are.
        overwrite: take all of them.
        suffix: of the images that are written.
    """
    inputs = [Path(path) for path in inputs]
    outputs = {
        output_path(output_dir, path, kind, form).resolve()
        for path in inputs
        for kind in KINDS
        for form in OUTPUT_SUFFIXES.values()
    }
    todo = []
    for path in inputs:
        if path.resolve() in outputs:
            logger.warning("%s: is left out, an output of another input", path)
            continue
        mask = output_path(output_dir, path, "mask", suffix)
        if mask.exists() and not overwrite:
            logger.info("%s: kept %s (--overwrite makes it again, with these options)", path, mask)
        else:
            todo.append(path)
    return todo
