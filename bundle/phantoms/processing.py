"""What befalls slices after the microscope: denoising, resampling, contrast, compression. Images are 0 to 1."""

from __future__ import annotations

import imagecodecs
import numpy as np
from scipy import ndimage
from skimage.exposure import equalize_adapthist


def denoise(stack: np.ndarray, strength: float) -> np.ndarray:
    """Smooth where there is noise alone, and leave structure: a Wiener filter in windows of 3 × 7 × 7 voxels, twice.

    Args:
        stack: `[Z, Y, X]`, float32.
        strength: 0 leaves it as it is, 1 takes all that is taken for noise.

    Returns:
        The stack, float32.
    """
    size = [min(n, s) for n, s in zip(stack.shape, (3, 7, 7), strict=True)]
    clean = stack
    for _ in range(2):
        mean = ndimage.uniform_filter(clean, size, mode="reflect")
        spread = np.maximum(ndimage.uniform_filter(clean * clean, size, mode="reflect") - mean * mean, 0)
        # Noise of light grows with the light: its variance at each brightness is what the calmest places have there.
        noise = _noise_floor(mean, spread)
        kept = np.clip(1 - 1.7 * noise / np.maximum(spread, 1e-12), 0, 1)
        clean = mean + kept * (clean - mean)
    return ((1 - np.float32(strength)) * stack + np.float32(strength) * clean).astype(np.float32)


def _noise_floor(mean: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """The median local variance in twelve bands of brightness, between them in proportion."""
    edges = np.quantile(mean.ravel()[::7], np.linspace(0, 1, 13))
    band = np.clip(np.searchsorted(edges, mean.ravel()[::7]) - 1, 0, 11)
    sample = spread.ravel()[::7]
    middles = (edges[1:] + edges[:-1]) / 2
    floors = np.array([np.quantile(sample[band == b], 0.5) if (band == b).any() else 0.0 for b in range(12)])
    return np.interp(mean, middles, floors).astype(np.float32)


def resample(stack: np.ndarray, sampling: float) -> np.ndarray:
    """As if the camera had had fewer pixels: down to its grid, and up again by linear interpolation.

    Args:
        stack: `[Z, Y, X]`, float32.
        sampling: the camera's pixels in one of the image, 1 or less. The grids share their centre.

    Returns:
        The stack, of the same shape.
    """
    grids = []
    for n in stack.shape[1:]:
        coarse = max(int(round(n * sampling)), 1)
        # Where each pixel's centre lies on the coarse grid, whose borders are those of the image.
        grids.append((coarse, (np.arange(n) + 0.5) * coarse / n - 0.5))
    out = np.empty_like(stack)
    down = [(np.arange(coarse) + 0.5) * n / coarse - 0.5 for (coarse, _), n in zip(grids, stack.shape[1:], strict=True)]
    for image, result in zip(stack, out, strict=True):
        seen = ndimage.map_coordinates(image, np.meshgrid(*down, indexing="ij"), order=1, mode="nearest")
        up = np.meshgrid(grids[0][1], grids[1][1], indexing="ij")
        result[:] = ndimage.map_coordinates(seen, up, order=1, mode="nearest")
    return out


def stretch(stack: np.ndarray, percent: float) -> np.ndarray:
    """Set the darkest and the brightest pixels to black and white, and what lies between in proportion.

    Args:
        stack: any shape, float32.
        percent: of the pixels that turn white. Of the dark ones ten times as many turn black, as a user does who wants
            a black background.

    Returns:
        The stack; an even one is left as it is.
    """
    low, high = np.percentile(stack, (min(10 * percent, 40), 100 - percent))
    if high - low < 1e-6:
        return stack
    return np.clip((stack - np.float32(low)) / np.float32(high - low), 0, 1)


def equalise(stack: np.ndarray, limit: float) -> np.ndarray:
    """Adaptive histogram equalisation of every slice, and 8 bits.

    Args:
        stack: `[Z, Y, X]`, float32.
        limit: clip limit, 0 to 1.

    Returns:
        The stack, float32, of 256 values.
    """
    slices = [equalize_adapthist(image, clip_limit=limit) if np.ptp(image) > 0 else image for image in stack]
    return (np.rint(np.stack(slices) * 255) / 255).astype(np.float32)


def compress(stack: np.ndarray, quality: int) -> np.ndarray:
    """Every slice through JPEG.

    Args:
        stack: `[Z, Y, X]`, float32.
        quality: 1 to 100.

    Returns:
        The stack, float32, of 256 values.
    """
    bytes_ = np.rint(np.clip(stack, 0, 1) * 255).astype(np.uint8)
    slices = [imagecodecs.jpeg8_decode(imagecodecs.jpeg8_encode(image, level=quality)) for image in bytes_]
    return np.stack(slices).astype(np.float32) / np.float32(255)
