"""A network as the processor computes it fastest: the same function, of fewer passes through memory."""

from __future__ import annotations

import copy
import functools

import torch
from torch import nn
from torch.nn import functional as F

from .blocks import Head, InstanceNorm, Node, ResidualBlock, upsample

__all__ = ["faster_copy"]


def faster_copy(network: nn.Module) -> nn.Module:
    """A copy of a network for evaluation on the CPU, which gives the same up to the last digits in less time.

    Batch normalisation becomes part of the convolution before it. Rectifying, and adding what a convolution gives to
    what is there, happen while the convolution writes. Feature maps that a node sees as one are not concatenated: what
    a convolution makes of each is summed. The map of the level below is doubled in height alone: that the convolution
    sees it doubled in width too is part of its kernel.

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
        maps = [maps] if isinstance(maps, torch.Tensor) else maps
        maps = [_to_be_seen(each, maps[0].shape[-1]) for each in maps]
        for block in self.blocks:
            maps = [block(maps)]
        return maps[0]


class _FusedBlock(nn.Module):
    """A residual block of feature maps that are not concatenated; those of half the width are seen doubled in it."""

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
            width = inner.shape[-1]
            wide = [each if each.shape[-1] == width else _doubled_in_width(each) for each in maps]
            out += wide[0] if len(wide) == 1 else torch.cat(wide, 1)
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
        self._kernels: dict[tuple, list[list[torch.Tensor]]] = {}

    def forward(
        self, maps: list[torch.Tensor], onto: torch.Tensor | None = None, rectify: bool = False
    ) -> torch.Tensor:
        """The convolution of the maps.

        Args:
            maps: ``[B, C_i, H, W]``.
            onto: what is added, and overwritten.
            rectify: set what is negative to 0.
        """
        channels, side, width = len(self.weight), self.weight.shape[-1], maps[0].shape[-1]
        halves = [part.shape[-1] != width for part in maps]
        together = _pixels_together(channels, side, width)
        kernels = self._of_parts(tuple(part.shape[1] for part in maps), tuple(halves), together)
        rectify_at_once = rectify and self.norm is None
        bias, out = self.bias, onto
        # the last to be added is one that is not doubled, so that it rectifies after all corrections
        order = sorted(range(len(maps)), key=lambda number: not halves[number])
        for number in order:
            part, kernel = maps[number], kernels[number]
            if halves[number]:
                out = _convolved_doubled(part, kernel, bias, self.padding, out)
            elif side == 1 and part.shape[1] == 1 and out is None and not rectify:
                out = _scaled(part, kernel[0].flatten(), bias)
            else:
                repeated = None if bias is None else bias.repeat(together)
                seen = None if out is None else _side_by_side(out, together)
                last = rectify_at_once and number == order[-1]
                padding = (self.padding, self.padding)
                out = _convolved(part, kernel[0], repeated, padding, together, seen, last)
                out = _side_by_side(out, 1 / together)
            bias = None
        if self.norm is None:
            return out
        out = self.norm(out)
        return out.relu_() if rectify else out

    def _of_parts(self, sizes: tuple[int, ...], halves: tuple[bool, ...], together: int) -> list[list[torch.Tensor]]:
        """The kernels of each map, for pixels that are computed together."""
        if (together, sizes, halves) not in self._kernels:
            parts = self.weight.split(sizes, 1)
            self._kernels[together, sizes, halves] = [
                _doubling(part) if half else [_of_pixels(part, together)]
                for part, half in zip(parts, halves, strict=True)
            ]
        return self._kernels[together, sizes, halves]


def _of_pixels(weight: torch.Tensor, together: int) -> torch.Tensor:
    """The kernel ``[together * O, I, k, k + together - 1]`` of pixels that lie side by side."""
    side = weight.shape[-1]
    wide = weight.new_zeros((together, *weight.shape[:-1], side + together - 1))
    for pixel in range(together):
        wide[pixel, ..., pixel : pixel + side] = weight
    return wide.flatten(0, 1).contiguous(memory_format=torch.channels_last)


def _doubling(weight: torch.Tensor) -> list[torch.Tensor]:
    """The kernel that sees a map as if it were doubled in width, and what is to be added in its first and last column.

    Of the two pixels that one becomes, bilinearly, the left is 3/4 of it and 1/4 of the one before, the right 3/4 of it
    and 1/4 of the next. At the borders the one beyond is the pixel itself, and to the convolution all beyond is 0.

    Args:
        weight: ``[O, I, k, k]``, k 1 or 3.

    Returns:
        ``[2 O, I, k, 3]``, the left pixel's channels first, and two of ``[2 O, I, k, 1]``.
    """
    wide = weight.new_zeros((2, *weight.shape[:-1], 3))
    first, last = (weight.new_zeros((2, *weight.shape[:-1], 1)) for _ in range(2))
    reach = weight.shape[-1] // 2
    for pixel in range(2):
        for tap in range(-reach, reach + 1):
            values = weight[..., tap + reach]
            of, right = divmod(pixel + tap, 2)  # the pixel of the map, and which of its two is seen
            wide[pixel, ..., 1 + of] += 0.75 * values
            wide[pixel, ..., (2 if right else 0) + of] += 0.25 * values
            sign = {(-1, 1): -0.25, (0, 0): 0.25}.get((of, right), 0)
            first[pixel, ..., 0] += sign * values
            sign = {(1, 0): -0.25, (0, 1): 0.25}.get((of, right), 0)
            last[pixel, ..., 0] += sign * values
    return [each.flatten(0, 1).contiguous(memory_format=torch.channels_last) for each in (wide, first, last)]


def _pixels_together(channels: int, side: int, width: int) -> int:
    """How many pixels of a row of a map are computed as channels of one."""
    most = min(_lanes() // channels, 8) if side > 1 and _one_pass() else 1
    together = 1
    # a map of one column has no order of its columns and channels in memory that the library could tell
    while 2 * together <= most and width % (2 * together) == 0 and width > 2 * together:
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
    padding: tuple[int, int],
    step: int,
    onto: torch.Tensor | None,
    rectify: bool,
) -> torch.Tensor:
    """A convolution, added to what is there and overwrites it, and rectified."""
    if not _one_pass():
        out = F.conv2d(x, weight, bias, (1, step), padding)
        out = out if onto is None else onto.add_(out)
        return out.relu_() if rectify else out
    how = (list(padding), [1, step], [1, 1], 1)
    if onto is None:
        return torch.ops.mkldnn._convolution_pointwise(x, weight, bias, *how, "relu" if rectify else "none", [], "")
    return torch.ops.mkldnn._convolution_pointwise_.binary(
        onto, x, weight, bias, *how, "add", 1.0, "relu" if rectify else None, [], ""
    )


def _convolved_doubled(
    x: torch.Tensor, kernels: list[torch.Tensor], bias: torch.Tensor | None, padding: int, onto: torch.Tensor | None
) -> torch.Tensor:
    """A convolution of a map that is doubled in width, by the kernels of :func:`_doubling`, added to what is there."""
    wide, *borders = kernels
    seen = None if onto is None else _side_by_side(onto, 2)
    out = _convolved(x, wide, None if bias is None else bias.repeat(2), (padding, 1), 1, seen, False)
    for kernel, column in zip(borders, (0, x.shape[-1] - 1), strict=True):
        out[..., column : column + 1] += F.conv2d(x[..., column : column + 1], kernel, None, 1, (padding, 0))
    return _side_by_side(out, 0.5)


def _scaled(x: torch.Tensor, gain: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """A convolution of one channel and one pixel, for which the library is slow."""
    rows = x.permute(0, 2, 3, 1)
    return (rows * gain if bias is None else torch.addcmul(bias, rows, gain)).permute(0, 3, 1, 2)


def _to_be_seen(x: torch.Tensor, width: int) -> torch.Tensor:
    """A map as convolutions see it beside others of this width: of its own level, or of the one below."""
    if x.shape[-1] == width:
        return x.contiguous(memory_format=torch.channels_last)
    return upsample(x) if width == 2 else _doubled_in_height(x)


def _doubled_in_height(x: torch.Tensor) -> torch.Tensor:
    return F.interpolate(x, scale_factor=(2.0, 1.0), mode="bilinear")


def _doubled_in_width(x: torch.Tensor) -> torch.Tensor:
    return F.interpolate(x, scale_factor=(1.0, 2.0), mode="bilinear")


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
