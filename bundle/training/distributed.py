"""One training in several processes: how they meet, what they share, and which of them writes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TypeVar

import torch
from ignite.engine import Engine, Events
from torch import distributed, nn

__all__ = ["SharedBuffers", "gathered", "is_first_process", "join_processes", "leave_processes"]

T = TypeVar("T")


def join_processes(device: torch.device) -> None:
    """Meet the processes that torchrun started; all but the first keep to warnings.

    Args:
        device: of this process.
    """
    if device.type == "cuda":
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    if not is_first_process():
        logging.getLogger().setLevel(logging.WARNING)


def leave_processes() -> None:
    """Part again, when all have come to the end.

    A process that ends while gloo's threads still hold a tensor is aborted; waiting for the others lets them let go.
    """
    distributed.barrier()
    distributed.destroy_process_group()


def is_first_process() -> bool:
    """Whether this process is the one that writes; one process alone always is."""
    return not distributed.is_initialized() or distributed.get_rank() == 0


def gathered(items: Sequence[T]) -> list[T]:
    """The items of all processes, in the processes' order, on each of them."""
    if not distributed.is_initialized():
        return list(items)
    parts: list[list[T]] = [[] for _ in range(distributed.get_world_size())]
    distributed.all_gather_object(parts, list(items))
    return [item for part in parts for item in part]


class SharedBuffers:
    """Give every process the first one's running statistics before it validates.

    DistributedDataParallel does so when a training step begins, so that after an epoch's last step each process has
    its own, unless batch normalisation is synchronised. The first process's are those that checkpoints hold.

    Args:
        network: the one that is validated, not wrapped for several processes.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network

    def attach(self, engine: Engine) -> None:
        """Attach to the evaluator."""
        engine.add_event_handler(Events.STARTED, self.share)

    def share(self, engine: Engine) -> None:
        """Broadcast the buffers."""
        for buffer in self.network.buffers():
            distributed.broadcast(buffer, src=0)
