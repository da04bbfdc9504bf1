"""Batch normalisation's statistics of the training images, taken anew for the weights that are validated and saved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from ignite.engine import Engine, Events
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..data import CropDataset
from ..errors import InputError

__all__ = ["NormStatistics", "take_statistics"]


class NormStatistics:
    """After every epoch, give a network's batch normalisation the means and variances of crops as they are.

    The running ones are averages over the last few steps, of weights that have changed since and of crops whose
    contrast was varied. A network in evaluation sees neither. Training itself uses each step's own and stays as it is.

    Attach it before validation, and after :class:`WeightAverage`, whose average has statistics of no network.

    Args:
        network: the one that is validated and saved, not wrapped for several processes; without batch normalisation
            nothing is done.
        dataset: whose images are seen.
        crop: height and width of a crop, less where an image is smaller.
        crops: how many, taken from the images in turn.
        batch_size: crops that the network sees at a time.
        seed: of their places, which are the same after every epoch.
        device: of the network.

    Raises:
        InputError: ``crops`` is no whole number above 0.

    Source: Wu and Johnson, Rethinking "Batch" in BatchNorm, https://arxiv.org/abs/2105.07576, section 3.
    """

    def __init__(
        self,
        network: nn.Module,
        dataset: CropDataset,
        crop: Sequence[int],
        crops: int = 32,
        batch_size: int = 4,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        if not isinstance(crops, int) or crops < 1:
            raise InputError(
                None, f"norm_crops {crops} is no number of crops", "give 0 for none, or a whole number such as 32"
            )
        self.network = network
        self.dataset = dataset
        self.crop = crop
        self.crops = crops
        self.batch_size = batch_size
        self.seed = seed
        self.device = device

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, lambda _: take_statistics(self.network, self.batches()))

    def batches(self) -> Iterator[torch.Tensor]:
        """The crops, ``[B, C, X, Y]``."""
        images = [item["image"].as_tensor() for item in self.dataset.unaugmented()]
        size = np.minimum(self.crop, np.min([image.shape[1:] for image in images], axis=0))
        random = np.random.default_rng(self.seed)
        for start in range(0, self.crops, self.batch_size):
            cut = []
            for number in range(start, min(start + self.batch_size, self.crops)):
                image = images[number % len(images)]
                x, y = random.integers(0, np.array(image.shape[1:]) - size + 1)
                cut.append(image[:, x : x + size[0], y : y + size[1]])
            yield torch.stack(cut).to(self.device)


@torch.no_grad()
def take_statistics(network: nn.Module, batches: Iterable[torch.Tensor]) -> None:
    """Set the running means and variances of batch normalisation to those over all batches.

    Each batch is normalised by itself on its way, as in training.

    Args:
        network: changed in place; its mode and its weights stay.
        batches: what it takes; of two values a channel at least.
    """
    sums: dict[nn.Module, list[torch.Tensor]] = {}

    def note(module: nn.Module, inputs: tuple[torch.Tensor]) -> None:
        x = inputs[0].double()
        one = torch.ones((), dtype=torch.float64, device=x.device)
        new = [one, x.mean((0, 2, 3)), x.square().mean((0, 2, 3))]
        sums[module] = [a + b for a, b in zip(sums[module], new, strict=True)] if module in sums else new

    layers = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    if not layers:
        return
    steps = [layer.num_batches_tracked.clone() for layer in layers]
    hooks = [layer.register_forward_pre_hook(note) for layer in layers]
    training = network.training
    try:
        network.train()
        for batch in batches:
            network(batch)
    finally:
        network.train(training)
        for hook in hooks:
            hook.remove()
    for layer, count in zip(layers, steps, strict=True):
        layer.num_batches_tracked.copy_(count)
    for layer, (count, mean, square) in sums.items():
        layer.running_mean.copy_(mean / count)
        layer.running_var.copy_((square / count - (mean / count).square()).clamp(min=0))
