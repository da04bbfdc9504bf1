"""Whole where it fits, in windows where it does not."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Literal

import torch
from monai.data import MetaTensor
from monai.inferers import SlidingWindowInferer
from monai.utils import convert_to_dst_type
from torch.nn import functional as F

from .scales import fitting_scale

__all__ = ["WholeOrWindowsInferer"]

logger = logging.getLogger(__name__)

# small enough that a laptop of 8 GB copes with the default network in float32
WHOLE_PIXELS = 1536 * 1536


class WholeOrWindowsInferer(SlidingWindowInferer):
    """Segment an image that fits as a whole, a larger one in overlapping windows with Gaussian weights.

    Args:
        window: side of a window, in pixels of the scaled image; a multiple of the network's stride.
        overlap: share of a window that its neighbour covers as well.
        whole_pixels: number of pixels up to which an image is segmented whole.
        scale: factor by which the image is resampled before and the output after, so that vessels have the width in
            pixels that the weights have seen; "auto" finds it from the widths found at the image's own scale.
        device: where the output is put together; that of the image if None.

    Raises:
        ValueError: a scale that is neither positive nor "auto".
    """

    def __init__(
        self,
        window: int = 512,
        overlap: float = 0.375,
        whole_pixels: int = WHOLE_PIXELS,
        scale: float | Literal["auto"] = 1.0,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__((window, window), overlap=overlap, mode="gaussian", padding_mode="replicate", device=device)
        if scale != "auto" and not scale > 0:
            raise ValueError(f"scale must be positive or 'auto', got {scale}")
        self.window = window
        self.whole_pixels = whole_pixels
        self.scale = scale

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: object, **kwargs: object
    ) -> torch.Tensor:
        """Segment.

        Args:
            inputs: ``[B, C, X, Y]``, or ``[B, C, X, Y, Z]``, whose slices are segmented one by one.
            network: gives ``[B, K, X, Y]`` for any X and Y.
            args: passed to the network.
            kwargs: passed to the network.

        Returns:
            ``[B, K, X, Y]`` or ``[B, K, X, Y, Z]``, with the metadata of ``inputs``.
        """
        image = inputs.as_tensor() if isinstance(inputs, MetaTensor) else inputs  # metadata slow every operation down
        planes = image.unbind(-1) if image.ndim == 5 else (image,)

        def segment(plane: torch.Tensor, scale: float) -> torch.Tensor:
            return self._segment(plane, scale, network, *args, **kwargs)

        scale = self.scale
        if scale == "auto":  # of a stack, all slices at the scale that its projection asks for
            found = segment(planes[0] if len(planes) == 1 else image.amax(-1), 1.0)
            scale = fitting_scale(found[0, 0].float().cpu().numpy() > 0.5)
            logger.info("segmenting at scale %.2g, by the widths found", scale)
        outputs = [segment(plane, scale) for plane in planes]
        return convert_to_dst_type(torch.stack(outputs, -1) if image.ndim == 5 else outputs[0], inputs)[0]

    def _segment(
        self, inputs: torch.Tensor, scale: float, network: Callable[..., torch.Tensor], *args: object, **kwargs: object
    ) -> torch.Tensor:
        size = inputs.shape[-2:]
        if scale != 1.0:
            scaled = [max(1, round(side * scale)) for side in size]
            inputs = F.interpolate(inputs, size=scaled, mode="bilinear", align_corners=False, antialias=scale < 1.0)
        inputs = inputs.contiguous(memory_format=torch.channels_last)
        fits = inputs.shape[-2] * inputs.shape[-1] <= self.whole_pixels
        # a window larger than the image would be padded, and show the network an edge that is not there
        self.roi_size = tuple(min(self.window, side) for side in inputs.shape[-2:])
        output = network(inputs, *args, **kwargs) if fits else super().__call__(inputs, network, *args, **kwargs)
        if scale != 1.0:
            output = F.interpolate(output, size=size, mode="bilinear", align_corners=False)
        return output
