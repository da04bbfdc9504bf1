"""Microscopes other than the confocal one: wide field, thin sections, coherence tomography; and uneven illumination."""

from __future__ import annotations

import numpy as np
from scipy import fft, ndimage

from .tissue import rough


def wide_field(
    specimen: np.ndarray,
    spacing: tuple[float, float, float],
    planes: int,
    lateral_blur: float,
    cone: float,
    focus: float,
) -> np.ndarray:
    """What a camera sees at each depth of focus: the light of all depths, none of it lost, the blurrier the farther.

    The light of a point fills a Gaussian whose standard deviation grows with its distance from focus, as a cone does.

    Args:
        specimen: fluorophore density, `[S × planes, Y, X]`.
        spacing: µm between voxels along z, y and x.
        planes: from a slice to the next; the camera is focused on the middle one of so many.
        lateral_blur: standard deviation in focus, µm.
        cone: µm that the standard deviation gains for each µm out of focus.
        focus: µm of depth whose light makes a density of 1 seen as 1: the depth of field.

    Returns:
        The light, `[S, Y, X]`, float32.
    """
    depth, height, width = specimen.shape
    slices = depth // planes
    # The cosine transform blurs as if the image's borders were mirrors.
    waves = fft.dctn(specimen, axes=(1, 2))
    y, x = (np.arange(n, dtype=np.float32) / (2 * n * s) for n, s in zip((height, width), spacing[1:], strict=True))
    square = (y[:, None] ** 2 + x**2).astype(np.float32)
    seen = np.zeros((slices, height, width), dtype=waves.dtype)
    for away in range(depth):
        sigma = lateral_blur**2 + (cone * away * spacing[0]) ** 2
        passed = np.exp(np.float32(-2 * np.pi**2 * sigma) * square)
        for z in range(slices):
            middle = z * planes + planes // 2
            for plane in {middle - away, middle + away}:
                if 0 <= plane < depth:
                    seen[z] += waves[plane] * passed
    light = np.maximum(fft.idctn(seen, axes=(1, 2)), 0).astype(np.float32)
    return light * np.float32(spacing[0] / max(focus, spacing[0]))


def thin_sections(
    specimen: np.ndarray,
    spacing: tuple[float, float, float],
    planes: int,
    lateral_blur: float,
    cone: float,
    haze: float,
    haze_blur: float,
) -> np.ndarray:
    """What a camera sees of sections, each a few planes thick and alone on its slide.

    Args:
        specimen: fluorophore density, `[S × planes, Y, X]`.
        spacing: µm between voxels along z, y and x.
        planes: of each section; the middle one is in focus.
        lateral_blur: standard deviation in focus, µm.
        cone: µm that the standard deviation gains for each µm out of focus.
        haze: share of the light that glass and air spread.
        haze_blur: how wide, standard deviation in µm.

    Returns:
        The light, the mean of each section's planes, `[S, Y, X]`, float32.
    """
    sections = specimen.reshape(-1, planes, *specimen.shape[1:])
    light = np.zeros(sections[:, 0].shape, dtype=np.float32)
    for n in range(planes):
        sigma = np.hypot(lateral_blur, cone * spacing[0] * (n - planes // 2))
        light += in_plane(sections[:, n], sigma, spacing)
    light /= planes
    return (1 - np.float32(haze)) * light + np.float32(haze) * in_plane(light, haze_blur, spacing)


def in_plane(volume: np.ndarray, sigma: float, spacing: tuple[float, float, float]) -> np.ndarray:
    """A Gaussian blur of every slice, standard deviation in µm."""
    across = (0, sigma / spacing[1], sigma / spacing[2])
    return ndimage.gaussian_filter(volume, across, mode="nearest", output=np.float32)


def projection(flow: np.ndarray, step: float, tail: float, tail_length: float) -> np.ndarray:
    """The tails that vessels throw below themselves in angiography by coherence tomography.

    Light that went through moving blood flickers also when what lies below sends it back.

    Args:
        flow: the signal of moving blood, `[Z, Y, X]`.
        step: µm between slices.
        tail: light in the tail of 20 µm of blood, relative to the blood's.
        tail_length: depth at which 1/e of the tail is left, µm.

    Returns:
        The tails alone, `[Z, Y, X]`, float32.
    """
    kept, gain = np.float32(np.exp(-step / tail_length)), np.float32(tail * step / 20.0)
    tails = np.zeros(flow.shape, dtype=np.float32)
    for z in range(1, len(flow)):
        tails[z] = kept * (tails[z - 1] + gain * flow[z - 1])
    return tails


def shadow(inside: np.ndarray, step: float, strength: float) -> np.ndarray:
    """What is left of the light below vessels that swallow it.

    Args:
        inside: share of each voxel that is vessel, `[Z, Y, X]`.
        step: µm between slices.
        strength: absorption per µm of vessel.

    Returns:
        The share of the light that arrives, `[Z, Y, X]`, float32.
    """
    above = np.cumsum(inside, axis=0, dtype=np.float32) - inside
    return np.exp(np.float32(-strength * step) * above)


def speckle(light: np.ndarray, looks: int, size: tuple[float, float, float], rng: np.random.Generator) -> np.ndarray:
    """Speckle: the light of many scatterers interferes, so that its intensity is exponentially distributed.

    J. W. Goodman, Speckle Phenomena in Optics, 2007, section 3.2: the field is a complex Gaussian, which the
    microscope blurs; intensities of independent patterns are averaged.

    Args:
        light: `[Z, Y, X]`.
        looks: patterns that are averaged. The relative standard deviation of the light becomes 1/√looks.
        size: standard deviation of the blur of the field along z, y and x, in voxels.
        rng: source of chance.

    Returns:
        The light with its speckle, float32; its mean is the light.
    """
    power = np.zeros(light.shape, dtype=np.float32)
    for _ in range(2 * looks):
        part = rough(light.shape, size, rng, coarse=False)
        power += part * part
    return light * power / np.float32(2 * looks)


def vignette(shape: tuple[int, int], loss: float, rng: np.random.Generator) -> np.ndarray:
    """Light that is lost towards the corners of the image: 1 at the brightest place, 1 - loss in the farthest corner.

    Args:
        shape: rows and columns.
        loss: 0 to 1.
        rng: source of chance, for where the brightest place is.

    Returns:
        The share that is left, `[Y, X]`, float32.
    """
    middle = rng.uniform(-0.4, 0.4, 2)
    y, x = (np.linspace(-1, 1, n) - m for n, m in zip(shape, middle, strict=True))
    far = y[:, None] ** 2 + x**2
    return (1 - loss * far / max(float(far.max()), 1e-6)).astype(np.float32)


def stripes(shape: tuple[int, int, int], depth: float, rng: np.random.Generator) -> np.ndarray:
    """Stripes along x, as what a light sheet meets throws them, or the motion of an eye between scans of a line.

    Args:
        shape: of the stack.
        depth: standard deviation of their brightness.
        rng: source of chance.

    Returns:
        Factors of mean 1 about, never below 0.1, `[Z, Y, X]` or what broadcasts to it, float32.
    """
    fine, wide = rough(shape[:2], (0.7, 0.6), rng), rough(shape[:2], (1.5, 3.0), rng)
    begins = rough((*shape[:2], 1), (1.0, 2.0, 0.3), rng)  # a shadow begins at what throws it
    x = np.linspace(-1, 1, shape[2], dtype=np.float32)
    reach = 1 / (1 + np.exp(-6 * (x - np.clip(begins, -2, 0.8))))
    return np.maximum(1 + depth * ((0.6 * fine + 0.6 * wide)[:, :, None] * reach), 0.1).astype(np.float32)


def side_loss(width: int, loss: float, rng: np.random.Generator) -> np.ndarray:
    """Light that a sheet loses on its way across the image, from the left or from the right, `[X]`, float32."""
    left = np.exp(np.log1p(-loss) * np.linspace(0, 1, width)).astype(np.float32)
    return left if rng.random() < 0.5 else left[::-1].copy()
