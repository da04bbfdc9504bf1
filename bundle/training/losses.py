"""Losses of the cascades, one for each stage, summed."""

from __future__ import annotations

from typing import Literal

import torch
from monai.losses import DiceLoss, SoftclDiceLoss
from monai.losses.cldice import soft_skel
from torch import nn

__all__ = ["BCEDiceLoss", "CascadeLoss"]

SKELETON_STEPS = 10  # vessels up to twice as many pixels wide are thinned to a line


class CascadeLoss(nn.Module):
    """Sum of the losses of all stages of DBAC, DDMAC, both, or a baseline.

    DBAC's attention and mask and DDMAC's mask are trained against the vessel mask V; DDMAC's Q against the dilated
    probability map D of equations (3) to (5). The paper takes binary cross-entropy for the masks and the mean square
    error for Q (section II-B).

    Args:
        mask_loss: of logits against V; binary cross-entropy if None.
        distance_loss: of Q against D; mean square error if None.
    """

    def __init__(self, mask_loss: nn.Module | None = None, distance_loss: nn.Module | None = None) -> None:
        super().__init__()
        self.mask_loss = nn.BCEWithLogitsLoss() if mask_loss is None else mask_loss
        self.distance_loss = nn.MSELoss() if distance_loss is None else distance_loss

    def stage_losses(self, stages: dict[str, torch.Tensor], target: torch.Tensor) -> dict[str, torch.Tensor]:
        """Loss of each stage.

        Args:
            stages: a network's output in training: ``[B, 1, H, W]`` for each stage. A stage called ``distance``, or
                ``….distance``, is Q; all others are logits of the mask.
            target: V and D, ``[B, 2, H, W]``, values in 0…1.

        Returns:
            A scalar for each stage.
        """
        vessel, dilated = target[:, :1], target[:, 1:]
        return {
            name: self.distance_loss(output, dilated)
            if name.split(".")[-1] == "distance"
            else self.mask_loss(output, vessel)
            for name, output in stages.items()
        }

    def forward(self, stages: dict[str, torch.Tensor], target: torch.Tensor) -> torch.Tensor:
        return torch.stack(list(self.stage_losses(stages, target).values())).sum()


class BCEDiceLoss(nn.Module):
    """Binary cross-entropy plus soft Dice loss over the batch, of logits; and, if wanted, a term of the centrelines.

    The Dice term counts thin and thick vessels by their overlap rather than by their share of the pixels. The term of
    the centrelines counts every vessel by its length: 1 - soft clDice, or the share of the true mask's skeleton that is
    missed.

    Args:
        centerline: "cldice", "skeleton_recall" or None.

    Shape:
        Logits and target ``[B, 1, H, W]``; a scalar.

    Raises:
        ValueError: a term of another name.

    Source: Milletari et al., https://doi.org/10.1109/3DV.2016.79; Shit et al.,
    https://doi.org/10.1109/CVPR46437.2021.01629; Kirchhoff et al., https://doi.org/10.1007/978-3-031-72980-5_13.
    """

    def __init__(self, centerline: Literal["cldice", "skeleton_recall"] | None = None) -> None:
        super().__init__()
        if centerline not in (None, "cldice", "skeleton_recall"):
            raise ValueError(f"centerline must be 'cldice', 'skeleton_recall' or None, got {centerline!r}")
        self.cross_entropy = nn.BCEWithLogitsLoss()
        self.dice = DiceLoss(sigmoid=True, batch=True)
        self.centerline = centerline
        self.cldice = SoftclDiceLoss(iter_=SKELETON_STEPS)

    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        loss = self.cross_entropy(logits, target) + self.dice(logits, target)
        if self.centerline == "cldice":
            loss = loss + self.cldice(target, torch.sigmoid(logits))
        elif self.centerline == "skeleton_recall":
            skeleton = soft_skel(target, SKELETON_STEPS)
            missed = (skeleton * torch.sigmoid(-logits)).sum()
            loss = loss + missed / skeleton.sum().clamp(min=1)
        return loss
