"""What a network says of the slices of a stack, one at a time."""

from __future__ import annotations

import numpy as np
import torch

from ..transforms import Stretching, stretch
from .fingerprints import fingerprint_of_network
from .windows import Windows

__all__ = ["SliceLikelihood"]


class SliceLikelihood:
    """The likelihood of a vessel in a slice, for :func:`bundle.transforms.focus.fuse` to weight the slices by.

    A slice's contrast is stretched linearly, as before the segmentation of slices.

    Args:
        network: gives a probability ``[B, 1, X, Y]`` of images ``[B, 1, X, Y]``, in evaluation mode.
        inferer: runs it on images of any size.
        device: where the network is.
    """

    def __init__(self, network: torch.nn.Module, inferer: Windows, device: torch.device | str = "cpu") -> None:
        self.network = network
        self.inferer = inferer
        self.device = device
        self.contrast = Stretching()

    @property
    def fingerprint(self) -> str:
        """What tells the network from others."""
        return fingerprint_of_network(self.network)[:16]

    @torch.inference_mode()
    def __call__(self, plane: np.ndarray) -> np.ndarray:
        """The likelihood of a plane ``[Y, X]``, in [0, 1], float32, of the same shape."""
        limits = self.contrast.limits([lambda: [plane.T]], plane.T.shape)
        image = torch.from_numpy(stretch(plane.T, *limits))[None, None].to(self.device)
        return self.inferer(image, self.network)[0, 0].float().cpu().numpy().T
