"""Decision fusion: both cascades as one network that gives one probability."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from .blocks import DEFAULT_CHANNELS
from .cascades import DBAC, DDMAC

__all__ = ["AtScale", "CascadeEnsemble"]


class CascadeEnsemble(nn.Module):
    """Both cascades and the fusion of their probabilities.

    S = (L + N) / 2 (9) or S = max(L, N) (10), where L is DBAC's probability and N is DDMAC's. Each cascade sees the
    image at a scale of its own; its output is brought back to the image's size before the fusion.

    Args:
        in_channels: channels of the image, one or three.
        channels: width of each level of all four subnetworks, from highest to lowest resolution. This and the four
            next are those of :class:`bundle.networks.cascades.Cascade`.
        refine_channels: as there.
        blocks_per_node: as there.
        refine_blocks_per_node: as there.
        shortcut_levels: as there.
        dbac_scale: factor by which the image is resampled for DBAC, 2 in the paper's best row.
        ddmac_scale: the same for DDMAC.
        fusion: "average" (9) or "maximum" (10).
        norm: after every convolution, "batch" (the paper's) or "instance".
        dbac_norm: DBAC's, if it is another.
        shuffle: as of :class:`bundle.networks.cascades.Cascade`.

    Shape:
        Image ``[B, in_channels, H, W]`` of any H and W, values in 0…1. In evaluation, the probability S,
        ``[B, 1, H, W]``. In training, a dictionary of the stages of both cascades, ``[B, 1, H, W]`` each:
        ``dbac.attention``, ``dbac.mask``, ``ddmac.distance``, ``ddmac.mask``.

    Raises:
        ValueError: a fusion of another name, a scale that is not positive, or what the cascades refuse.

    Source: the paper, section II-C, equations (9) and (10), Table III.
    """

    def __init__(
        self,
        in_channels: int = 1,
        channels: Sequence[int] = DEFAULT_CHANNELS,
        refine_channels: Sequence[int] | None = None,
        blocks_per_node: int = 1,
        refine_blocks_per_node: int | None = None,
        shortcut_levels: Sequence[int] | None = None,
        dbac_scale: float = 2.0,
        ddmac_scale: float = 1.0,
        fusion: str = "average",
        norm: str = "batch",
        dbac_norm: str | None = None,
        shuffle: int = 1,
    ) -> None:
        super().__init__()
        if fusion not in ("average", "maximum"):
            raise ValueError(f"fusion must be 'average' (9) or 'maximum' (10), got {fusion!r}")
        if min(dbac_scale, ddmac_scale) <= 0:
            raise ValueError(f"scales must be positive, got {dbac_scale} and {ddmac_scale}")
        options = (in_channels, channels, refine_channels, blocks_per_node, refine_blocks_per_node, shortcut_levels)
        self.dbac = DBAC(*options, dbac_norm or norm, shuffle)
        self.ddmac = DDMAC(*options, norm, shuffle)
        self.dbac_scale = float(dbac_scale)
        self.ddmac_scale = float(ddmac_scale)
        self.fusion = fusion

    @torch.jit.unused
    def rearrange(self, channels: Sequence[int], shuffle: int) -> None:
        """Make both cascades anew, of random weights, of other channels and another shuffle.

        Args:
            channels: as above.
            shuffle: as above.

        Raises:
            ValueError: channels or a shuffle that make no network.
        """
        first = self.dbac.coarse.encoder[0][0].residual[0]
        in_channels = first.in_channels // self.dbac.shuffle**2
        norms = [
            "batch" if any(isinstance(module, nn.BatchNorm2d) for module in cascade.modules()) else "instance"
            for cascade in (self.dbac, self.ddmac)
        ]
        dbac = DBAC(in_channels, channels, norm=norms[0], shuffle=shuffle)
        ddmac = DDMAC(in_channels, channels, norm=norms[1], shuffle=shuffle)
        self.dbac, self.ddmac = (made.to(first.weight).train(self.training) for made in (dbac, ddmac))

    def stages(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        """Outputs of all four subnetworks, named ``cascade.stage``, at the image's size."""
        outputs: dict[str, torch.Tensor] = {}
        for stage, output in self.dbac.stages(_resample(image, self.dbac_scale)).items():
            outputs["dbac." + stage] = _resize(output, image)
        for stage, output in self.ddmac.stages(_resample(image, self.ddmac_scale)).items():
            outputs["ddmac." + stage] = _resize(output, image)
        return outputs

    def dbac_probability(self, image: torch.Tensor) -> torch.Tensor:
        """L, the probability of DBAC, ``[B, 1, H, W]``."""
        mask = self.dbac.stages(_resample(image, self.dbac_scale))["mask"]
        return torch.sigmoid(_resize(mask, image))

    def ddmac_probability(self, image: torch.Tensor) -> torch.Tensor:
        """N, the probability of DDMAC, ``[B, 1, H, W]``."""
        mask = self.ddmac.stages(_resample(image, self.ddmac_scale))["mask"]
        return torch.sigmoid(_resize(mask, image))

    def probabilities(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """L and N, the probabilities of DBAC and DDMAC, each ``[B, 1, H, W]``."""
        return self.dbac_probability(image), self.ddmac_probability(image)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        if not torch.jit.is_scripting() and self.training:  # TorchScript knows one type of result
            return self.stages(image)
        dbac, ddmac = self.probabilities(image)
        return self.fuse(dbac, ddmac)

    def fuse(self, dbac: torch.Tensor, ddmac: torch.Tensor) -> torch.Tensor:
        """S of L and N."""
        if self.fusion == "maximum":
            return torch.maximum(dbac, ddmac)  # (10)
        return (dbac + ddmac) / 2  # (9)


class AtScale(nn.Module):
    """One cascade on the resampled image, as :class:`CascadeEnsemble` uses it, to train and to use it alone.

    Args:
        cascade: a :class:`DBAC` or a :class:`DDMAC`.
        scale: factor by which the image is resampled for it.

    Shape:
        Those of the cascade; its outputs are brought back to the image's size.

    Raises:
        ValueError: a scale that is not positive.
    """

    def __init__(self, cascade: DBAC | DDMAC, scale: float) -> None:
        super().__init__()
        if scale <= 0:
            raise ValueError(f"scale must be positive, got {scale}")
        self.cascade = cascade
        self.scale = float(scale)

    def stages(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        """The cascade's stages, at the image's size."""
        outputs: dict[str, torch.Tensor] = {}
        for stage, output in self.cascade.stages(_resample(image, self.scale)).items():
            outputs[stage] = _resize(output, image)
        return outputs

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        stages = self.stages(image)
        if not torch.jit.is_scripting() and self.training:  # TorchScript knows one type of result
            return stages
        return torch.sigmoid(stages["mask"])


def _resample(image: torch.Tensor, scale: float) -> torch.Tensor:
    if scale == 1.0 or min(image.shape[-2], image.shape[-1]) * scale < 1:  # nothing would be left
        return image
    # sizes are torch's to compute, so that a trace holds for images of other sizes
    return F.interpolate(image, scale_factor=scale, mode="bilinear", recompute_scale_factor=True, antialias=scale < 1.0)


def _resize(output: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    if output.shape[-2:] == image.shape[-2:]:
        return output
    return F.interpolate(output, size=image.shape[-2:], mode="bilinear", align_corners=False)
