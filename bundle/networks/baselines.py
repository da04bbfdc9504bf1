"""The networks that the cascades are compared with, each with the cascades' manners in training and evaluation."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from functools import cache, partial

import torch
from torch import nn
from torch.nn import functional as F

from .blocks import DEFAULT_CHANNELS, check_channels, normalization, pad_to_multiple, upsample
from .cascades import DBAC
from .unet_plus_plus import ResidualUNetPlusPlus

__all__ = ["DeeperUNetPlusPlus", "UNet", "UNetPlusPlus", "count_parameters"]


def count_parameters(network: nn.Module) -> int:
    """Number of trainable parameters, as in the paper's Table I."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


class _Baseline(nn.Module):
    """A network of one stage: the logits ``{"mask": [B, 1, H, W]}`` in training, the probability in evaluation.

    Subclasses have the method ``logits``.
    """

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        logits = self.logits(image)
        if not torch.jit.is_scripting() and self.training:  # TorchScript knows one type of result
            return {"mask": logits}
        return torch.sigmoid(logits)


class UNet(_Baseline):
    """Plain U-Net: two 3×3 convolutions with normalisation and ReLU at each node, no residuals.

    Args:
        in_channels: channels of the image.
        channels: width of each level, from highest to lowest resolution.
        norm: after every convolution, "batch" or "instance".

    Shape:
        Image ``[B, in_channels, H, W]``; ``{"mask": logits}`` in training, probability in evaluation, ``[B, 1, H, W]``.

    Source: Ronneberger et al., https://doi.org/10.1007/978-3-319-24574-4_28.
    """

    def __init__(self, in_channels: int = 1, channels: Sequence[int] = DEFAULT_CHANNELS, norm: str = "batch") -> None:
        super().__init__()
        channels = check_channels(channels, 1)
        self.stride = 2 ** (len(channels) - 1)
        self.encoder = nn.ModuleList(
            _double_convolution(i, o, norm) for i, o in zip((in_channels, *channels[:-1]), channels, strict=True)
        )
        self.decoder = nn.ModuleList(
            _double_convolution(below + skip, skip, norm)
            for below, skip in zip(channels[:0:-1], channels[-2::-1], strict=True)
        )
        self.head = nn.Conv2d(channels[0], 1, 1)

    def logits(self, image: torch.Tensor) -> torch.Tensor:
        x = pad_to_multiple(image, self.stride)
        skips: list[torch.Tensor] = []
        for level, node in enumerate(self.encoder):
            x = node(x if level == 0 else F.max_pool2d(x, 2))
            skips.append(x)
        for depth, node in enumerate(self.decoder):
            x = node(torch.cat([skips[len(skips) - 2 - depth], upsample(x)], 1))
        return self.head(x)[..., : image.shape[-2], : image.shape[-1]]


def _double_convolution(in_channels: int, out_channels: int, norm: str) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
        normalization(norm, out_channels),
        nn.ReLU(inplace=True),
        nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
        normalization(norm, out_channels),
        nn.ReLU(inplace=True),
    )


class UNetPlusPlus(_Baseline):
    """The cascades' second subnetwork alone, on the image: the paper's "U-Net++".

    Args:
        in_channels: channels of the image.
        channels: width of each level, from highest to lowest resolution.
        blocks_per_node: residual blocks at each node.
        norm: after every convolution, "batch" or "instance".

    Shape:
        Image ``[B, in_channels, H, W]``; ``{"mask": logits}`` in training, probability in evaluation, ``[B, 1, H, W]``.
    """

    def __init__(
        self,
        in_channels: int = 1,
        channels: Sequence[int] = DEFAULT_CHANNELS,
        blocks_per_node: int = 1,
        norm: str = "batch",
    ) -> None:
        super().__init__()
        self.network = ResidualUNetPlusPlus(in_channels, 1, channels, blocks_per_node, norm=norm)

    def logits(self, image: torch.Tensor) -> torch.Tensor:
        return self.network(image)


class DeeperUNetPlusPlus(UNetPlusPlus):
    """U-Net++ that has grown to the size of a cascade: the paper's "deeper U-Net++".

    The count closest to DBAC's wins among the cascade's second subnetworks with one to three blocks at each node, with
    and without a further level of any width up to twice the widest.

    Args:
        in_channels: channels of the image.
        channels: widths of the cascade to be matched, as of :class:`DBAC`.
        refine_channels: the same of its second subnetwork where they differ.
        blocks_per_node: the cascade's residual blocks at each node.
        refine_blocks_per_node: those of its second subnetwork where they differ.

    Shape:
        Image ``[B, in_channels, H, W]``; ``{"mask": logits}`` in training, probability in evaluation, ``[B, 1, H, W]``.
    """

    def __init__(
        self,
        in_channels: int = 1,
        channels: Sequence[int] = DEFAULT_CHANNELS,
        refine_channels: Sequence[int] | None = None,
        blocks_per_node: int = 1,
        refine_blocks_per_node: int | None = None,
        norm: str = "batch",
    ) -> None:
        base = tuple(channels if refine_channels is None else refine_channels)

        @cache
        def size(further: tuple[int, ...], blocks: int) -> int:
            return count_parameters(ResidualUNetPlusPlus(in_channels, 1, base + further, blocks, norm=norm))

        def wider(blocks: int, width: int) -> int:
            return size((width,), blocks)

        with torch.device("meta"):  # counting needs no memory
            aim = count_parameters(
                DBAC(in_channels, channels, refine_channels, blocks_per_node, refine_blocks_per_node, norm=norm)
            )
            widths = range(1, 2 * max(base) + 1)
            candidates: list[tuple[tuple[int, ...], int]] = []
            for blocks in (1, 2, 3):
                candidates.append(((), blocks))
                if size((), blocks) < aim:  # a further level brings it nearer
                    above = bisect_left(widths, aim, key=partial(wider, blocks))
                    candidates += [((width,), blocks) for width in widths[max(above - 1, 0) : above + 1]]
            further, blocks = min(candidates, key=lambda candidate: abs(size(*candidate) - aim))
        super().__init__(in_channels, base + further, blocks, norm)
