"""Where an image lies in the world, for programs that write NIfTI."""

from __future__ import annotations

import numpy as np
import torch
from monai.config import NdarrayOrTensor
from monai.data import MetaTensor
from monai.transforms import Transform
from monai.utils import TransformBackends

from .arrays import DictionaryTwin


class RestoreAffine(Transform):
    """Make the affine of a NIfTI file's header the image's `original_affine` again.

    Inside this package an affine holds the spacing in micrometres and no more. Programs that write results as NIfTI
    (MONAI Label) take `original_affine`, and viewers lay what they wrote over the image by its millimetres, origin and
    axes. An image of any other file stays as it is.
    """

    backend = [TransformBackends.TORCH, TransformBackends.NUMPY]

    def __call__(self, img: NdarrayOrTensor) -> NdarrayOrTensor:
        """Restore.

        Args:
            img: as :class:`bundle.io.MicroscopyReader` gave it; the metadata are changed in place.

        Returns:
            The same.
        """
        if isinstance(img, MetaTensor) and img.meta.get("world_affine") is not None:
            img.meta["original_affine"] = np.asarray(torch.as_tensor(img.meta["world_affine"]), np.float64)
        return img


class RestoreAffined(DictionaryTwin, of=RestoreAffine):
    """Dictionary twin of :class:`RestoreAffine`."""
