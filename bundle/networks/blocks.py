"""The parts that the paper's networks are made of: residual blocks, nodes, heads, and padding to any image size."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

__all__ = [
    "DEFAULT_CHANNELS",
    "Head",
    "InstanceNorm",
    "Node",
    "ResidualBlock",
    "check_channels",
    "normalization",
    "pad_to_multiple",
    "residual_node",
    "to_channels",
    "to_pixels",
    "upsample",
]

DEFAULT_CHANNELS = (8, 16, 32, 64, 128)


class InstanceNorm(nn.GroupNorm):
    """Instance normalisation with weight and bias, as groups of one channel each.

    Keeps ``channels_last``, which ``nn.InstanceNorm2d`` does not, and takes maps of a single pixel, where an image is
    as small as the network's stride: what remains of them is the bias.

    Args:
        channels: of the feature map.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not torch.jit.is_scripting():
            if torch.onnx.is_in_onnx_export():  # ONNX Runtime loses digits in sums over a whole image
                centred = x - x.mean(-1, keepdim=True).mean(-2, keepdim=True)
                variance = centred.square().mean(-1, keepdim=True).mean(-2, keepdim=True)
                return centred / (variance + self.eps).sqrt() * self.weight[:, None, None] + self.bias[:, None, None]
            if not (torch.is_grad_enabled() or torch.jit.is_tracing()) and _loses_digits(x):
                return self._exactly(x)
        return torch.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    @torch.jit.unused
    def _exactly(self, x: torch.Tensor) -> torch.Tensor:
        batch, channels, height, width = x.shape
        rows = x.permute(0, 2, 3, 1).reshape(batch, height, width * channels)

        def mean(values: torch.Tensor) -> torch.Tensor:
            return values.sum(1).view(batch, width, channels).sum(1, dtype=torch.float64) / (height * width)

        middle = mean(rows)
        gain = self.weight / ((mean(rows.square()) - middle.square()).clamp(min=0) + self.eps).sqrt()
        gain, shift = (each.to(x.dtype).repeat(1, width)[:, None] for each in (gain, self.bias - middle * gain))
        return torch.addcmul(shift, rows, gain).view(batch, height, width, channels).permute(0, 3, 1, 2)


@torch.jit.unused
def _loses_digits(x: torch.Tensor) -> bool:
    """Whether PyTorch's sums over each channel are too long for single precision, at the cost of digits of S."""
    if x.device.type != "cpu" or x.dtype != torch.float32 or x.shape[-2] * x.shape[-1] < 1 << 14:
        return False
    return x.is_contiguous(memory_format=torch.channels_last)


def normalization(norm: str, channels: int) -> nn.Module:
    """The layer that follows a convolution.

    Args:
        norm: "batch" (the paper's) or "instance": every channel by its own mean and deviation over the image, in
            evaluation as in training, so that the contrast and the brightness of an image matter less.
        channels: of the feature map.

    Raises:
        ValueError: another name.

    Source: Ioffe and Szegedy, https://arxiv.org/abs/1502.03167; Ulyanov et al., https://arxiv.org/abs/1607.08022.
    """
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    if norm == "instance":
        return InstanceNorm(channels)
    raise ValueError(f"norm must be 'batch' or 'instance', got {norm!r}")


class ResidualBlock(nn.Module):
    """3×3 convolution, normalisation, ReLU, 3×3 convolution, normalisation, plus the input, ReLU.

    The input passes through a 1×1 convolution with normalisation where the channels differ. Convolutions have no bias
    where a normalisation follows.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        last_relu: whether the sum is rectified; a head's output is not, since its sign carries meaning.
        norm: as of :func:`normalization`.
        last_norm: whether the two that are summed are normalised; else their convolutions have a bias.

    Source: He et al., Deep Residual Learning for Image Recognition, https://doi.org/10.1109/CVPR.2016.90, as the paper
    uses it in place of each convolutional layer (section II-B1).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        last_relu: bool = True,
        norm: str = "batch",
        last_norm: bool = True,
    ) -> None:
        super().__init__()

        def normalized() -> list[nn.Module]:
            return [normalization(norm, out_channels)] if last_norm else []

        self.residual = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
            normalization(norm, out_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=not last_norm),
            *normalized(),
        )
        self.shortcut = (
            nn.Identity()
            if in_channels == out_channels
            else nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, bias=not last_norm), *normalized())
        )
        self.activation = nn.ReLU(inplace=True) if last_relu else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.activation(self.residual(x) + self.shortcut(x))


class Node(nn.Sequential):
    """One node of an encoder or decoder: residual blocks, the first of which sees several feature maps as one.

    Shape:
        A list of ``[B, C_i, H, W]``, concatenated by channels, to ``[B, C, H, W]``. Those of the level below,
        ``[B, C_i, H / 2, W / 2]``, are doubled before.
    """

    def _get_name(self) -> str:
        return "Sequential"  # outputs are told from others by the network's text, which is older than this class

    def forward(self, maps: list[torch.Tensor]) -> torch.Tensor:
        width = maps[0].shape[-1]
        seen = [each if each.shape[-1] == width else upsample(each) for each in maps]
        x = seen[0] if len(seen) == 1 else torch.cat(seen, 1)
        for block in self:
            x = block(x)
        return x


def residual_node(in_channels: int, out_channels: int, blocks: int, norm: str) -> Node:
    """One node of an encoder or decoder: ``blocks`` residual blocks, the first of which changes the channels."""
    return Node(
        ResidualBlock(in_channels, out_channels, norm=norm),
        *(ResidualBlock(out_channels, out_channels, norm=norm) for _ in range(blocks - 1)),
    )


class Head(nn.Sequential):
    """A residual block at the decoder's width, then one to the output channels without its last ReLU.

    An output is not normalised by its own image, which would find vessels in every image, the empty one too.

    Args:
        in_channels: channels of the decoder's feature map of highest resolution.
        out_channels: channels of the output, whose values are unbounded.
        norm: as of :func:`normalization`.
    """

    def __init__(self, in_channels: int, out_channels: int, norm: str = "batch") -> None:
        super().__init__(
            ResidualBlock(in_channels, in_channels, norm=norm),
            ResidualBlock(in_channels, out_channels, last_relu=False, norm=norm, last_norm=norm != "instance"),
        )


def upsample(x: torch.Tensor) -> torch.Tensor:
    """Double height and width of ``[B, C, H, W]``, bilinearly."""
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def to_channels(x: torch.Tensor, side: int) -> torch.Tensor:
    """Squares of pixels as channels of one: ``[B, C, H, W]`` to ``[B, C * side**2, H / side, W / side]``."""
    return x if side == 1 else F.pixel_unshuffle(x, side)


def to_pixels(x: torch.Tensor, side: int) -> torch.Tensor:
    """The reverse of :func:`to_channels`."""
    return x if side == 1 else F.pixel_shuffle(x, side)


def pad_to_multiple(x: torch.Tensor, multiple: int) -> torch.Tensor:
    """Repeat the last row and column of ``[B, C, H, W]`` until height and width are multiples of ``multiple``.

    Rows and columns are added at the end only, so that cropping to ``[..., :H, :W]`` undoes it.
    """
    height = (multiple - x.shape[-2] % multiple) % multiple
    width = (multiple - x.shape[-1] % multiple) % multiple
    if not torch.jit.is_scripting() and not torch.jit.is_tracing() and not height and not width:
        return x
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
