"""How sharp a slice is at each pixel: measures of focus, each linear in the slice's values, and fusion by them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from scipy.ndimage import gaussian_filter, gaussian_laplace

from .depth import DepthOfFocus, noise_of
from .planes import Planes, along

Measure = Callable[[np.ndarray], np.ndarray]

SCALES = (1.0, 2.0, 4.0)  # pixels: the radii of capillaries and small vessels


def brightness(plane: np.ndarray) -> np.ndarray:
    """Brightness, averaged by a Gaussian of one pixel: in fluorescence what is in focus is brightest."""
    return gaussian_filter(plane.astype(np.float32), 1)


def hessian(plane: np.ndarray) -> np.ndarray:
    """Multi-scale Hessian: how much the slice looks like a bright ridge.

    The strongest negative eigenvalue of the Hessian, times the square of the scale, the most of three scales (1, 2 and
    4 pixels). Source: R. Pelapur et al., Multi-focus image fusion using epifluorescence microscopy for robust vascular
    segmentation, EMBC 2014, DOI 10.1109/EMBC.2014.6944682.
    """
    plane = _levelled(plane)
    most = np.zeros_like(plane)
    for scale in SCALES:
        yy, yx, xx = (gaussian_filter(plane, scale, order) for order in ((2, 0), (1, 1), (0, 2)))
        lowest = (yy + xx) / 2 - np.sqrt(((yy - xx) / 2) ** 2 + yx**2)
        np.maximum(most, -(scale**2) * lowest, out=most)
    return most


def laplacian(plane: np.ndarray) -> np.ndarray:
    """Root of the energy of the Laplacian: of the Laplacian of Gaussian (2 pixels), averaged by a Gaussian (1 pixel).

    Source: M. Subbarao, T. Choi, A. Nikzad, Focusing techniques, 1993, DOI 10.1117/12.147706, with the plain Laplacian.
    """
    return np.sqrt(gaussian_filter(gaussian_laplace(_levelled(plane), 2) ** 2, 1))


def _levelled(plane: np.ndarray) -> np.ndarray:
    """Take the mean away, of which filters of finite width would take a little for curvature."""
    plane = plane.astype(np.float32)
    return plane - plane.mean()


def variance(plane: np.ndarray) -> np.ndarray:
    """Root of the variance in a Gaussian window of two pixels.

    Source: F. C. A. Groen, I. T. Young, G. Ligthart, A comparison of different focus functions for use in autofocus
    algorithms, 1985, DOI 10.1002/cyto.990060202.
    """
    plane = plane.astype(np.float32)
    mean = gaussian_filter(plane, 2)
    return np.sqrt(gaussian_filter((plane - mean) ** 2, 2))


def maximum(planes: Planes) -> tuple[np.ndarray, np.ndarray]:
    """Maximum projection: the brightest value of each pixel. Its depth is where the brightness peaks.

    One pass; twelve planes are held.
    """
    fused, depth = None, DepthOfFocus()
    for plane in planes():
        fused = plane.copy() if fused is None else np.maximum(fused, plane, out=fused)
        depth.add(brightness(plane), noise_of(plane) * noise_gain(brightness))
    if fused is None:
        raise ValueError("a stack without slices")
    return fused, depth.regularized()


def select(planes: Planes, measure: Measure) -> tuple[np.ndarray, np.ndarray]:
    """Take each pixel's value in the slice where a measure of focus is highest, after regularisation of the depth.

    Two passes; a dozen planes are held.

    Args:
        planes: as of :func:`along`.
        measure: focus of a slice.

    Returns:
        The fused plane, of the slices' type and values, and the depth map.
    """
    tracked = DepthOfFocus()
    for plane in planes():
        tracked.add(measure(plane), noise_of(plane) * noise_gain(measure))
    depth = tracked.regularized()
    return along(planes, depth), depth


@cache
def noise_gain(measure: Measure) -> float:
    """Standard deviation of a measure on white noise of standard deviation 1."""
    return float(measure(np.random.default_rng(0).standard_normal((128, 128)).astype(np.float32)).std())
