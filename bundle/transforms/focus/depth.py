"""From focus, slice after slice, to a depth map without the noise of flat background."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter, median_filter

WEAK = 0.05  # of the image's strong contrasts: less than this tells no depth
STRONG = 99  # the percentile of contrasts that is called so
SPREADS = (2, 8, 32)  # pixels, over which pixels without contrast of their own ask their neighbours
FADE = 0.2  # what a neighbour of the next wider spread counts
REACH = 4 * max(SPREADS) + 1  # a Gaussian ends at four of its spreads; a median of 3 × 3 comes before


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
        """The depth map: :func:`regularized` of what was followed.

        Returns:
            Index of the slice, counted from 0, with fractions, `[Y, X]`, float32.
        """
        contrast = self.contrast()
        strong = np.percentile(contrast, [STRONG])[0]  # of a number alone NumPy finds the place in single precision
        return regularized(self.peak(), contrast, self.floor(float(strong)), self.count)

    def peak(self) -> np.ndarray:
        """Where the focus of each pixel is highest, `[Y, X]`.

        A parabola through the highest focus and its two neighbours places the peak between the slices.
        """
        return self.index + self._offset()

    def contrast(self) -> np.ndarray:
        """Highest less mean focus, `[Y, X]`."""
        return self.highest - self.total / self.count

    def floor(self, strong: float) -> float:
        """The contrast that tells no depth, from what noise gives and from the image's strong contrasts.

        Args:
            strong: the :data:`STRONG` percentile of the contrast of the whole image.
        """
        noise = self.noise / self.count * 2 * np.sqrt(2 * np.log(self.count)) if self.count > 1 else 0.0
        return max(noise, WEAK * strong)

    def _offset(self) -> np.ndarray:
        """How far the peak lies from its slice, from −½ to ½; 0 at the stack's ends, where one neighbour is missing."""
        curvature = 2 * self.highest - self.before - self.after
        inside = (self.index > 0) & (self.index < self.count - 1) & (curvature > 0)
        offset = np.zeros_like(self.highest)
        np.divide(self.after - self.before, 2 * curvature, out=offset, where=inside)
        return np.clip(offset, -0.5, 0.5)


def regularized(peak: np.ndarray, contrast: np.ndarray, floor: float, count: int) -> np.ndarray:
    """A depth map: where focus is highest, as far as there is contrast to tell.

    A pixel's confidence is its contrast against what noise gives; a pixel keeps its own depth (median of 3 × 3) in the
    measure of its confidence, and for the rest takes the mean of its neighbours', weighted by their confidence and less
    the farther they are (normalised convolution: H. Knutsson, C.-F. Westin, 1993, DOI 10.1109/CVPR.1993.341081).

    Args:
        peak: `[Y, X]`, of :meth:`DepthOfFocus.peak`.
        contrast: `[Y, X]`.
        floor: of :meth:`DepthOfFocus.floor`.
        count: of slices.

    Returns:
        Index of the slice, counted from 0, with fractions, `[Y, X]`, float32. A pixel depends on those at most
        :data:`REACH` rows and columns from it.
    """
    depth = median_filter(peak, size=3)
    confidence = _confidence(contrast, floor)
    weights = confidence + np.float32(1e-6)
    total, mean = np.zeros_like(depth), np.zeros_like(depth)
    for number, spread in enumerate(SPREADS):
        share = FADE**number
        total += share * gaussian_filter(weights, spread)
        mean += share * gaussian_filter(weights * depth, spread)
    smooth = confidence * depth + (1 - confidence) * mean / total
    return np.clip(smooth, 0, count - 1).astype(np.float32)


def _confidence(contrast: np.ndarray, floor: float) -> np.ndarray:
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
    details = diagonal_details(plane)
    return noise_of_median(float(np.median(details))) if details.size else 0.0


def diagonal_details(plane: np.ndarray) -> np.ndarray:
    """The absolute diagonal details of a plane's finest Haar wavelet, one of each two by two pixels."""
    y, x = (side // 2 * 2 for side in plane.shape)
    even = plane[:y, :x].astype(np.float32)
    return np.abs(even[::2, ::2] - even[1::2, ::2] - even[::2, 1::2] + even[1::2, 1::2])


def noise_of_median(median: float) -> float:
    """The standard deviation of noise whose absolute diagonal details have a median."""
    return median / 2 / 0.6745
