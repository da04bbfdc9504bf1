"""Fusion in a basis of complex wavelets."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter, median_filter

from .depth import DepthOfFocus, noise_of
from .measures import noise_gain
from .planes import Planes

# the symmetric complex Daubechies filter of six taps: J.-M. Lina, M. Mayrand, 1995, DOI 10.1006/acha.1995.1015
_ROOT = 1j * np.sqrt(15)
LOW = np.sqrt(2) / 64 * np.array([-3 - _ROOT, 5 - _ROOT, 30 + 2 * _ROOT, 30 + 2 * _ROOT, 5 - _ROOT, -3 - _ROOT])
HIGH = (-1) ** np.arange(6) * LOW[::-1].conj()
LEVELS = 4

Bands = list[np.ndarray]  # of each level, finest first, the three details [3, Y, X]; at last the rest [1, Y, X]


def wavelet(planes: Planes) -> tuple[np.ndarray, np.ndarray]:
    """Take the wavelet coefficients of each place and scale from the slice where their modulus is largest.

    The three details of one place and scale come from one slice, the one with the largest sum of squared moduli, and
    neighbours must agree (median of 3 × 3). The image that they make is reassigned: a pixel's value is that of the
    stack's column which is nearest to it, so that no value is new. Source: B. Forster et al., Complex wavelets for
    extended depth-of-field, 2004, DOI 10.1002/jemt.20092, where each detail is selected by itself and made to agree
    with the two others, and depth is the slice of the nearest value; here it is where the finest details are largest,
    since a column has most values twice, above and below its brightest slice.

    Three passes; some thirty planes are held.
    """
    chosen, depth = _largest(planes)
    blended: list[np.ndarray] = []
    for number, plane in enumerate(planes()):
        bands = decompose(plane)
        blended = blended or [np.zeros_like(band) for band in bands]
        for kept, band, slices in zip(blended, bands, chosen, strict=True):
            np.copyto(kept, band, where=slices == number)
    return _nearest(planes, compose(blended, plane.shape)), depth


def _largest(planes: Planes) -> tuple[list[np.ndarray], np.ndarray]:
    """For each place and scale the slice in which the details together are largest, `[Y, X]` a level; the depth map."""
    highest, depth = None, DepthOfFocus()
    for number, plane in enumerate(planes()):
        energies = _energies(decompose(plane))
        depth.add(_strength(energies, plane.shape), noise_of(plane) * noise_gain(_sharpness))
        if highest is None:
            highest, chosen = energies, [np.zeros(band.shape, np.int32) for band in energies]
        for high, slices, energy in zip(highest, chosen, energies, strict=True):
            better = energy > high
            high[better] = energy[better]
            slices[better] = number
    return [median_filter(slices, size=3) for slices in chosen], depth.regularized()


def _energies(bands: Bands) -> list[np.ndarray]:
    return [(np.abs(band) ** 2).sum(axis=0) for band in bands]


def _strength(energies: list[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """How large the two finest details are at each pixel: coarser ones would spread a vessel's depth around it."""
    total = np.zeros(shape, np.float32)
    for level, energy in enumerate(energies[:2], start=1):
        details = np.sqrt(energy).repeat(2**level, 0).repeat(2**level, 1)[: shape[0], : shape[1]]
        total += gaussian_filter(details, 2 ** (level - 1)) / 4**level
    return total


def _sharpness(plane: np.ndarray) -> np.ndarray:
    return _strength(_energies(decompose(plane)), plane.shape)


def _nearest(planes: Planes, image: np.ndarray) -> np.ndarray:
    """The value of each pixel's column that is nearest to the image's."""
    fused = nearest = np.zeros(0)
    for number, plane in enumerate(planes()):
        distance = np.abs(plane.astype(np.float32) - image)
        if not number:
            fused, nearest = plane.copy(), distance
        else:
            closer = distance < nearest
            np.copyto(fused, plane, where=closer)
            np.copyto(nearest, distance, where=closer)
    return fused


def decompose(plane: np.ndarray) -> Bands:
    """Complex wavelet coefficients of a plane, orthonormal.

    Args:
        plane: `[Y, X]`, real; it is continued by its mirror image to sides that can be halved four times.
    """
    sides = [(0, -side % 2**LEVELS) for side in plane.shape]
    rest = np.pad(plane.astype(np.float32), sides, mode="symmetric")
    bands = []
    for _ in range(LEVELS):
        low, high = (_analyse(rest, taps, 0) for taps in (LOW, HIGH))
        rest = _analyse(low, LOW, 1)
        bands.append(np.stack([_analyse(low, HIGH, 1), _analyse(high, LOW, 1), _analyse(high, HIGH, 1)]))
    return [*bands, rest[None]]


def compose(bands: Bands, shape: tuple[int, int]) -> np.ndarray:
    """The plane of given coefficients, the inverse of :func:`decompose`, `[Y, X]`, float32."""
    *details, (rest,) = bands
    for low_high, high_low, high_high in details[::-1]:
        low = _synthesise(rest, LOW, 1) + _synthesise(low_high, HIGH, 1)
        high = _synthesise(high_low, LOW, 1) + _synthesise(high_high, HIGH, 1)
        rest = _synthesise(low, LOW, 0) + _synthesise(high, HIGH, 0)
    return rest.real[: shape[0], : shape[1]]


def _analyse(values: np.ndarray, taps: np.ndarray, axis: int) -> np.ndarray:
    """Filter and keep every second value, the plane being periodic."""
    even = np.arange(0, values.shape[axis], 2)
    taken = (tap.conj() * values.take(even + k, axis, mode="wrap") for k, tap in enumerate(taps.astype(np.complex64)))
    return sum(taken)


def _synthesise(values: np.ndarray, taps: np.ndarray, axis: int) -> np.ndarray:
    """Put zeros between the values and filter: the adjoint of :func:`_analyse`."""
    out = np.zeros([side * (2 if number == axis else 1) for number, side in enumerate(values.shape)], np.complex64)
    lines = np.moveaxis(out, axis, 0)
    even = np.arange(0, len(lines), 2)
    for k, tap in enumerate(taps.astype(np.complex64)):
        lines[(even + k) % len(lines)] += tap * np.moveaxis(values, axis, 0)
    return out
