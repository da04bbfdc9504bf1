"""Residual U-Net, the first subnetwork of both cascades."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from .blocks import DEFAULT_CHANNELS, Head, check_channels, pad_to_multiple, residual_node

__all__ = ["ResidualUNet"]


class ResidualUNet(nn.Module):
    """U-Net whose convolutional layers are residual blocks; max-pooling down, bilinear interpolation up.

    Args:
        in_channels: channels of the image.
        out_channels: channels of the output.
        channels: width of each level, from highest to lowest resolution; their number is the depth.
        blocks_per_node: residual blocks at each node of encoder and decoder.

    Shape:
        ``[B, in_channels, H, W]`` of any H and W to unbounded ``[B, out_channels, H, W]``.

    Raises:
        ValueError: fewer than two levels, a node without blocks, or a norm of another name.

    Source: Ronneberger et al., https://doi.org/10.1007/978-3-319-24574-4_28, with residual blocks as in the paper,
    section II-B1.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        channels: Sequence[int] = DEFAULT_CHANNELS,
        blocks_per_node: int = 1,
        norm: str = "batch",
    ) -> None:
        super().__init__()
        channels = check_channels(channels, blocks_per_node)
        self.stride = 2 ** (len(channels) - 1)
        self.encoder = nn.ModuleList(
            residual_node(i, o, blocks_per_node, norm)
            for i, o in zip((in_channels, *channels[:-1]), channels, strict=True)
        )
        # from the lowest resolution upwards, the order in which forward takes them
        self.decoder = nn.ModuleList(
            residual_node(below + skip, skip, blocks_per_node, norm)
            for below, skip in zip(channels[:0:-1], channels[-2::-1], strict=True)
        )
        self.head = Head(channels[0], out_channels, norm)

    def decode(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Feature maps of the decoder.

        Args:
            x: ``[B, in_channels, H, W]``, H and W multiples of ``stride``.

        Returns:
            One map for each level, from highest to lowest resolution: ``[B, channels[i], H / 2**i, W / 2**i]``. The
            last is the encoder's own, since the decoder starts from it.
        """
        skips: list[torch.Tensor] = []
        for level, node in enumerate(self.encoder):
            x = node([x if level == 0 else F.max_pool2d(x, 2)])
            skips.append(x)
        maps = [x]
        for depth, node in enumerate(self.decoder):
            x = node([skips[len(skips) - 2 - depth], x])
            maps.append(x)
        return maps[::-1]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        output = self.head(self.decode(pad_to_multiple(x, self.stride))[0])
        return output[..., : x.shape[-2], : x.shape[-1]]
