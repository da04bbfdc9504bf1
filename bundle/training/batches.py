"""How a batch of crops becomes what the cascades and their loss take, and what they give becomes a mask."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from monai.engines import PrepareBatch

__all__ = ["CascadeTargets", "mask_of_stages"]


class CascadeTargets(PrepareBatch):
    """Image, and the mask V with the dilated probability map D as one target ``[B, 2, X, Y]``.

    Of the keys ``image``, ``label`` (V) and ``distance`` (D), each ``[B, 1, X, Y]``.
    """

    def __call__(
        self,
        batchdata: dict[str, torch.Tensor],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: object,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        image, *targets = (
            batchdata[key].as_tensor().to(device, non_blocking=non_blocking) for key in ("image", "label", "distance")
        )
        return image, torch.cat(targets, 1)


def mask_of_stages(stages: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """What a network in training takes for vessel: where the mean probability of its final stages exceeds one half.

    Args:
        stages: logits ``[B, 1, X, Y]``; the final ones are named ``mask`` or ``….mask``.

    Returns:
        float32 ``[B, 1, X, Y]``, 0 or 1.
    """
    final = [torch.sigmoid(logits.detach()) for name, logits in stages.items() if name.split(".")[-1] == "mask"]
    return (torch.stack(final).mean(0) > 0.5).float()
