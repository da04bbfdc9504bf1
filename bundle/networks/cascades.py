"""The two coarse-to-fine cascades of the paper: DBAC for sensitivity, DDMAC for precision."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from .blocks import DEFAULT_CHANNELS, Head, pad_to_multiple
from .unet import ResidualUNet
from .unet_plus_plus import ResidualUNetPlusPlus

__all__ = ["DBAC", "DDMAC", "Cascade"]


class Cascade(nn.Module):
    """What both cascades share: U-Net, attention, U-Net++, and the shortcuts from the first to the second.

    Subclasses say in the method ``stages`` what the second subnetwork sees.

    Args:
        in_channels: channels of the image I.
        channels: width of each level of both subnetworks, from highest to lowest resolution.
        refine_channels: widths of the second subnetwork where they differ.
        blocks_per_node: residual blocks at each node of both subnetworks.
        refine_blocks_per_node: those of the second subnetwork where they differ.
        shortcut_levels: levels at which the first decoder's maps are concatenated to the second decoder's; the two of
            highest resolution if None.
        norm: after every convolution, "batch" (the paper's) or "instance".

    Raises:
        ValueError: channels, blocks, shortcut levels or a norm that make no network.
    """

    def __init__(
        self,
        in_channels: int = 1,
        channels: Sequence[int] = DEFAULT_CHANNELS,
        refine_channels: Sequence[int] | None = None,
        blocks_per_node: int = 1,
        refine_blocks_per_node: int | None = None,
        shortcut_levels: Sequence[int] | None = None,
        norm: str = "batch",
    ) -> None:
        attended_channels = self._attended(in_channels)
        super().__init__()
        refine_channels = channels if refine_channels is None else refine_channels
        decoder_levels = range(min(len(channels), len(refine_channels)) - 1)  # the lowest level has no decoder
        shortcut_levels = decoder_levels[:2] if shortcut_levels is None else shortcut_levels
        if not set(shortcut_levels) <= set(decoder_levels):
            raise ValueError(
                f"both decoders have the levels {list(decoder_levels)}, got shortcuts at {list(shortcut_levels)}"
            )
        self.coarse = ResidualUNet(in_channels, 1, channels, blocks_per_node, norm)
        self.refine = ResidualUNetPlusPlus(
            attended_channels,
            1,
            refine_channels,
            blocks_per_node if refine_blocks_per_node is None else refine_blocks_per_node,
            {level: channels[level] for level in shortcut_levels},
            norm,
        )
        self.stride = max(self.coarse.stride, self.refine.stride)
        self._add_heads(channels[0], norm)

    @staticmethod
    def _attended(in_channels: int) -> int:
        """The channels that the second subnetwork sees."""
        return in_channels

    def _add_heads(self, width: int, norm: str) -> None:
        """Heads of the first subnetwork beside its own; none."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        stages = self.stages(image)
        if not torch.jit.is_scripting() and self.training:  # TorchScript knows one type of result
            return stages
        return torch.sigmoid(stages["mask"])


class DBAC(Cascade):
    """Deep binary attention cascade: U-Net, ReLU attention, U-Net++.

    The first subnetwork gives W, trained against the mask: positive on vessels, negative beside them. The second sees
    M = I × P (2) with P = max(0, W) (1), and through the shortcuts the first decoder's feature maps.

    Args: those of :class:`Cascade`.

    Shape:
        Image ``[B, in_channels, H, W]`` of any H and W, values in 0…1. In training, a dictionary of logits
        ``[B, 1, H, W]``: ``attention`` (W) and ``mask``. In evaluation, the probability L, ``[B, 1, H, W]``.

    Source: the paper, section II-B1, equations (1) and (2), Fig. 3.
    """

    def stages(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        """Logits of both subnetworks: ``attention`` (W) and ``mask``."""
        padded = pad_to_multiple(image, self.stride)
        decoded = self.coarse.decode(padded)
        w = self.coarse.head(decoded[0])
        p = torch.relu(w)  # (1)
        m = padded * p  # (2)
        mask = self.refine.head(self.refine.refine(m, decoded))
        height, width = image.shape[-2], image.shape[-1]
        return {"attention": w[..., :height, :width], "mask": mask[..., :height, :width]}


class DDMAC(Cascade):
    """Deep distance map attention cascade: distance-map regression and softmax attention, U-Net++.

    The first subnetwork has two heads: Q, regressed to the dilated probability map D (3–5), and a softmax attention of
    three channels, W (6). The second sees M' = concatenate(W', Q) (8) with W' = W × I (7), and through the shortcuts
    the first decoder's feature maps.

    Args: those of :class:`Cascade`; the image has one channel or three.

    Shape:
        Image ``[B, in_channels, H, W]`` of any H and W, values in 0…1. In training, a dictionary of unbounded
        ``[B, 1, H, W]``: ``distance`` (Q) and the logits ``mask``. In evaluation, the probability N, ``[B, 1, H, W]``.

    Raises:
        ValueError: neither one channel nor three, or what :class:`Cascade` refuses.

    Source: the paper, section II-B2, equations (3) to (8), Fig. 4.
    """

    @staticmethod
    def _attended(in_channels: int) -> int:
        if in_channels not in (1, 3):
            raise ValueError(
                f"W' = W × I (7) has three channels, so the image must have one or three, got {in_channels}"
            )
        return 4  # (8)

    def _add_heads(self, width: int, norm: str) -> None:
        self.attention = Head(width, 3, norm)

    def stages(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        """Outputs of both subnetworks: ``distance`` (Q) and the logits ``mask``."""
        padded = pad_to_multiple(image, self.stride)
        decoded = self.coarse.decode(padded)
        q = self.coarse.head(decoded[0])
        w = torch.softmax(self.attention(decoded[0]), 1)  # (6)
        m = torch.cat([w * padded, q], 1)  # (7), (8)
        mask = self.refine.head(self.refine.refine(m, decoded))
        height, width = image.shape[-2], image.shape[-1]
        return {"distance": q[..., :height, :width], "mask": mask[..., :height, :width]}
