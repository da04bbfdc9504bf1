"""Random blur, from which a network learns where a vessel ends in images less sharp than those it was given."""

from __future__ import annotations

import numpy as np
from monai.config import NdarrayOrTensor
from monai.transforms import Randomizable, Transform
from monai.utils import TransformBackends, convert_to_dst_type
from scipy.ndimage import gaussian_filter

from .arrays import RandomTwin, channels_first, share
from .margins import empty_margin, mirrored


class RandBlur(Randomizable, Transform):
    """Now and then convolve an image with a Gaussian, as a lens of lower aperture or a denoiser would.

    It belongs before the enhancement of contrast, which brings out the halo of a blurred vessel where the noise around
    it is gone. Unlike :class:`monai.transforms.RandGaussianSmooth` it is the same along both axes, reflects the image
    at its borders instead of darkening them, and leaves a margin that shows nothing
    (:func:`~bundle.transforms.margins.empty_margin`) as it is. Source: L. Zhang et al., Generalizing Deep Learning for
    Medical Image Segmentation to Unseen Domains via Deep Stacked Transformation, IEEE Transactions on Medical Imaging
    39, 2020, https://doi.org/10.1109/TMI.2020.2973595, who blur among other changes of image quality.

    Args:
        prob: how often.
        deviation: least and largest standard deviation of the Gaussian, in pixels; drawn evenly between them.

    Raises:
        InputError: ``prob`` is no number from 0 to 1.
    """

    backend = [TransformBackends.NUMPY]

    def __init__(self, prob: float = 0.1, deviation: tuple[float, float] = (0.25, 1.5)) -> None:
        self.prob = share("blur", prob, 0.5)
        self.range = deviation
        self.deviation: float | None = None

    def randomize(self, data: object = None) -> None:
        """Draw whether to blur, and by how much."""
        self.deviation = None
        if self.R.random() < self.prob:
            self.deviation = float(self.R.uniform(*self.range))

    def __call__(self, img: NdarrayOrTensor, randomize: bool = True) -> NdarrayOrTensor:
        """Blur.

        Args:
            img: ``[C, X, Y]``, any real type; stays as it is.
            randomize: whether to draw; else the deviation is the last one's.

        Returns:
            The same shape and kind, float32; the image itself where nothing is done.

        Raises:
            InputError: a value is NaN or infinite.
        """
        if randomize:
            self.randomize()
        if self.deviation is None:
            return img
        blurred = np.stack([self._blur(plane.astype(np.float32)) for plane in channels_first(img)])
        return convert_to_dst_type(blurred, img, dtype=np.float32)[0]

    def _blur(self, plane: np.ndarray) -> np.ndarray:
        margin = empty_margin(plane)
        if margin is None or margin.all():
            return gaussian_filter(plane, self.deviation)
        return np.where(margin, plane, gaussian_filter(mirrored(plane, margin), self.deviation))


class RandBlurd(RandomTwin, of=RandBlur):
    """Dictionary twin of :class:`RandBlur`; all keys are blurred alike."""
