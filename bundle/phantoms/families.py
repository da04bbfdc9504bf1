"""Families of phantoms: what a kind of specimen under a kind of microscope looks like, as ranges to draw from."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np


@dataclass(frozen=True)
class Range:
    """A number to be drawn: between two bounds, or none.

    Args:
        low: the least value.
        high: the largest value.
        log: whether its logarithm is uniform, not the value itself.
        chance: that there is a value at all; else it is 0.
    """

    low: float
    high: float
    log: bool = False
    chance: float = 1.0

    def draw(self, rng: np.random.Generator) -> float:
        """A value. It takes two numbers of the stream whatever comes out."""
        there, place = rng.random(2)
        if there >= self.chance:
            return 0.0
        if self.log:
            return float(np.exp(np.log(self.low) + place * (np.log(self.high) - np.log(self.low))))
        return float(self.low + place * (self.high - self.low))


NEVER = Range(0, 0, chance=0)


@dataclass(frozen=True)
class Specimen:
    """What differs from animal to animal and from stain to stain. Lengths are µm, brightness is relative to a typical
    vessel's, densities are per nanolitre, a cube of 100 µm.

    Args:
        length_density: of capillaries, m/mm³.
        capillary_radius: of a typical one.
        trunks: large vessels in the stack.
        trunk_radius: the least radius of each of them.
        tortuosity, flatness: see :func:`grow_network`.
        spread: standard deviation of the logarithm of brightness from vessel to vessel.
        unevenness: the same along each vessel.
        slope: power of the radius with which brightness grows.
        lumen: whether the lumen is stained (1) or the wall (0); in between, the chance.
        fill: stain inside of vessels whose wall is stained.
        wall: thickness of the wall.
        rings: depth of the rings of muscle around arterioles, 0 to 1.
        gaps: share of a capillary's length that red blood cells darken.
        grain: relative standard deviation of the stain from voxel to voxel.
        background: light of the tissue.
        texture, patches: relative standard deviation of the background, fine (2 µm) and coarse (25 µm).
        hollow: how dark an unstained lumen is in the background, 0 to 1.
        dark_cells: cells that are dark in the background.
        cells: cells that took up stain; cell_light: their brightness; cell_radius: of their bodies.
        rims: the chance of a cell to have a bright rim and a dark inside.
        branched: the chance of a cell to have processes.
        granules, fibres, dust, leaks: their numbers; leaks are in the whole stack.
        sheet: light of a sheet of autofluorescence or of a cut surface.
        top, bottom: share of the stack above the tissue and below it.
        tilt: of the surfaces, in slices from one side to the other.
        hole: share of the image without tissue.
    """

    length_density: Range = Range(0.4, 2.2, log=True)
    capillary_radius: Range = Range(1.6, 3.2)
    trunks: Range = Range(1, 4)
    trunk_radius: Range = Range(3, 14, log=True)
    tortuosity: Range = Range(0.06, 0.3, log=True)
    flatness: Range = Range(1.0, 3.0)
    spread: Range = Range(0.45, 1.0)
    unevenness: Range = Range(0.2, 0.55)
    slope: Range = Range(-0.4, 0.4)
    lumen: Range = Range(0.5, 0.5)
    fill: Range = Range(0.03, 0.5)
    wall: Range = Range(0.7, 1.6)
    rings: Range = Range(0.15, 0.6, chance=0.3)
    gaps: Range = Range(0.1, 0.4, chance=0.4)
    grain: Range = Range(0.1, 0.5)
    background: Range = Range(0.01, 0.5, log=True)
    texture: Range = Range(0.02, 0.2)
    patches: Range = Range(0.03, 0.35)
    hollow: Range = Range(0.1, 0.8, chance=0.6)
    dark_cells: Range = Range(2, 60, log=True, chance=0.4)
    cells: Range = Range(0.3, 20, log=True, chance=0.6)
    cell_light: Range = Range(0.05, 0.9, log=True)
    cell_radius: Range = Range(2.5, 7)
    rims: Range = Range(0, 1)
    branched: Range = Range(0, 0.7, chance=0.5)
    granules: Range = Range(2, 200, log=True, chance=0.5)
    fibres: Range = Range(0.3, 6, log=True, chance=0.3)
    dust: Range = Range(0.1, 3, log=True, chance=0.3)
    leaks: Range = Range(1, 5, chance=0.3)
    sheet: Range = Range(0.05, 0.6, log=True, chance=0.12)
    top: Range = Range(0.02, 0.35, chance=0.2)
    bottom: Range = Range(0.02, 0.35, chance=0.2)
    tilt: Range = Range(0, 6)
    hole: Range = Range(0.05, 0.5, chance=0.12)


@dataclass(frozen=True)
class Optics:
    """How the microscope sees. Lengths are µm.

    Args:
        step, pixel: µm between slices and between pixels; a step of 0 is the pixel's, for isotropic voxels.
        lateral_blur, elongation: standard deviation of the focus in plane, and how much longer it is along z.
        haze, haze_blur: share of the light out of focus and its standard deviation.
        cone: half width that the light of a point gains for each µm out of focus, for wide-field optics.
        attenuation_length: depth at which 1/e of the light is left.
        tail, tail_length: light that falls below a vessel, in coherence tomography, and how deep it reaches.
        shadow: how much of the light of what lies below a vessel it takes, per µm of vessel.
        looks: independent speckle patterns that an image averages; 0 is no speckle.
        vignette: loss of light in the corners.
        stripes: depth of the stripes that a light sheet has in the shadow of what it meets.
        side_loss: loss of light along the sheet, from one side of the image to the other.
        bleaching: loss of light from the first slice to the last.
        flicker: standard deviation of the logarithm of brightness from slice to slice.
        photons: that a voxel of density 1 gives; read_noise: in photons.
        exposure: share of the digital range that the brightest 3 thousandths of the light fill.
        offset: share of the range that darkness fills.
    """

    step: Range = Range(1, 4)
    pixel: Range = Range(0.35, 1.6, log=True)
    lateral_blur: Range = Range(0.3, 0.9)
    elongation: Range = Range(2.5, 4.5)
    haze: Range = Range(0.02, 0.3)
    haze_blur: Range = Range(4, 10)
    cone: Range = NEVER
    attenuation_length: Range = Range(80, 500, log=True)
    tail: Range = NEVER
    tail_length: Range = NEVER
    shadow: Range = NEVER
    looks: Range = NEVER
    vignette: Range = Range(0.1, 0.5, chance=0.3)
    stripes: Range = NEVER
    side_loss: Range = NEVER
    bleaching: Range = Range(0.1, 0.6, chance=0.3)
    flicker: Range = Range(0.02, 0.15, chance=0.2)
    photons: Range = Range(8, 200, log=True)
    read_noise: Range = Range(0.2, 2.0)
    exposure: Range = Range(0.25, 1.6, log=True)
    offset: Range = Range(0.0, 0.08)


@dataclass(frozen=True)
class Artefacts:
    """What befalls the slices after the light.

    Args:
        jitter: pixels by which slices are displaced against each other, standard deviation.
        lost: slices that are missing: the stack goes on as if they had not been.
        blank: slices that are black.
        denoise: strength of a denoising that smooths where it sees no structure, 0 to 1.
        sampling: pixels of the camera in one of the image, which was resampled from them.
        gamma: power that the image was raised to.
        stretch: share of the darkest and of the brightest pixels, in per cent, that a contrast stretch cut off.
        equalise: clip limit of adaptive histogram equalisation.
        jpeg: quality with which the slices were compressed.
    """

    jitter: Range = Range(0.3, 1.5, chance=0.2)
    lost: Range = Range(1, 2, chance=0.1)
    blank: Range = Range(1, 2, chance=0.05)
    denoise: Range = Range(0.3, 1.0, chance=0.1)
    sampling: Range = Range(0.5, 1.0, chance=0.15)
    gamma: Range = Range(0.5, 1.3, chance=0.15)
    stretch: Range = Range(0.1, 3, log=True, chance=0.2)
    equalise: Range = Range(0.003, 0.03, log=True, chance=0.1)
    jpeg: Range = Range(40, 95, chance=0.15)


@dataclass(frozen=True)
class Family:
    """A kind of images.

    Args:
        title: what it is, in words.
        method: how light becomes an image: "scanning" point by point, "wide field" with a camera that sees all depths,
            "serial" thin sections, each seen through its whole thickness, or "coherence" tomography.
        specimen, optics, artefacts: ranges.
    """

    title: str
    method: str
    specimen: Specimen = field(default_factory=Specimen)
    optics: Optics = field(default_factory=Optics)
    artefacts: Artefacts = field(default_factory=Artefacts)


def draw(ranges: Specimen | Optics | Artefacts, rng: np.random.Generator) -> dict[str, float]:
    """A value of every range, in the order of the fields."""
    return {each.name: getattr(ranges, each.name).draw(rng) for each in fields(ranges)}


_TWO_PHOTON = Specimen(
    length_density=Range(0.2, 1.2, log=True),
    trunks=Range(1, 8),
    trunk_radius=Range(6, 30, log=True),
    tortuosity=Range(0.08, 0.35),
    spread=Range(0.6, 1.2),
    slope=Range(-0.2, 0.5),
    lumen=Range(0.9, 0.9),
    rings=NEVER,
    gaps=Range(0.1, 0.4, chance=0.6),
    background=Range(0.005, 0.2, log=True),
    dark_cells=Range(2, 40, log=True, chance=0.3),
    cells=Range(0.2, 8, log=True, chance=0.5),
    granules=Range(1, 40, log=True, chance=0.4),
    leaks=Range(1, 5, chance=0.4),
    top=Range(0.02, 0.3, chance=0.35),
    bottom=NEVER,
)
_TWO_PHOTON_OPTICS = Optics(
    step=Range(2, 5),
    pixel=Range(0.5, 2.2, log=True),
    lateral_blur=Range(0.4, 1.0),
    elongation=Range(3, 6),
    haze=Range(0.01, 0.12),
    haze_blur=Range(6, 14),
    attenuation_length=Range(80, 400, log=True),
    photons=Range(3, 120, log=True),
)

FAMILIES = {
    "confocal": Family("confocal stack of a thick section or a slice of brain", "scanning"),
    "two-photon": Family("two-photon stack of living tissue", "scanning", _TWO_PHOTON, _TWO_PHOTON_OPTICS),
    "two-photon-denoised": Family(
        "the same after denoising",
        "scanning",
        _TWO_PHOTON,
        _TWO_PHOTON_OPTICS,
        Artefacts(denoise=Range(0.85, 1.0), sampling=NEVER, stretch=Range(0.1, 4, log=True, chance=0.35)),
    ),
    "thick-section": Family(
        "thick section under a wide-field fluorescence microscope",
        "wide field",
        Specimen(
            length_density=Range(0.15, 1.2, log=True),
            trunks=Range(0, 3),
            trunk_radius=Range(3, 20, log=True),
            spread=Range(0.5, 1.0),
            background=Range(0.05, 1.0, log=True),
            patches=Range(0.05, 0.4),
            dark_cells=Range(3, 80, log=True, chance=0.5),
            cells=Range(1, 30, log=True, chance=0.8),
            cell_light=Range(0.1, 1.5, log=True),
            dust=Range(0.2, 4, log=True, chance=0.4),
            sheet=Range(0.1, 0.8, log=True, chance=0.35),
            top=Range(0.05, 0.4, chance=0.6),
            bottom=Range(0.05, 0.4, chance=0.6),
            hole=Range(0.05, 0.5, chance=0.3),
        ),
        Optics(
            step=Range(1.5, 6),
            pixel=Range(0.3, 1.3, log=True),
            lateral_blur=Range(0.3, 0.8),
            elongation=Range(3, 6),
            cone=Range(0.25, 0.7),
            attenuation_length=Range(150, 800, log=True),
            photons=Range(40, 1500, log=True),
            read_noise=Range(1, 8),
            vignette=Range(0.1, 0.6, chance=0.6),
        ),
    ),
    "thin-section": Family(
        "thin sections, one after the other, under a wide-field fluorescence microscope",
        "serial",
        Specimen(
            length_density=Range(0.15, 1.5, log=True),
            flatness=Range(1.0, 1.3),
            trunks=Range(0, 3),
            trunk_radius=Range(4, 25, log=True),
            spread=Range(0.5, 1.0),
            lumen=Range(0.35, 0.35),
            wall=Range(0.8, 2.2),
            rings=Range(0.15, 0.6, chance=0.35),
            background=Range(0.03, 1.2, log=True),
            patches=Range(0.05, 0.45),
            dark_cells=Range(3, 100, log=True, chance=0.5),
            cells=Range(2, 60, log=True, chance=0.8),
            cell_light=Range(0.1, 1.5, log=True),
            granules=Range(3, 200, log=True, chance=0.7),
            fibres=Range(0.5, 10, log=True, chance=0.4),
            dust=Range(0.2, 4, log=True, chance=0.5),
            leaks=NEVER,
            sheet=NEVER,
            top=NEVER,
            bottom=NEVER,
            hole=Range(0.05, 0.5, chance=0.3),
        ),
        Optics(
            step=Range(4, 12),
            pixel=Range(0.3, 1.3, log=True),
            lateral_blur=Range(0.3, 0.9),
            haze=Range(0.1, 0.5),
            haze_blur=Range(6, 20),
            cone=Range(0.05, 0.4),
            attenuation_length=Range(1e6, 1e7),
            photons=Range(40, 1500, log=True),
            read_noise=Range(1, 8),
            vignette=Range(0.1, 0.6, chance=0.6),
            bleaching=NEVER,
            flicker=Range(0.05, 0.3, chance=0.7),
        ),
        Artefacts(jitter=Range(0.5, 2.5, chance=0.6), lost=Range(1, 2, chance=0.3)),
    ),
    "light-sheet": Family(
        "light-sheet stack of cleared tissue, isotropic voxels",
        "scanning",
        Specimen(
            length_density=Range(0.2, 1.0, log=True),
            capillary_radius=Range(2.0, 3.5),
            trunks=Range(1, 5),
            trunk_radius=Range(4, 30, log=True),
            lumen=Range(0.4, 0.4),
            background=Range(0.05, 0.8, log=True),
            patches=Range(0.05, 0.4),
            granules=Range(0.5, 20, log=True, chance=0.5),
            cells=Range(0.1, 4, log=True, chance=0.5),
        ),
        Optics(
            step=NEVER,
            pixel=Range(1.0, 3.0, log=True),
            lateral_blur=Range(0.7, 1.6),
            elongation=Range(1.2, 3.5),
            haze=Range(0.05, 0.4),
            haze_blur=Range(8, 30),
            attenuation_length=Range(300, 3000, log=True),
            photons=Range(15, 400, log=True),
            read_noise=Range(1, 6),
            stripes=Range(0.05, 0.5, chance=0.8),
            side_loss=Range(0.1, 0.7, chance=0.7),
            bleaching=NEVER,
        ),
        Artefacts(jitter=NEVER, blank=NEVER),
    ),
    "oct-a": Family(
        "angiography by optical coherence tomography",
        "coherence",
        Specimen(
            length_density=Range(0.03, 0.3, log=True),
            capillary_radius=Range(4, 8),
            trunks=Range(3, 10),
            trunk_radius=Range(8, 30, log=True),
            flatness=Range(2.5, 5.0),
            spread=Range(0.35, 0.8),
            slope=Range(0.0, 0.6),
            lumen=Range(1, 1),
            rings=NEVER,
            gaps=NEVER,
            background=Range(0.05, 0.5, log=True),
            patches=Range(0.1, 0.4),
            dark_cells=NEVER,
            cells=NEVER,
            granules=NEVER,
            fibres=NEVER,
            dust=NEVER,
            leaks=NEVER,
            sheet=NEVER,
            hollow=NEVER,
            hole=NEVER,
        ),
        Optics(
            step=Range(0.7, 5, log=True),
            pixel=Range(1.5, 4.5),
            lateral_blur=Range(0.8, 2.4),
            elongation=Range(0.8, 2.5),
            haze=Range(0.0, 0.1),
            haze_blur=Range(10, 30),
            attenuation_length=Range(200, 1500, log=True),
            tail=Range(0.15, 0.7),
            tail_length=Range(30, 250, log=True),
            shadow=Range(0.002, 0.02, chance=0.5),
            looks=Range(2, 12, log=True),
            vignette=Range(0.1, 0.5, chance=0.3),
            stripes=Range(0.05, 0.3, chance=0.6),
            bleaching=NEVER,
            photons=Range(100, 1000, log=True),
            exposure=Range(0.35, 1.2, log=True),
        ),
        Artefacts(gamma=Range(0.35, 0.8, chance=0.85), jitter=NEVER, lost=NEVER),
    ),
    "whole-mount": Family(
        "whole mount under an epifluorescence microscope, stepped through its depth",
        "wide field",
        Specimen(
            length_density=Range(0.4, 2.0, log=True),
            flatness=Range(1.5, 3.0),
            trunks=Range(2, 5),
            trunk_radius=Range(4, 20, log=True),
            spread=Range(0.5, 1.0),
            background=Range(0.02, 0.4, log=True),
            dark_cells=NEVER,
            top=Range(0.02, 0.3, chance=0.3),
            bottom=Range(0.02, 0.3, chance=0.3),
        ),
        Optics(
            step=Range(2, 5),
            pixel=Range(0.5, 1.6, log=True),
            lateral_blur=Range(0.4, 1.0),
            elongation=Range(3, 6),
            cone=Range(0.25, 0.6),
            attenuation_length=Range(150, 800, log=True),
            photons=Range(40, 1500, log=True),
            read_noise=Range(1, 8),
            vignette=Range(0.1, 0.6, chance=0.6),
        ),
    ),
}
