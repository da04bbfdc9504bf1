"""The running average of a network's weights over the steps of its training."""

from __future__ import annotations

import torch
from ignite.engine import Engine, Events
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ..errors import InputError

__all__ = ["WeightAverage", "averaged_network"]


def averaged_network(network: nn.Module, keep: float, device: torch.device | str) -> AveragedModel:
    """A second network, whose weights and statistics are the running average of the first one's.

    Args:
        network: the one that is trained.
        keep: share that the average keeps in each step, above 0 and below 1; 1 / (1 - keep) steps are averaged.
        device: where to keep it.

    Raises:
        InputError: another share.

    Source: Polyak and Juditsky, https://doi.org/10.1137/0330046; exponential, as in Tarvainen and Valpola,
    https://arxiv.org/abs/1703.01780.
    """
    if isinstance(keep, str) or not 0 < keep < 1:
        raise InputError(None, f"averaging {keep} is no share", "give 0 for none, or a number between 0 and 1")
    return AveragedModel(network, device, multi_avg_fn=get_ema_multi_avg_fn(keep), use_buffers=True)


class WeightAverage:
    """Take the weights into the average after every step, from the first one's on.

    Attach it before validation, which sees the average, and before :class:`ResumableCheckpoint`, which saves both.

    Args:
        averaged: of :func:`averaged_network`.
        network: the one that is trained, not wrapped for several processes.
    """

    def __init__(self, averaged: AveragedModel, network: nn.Module) -> None:
        self.averaged = averaged
        self.network = network

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, lambda _: self.averaged.update_parameters(self.network))
