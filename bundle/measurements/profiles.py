"""How wide vessels are, by their grey values: a blurred slab or cylinder fitted across them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import product
from typing import NamedTuple

import numpy as np
from scipy.ndimage import map_coordinates
from scipy.optimize import least_squares
from scipy.special import erf

from .grids import Grid, as_grid

__all__ = ["MODELS", "Fit", "blurred_cylinder", "blurred_slab", "credible", "fit_profile", "mean_profile"]

REACH = 3.0  # radii to each side that a profile shows
POINTS = 49  # of a profile
SURE = 0.9  # of a profile's variance that a fit must explain


def blurred_slab(offset: np.ndarray, radius: float, blur: float) -> np.ndarray:
    """A slab of half width ``radius``, blurred by a Gaussian of standard deviation ``blur``: 0 to 1.

    What an optical section through the middle of a wide vessel shows.

    Args:
        offset: distances from the middle, any shape.
        radius: in the same unit.
        blur: in the same unit.
    """
    scale = 1 / (math.sqrt(2) * max(blur, 1e-6))
    return (erf((offset + radius) * scale) - erf((offset - radius) * scale)) / 2


def blurred_cylinder(offset: np.ndarray, radius: float, blur: float) -> np.ndarray:
    """The chords through a cylinder, blurred by a Gaussian: what light from all of a vessel's depth adds up to.

    Args:
        offset: distances from the middle, any shape.
        radius: in the same unit.
        blur: standard deviation, in the same unit.

    Returns:
        The chord over the diameter, blurred: 1 in the middle of a cylinder that is not.
    """
    # the cylinder is a sum of slabs of half width r·sin(φ): exact at the nodes of Gauss and Legendre
    nodes, weights = _GAUSS
    result = np.zeros_like(offset, dtype=float)
    for node, weight in zip(nodes, weights, strict=True):
        angle = (node + 1) * math.pi / 4
        result += weight * math.sin(angle) * blurred_slab(offset, radius * math.sin(angle), blur)
    return result * math.pi / 4


_GAUSS = np.polynomial.legendre.leggauss(12)
MODELS = (blurred_cylinder, blurred_slab)


class Fit(NamedTuple):
    """A profile's fit.

    Args:
        radius: of the slab or cylinder, in the offsets' unit; NaN where there is nothing bright to fit.
        blur: standard deviation of the Gaussian, in the same unit.
        explained: the share of the profile's variance that the fit explains.
    """

    radius: float
    blur: float
    explained: float


def fit_profile(offset: np.ndarray, values: np.ndarray, model: Callable = blurred_cylinder) -> Fit:
    """Fit a blurred cylinder or slab on a sloping background.

    Radius, blur and middle are free; height and background follow by least squares. A grid of all shapes gives the
    start, so that no local optimum is taken for the answer.

    Args:
        offset: distances from the centre line, evenly from minus to plus three times about the radius, ``[K]``.
        values: grey values there, ``[K]``.
        model: :func:`blurred_cylinder` or :func:`blurred_slab`. One profile hardly tells which; all of an image do.

    Returns:
        What fits best.
    """
    unit = float(offset[-1]) / REACH
    levels = values - values.mean()
    spread = float(levels @ levels)
    shapes, guesses = _grid(model, len(offset))
    likeness = shapes @ levels
    if not spread > 0 or likeness.max() <= 0:  # nothing brighter than its surroundings
        return Fit(math.nan, math.nan, math.nan)
    relative = offset / unit

    def residual(guess: np.ndarray) -> np.ndarray:
        radius, blur = np.exp(np.clip(guess[:2], -20, 20))
        design = np.stack([model(relative - guess[2], radius, blur), np.ones_like(relative), relative], axis=1)
        return design @ np.linalg.lstsq(design, values, rcond=None)[0] - values

    fitted = least_squares(residual, guesses[likeness.argmax()], method="lm", max_nfev=60, xtol=1e-4, ftol=1e-6)
    radius, blur = np.exp(np.clip(fitted.x[:2], -20, 20)) * unit
    return Fit(float(radius), float(blur), 1 - 2 * float(fitted.cost) / spread)


@lru_cache(maxsize=4)
def _grid(model: Callable, points: int) -> tuple[np.ndarray, np.ndarray]:
    """Profiles of all shapes at offsets from -3 to 3, less what a sloping background explains, of unit size.

    And the log radius, log blur and middle of each.
    """
    offset = np.linspace(-REACH, REACH, points)
    ground = np.linalg.qr(np.stack([np.ones(points), offset], axis=1))[0]
    radii, blurs = np.geomspace(0.3, 2.2, 16), np.geomspace(0.05, 2, 10)
    parameters = np.array(list(product(np.log(radii), np.log(blurs), np.linspace(-0.6, 0.6, 7))))
    shapes = np.array([model(offset - middle, math.exp(r), math.exp(b)) for r, b, middle in parameters])
    shapes -= shapes @ ground @ ground.T
    shapes /= np.maximum(np.sqrt((shapes**2).sum(axis=1, keepdims=True)), 1e-9)
    return shapes, parameters


def mean_profile(
    image: np.ndarray | Grid, spacing: Sequence[float], points: np.ndarray, across: np.ndarray, radius: float
) -> tuple[np.ndarray, np.ndarray] | None:
    """The mean grey profile across a piece of vessel.

    Args:
        image: ``[Y, X]`` or ``[Z, Y, X]``, any real type.
        spacing: along each axis.
        points: of the centre line, ``[P, D]`` in the spacing's unit.
        across: unit normals within the plane of rows and columns, ``[P, D]``.
        radius: by the mask, in the same unit.

    Returns:
        Offsets from the centre line and grey values, ``[49]`` each; None if no profile lies in the image whole.
    """
    reach = REACH * max(radius, 1.5 * min(spacing[-2:]))
    offset = np.linspace(-reach, reach, POINTS)
    image = as_grid(image)
    at = (points[:, None] + across[:, None] * offset[:, None]) / np.asarray(spacing)
    inside = ((at >= 0) & (at <= np.array(image.shape) - 1)).all(axis=(1, 2))
    if not inside.any():
        return None
    low = np.floor(at[inside].min(axis=(0, 1))).astype(int)
    high = np.ceil(at[inside].max(axis=(0, 1))).astype(int) + 1
    block = image.read(tuple(map(slice, low.tolist(), high.tolist())))
    return offset, map_coordinates(block, np.moveaxis(at[inside] - low, -1, 0), output=np.float64, order=1).mean(axis=0)


def credible(fit: Fit, radius: float) -> bool:
    """Whether a fit tells a width.

    Nine tenths of the variance are explained, the radius lies between half and twice that of the mask, and the blur is
    no wider than it.

    Args:
        fit: of a profile.
        radius: by the mask.
    """
    return fit.explained >= SURE and fit.blur <= fit.radius and radius / 2 <= fit.radius <= 2 * radius
