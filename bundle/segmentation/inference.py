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
from monai.utils import convert_to_dst_type
from monai.utils.enums import CommonKeys as Keys

from ..data import FAILURE
from ..errors import InputError, foreseen
from ..trust import Expectation
from .disagreement import WithDisagreement
from .expecting import expected_of_image
from .inferers import SCALE
from .outputs import Outputs
from .second_opinion import SecondOpinion, better_of
from .windows import Windows
from .writing import Found, FoundWriter

__all__ = ["SegmentationEvaluator", "SegmentationWriter"]

logger = logging.getLogger(__name__)


class SegmentationEvaluator(SupervisedEvaluator):
    """An evaluator that says in one line what is wrong with a bad input, and goes on with the next.

    Args:
        args: of :class:`monai.engines.SupervisedEvaluator`; the loader is one of :class:`bundle.data.InputDataset`,
            an image at a time.
        second: asked where little is to be expected of what the network finds in an image; nobody if None.
        kwargs: the same.
    """

    def __init__(self, *args: Any, second: SecondOpinion | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.second = second
        self.kept: tuple[Expectation | None, bool] = (None, False)  # of the image at hand, by whom
        self._binarize = kwargs.get("postprocessing")
        self.add_event_handler(IterationEvents.FORWARD_COMPLETED, _split)
        if second and self._binarize is not None and isinstance(self.inferer, Windows):
            self.add_event_handler(IterationEvents.FORWARD_COMPLETED, self._ask_again)
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

    def _ask_again(self, engine: Engine) -> None:
        """Put what the second network finds in the place of what was found, where more is to be expected of it."""
        self.kept = (None, False)
        output, original = engine.state.output, engine.state.batch.get("original")
        found = output[Keys.PRED]
        if "disagreement" not in output or original is None or found.ndim != 4 or len(found) != 1:
            return
        image = output[Keys.IMAGE].as_tensor()
        scale = found.meta.get(SCALE, 1.0)

        def again(network: WithDisagreement) -> tuple[torch.Tensor, torch.Tensor]:
            with torch.autocast(image.device.type, enabled=self.amp):
                probability, disagreement = self.inferer.whole(image, network, scale).split(1, 1)
            return convert_to_dst_type(probability, found)[0], disagreement

        def expected(maps: tuple[torch.Tensor, torch.Tensor], second: bool) -> Expectation | None:
            grey, probability, disagreement = (each[0, 0].float().cpu().numpy().T for each in (original, *maps))
            assert self._binarize is not None
            mask = np.asarray(self._binarize({Keys.PRED: maps[0][0].float().cpu().clone()})[Keys.PRED])[0] > 0
            return expected_of_image(grey, probability, disagreement, mask.T, second)

        maps, hoped, other = better_of((found, output["disagreement"]), expected, again, self.second)
        output[Keys.PRED], output["disagreement"] = maps
        self.kept = (hoped, other)

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
            expectation, other = getattr(engine, "kept", (None, False))
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
                    expectation=expectation,
                    second=engine.second if other else None,
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
