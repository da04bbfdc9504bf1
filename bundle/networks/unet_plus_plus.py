"""Residual U-Net++, the second subnetwork of both cascades."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from .blocks import DEFAULT_CHANNELS, Head, check_channels, pad_to_multiple, residual_node

__all__ = ["ResidualUNetPlusPlus"]


class ResidualUNetPlusPlus(nn.Module):
    """U-Net++ of any depth whose convolutional layers are residual blocks.

    Node X(i, j), at level i and in column j, sees all earlier nodes of its level and the upsampled node
    X(i + 1, j - 1). Column 0 is the encoder; the last node of each level is what a plain U-Net calls the decoder.

    Args:
        in_channels: channels of the image.
        out_channels: channels of the output.
        channels: width of each level, from highest to lowest resolution; their number is the depth.
        blocks_per_node: residual blocks at each node.
        shortcut_channels: for some levels, the channels of a feature map from another network, concatenated to the
            input of that level's last node (the paper's shortcut connections). The lowest level has no decoder.
        norm: after every convolution, "batch" (the paper's) or "instance".

    Shape:
        ``[B, in_channels, H, W]`` of any H and W to unbounded ``[B, out_channels, H, W]``.

    Raises:
        ValueError: fewer than two levels, a node without blocks, a shortcut to a level without decoder, or a norm of
            another name.

    Source: Zhou et al., https://doi.org/10.1109/TMI.2019.2959609, with residual blocks as in the paper, section II-B1,
    and without deep supervision, which the paper does not use.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        channels: Sequence[int] = DEFAULT_CHANNELS,
        blocks_per_node: int = 1,
        shortcut_channels: dict[int, int] | None = None,
        norm: str = "batch",
    ) -> None:
        super().__init__()
        channels = check_channels(channels, blocks_per_node)
        shortcut_channels = shortcut_channels or {}
        last = len(channels) - 1
        if not set(shortcut_channels) <= set(range(last)):
            raise ValueError(f"shortcuts go to levels 0 to {last - 1}, got levels {sorted(shortcut_channels)}")
        self.stride = 2**last
        self.takes_shortcut = [level in shortcut_channels for level in range(last)]
        self.encoder = nn.ModuleList(
            residual_node(i, o, blocks_per_node, norm)
            for i, o in zip((in_channels, *channels[:-1]), channels, strict=True)
        )
        self.columns = nn.ModuleList(
            nn.ModuleList(
                residual_node(
                    column * channels[level]
                    + channels[level + 1]
                    + (shortcut_channels.get(level, 0) if level + column == last else 0),
                    channels[level],
                    blocks_per_node,
                    norm,
                )
                for level in range(last + 1 - column)
            )
            for column in range(1, last + 1)
        )
        self.head = Head(channels[0], out_channels, norm)

    def refine(self, x: torch.Tensor, shortcuts: list[torch.Tensor]) -> torch.Tensor:
        """Feature map of the last node, X(0, depth - 1).

        Args:
            x: ``[B, in_channels, H, W]``, H and W multiples of ``stride``.
            shortcuts: the other network's map of each level, from highest to lowest resolution; those of levels
                without shortcut are ignored.

        Returns:
            ``[B, channels[0], H, W]``.
        """
        rows: list[list[torch.Tensor]] = []
        for level, node in enumerate(self.encoder):
            x = node([x if level == 0 else F.max_pool2d(x, 2)])
            rows.append([x])
        for column in self.columns:
            for level, node in enumerate(column):
                # the row below has not been extended yet in this column: its last map is X(level + 1, column - 1)
                seen = rows[level] + [rows[level + 1][-1]]
                if level == len(column) - 1 and self.takes_shortcut[level]:
                    seen.append(shortcuts[level])
                rows[level].append(node(seen))
        return rows[0][-1]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcuts: list[torch.Tensor] = []
        output = self.head(self.refine(pad_to_multiple(x, self.stride), shortcuts))
        return output[..., : x.shape[-2], : x.shape[-1]]
