"""From focus, slice after slice, to a depth map without the noise of flat background."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter, median_filter

WEAK = 0.05  # of the image's strong contrasts: less than this tells no depth
SPREADS = (2, 8, 32)  # pixels, over which pixels without contrast of their own ask their neighbours
FADE = 0.2  # what a neighbour of the next wider spread counts


class DepthOfFocus:
    """Follow the focus of each pixel through the slices, and tell where it was highest.

    Seven planes are held, however many slices come.
    """

    def __init__(self) -> None:
        self.count = 0
        self.previous: np.ndarray

    def add(self, focus: np.ndarray, noise: float = 0.0) -> None:
        """Take the next slice.

        Args:
            focus: `[Y, X]`, how sharp each pixel is, linear in the slice's values.
            noise: standard deviation that the slice's noise alone gives it.
        """
        if not self.count:
            self.highest, self.index = focus.copy(), np.zeros(focus.shape, np.float32)
            self.before, self.after = focus.copy(), focus.copy()
            self.total, self.noise = np.zeros(focus.shape, np.float32), 0.0
        else:
            np.copyto(self.after, focus, where=self.index == self.count - 1)
            better = focus > self.highest
            np.copyto(self.before, self.previous, where=better)
            for held in (self.highest, self.after):
                np.copyto(held, focus, where=better)
            self.index[better] = self.count
        self.total += focus
        self.noise += noise
        self.previous = focus
        self.count += 1

    def regularized(self) -> np.ndarray:
        """The depth map: where focus is highest, as far as there is contrast to tell.

        A parabola through the highest focus and its two neighbours places the peak between the slices. A pixel's
        confidence is its contrast, highest less mean focus, against what noise gives; a pixel keeps its own depth
        (median of 3 × 3) in the measure of its confidence, and for the rest takes the mean of its neighbours',
        weighted by their confidence and less the farther they are (normalised convolution: H. Knutsson, C.-F. Westin,
        1993, DOI 10.1109/CVPR.1993.341081).

        Returns:
            Index of the slice, counted from 0, with fractions, `[Y, X]`, float32.
        """
        depth = median_filter(self.index + self._offset(), size=3)
        confidence = self._confidence()
        weights = confidence + np.float32(1e-6)
        total, mean = np.zeros_like(depth), np.zeros_like(depth)
        for number, spread in enumerate(SPREADS):
            share = FADE**number
            total += share * gaussian_filter(weights, spread)
            mean += share * gaussian_filter(weights * depth, spread)
        smooth = confidence * depth + (1 - confidence) * mean / total
        return np.clip(smooth, 0, self.count - 1).astype(np.float32)

    def _offset(self) -> np.ndarray:
        """How far the peak lies from its slice, from −½ to ½; 0 at the stack's ends, where one neighbour is missing."""
        curvature = 2 * self.highest - self.before - self.after
        inside = (self.index > 0) & (self.index < self.count - 1) & (curvature > 0)
        offset = np.zeros_like(self.highest)
        np.divide(self.after - self.before, 2 * curvature, out=offset, where=inside)
        return np.clip(offset, -0.5, 0.5)

    def _confidence(self) -> np.ndarray:
        contrast = self.highest - self.total / self.count
        noise = self.noise / self.count * 2 * np.sqrt(2 * np.log(self.count)) if self.count > 1 else 0.0
        floor = max(noise, WEAK * float(np.percentile(contrast, 99)))
        if not floor:
            return np.ones_like(contrast)
        relative = (contrast / floor) ** 4
        return relative / (1 + relative)


def noise_of(plane: np.ndarray) -> float:
    """Standard deviation of a plane's noise, from pixel to pixel, whatever structures it shows.

    The median of the absolute diagonal details of the finest Haar wavelet: D. L. Donoho, I. M. Johnstone, 1994, DOI
    10.1093/biomet/81.3.425.

    Args:
        plane: `[Y, X]`.

    Returns:
        In the plane's values; 0 for a plane too small to tell.
    """
    y, x = (side // 2 * 2 for side in plane.shape)
    even = plane[:y, :x].astype(np.float32)
    detail = even[::2, ::2] - even[1::2, ::2] - even[::2, 1::2] + even[1::2, 1::2]
    return float(np.median(np.abs(detail))) / 2 / 0.6745 if detail.size else 0.0
