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
    """Segment an image that fits as a whole, a larger one in overlapping windows with Gaussian weights.

    Margins that show nothing in any channel, as those of a mosaic (:func:`~bundle.transforms.margins.empty_margin`),
    hold nothing, and the network sees the image mirrored in their place: black beside the tissue would change what it
    finds there. At another scale they are sought in the resampled image.

    Where memory runs out, halves of the window are tried, and that is said.

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
