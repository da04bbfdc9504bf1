"""Checkpoints from which a killed training goes on as if nothing had happened."""

from __future__ import annotations

import csv
import json
import logging
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import torch
from ignite.engine import Engine, Events
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.swa_utils import AveragedModel

from ..errors import InputError
from ..io import atomic
from ..networks import fit_weights, read_weights, scales_of
from .distributed import gathered, is_first_process

__all__ = ["PublishedWeights", "ResumableCheckpoint", "new_run"]

logger = logging.getLogger(__name__)


class ResumableCheckpoint:
    """Write ``last.pt`` after every epoch and ``best.pt`` whenever validation improves; go on from ``last.pt``.

    Both are dictionaries that load with ``weights_only=True`` and whose ``model`` is the network's state. ``last.pt``
    also holds what the next epoch depends on: optimiser, schedule, mixed precision's scale, epoch, best score, and,
    where ``model`` is an average, the ``network`` itself. Crops depend on the seed and their number alone
    (:class:`bundle.data.CropDataset`), so that no generator's state is needed. ``curves.csv`` beside
    the checkpoints' folder holds loss, learning rate and validation metrics of each epoch.

    Attach it after all handlers that an epoch's end sets off, validation above all.

    Args:
        output_dir: the training's output folder; checkpoints go to ``checkpoints`` in it.
        network: whose parameters are saved, not wrapped for several processes.
        optimizer: its optimiser.
        lr_scheduler: its schedule.
        evaluator: the validation engine, whose ``state.metrics`` decide which epoch is best.
        key_metric: the metric that decides, larger being better.
        averaged: the running average of the network's weights, which is then what is kept as ``model``.
        settings: what else the training depends on, by name: numbers, text and lists of them.

    Raises:
        InputError: ``last.pt`` is damaged or was written by a training of other size, length or settings, or no room is
            left.
    """

    def __init__(
        self,
        output_dir: str | Path,
        network: nn.Module,
        optimizer: Optimizer,
        lr_scheduler: LRScheduler,
        evaluator: Engine,
        key_metric: str = "dice",
        averaged: AveragedModel | None = None,
        settings: Mapping[str, object] | None = None,
    ) -> None:
        self.averaged = averaged
        self.settings = json.loads(json.dumps(settings or {}))  # as a file gives them back
        self.folder = Path(output_dir) / "checkpoints"
        self.curves = Path(output_dir) / "curves.csv"
        self.network = network
        self.optimizer = optimizer
        self.lr_scheduler = lr_scheduler
        self.evaluator = evaluator
        self.key_metric = key_metric
        self.best = {"epoch": 0, "score": -math.inf}
        self.history: list[dict[str, float]] = []
        self.losses: list[float] = []

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        engine.add_event_handler(Events.STARTED, self.resume)
        # an epoch that is not validated has no metrics, least of all those of an earlier one
        engine.add_event_handler(Events.EPOCH_STARTED, lambda _: self.evaluator.state.metrics.clear())
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.note_loss)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.save)

    def resume(self, engine: Engine) -> None:
        """Take up the state of ``last.pt``, if there is one."""
        path = self.folder / "last.pt"
        if not path.exists():
            return
        checkpoint = read_weights(path)
        remedy = "go on with the settings it was made with, or choose another output_dir"
        if checkpoint.get("max_epochs") != engine.state.max_epochs:
            raise InputError(
                path, f"is of {checkpoint.get('max_epochs')} epochs, not of {engine.state.max_epochs}", remedy
            )
        steps = checkpoint["iteration"] // checkpoint["epoch"]
        if steps != engine.state.epoch_length:
            raise InputError(path, f"is of {steps} steps in an epoch, not of {engine.state.epoch_length}", remedy)
        before = checkpoint.get("settings", {})
        other = [name for name in self.settings if name in before and before[name] != self.settings[name]]
        if other:
            raise InputError(path, f"is of a training that differs in {' and '.join(other)}", remedy)
        if ("network" in checkpoint) != (self.averaged is not None):
            raise InputError(path, f"is of a training with{'out' * (self.averaged is not None)} averaging", remedy)
        if self.averaged is None:
            fit_weights(self.network, checkpoint["model"], path, remedy)
        else:
            fit_weights(self.network, checkpoint["network"], path, remedy)
            fit_weights(self.averaged.module, checkpoint["model"], path, remedy)
            self.averaged.n_averaged.fill_(checkpoint["iteration"])
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        self.lr_scheduler.load_state_dict(checkpoint["lr_scheduler"])
        if "scaler" in checkpoint and engine.scaler is not None:
            engine.scaler.load_state_dict(checkpoint["scaler"])
        self.best = checkpoint["best"]
        self.history = checkpoint["history"]
        engine.state.epoch = checkpoint["epoch"]
        engine.state.iteration = checkpoint["iteration"]
        if engine.state.epoch == engine.state.max_epochs:
            logger.info("%s: is of a training that is finished; choose another output_dir to train again", path)
        else:
            logger.info("going on after epoch %d of %d, from %s", engine.state.epoch, engine.state.max_epochs, path)

    def note_loss(self, engine: Engine) -> None:
        """Keep the loss of a step for the epoch's mean."""
        self.losses.append(engine.state.output["loss"].item())

    def save(self, engine: Engine) -> None:
        """Write the checkpoints and the curves, ``last.pt`` last, since an epoch that it holds is not repeated."""
        metrics = dict(self.evaluator.state.metrics)
        losses = gathered(self.losses)
        self.losses.clear()
        row = {"epoch": engine.state.epoch, "loss": sum(losses) / len(losses)}
        self.history.append({**row, "lr": float(self.optimizer.param_groups[0]["lr"]), **metrics})
        score = metrics.get(self.key_metric, math.nan)
        improved = score > self.best["score"]
        if improved:
            self.best = {"epoch": engine.state.epoch, "score": score}
        if not is_first_process():
            return
        model = (self.network if self.averaged is None else self.averaged.module).state_dict()
        if improved:
            best = {"model": model, "scales": scales_of(self.network), "epoch": engine.state.epoch, "metrics": metrics}
            _write(best, self.folder / "best.pt")
        self._write_curves()
        _write(
            {
                "model": model,
                "scales": scales_of(self.network),
                "settings": self.settings,
                **({} if self.averaged is None else {"network": self.network.state_dict()}),
                "optimizer": self.optimizer.state_dict(),
                "lr_scheduler": self.lr_scheduler.state_dict(),
                **({} if engine.scaler is None else {"scaler": engine.scaler.state_dict()}),
                "epoch": engine.state.epoch,
                "iteration": engine.state.iteration,
                "max_epochs": engine.state.max_epochs,
                "best": self.best,
                "history": self.history,
            },
            self.folder / "last.pt",
        )

    def _write_curves(self) -> None:
        columns = dict.fromkeys(column for row in self.history for column in row)
        with atomic(self.curves) as partial, open(partial, "w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, list(columns), lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.history)


class PublishedWeights:
    """Put a finished training's weights where a platform looks for them.

    The best epoch's, or the last one's where nothing was validated. Weights that were published before are replaced;
    those of every training stay in its own folder.

    Attach it after :class:`ResumableCheckpoint`.

    Args:
        output_dir: that of :class:`ResumableCheckpoint`.
        target: the file to write, a dictionary whose ``model`` is the state.
    """

    def __init__(self, output_dir: str | Path, target: str | Path) -> None:
        self.folder = Path(output_dir) / "checkpoints"
        self.target = Path(target)

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        engine.add_event_handler(Events.COMPLETED, self.publish)

    def publish(self, engine: Engine) -> None:
        """Write the target."""
        best = self.folder / "best.pt"
        source = best if best.exists() else self.folder / "last.pt"
        _write({"model": read_weights(source)["model"]}, self.target)
        logger.info("%s: the weights of %s", self.target, source)


def new_run(bundle_root: str | Path) -> str:
    """A folder for a training that goes on from no other, ``runs/trained/TIME`` in the bundle, TIME in UTC."""
    return str(Path(bundle_root) / "runs" / "trained" / datetime.now(UTC).strftime("%Y%m%dT%H%M%S"))


def _write(checkpoint: dict, path: Path) -> None:
    with atomic(path) as partial, open(partial, "wb") as stream:
        try:
            torch.save(checkpoint, stream)
        except RuntimeError as error:
            if isinstance(error.__context__, OSError):  # a full disk, behind what PyTorch makes of it
                raise error.__context__ from None
            raise
