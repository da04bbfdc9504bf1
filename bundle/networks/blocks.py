"""The parts that the paper's networks are made of: residual blocks, nodes, heads, and padding to any image size."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

__all__ = [
    "DEFAULT_CHANNELS",
    "Head",
    "ResidualBlock",
    "check_channels",
    "pad_to_multiple",
    "residual_node",
    "upsample",
]

DEFAULT_CHANNELS = (8, 16, 32, 64, 128)


class ResidualBlock(nn.Module):
    """3×3 convolution, BN, ReLU, 3×3 convolution, BN, plus the input, ReLU.

    The input passes through a 1×1 convolution with BN where the channels differ. Convolutions have no bias, since batch
    normalisation follows each.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        last_relu: whether the sum is rectified; a head's output is not, since its sign carries meaning.

    Source: He et al., Deep Residual Learning for Image Recognition, https://doi.org/10.1109/CVPR.2016.90, as the paper
    uses it in place of each convolutional layer (section II-B1).
    """

    def __init__(self, in_channels: int, out_channels: int, last_relu: bool = True) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self.shortcut = (
            nn.Identity()
            if in_channels == out_channels
            else nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels))
        )
        self.activation = nn.ReLU(inplace=True) if last_relu else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.activation(self.residual(x) + self.shortcut(x))


def residual_node(in_channels: int, out_channels: int, blocks: int) -> nn.Sequential:
    """One node of an encoder or decoder: ``blocks`` residual blocks, the first of which changes the channels."""
    return nn.Sequential(
        ResidualBlock(in_channels, out_channels),
        *(ResidualBlock(out_channels, out_channels) for _ in range(blocks - 1)),
    )


class Head(nn.Sequential):
    """A residual block at the decoder's width, then one to the output channels without its last ReLU.

    Args:
        in_channels: channels of the decoder's feature map of highest resolution.
        out_channels: channels of the output, whose values are unbounded.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            ResidualBlock(in_channels, in_channels), ResidualBlock(in_channels, out_channels, last_relu=False)
        )


def upsample(x: torch.Tensor) -> torch.Tensor:
    """Double height and width of ``[B, C, H, W]``, bilinearly."""
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def pad_to_multiple(x: torch.Tensor, multiple: int) -> torch.Tensor:
    """Repeat the last row and column of ``[B, C, H, W]`` until height and width are multiples of ``multiple``.

    Rows and columns are added at the end only, so that cropping to ``[..., :H, :W]`` undoes it.
    """
    height = (multiple - x.shape[-2] % multiple) % multiple
    width = (multiple - x.shape[-1] % multiple) % multiple
    return F.pad(x, [0, width, 0, height], mode="replicate")


def check_channels(channels: Sequence[int], blocks_per_node: int) -> tuple[int, ...]:
    """Return ``channels`` as a tuple.

    Raises:
        ValueError: fewer than two levels, a level without channels, or a node without blocks.
    """
    channels = tuple(int(c) for c in channels)
    if len(channels) < 2 or min(channels) < 1:
        raise ValueError(f"channels must name at least two levels of at least one channel each, got {channels}")
    if blocks_per_node < 1:
        raise ValueError(f"blocks_per_node must be at least 1, got {blocks_per_node}")
    return channels
