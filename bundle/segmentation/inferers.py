"""Whole where it fits, in windows where it does not, as an ``Inferer`` of MONAI."""

from __future__ import annotations

from collections.abc import Callable

import torch
from monai.data import MetaTensor
from monai.inferers import Inferer
from monai.utils import convert_to_dst_type

from .windows import Windows, middle

__all__ = ["WholeOrWindowsInferer"]


class WholeOrWindowsInferer(Windows, Inferer):
    """:class:`~bundle.segmentation.windows.Windows`, with its arguments, for MONAI's configs and evaluators."""

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: object, **kwargs: object
    ) -> torch.Tensor:
        """Segment.

        Args:
            inputs: ``[B, C, X, Y]``, or ``[B, C, X, Y, Z]``, whose slices are segmented one by one.
            network: gives ``[B, K, X, Y]`` for any X and Y.
            args: ignored: the network takes the image alone, while MONAI Deploy hands over whatever else the
                preprocessing made.
            kwargs: ignored.

        Returns:
            ``[B, K, X, Y]`` or ``[B, K, X, Y, Z]``, with the metadata of ``inputs``.
        """
        image = inputs.as_tensor() if isinstance(inputs, MetaTensor) else inputs  # metadata slow every operation down
        planes = image.unbind(-1) if image.ndim == 5 else (image,)

        scale = self.scale
        if scale == "auto":  # of a stack, all slices at the scale that its projection asks for
            scale = self.fit(middle(planes[0] if len(planes) == 1 else image.amax(-1)), network)
        outputs = [self._whole(plane, scale, network) for plane in planes]
        return convert_to_dst_type(torch.stack(outputs, -1) if image.ndim == 5 else outputs[0], inputs)[0]
