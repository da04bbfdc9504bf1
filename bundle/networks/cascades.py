"""The two coarse-to-fine cascades of the paper: DBAC for sensitivity, DDMAC for precision."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from .blocks import DEFAULT_CHANNELS, Head, pad_to_multiple, to_channels, to_pixels
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
        shuffle: side of the squares of pixels whose values the first convolutions see as channels of one pixel, and
            the last ones give as such; 1 for none, as in the paper. With 2 and a level less all maps of full
            resolution are spared, and with them half of the time.

    Raises:
        ValueError: channels, blocks, shortcut levels, a norm or a shuffle that make no network.

    Source: the paper; of the shuffle, Shi et al., https://doi.org/10.1109/CVPR.2016.207.
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
        shuffle: int = 1,
    ) -> None:
        attended_channels = self._attended(in_channels)
        if shuffle < 1 or shuffle != int(shuffle):
            raise ValueError(f"shuffle must be a whole number of pixels from 1, got {shuffle!r}")
        super().__init__()
        pixels = int(shuffle) ** 2
        refine_channels = channels if refine_channels is None else refine_channels
        decoder_levels = range(min(len(channels), len(refine_channels)) - 1)  # the lowest level has no decoder
        shortcut_levels = decoder_levels[:2] if shortcut_levels is None else shortcut_levels
        if not set(shortcut_levels) <= set(decoder_levels):
            raise ValueError(
                f"both decoders have the levels {list(decoder_levels)}, got shortcuts at {list(shortcut_levels)}"
            )
        self.coarse = ResidualUNet(in_channels * pixels, pixels, channels, blocks_per_node, norm)
        self.refine = ResidualUNetPlusPlus(
            attended_channels * pixels,
            pixels,
            refine_channels,
            blocks_per_node if refine_blocks_per_node is None else refine_blocks_per_node,
            {level: channels[level] for level in shortcut_levels},
            norm,
        )
        self.shuffle = int(shuffle)
        self.stride = max(self.coarse.stride, self.refine.stride) * self.shuffle
        self._add_heads(channels[0], norm)

    @staticmethod
    def _attended(in_channels: int) -> int:
        """The channels that the second subnetwork sees."""
        return in_channels

    def _add_heads(self, width: int, norm: str) -> None:
        """Heads of the first subnetwork beside its own; none."""

    def _of_image(self, output: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """An output as pixels, without what was added to the image."""
        return to_pixels(output, self.shuffle)[..., : image.shape[-2], : image.shape[-1]]

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
        seen = to_channels(pad_to_multiple(image, self.stride), self.shuffle)
        decoded = self.coarse.decode(seen)
        w = self.coarse.head(decoded[0])
        p = torch.relu(w)  # (1)
        m = _times(p, seen, self.shuffle)  # (2)
        mask = self.refine.head(self.refine.refine(m, decoded))
        return {"attention": self._of_image(w, image), "mask": self._of_image(mask, image)}


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
        self.attention = Head(width, 3 * self.shuffle**2, norm)

    def stages(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        """Outputs of both subnetworks: ``distance`` (Q) and the logits ``mask``."""
        seen = to_channels(pad_to_multiple(image, self.stride), self.shuffle)
        decoded = self.coarse.decode(seen)
        q = self.coarse.head(decoded[0])
        w = torch.softmax(self.attention(decoded[0]).unflatten(1, (3, -1)), 1).flatten(1, 2)  # (6)
        m = torch.cat([_times(w, seen, self.shuffle), q], 1)  # (7), (8)
        mask = self.refine.head(self.refine.refine(m, decoded))
        return {"distance": self._of_image(q, image), "mask": self._of_image(mask, image)}


def _times(weights: torch.Tensor, seen: torch.Tensor, shuffle: int) -> torch.Tensor:
    """Product of what has one channel with what has three, or of what has as many, pixel by pixel.

    Args:
        weights: ``[B, C_w * shuffle**2, h, w]``, as :func:`to_channels` gives them.
        seen: ``[B, C_s * shuffle**2, h, w]``; C_w and C_s are the same, or one of them is 1.
        shuffle: of the cascade.

    Returns:
        ``[B, max(C_w, C_s) * shuffle**2, h, w]``.
    """
    pixels = shuffle * shuffle
    product = weights.unflatten(1, (-1, pixels)) * seen.unflatten(1, (-1, pixels))
    return product.flatten(1, 2)
