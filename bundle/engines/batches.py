"""How a batch of crops becomes what the cascades and their loss take."""

from __future__ import annotations

import torch
from monai.engines import PrepareBatch

__all__ = ["CascadeTargets"]


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
        return image.contiguous(memory_format=torch.channels_last), torch.cat(targets, 1)
