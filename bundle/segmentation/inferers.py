"""Whole where it fits, in windows where it does not, as an ``Inferer`` of MONAI."""

from __future__ import annotations

from collections.abc import Callable

import torch
from monai.data import MetaTensor
from monai.inferers import Inferer
from monai.utils import convert_to_dst_type

from .scales import say_scale
from .windows import Windows, middle

__all__ = ["SCALE", "WholeOrWindowsInferer"]

SCALE = "segmented_at_scale"  # in the metadata of what comes out


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
            ``[B, K, X, Y]`` or ``[B, K, X, Y, Z]``, with the metadata of ``inputs``, if there are any, and there under
            :data:`SCALE` the factor by which the image was resampled.
        """
        image = inputs.as_tensor() if isinstance(inputs, MetaTensor) else inputs  # metadata slow every operation down
        planes = image.unbind(-1) if image.ndim == 5 else (image,)

        scale = self.scale
        if scale == "auto":  # of a stack, all slices at the scale that its projection asks for
            scale = self.fit(middle(planes[0] if len(planes) == 1 else image.amax(-1)), network)
            say_scale(scale, _file_of(inputs))
        outputs = [self._whole(plane, scale, network) for plane in planes]
        output = convert_to_dst_type(torch.stack(outputs, -1) if image.ndim == 5 else outputs[0], inputs)[0]
        if isinstance(output, MetaTensor):
            output.meta[SCALE] = scale
        return output


def _file_of(image: torch.Tensor) -> str | None:
    """The file of an image or of a batch of one, if it says so."""
    named = image.meta.get("filename_or_obj") if isinstance(image, MetaTensor) else None
    if isinstance(named, list) and len(named) == 1:
        named = named[0]
    return named if isinstance(named, str) else None
