"""A network as the processor computes it fastest: the same function, of fewer passes through memory."""

from __future__ import annotations

import copy
import functools

import torch
from torch import nn
from torch.nn import functional as F

from .blocks import Head, InstanceNorm, Node, ResidualBlock

__all__ = ["faster_copy"]


def faster_copy(network: nn.Module) -> nn.Module:
    """A copy of a network for evaluation on the CPU, which gives the same up to the last digits in less time.

    Batch normalisation becomes part of the convolution before it. Rectifying, and adding what a convolution gives to
    what is there, happen while the convolution writes. Feature maps that a node sees as one are not concatenated: what
    a convolution makes of each is summed.

    Args:
        network: of this package; its residual blocks are replaced, all else is kept. It is left as it is.

    Returns:
        A module with the methods of the network, in evaluation, single precision.
    """
    made = copy.deepcopy(network).float().eval()
    for module in list(made.modules()):
        for name, child in module.named_children():
            if isinstance(child, Node | Head):
                setattr(module, name, _FusedNode(child))
    return made.requires_grad_(False)


class _FusedNode(nn.Module):
    """Residual blocks one after the other."""

    def __init__(self, blocks: nn.Sequential) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(_FusedBlock(block) for block in blocks)

    def forward(self, maps: torch.Tensor | list[torch.Tensor]) -> torch.Tensor:
        for block in self.blocks:
            maps = [block([maps] if isinstance(maps, torch.Tensor) else maps)]
        return maps[0]


class _FusedBlock(nn.Module):
    """A residual block of feature maps that are not concatenated."""

    def __init__(self, block: ResidualBlock) -> None:
        super().__init__()
        convolution, norm, _, second, *last = block.residual
        self.first = _Convolution(convolution, norm)
        self.second = _Convolution(second, *last)
        self.shortcut = None if isinstance(block.shortcut, nn.Identity) else _Convolution(*block.shortcut)
        self.rectified = isinstance(block.activation, nn.ReLU)

    def forward(self, maps: list[torch.Tensor]) -> torch.Tensor:
        inner = self.first(maps, rectify=True)
        if self.shortcut is None:
            out = self.second([inner])
            out += maps[0] if len(maps) == 1 else torch.cat(maps, 1)
            return out.relu_() if self.rectified else out
        if self.shortcut.norm is None and self.second.norm is None:
            return self.second([inner], self.shortcut(maps), self.rectified)
        out = self.second([inner])
        out += self.shortcut(maps)
        return out.relu_() if self.rectified else out


class _Convolution(nn.Module):
    """A convolution and what normalises it, of feature maps that are not concatenated.

    The processor computes as many channels at once as fit into one of its registers. Where there are fewer, a register
    is filled by pixels that lie side by side: a wider kernel whose steps are as wide as their number gives them as
    channels, and in memory these are what the pixels' own channels would be.

    Args:
        convolution: of stride 1, as wide as it is high.
        norm: batch normalisation, which is folded into the weights; instance normalisation; or none.
    """

    def __init__(self, convolution: nn.Conv2d, norm: nn.Module | None = None) -> None:
        super().__init__()
        weight, bias = convolution.weight.detach(), convolution.bias
        self.norm = norm if isinstance(norm, InstanceNorm) else None
        if isinstance(norm, nn.BatchNorm2d):
            gain = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
            shift = norm.bias.double() - norm.running_mean.double() * gain
            bias = (shift if bias is None else shift + bias.double() * gain).float()
            weight = (weight.double() * gain[:, None, None, None]).float()
        self.padding = convolution.padding[0]
        self.weight = nn.Parameter(weight)
        self.bias = None if bias is None else nn.Parameter(bias.detach())
        self._kernels: dict[tuple[int, ...], list[torch.Tensor]] = {}

    def forward(
        self, maps: list[torch.Tensor], onto: torch.Tensor | None = None, rectify: bool = False
    ) -> torch.Tensor:
        """The convolution of the maps.

        Args:
            maps: ``[B, C_i, H, W]``.
            onto: what is added, and overwritten.
            rectify: set what is negative to 0.
        """
        channels, width = len(self.weight), maps[0].shape[-1]
        together = _pixels_together(channels, self.weight.shape[-1], width)
        kernels = self._of_parts(tuple(part.shape[1] for part in maps), together)
        bias = None if self.bias is None else self.bias.repeat(together)
        at_once = rectify and self.norm is None
        out = None if onto is None else _side_by_side(onto, together)
        for number, (part, kernel) in enumerate(zip(maps, kernels, strict=True)):
            last = number == len(maps) - 1
            out = _convolved(part, kernel, bias, self.padding, together, out, at_once and last)
            bias = None
        out = _side_by_side(out, 1 / together)
        if self.norm is None:
            return out
        out = self.norm(out)
        return out.relu_() if rectify else out

    def _of_parts(self, sizes: tuple[int, ...], together: int) -> list[torch.Tensor]:
        """The kernel of each map, for pixels that are computed together."""
        if (together, *sizes) not in self._kernels:
            side = self.weight.shape[-1]
            wide = self.weight.new_zeros((together, *self.weight.shape[:-1], side + together - 1))
            for pixel in range(together):
                wide[pixel, ..., pixel : pixel + side] = self.weight
            parts = wide.flatten(0, 1).split(sizes, 1)
            self._kernels[together, *sizes] = [part.contiguous(memory_format=torch.channels_last) for part in parts]
        return self._kernels[together, *sizes]


def _pixels_together(channels: int, side: int, width: int) -> int:
    """How many pixels of a row of a map are computed as channels of one."""
    most = min(_lanes() // channels, 8) if side > 1 and _one_pass() else 1
    together = 1
    while 2 * together <= most and width % (2 * together) == 0:
        together *= 2
    return together


def _side_by_side(x: torch.Tensor, pixels: float) -> torch.Tensor:
    """A map ``[B, C, H, W]`` whose memory is seen as ``[B, C * pixels, H, W / pixels]``."""
    if pixels == 1:
        return x
    batch, channels, height, width = x.shape
    rows = x.permute(0, 2, 3, 1).reshape(batch, height, round(width / pixels), round(channels * pixels))
    return rows.permute(0, 3, 1, 2)


def _convolved(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    padding: int,
    step: int,
    onto: torch.Tensor | None,
    rectify: bool,
) -> torch.Tensor:
    """A convolution, added to what is there and overwrites it, and rectified."""
    if not _one_pass():
        out = F.conv2d(x, weight, bias, (1, step), padding)
        out = out if onto is None else onto.add_(out)
        return out.relu_() if rectify else out
    how = ([padding] * 2, [1, step], [1, 1], 1)
    if onto is None:
        return torch.ops.mkldnn._convolution_pointwise(x, weight, bias, *how, "relu" if rectify else "none", [], "")
    return torch.ops.mkldnn._convolution_pointwise_.binary(
        onto, x, weight, bias, *how, "add", 1.0, "relu" if rectify else None, [], ""
    )


@functools.cache
def _lanes() -> int:
    """Numbers of single precision that a register holds, on processors where oneDNN uses all of it."""
    return {"AVX512": 16, "AVX2": 8}.get(torch.backends.cpu.get_cpu_capability(), 1)


@functools.cache
def _one_pass() -> bool:
    """Whether PyTorch's oneDNN adds and rectifies while it convolves; it is not of its public face, so it is tried."""
    if not torch.backends.mkldnn.is_available():
        return False
    x = torch.linspace(-1, 1, 3 * 4 * 5).reshape(1, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    weight = torch.linspace(-1, 1, 2 * 3 * 9).reshape(2, 3, 3, 3).contiguous(memory_format=torch.channels_last)
    bias = torch.tensor([0.1, -0.2])
    expected = F.conv2d(x, weight, bias, padding=1)
    how = ([1, 1], [1, 1], [1, 1], 1)
    try:
        once = torch.ops.mkldnn._convolution_pointwise(x, weight, bias, *how, "relu", [], "")
        twice = torch.ops.mkldnn._convolution_pointwise_.binary(
            expected.clone(memory_format=torch.channels_last), x, weight, bias, *how, "add", 1.0, "relu", [], ""
        )
    except (RuntimeError, AttributeError, TypeError):
        return False
    return torch.allclose(once, expected.relu(), atol=1e-5) and torch.allclose(twice, (2 * expected).relu(), atol=1e-5)
