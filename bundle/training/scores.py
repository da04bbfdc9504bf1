"""Scores of whole images during validation and evaluation."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from ignite.engine import Engine, Events
from ignite.metrics import Metric
from monai.handlers import from_engine
from monai.utils import CommonKeys

from ..errors import InputError
from ..io import image_name
from ..metrics import Confusion, format_summary, score, summarize, write_scores, write_summary
from ..pictures import error_overlay, write_png
from .distributed import gathered, is_first_process

__all__ = ["VesselDice", "VesselScores"]

logger = logging.getLogger(__name__)


class VesselScores:
    """Score every image that an evaluator segments: the paper's metrics, clDice, Betti errors and HD95.

    Their means over all images of all processes become ``evaluator.state.metrics``.

    Args:
        table: CSV to write, a row per image, with its summary beside it (``NAME_summary.csv``); none if None.
        overlays: folder for a picture of true and false positives per image; none if None.

    Raises:
        InputError: an output cannot be written, or two images have one name, so that their outputs would collide.
    """

    def __init__(self, table: str | Path | None = None, overlays: str | Path | None = None) -> None:
        self.table = None if table is None else Path(table)
        self.overlays = None if overlays is None else Path(overlays)
        self.rows: list[dict[str, float | str]] = []

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator whose output holds the binary ``pred`` and the ``label`` of each image."""
        engine.add_event_handler(Events.EPOCH_STARTED, lambda _: self.rows.clear())
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.score)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.finish)

    def score(self, engine: Engine) -> None:
        """Score the images of the batch."""
        for image in engine.state.output:
            prediction, truth = (image[key][0].cpu().numpy().T for key in (CommonKeys.PRED, CommonKeys.LABEL))
            name = image_name(image[CommonKeys.IMAGE].meta["filename_or_obj"])
            if (self.table or self.overlays) and any(row["image"] == name for row in self.rows):
                path = image[CommonKeys.IMAGE].meta["filename_or_obj"]
                raise InputError(path, "has the same name as another image that is scored", "rename one of them")
            self.rows.append({"image": name, **score(prediction, truth)})
            if self.overlays is not None:
                write_png(self.overlays / f"{name}.png", error_overlay(prediction, truth))

    def finish(self, engine: Engine) -> None:
        """Gather the scores, put their means in the engine's metrics, and write the table."""
        rows = sorted(gathered(self.rows), key=lambda row: row["image"])
        engine.state.metrics.update({metric: summary.mean for metric, summary in summarize(rows).items()})
        if self.table is None or not is_first_process():
            return
        write_scores(self.table, rows)
        write_summary(self.table.with_name(f"{self.table.stem}_summary.csv"), rows)
        logger.info("%d images scored, table in %s\n%s", len(rows), self.table, format_summary(rows))


class VesselDice(Metric):
    """Mean Dice over the images or crops of all processes, as the key metric of a workflow.

    Of an engine whose output holds the binary ``pred`` and the ``label``, decollated or not. Dice is undefined where
    neither has vessel; such images do not count, and if there are no others the mean is NaN.
    """

    def __init__(self) -> None:
        super().__init__(output_transform=from_engine([CommonKeys.PRED, CommonKeys.LABEL]), skip_unrolling=True)

    def reset(self) -> None:
        """Forget the last epoch."""
        self.scores: list[float] = []

    def update(self, output: tuple[Sequence[torch.Tensor], Sequence[torch.Tensor]]) -> None:
        """Score a batch of ``[C, X, Y]`` each, of which the first channel counts."""
        for prediction, truth in zip(*output, strict=True):
            prediction, truth = (array[0].cpu().numpy() > 0.5 for array in (prediction, truth))
            self.scores.append(Confusion.between(prediction, truth).dice)

    def compute(self) -> float:
        """The mean."""
        defined = [value for value in gathered(self.scores) if not math.isnan(value)]
        return sum(defined) / len(defined) if defined else math.nan
