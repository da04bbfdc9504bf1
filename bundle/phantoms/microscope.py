"""How a confocal microscope sees a specimen: blur, loss with depth, noise, digits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage


@dataclass(frozen=True)
class Microscope:
    """A confocal microscope and its settings.

    Args:
        lateral_blur: standard deviation of the point spread function in plane, µm.
        axial_blur: standard deviation of the point spread function along z, µm.
        haze: share of a point's light that the pinhole lets pass out of focus, 0 to 1.
        haze_blur: standard deviation in plane of the out-of-focus light, µm; along z it is 1.5 times this.
        attenuation_length: depth in µm at which 1/e of the light is left.
        photons: photons that a voxel of fluorophore density 1 gives at the surface.
        read_noise: standard deviation of the detector's noise, in photons.
        gain: share of the digital range that density 1 fills at the surface.
        offset: share of the digital range that darkness fills.
        bits: 8 or 16.
    """

    lateral_blur: float = 0.4
    axial_blur: float = 1.6
    haze: float = 0.1
    haze_blur: float = 6.0
    attenuation_length: float = 150.0
    photons: float = 60.0
    read_noise: float = 1.0
    gain: float = 0.3
    offset: float = 0.02
    bits: int = 8

    @property
    def dtype(self) -> np.dtype:
        """The stack's type."""
        return np.dtype(f"uint{self.bits}")


def expose(
    microscope: Microscope,
    specimen: np.ndarray,
    background: np.ndarray,
    spacing: tuple[float, float, float],
) -> tuple[np.ndarray, np.ndarray]:
    """The light that arrives, before noise.

    The point spread function is the sum of two Gaussians, the focus and the out-of-focus light around it, both wider
    along z than in plane (B. Zhang et al., Gaussian approximations of fluorescence microscope point-spread function
    models, Applied Optics 46:1819, 2007, doi:10.1364/AO.46.001819).

    Args:
        microscope: the microscope.
        specimen: fluorophore density, `[Z, Y, X]`.
        background: what lies everywhere and has no shape of its own to blur, as a density, `[Z, Y, X]`.
        spacing: µm between voxels along z, y and x.

    Returns:
        The whole light and the light in focus alone, both as densities seen, `[Z, Y, X]`, float32.
    """
    depth = np.arange(len(specimen), dtype=np.float32) * np.float32(spacing[0])
    loss = np.exp(-depth / np.float32(microscope.attenuation_length))[:, None, None]
    focus = _blur(specimen, microscope.axial_blur, microscope.lateral_blur, spacing)
    focus *= np.float32(1 - microscope.haze)
    focus += background
    focus *= loss
    if not microscope.haze:
        return focus.copy(), focus
    light = _blur(specimen, 1.5 * microscope.haze_blur, microscope.haze_blur, spacing)
    light *= np.float32(microscope.haze) * loss
    light += focus
    return light, focus


def _blur(volume: np.ndarray, axial: float, lateral: float, spacing: tuple[float, float, float]) -> np.ndarray:
    sigma = np.array([axial, lateral, lateral]) / spacing
    return ndimage.gaussian_filter(volume, sigma, mode="nearest", truncate=4.0, output=np.float32)


def digitize(microscope: Microscope, light: np.ndarray) -> np.ndarray:
    """Light as digital numbers, neither rounded nor clipped: the scale of the stack, without its noise.

    Args:
        microscope: the microscope.
        light: density seen, any shape.

    Returns:
        Digital numbers, float32, of the same shape.
    """
    top = np.float32(2**microscope.bits - 1)
    return light * (top * np.float32(microscope.gain)) + top * np.float32(microscope.offset)


def detect(microscope: Microscope, light: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Count photons: Poisson noise of the light, Gaussian noise of the reading, rounding and saturation.

    Args:
        microscope: the microscope.
        light: density seen, `[Z, Y, X]`.
        rng: source of chance.

    Returns:
        The stack, `[Z, Y, X]`, of the microscope's type.
    """
    stack = np.empty(light.shape, dtype=microscope.dtype)
    for plane, out in zip(light, stack, strict=True):
        counts = rng.poisson(plane * microscope.photons).astype(np.float32)
        counts += np.float32(microscope.read_noise) * rng.standard_normal(plane.shape, dtype=np.float32)
        numbers = digitize(microscope, counts / np.float32(microscope.photons))
        out[:] = np.clip(np.rint(numbers), 0, 2**microscope.bits - 1)
    return stack


def depth_of_focus(in_focus: np.ndarray, mask: np.ndarray, step: float) -> np.ndarray:
    """Where in depth the vessel that is seen at each pixel lies.

    Args:
        in_focus: the light in focus, before noise, `[Z, Y, X]`.
        mask: the vessels, `[Z, Y, X]`, bool.
        step: µm between slices.

    Returns:
        µm from the first slice to the vessels' voxel with the most light of the pixel's column, the shallower of
        equals; NaN where there is no vessel, `[Y, X]`, float32.
    """
    slices = np.where(mask, in_focus, -np.inf).argmax(axis=0)
    return np.where(mask.any(axis=0), slices * step, np.nan).astype(np.float32)
