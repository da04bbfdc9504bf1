"""MONAI's U-Net++ with the manners of the networks here."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence

import torch
from monai.networks.nets import BasicUNetPlusPlus
from torch import nn

from bundle.networks import pad_to_multiple


class MonaiUNetPlusPlus(nn.Module):
    """``BasicUNetPlusPlus`` of two dimensions and one channel, its last output alone trained and used.

    Args:
        channels: width of each of the five levels; the last decoder has the first level's.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        with contextlib.redirect_stdout(io.StringIO()):  # its constructor prints
            self.network = BasicUNetPlusPlus(2, 1, 1, features=(*channels, channels[0]))
        self.stride = 2 ** (len(channels) - 1)

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor] | torch.Tensor:
        logits = self.network(pad_to_multiple(image, self.stride))[0][..., : image.shape[-2], : image.shape[-1]]
        return {"mask": logits} if self.training else torch.sigmoid(logits)
