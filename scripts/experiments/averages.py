"""Weights averaged over trainings of one origin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from monai.bundle import ConfigParser

from bundle.io import atomic
from bundle.networks import load_weights
from bundle.training import NormStatistics, take_statistics

from .parts import Places
from .predictions import config
from .trainings import Training, made


@dataclass(frozen=True)
class Average:
    """The mean of the weights of trainings of one origin, batch normalisation's statistics anew.

    All started from one checkpoint, or one from what the other had come to. Such trainings end in one basin of the
    loss, so that the mean of their weights is a network as good, with something of what each has learnt:
    M. Wortsman et al., Model soups, ICML 2022, https://arxiv.org/abs/2203.05482.

    Args:
        name: what it is called.
        of: the trainings, of one network, the last of them on VessMAP.
    """

    name: str
    of: tuple[Training, ...]

    @property
    def network(self) -> dict:
        """network_def of configs/train.yaml."""
        return self.of[0].network

    def weights(self, places: Places) -> Path:
        """Its weights; averaged now, if they are not there."""
        file = replace(self.of[0], name=self.name).folder(places) / "checkpoints" / "best.pt"
        if not file.exists():
            networks = [load_weights(made(self.network), each.weights(places)) for each in self.of]
            states = [network.state_dict() for network in networks]
            mean = {
                name: torch.stack([state[name] for state in states]).mean(0) if value.is_floating_point() else value
                for name, value in states[0].items()
            }
            networks[0].load_state_dict(mean)
            take_statistics(networks[0], crops(places))
            with atomic(file) as partial, open(partial, "wb") as stream:
                torch.save({"model": networks[0].state_dict()}, stream)
        return file


def crops(places: Places) -> Iterator[torch.Tensor]:
    """The crops of VessMAP of which a training takes the statistics."""
    parser = ConfigParser(config().get())
    parser["dataset_dir"] = str(places.data("vessmap").resolve())
    dataset = parser.get_parsed_content("train#dataset")
    return NormStatistics(torch.nn.Identity(), dataset, parser["crop"], parser["norm_crops"]).batches()
