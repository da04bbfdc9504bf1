"""Training targets computed from the vessel mask: the dilated probability map that DDMAC regresses."""

from __future__ import annotations

from typing import Literal

import numpy as np
from monai.config import NdarrayOrTensor
from monai.transforms import Transform
from monai.utils import TransformBackends, convert_to_dst_type
from scipy.ndimage import distance_transform_edt

from .arrays import DictionaryTwin, channels_first


class DilatedProbabilityMap(Transform):
    """The dilated probability map D of a vessel mask V, equations (3) to (5) of the paper.

    D is the Euclidean distance of each background pixel to the nearest vessel (3), clipped at the bound k (4), turned
    over: D = 1 - D / max(D) (5), so that it is 1 on vessels and falls to 0 away from them. Meant for the whole
    image, before it is cropped.

    Args:
        bound: k, in pixels (voxels in 3D), positive. The paper takes 20.
        normalization: what (5) divides by: "image" is the paper's max(D), the largest clipped distance of the image,
            "bound" is k in every image. They differ only where no pixel is as far as k from a vessel.
    """

    backend = [TransformBackends.NUMPY]

    def __init__(self, bound: float = 20, normalization: Literal["image", "bound"] = "image") -> None:
        if not bound > 0:
            raise ValueError(f"bound must be positive, not {bound}")
        if normalization not in ("image", "bound"):
            raise ValueError(f"normalization must be 'image' or 'bound', not {normalization!r}")
        self.bound = bound
        self.normalization = normalization

    def __call__(self, img: NdarrayOrTensor) -> NdarrayOrTensor:
        """Compute D.

        Args:
            img: mask `[C, X, Y]` or `[C, X, Y, Z]`, vessel where positive; each channel is a mask of its own, and the
                distances in a stack are those in three dimensions.

        Returns:
            The same shape, float32 in [0, 1]: 0 everywhere without a vessel, 1 everywhere without background.

        Raises:
            InputError: if a value is NaN or infinite.
        """
        vessel = channels_first(img) > 0
        return convert_to_dst_type(np.stack([self._map(v) for v in vessel]), img, dtype=np.float32)[0]

    def _map(self, vessel: np.ndarray) -> np.ndarray:
        if vessel.all() or not vessel.any():
            return vessel.astype(np.float32)
        distance = np.minimum(distance_transform_edt(~vessel), self.bound)  # (3), (4)
        largest = distance.max() if self.normalization == "image" else self.bound
        return (1 - distance / largest).astype(np.float32)  # (5)


class DilatedProbabilityMapd(DictionaryTwin, of=DilatedProbabilityMap):
    """Dictionary twin of :class:`DilatedProbabilityMap`.

    The map replaces the mask; copy the mask before (`CopyItemsd`) where it is needed as well.
    """
