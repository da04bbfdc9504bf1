"""Losses of the cascades, one for each stage, summed."""

from __future__ import annotations

import torch
from monai.losses import DiceLoss
from torch import nn

__all__ = ["BCEDiceLoss", "CascadeLoss"]


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
    """Binary cross-entropy plus soft Dice loss over the batch, of logits.

    The Dice term counts thin and thick vessels by their overlap rather than by their share of the pixels.

    Shape:
        Logits and target ``[B, 1, H, W]``; a scalar.

    Source: Milletari et al., https://doi.org/10.1109/3DV.2016.79.
    """

    def __init__(self) -> None:
        super().__init__()
        self.cross_entropy = nn.BCEWithLogitsLoss()
        self.dice = DiceLoss(sigmoid=True, batch=True)

    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return self.cross_entropy(logits, target) + self.dice(logits, target)
