"""Where the two cascades disagree: the places to look at first."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["WithDisagreement"]


class WithDisagreement(nn.Module):
    """An ensemble that gives the disagreement of its cascades beside their fusion, of one pass.

    Args:
        network: a :class:`bundle.networks.CascadeEnsemble`; another network agrees with itself everywhere.

    Shape:
        Image ``[B, C, H, W]``; ``[B, 2, H, W]``: the fused probability S, and |L − N|, 0 to 1.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        if not hasattr(self.network, "probabilities"):
            probability = self.network(image)
            return torch.cat([probability, torch.zeros_like(probability)], 1)
        dbac, ddmac = self.network.probabilities(image)
        return torch.cat([self.network.fuse(dbac, ddmac), (dbac - ddmac).abs()], 1)
