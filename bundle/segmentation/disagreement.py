"""Where the two cascades disagree: the places to look at first."""

from __future__ import annotations

import math
from collections.abc import Mapping
from threading import Lock

import numpy as np
import torch
from torch import nn

from ..networks import CascadeEnsemble, faster_copy
from .side_by_side import both

_COPYING = Lock()  # several threads may see the first image

__all__ = ["WithDisagreement", "disagreement_on_mask", "least_agreed"]


class WithDisagreement(nn.Module):
    """An ensemble that gives the disagreement of its cascades beside their fusion, of one pass.

    On the CPU, in evaluation, of an ensemble and no subclass, :func:`bundle.networks.faster_copy` computes it, of the
    weights that it has at its first image.

    Args:
        network: a :class:`bundle.networks.CascadeEnsemble`; another network agrees with itself everywhere.

    Shape:
        Image ``[B, C, H, W]``; ``[B, 2, H, W]``: the fused probability S, and |L − N|, 0 to 1.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self._faster: list[nn.Module] = []  # in a list, since it is no part: its weights are the network's

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_faster": []}  # which cannot be sent

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        network = self._fastest(image)
        if not hasattr(network, "probabilities"):
            probability = network(image)
            return torch.cat([probability, torch.zeros_like(probability)], 1)
        if network is self.network:
            dbac, ddmac = network.probabilities(image)
        else:
            dbac, ddmac = both(lambda: network.dbac_probability(image), lambda: network.ddmac_probability(image))
        return torch.cat([network.fuse(dbac, ddmac), (dbac - ddmac).abs()], 1)

    def _fastest(self, image: torch.Tensor) -> nn.Module:
        plain = type(self.network) is CascadeEnsemble and image.device.type == "cpu" and image.dtype == torch.float32
        if not plain or self.network.training or torch.is_grad_enabled():
            return self.network
        with _COPYING:
            if not self._faster:
                self._faster.append(faster_copy(self.network))
        return self._faster[0]


def disagreement_on_mask(disagreement: np.ndarray, mask: np.ndarray) -> float:
    """Mean of |L − N| over the mask's vessels: the larger, the less the mask can be trusted.

    Background, on which the cascades agree and which is most of an image, does not count.
    docs/experiments/probability.md says how well it orders images by their Dice.

    Args:
        disagreement: |L − N|, 0 to 1, of any shape.
        mask: bool, of the same shape, true on vessels.

    Returns:
        0 to 1; NaN of an empty mask.
    """
    return float(disagreement[mask].mean()) if mask.any() else math.nan


def least_agreed(found: Mapping[str, float], count: int = 3) -> list[str]:
    """The names of the images whose disagreement is largest, the largest first.

    Args:
        found: of :func:`disagreement_on_mask`, by name; NaN, an empty mask, and 0, a network without a second
            opinion, say nothing of an image and are left out.
        count: of names, at most.

    Returns:
        The names; none if there are no more images than ``count``, since all can then be looked at.
    """
    ordered = sorted((name for name in found if found[name] > 0), key=lambda name: -found[name])
    return ordered[:count] if len(found) > count else []
