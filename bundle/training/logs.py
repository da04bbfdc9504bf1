"""What a person sees of a training: a bar for each epoch, a line at its end, curves in TensorBoard."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ignite.engine import Engine, Events
from ignite.handlers import ProgressBar
from monai.utils import optional_import

from ..errors import InputError

__all__ = ["EpochLog"]

logger = logging.getLogger(__name__)
SHOWN = ("dice", "sensitivity", "precision", "cldice")


class EpochLog:
    """Show progress in the terminal, and write TensorBoard events where TensorBoard is installed.

    Attach it after validation.

    Args:
        evaluator: the validation engine, whose ``state.metrics`` are shown.
        output_dir: the training's output folder; events go to ``tensorboard`` in it.

    Raises:
        InputError: the events cannot be written.
    """

    def __init__(self, evaluator: Engine, output_dir: str | Path) -> None:
        self.evaluator = evaluator
        self.folder = Path(output_dir) / "tensorboard"
        self.events = None

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        engine.add_event_handler(Events.STARTED, self.open)
        ProgressBar(desc="epoch", ncols=100, disable=None).attach(
            engine, output_transform=lambda output: {"loss": output["loss"].item()}
        )
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.step)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.epoch)
        engine.add_event_handler(Events.COMPLETED, self.close)

    def open(self, engine: Engine) -> None:
        """Open the event file."""
        writer, found = optional_import("torch.utils.tensorboard", name="SummaryWriter")
        if found:
            with self._writing():
                self.events = writer(self.folder, purge_step=engine.state.iteration + 1)

    def step(self, engine: Engine) -> None:
        """Write the loss and the learning rate of a step."""
        if self.events is not None:
            step = engine.state.iteration
            with self._writing():
                self.events.add_scalar("train/loss", engine.state.output["loss"].item(), step)
                self.events.add_scalar("train/lr", engine.optimizer.param_groups[0]["lr"], step)

    def epoch(self, engine: Engine) -> None:
        """Log a line, and write the metrics of training and validation."""
        metrics = self.evaluator.state.metrics
        shown = ", ".join(f"{name} {metrics[name]:.4f}" for name in SHOWN if name in metrics)
        logger.info("epoch %d of %d: %s", engine.state.epoch, engine.state.max_epochs, shown or "not validated")
        if self.events is not None:
            with self._writing():
                for name, value in engine.state.metrics.items():
                    self.events.add_scalar(f"train/{name}", value, engine.state.iteration)
                for name, value in metrics.items():
                    self.events.add_scalar(f"validation/{name}", value, engine.state.iteration)

    def close(self, engine: Engine) -> None:
        """Close the event file."""
        if self.events is not None:
            with self._writing():
                self.events.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise InputError(
                self.folder, f"cannot be written ({error.strerror})", "free some space or choose another output_dir"
            ) from error
