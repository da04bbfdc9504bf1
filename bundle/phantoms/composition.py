"""A phantom of a family: its specimen, its optics and its artefacts, one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from ..graphs import VascularGraph
from . import optics as lens
from . import processing, tissue
from .families import FAMILIES, Family, Range, draw
from .microscope import Microscope, depth_of_focus, detect, digitize, expose
from .network import grow_network
from .phantom import Phantom
from .plain import LENGTH_DENSITIES, STAININGS
from .rendering import TubeField, add_blobs, emit, slabs, tube_field, tubes_between

MARGIN = 12  # pixels around the image, from which light comes and into which slices are displaced
FINE = 2.4  # µm between planes that are rendered where a camera sees the light between slices
STAGES = ("choose", "grow", "stain", "tissue", "cells", "surfaces", "light", "count", "handling")


@dataclass(frozen=True)
class _Canvas:
    """The grid that is rendered on: wider than the image, with all slices, also those that get lost, and several planes
    for each where light is seen from between them.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    planes: int

    @property
    def origin(self) -> tuple[float, float, float]:
        # Of the planes that make a slice, the middle one lies where the slice does.
        return -(self.planes // 2) * self.spacing[0], -MARGIN * self.spacing[1], -MARGIN * self.spacing[2]

    @property
    def corner(self) -> np.ndarray:
        return np.array(self.origin)

    @property
    def extent(self) -> np.ndarray:
        return (np.array(self.shape) - 1) * self.spacing

    @property
    def nanolitres(self) -> float:
        return float(np.prod(np.maximum(self.extent, self.spacing) / 100))


def family_phantom(
    name: str,
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float] | None,
    *,
    seed: int,
    index: int,
    density: str,
    staining: str,
    bits: int,
) -> Phantom:
    """Make one phantom of a family; the arguments are those of :func:`make_phantom`."""
    family = FAMILIES[name]
    chance = dict(zip(STAGES, np.random.default_rng([seed, index, *name.encode()]).spawn(len(STAGES)), strict=True))
    choose = chance["choose"]
    specimen, optics, artefacts = (draw(part, choose) for part in (family.specimen, family.optics, family.artefacts))
    lumen = choose.random() < specimen["lumen"]
    if staining not in STAININGS:
        staining = "lumen" if lumen else "wall"
    if density in LENGTH_DENSITIES:
        specimen["length_density"] = Range(*LENGTH_DENSITIES[density]).draw(choose)
    if spacing is None:
        pixel = round(optics["pixel"], 3)
        spacing = (round(optics["step"], 2) or pixel, pixel, pixel)
    kept, shifts = _handle(shape[0], artefacts, chance["handling"])
    planes = 2 * int(np.ceil((spacing[0] / FINE - 1) / 2)) + 1 if family.method in ("serial", "wide field") else 1
    slices = int(kept[-1]) + 1
    canvas = _Canvas(
        (slices * planes, shape[1] + 2 * MARGIN, shape[2] + 2 * MARGIN),
        (spacing[0] / planes, spacing[1], spacing[2]),
        planes,
    )

    graph = _grow(specimen, (slices - 1) * spacing[0], shape, spacing, chance["grow"])
    field = tube_field(graph, canvas.shape, canvas.spacing, max(specimen["wall"], min(spacing)), canvas.origin)
    depths = np.arange(slices) * spacing[0]
    lid, base, tilt, hole = (specimen[name] for name in ("top", "bottom", "tilt", "hole"))
    top, bottom = tissue.surfaces((slices, *canvas.shape[1:]), spacing[0], lid, base, tilt, hole, chance["surfaces"])
    z = depths[:, None, None]
    mask = field.mask[planes // 2 :: planes] & (z >= top) & (z <= bottom)
    above, below = slabs(slices, spacing[0])
    slab = tubes_between(
        graph, mask.shape, spacing, np.maximum(above, top), np.minimum(below, bottom), canvas.origin[1:]
    )

    emission, background, filled = _specimen(specimen, staining, graph, field, canvas, (top, bottom), chance)
    light, in_focus = _see(family, optics, emission, background, filled, canvas)
    uneven = _illuminate(optics, light.shape, chance["light"])
    light *= uneven
    in_focus *= uneven

    cut = partial(_cut, kept=kept, shifts=shifts, shape=shape)
    light, in_focus, mask, slab = (cut(volume) for volume in (light, in_focus, mask, slab))
    microscope = _microscope(optics, light, bits)
    dark = _blank(shape[0], artefacts, chance["handling"])
    for volume in (light, in_focus, mask, slab):
        volume[dark] = 0
    counted = light
    if optics["looks"]:
        grain = tuple(optics["lateral_blur"] * np.array([optics["elongation"], 0.7, 0.7]) / spacing)
        counted = lens.speckle(light, round(optics["looks"]), grain, chance["count"])
    stack = detect(microscope, counted, chance["count"])
    return Phantom(
        stack=_process(stack, artefacts),
        spacing=spacing,
        mask=mask,
        depth=depth_of_focus(in_focus, mask, spacing[0]),
        focus=digitize(microscope, in_focus.max(axis=0)),
        graph=graph,
        settings={
            "seed": seed,
            "index": index,
            "family": name,
            "staining": staining,
            "specimen": specimen,
            "optics": optics | {"gain": microscope.gain},
            "artefacts": artefacts,
            "slices": kept.tolist(),
            "shifts": shifts.tolist(),
            "blank": dark.tolist(),
        },
        slab_mask=slab,
        light=digitize(microscope, light),
    )


def _handle(count: int, artefacts: dict, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Which slices are kept, `[Z]`, and by how many pixels along y and x each is displaced, `[Z, 2]`."""
    lost = round(artefacts["lost"]) if count > 2 else 0
    gone = rng.choice(np.arange(1, count + lost - 1), lost, replace=False) if lost else np.zeros(0, int)
    kept = np.setdiff1d(np.arange(count + lost), gone)
    shifts = np.rint(rng.normal(0, 1, (count, 2)) * artefacts["jitter"]).astype(int)
    return kept, np.clip(shifts, -MARGIN, MARGIN)


def _blank(count: int, artefacts: dict, rng: np.random.Generator) -> np.ndarray:
    """Which slices are black, sorted."""
    return np.sort(rng.choice(count, min(round(artefacts["blank"]), count - 1), replace=False))


def _cut(volume: np.ndarray, kept: np.ndarray, shifts: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """The slices that are kept, each from its place on the canvas."""
    out = np.empty(shape, dtype=volume.dtype)
    for plane, z, (dy, dx) in zip(out, kept, shifts, strict=True):
        y, x = MARGIN + dy, MARGIN + dx
        plane[:] = volume[z, y : y + shape[1], x : x + shape[2]]
    return out


def _grow(
    specimen: dict, depth: float, shape: tuple[int, ...], spacing: tuple[float, ...], rng: np.random.Generator
) -> VascularGraph:
    extent = (depth, (shape[1] - 1) * spacing[1], (shape[2] - 1) * spacing[2])
    trunks = []
    for n in range(max(round(specimen["trunks"]), 1)):
        # The first is as wide as the specimen says, the others between it and a capillary.
        share = 1.0 if n == 0 else rng.uniform(0, 1)
        low = 1.15 * specimen["capillary_radius"]
        radius = low * max(specimen["trunk_radius"] / low, 1.0) ** share if specimen["trunks"] else low
        trunks.append((("arteriole", "venule")[n % 2], float(radius)))
    return grow_network(
        extent,
        rng,
        length_density=specimen["length_density"],
        capillary_radius=specimen["capillary_radius"],
        trunks=trunks,
        tortuosity=specimen["tortuosity"],
        flatness=specimen["flatness"],
        stiffness=1.0,
    )


def _specimen(
    specimen: dict,
    staining: str,
    graph: VascularGraph,
    field: TubeField,
    canvas: _Canvas,
    surfaces: tuple[np.ndarray, np.ndarray],
    chance: dict[str, np.random.Generator],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Light of the vessels and of what else has a shape; light of the tissue; share of each voxel that is vessel."""
    stain = chance["stain"]
    ranges = ("capillary_radius", "spread", "slope", "unevenness", "gaps", "rings")
    radius, spread, slope, unevenness, gaps, rings = (specimen[name] for name in ranges)
    level = tissue.vessel_light(graph, radius, spread, slope, unevenness, gaps, rings, stain)
    blur = min(canvas.spacing)
    emission = emit(field, level, staining, specimen["wall"], blur, specimen["grain"], stain, specimen["fill"])
    filled = np.clip(0.5 - field.distance / np.float32(blur), 0, 1)
    things = np.zeros(canvas.shape, dtype=np.float32)
    background = _background(specimen, canvas, chance["tissue"])
    _populate(specimen, things, background, graph, canvas, chance["cells"])
    background *= 1 - np.float32(specimen["hollow"]) * filled
    background *= np.float32(specimen["background"])
    count = round(specimen["leaks"])
    spots = graph.nodes[chance["cells"].integers(0, len(graph.nodes), count)] - canvas.corner
    sizes, heights = chance["cells"].uniform((8, 0.05), (35, 0.5), (count, 2)).T
    add_blobs(background, canvas.spacing, spots, sizes, heights)
    emission += things * (1 - filled)
    depths = canvas.origin[0] + np.arange(canvas.shape[0]) * canvas.spacing[0]
    top, bottom = surfaces
    inside = tissue.within(top, bottom, depths)
    emission *= inside
    background *= inside
    if specimen["sheet"]:
        _add_sheet(background, specimen["sheet"], surfaces, canvas, chance["surfaces"])
    return emission, background, filled


def _background(specimen: dict, canvas: _Canvas, rng: np.random.Generator) -> np.ndarray:
    """The tissue, about 1 on average, never below 0.05."""
    background = np.ones(canvas.shape, dtype=np.float32)
    for size, depth in ((2.0, specimen["texture"]), (25.0, specimen["patches"])):
        sigma = [max(size / s, 0.3) for s in canvas.spacing]
        background += np.float32(depth) * tissue.rough(canvas.shape, tuple(sigma), rng)
    return np.maximum(background, 0.05, out=background)


def _populate(
    specimen: dict,
    things: np.ndarray,
    background: np.ndarray,
    graph: VascularGraph,
    canvas: _Canvas,
    rng: np.random.Generator,
) -> None:
    """Put cells, fibres, granules and dust among the things, and dark cells in the background, in place."""
    spacing, extent = canvas.spacing, canvas.extent

    def places(density: float) -> np.ndarray:
        return rng.uniform(0, 1, (rng.poisson(density * canvas.nanolitres), 3)) * extent

    def shapes(count: int) -> tuple[np.ndarray, np.ndarray]:
        radii = specimen["cell_radius"] * rng.uniform(0.7, 1.3, (count, 1)) * rng.uniform(0.75, 1.25, (count, 3))
        return radii, rng.uniform(0, np.pi, count)

    centres = places(specimen["dark_cells"])
    radii, angles = shapes(len(centres))
    body = -rng.uniform(0.3, 0.9, len(centres))
    tissue.add_cells(background, spacing, centres, radii, body, body, np.zeros_like(body), angles)
    np.maximum(background, 0.05, out=background)

    centres = places(specimen["cells"])
    count = len(centres)
    radii, angles = shapes(count)
    light = specimen["cell_light"] * np.exp(rng.normal(0, 0.5, count))
    ringed = rng.random(count) < specimen["rims"]
    inside = np.where(rng.random(count) < 0.25, rng.uniform(1, 2.5, count), rng.uniform(0, 0.6, count))
    body = np.where(ringed, 0.25, 1.0) * light
    tissue.add_cells(things, spacing, centres, radii, body, inside * body, np.where(ringed, light, 0), angles)
    branched = rng.random(count) < specimen["branched"]
    if branched.any():
        roots = np.repeat(centres[branched], 5, axis=0)
        points = tissue.strands(roots, rng.uniform(10, 30), 0.7, 0.5 * min(spacing), rng, flatness=1.2)
        fading = np.linspace(1.0, 0.2, points.shape[1]) * np.repeat(light[branched], 5)[:, None]
        tissue.add_points(things, spacing, points.reshape(-1, 3), (0.8 * fading).ravel())

    starts = places(specimen["fibres"])
    points = tissue.strands(starts, rng.uniform(40, 250), rng.uniform(0.05, 0.5), 0.5 * min(spacing), rng)
    heights = np.repeat(rng.uniform(0.1, 0.8, len(starts)), points.shape[1])
    tissue.add_points(things, spacing, points.reshape(-1, 3), heights)

    for density, count, size, height in (
        (specimen["granules"] / 8, 8, specimen["cell_radius"], 1.5),
        (specimen["granules"] / 4, 1, 0.1, 1.0),
        (specimen["dust"], 40, 1.5, 6.0),
    ):
        seeds = np.repeat(places(density), count, axis=0)
        points = seeds + rng.normal(0, size, seeds.shape)
        tissue.add_points(things, spacing, points, height * rng.gamma(1.0, 1.0, len(points)))


def _add_sheet(
    background: np.ndarray,
    light: float,
    surfaces: tuple[np.ndarray, np.ndarray],
    canvas: _Canvas,
    rng: np.random.Generator,
) -> None:
    """Add the light of surfaces where cutting left debris, or of a membrane somewhere in the stack, in place."""
    planes = canvas.origin[0] + np.arange(canvas.shape[0])[:, None, None] * canvas.spacing[0]
    cut = [surface for surface in surfaces if np.isfinite(surface).any()]
    if not cut:
        share, tilt = rng.uniform(0.05, 0.9), rng.uniform(0, 20)
        cut = [tissue.surfaces(canvas.shape, canvas.spacing[0], share, 0, tilt, 0, rng)[0]]
    thickness = max(rng.uniform(1.5, 5), 0.5 * canvas.spacing[0])
    for surface in cut:
        size = rng.uniform(3, 25)
        hills = tissue.rough(canvas.shape[1:], (size / canvas.spacing[1], size / canvas.spacing[2]), rng)
        texture = np.clip(1 + 0.5 * hills, 0.1, None)
        background += light * texture * np.exp(-0.5 * ((planes - surface) / thickness) ** 2).astype(np.float32)


def _see(
    family: Family,
    optics: dict,
    emission: np.ndarray,
    background: np.ndarray,
    filled: np.ndarray,
    canvas: _Canvas,
) -> tuple[np.ndarray, np.ndarray]:
    """The light that arrives and the light in focus alone, before uneven illumination and noise."""
    spacing, planes = canvas.spacing, canvas.planes
    scope = Microscope(
        lateral_blur=optics["lateral_blur"],
        axial_blur=optics["lateral_blur"] * optics["elongation"],
        haze=optics["haze"],
        haze_blur=optics["haze_blur"],
        attenuation_length=optics["attenuation_length"],
    )
    if family.method == "serial":
        whole = emission + background
        light = lens.thin_sections(
            whole, spacing, planes, scope.lateral_blur, optics["cone"], scope.haze, scope.haze_blur
        )
        return light, lens.thin_sections(whole, spacing, planes, scope.lateral_blur, optics["cone"], 0.0, 1.0)
    if family.method == "coherence":
        tails = lens.projection(emission, spacing[0], optics["tail"], optics["tail_length"])
        left = lens.shadow(filled, spacing[0], optics["shadow"])
        light, in_focus = expose(scope, emission, background, spacing)
        below, _ = expose(scope, tails, np.zeros_like(tails), spacing)
        return (light + below) * left, in_focus * left
    light, in_focus = expose(scope, emission, background, spacing)
    if family.method == "wide field":
        loss = np.exp(-np.arange(canvas.shape[0]) * spacing[0] / scope.attenuation_length).astype(np.float32)
        whole = (emission + background) * loss[:, None, None]
        light = lens.wide_field(whole, spacing, planes, scope.lateral_blur, optics["cone"], 3 * scope.axial_blur)
        in_focus = in_focus[planes // 2 :: planes]
    return light, in_focus


def _illuminate(optics: dict, shape: tuple[int, int, int], rng: np.random.Generator) -> np.ndarray:
    """Factors of the light: corners, stripes, the sheet's way, bleaching and flicker, `[Z, Y, X]`, float32."""
    even = np.ones(shape, dtype=np.float32)
    if optics["vignette"]:
        even *= lens.vignette(shape[1:], optics["vignette"], rng)
    if optics["stripes"]:
        even *= lens.stripes(shape, optics["stripes"], rng)
    if optics["side_loss"]:
        even *= lens.side_loss(shape[2], optics["side_loss"], rng)
    slices = (
        np.log1p(-optics["bleaching"]) * np.linspace(0, 1, shape[0]) + rng.normal(0, 1, shape[0]) * optics["flicker"]
    )
    return even * np.exp(slices).astype(np.float32)[:, None, None]


def _microscope(optics: dict, light: np.ndarray, bits: int) -> Microscope:
    """The detector, its gain such that the brightest of the light fill the range as the exposure says."""
    bright = float(np.quantile(light, 0.997))
    return Microscope(
        photons=optics["photons"],
        read_noise=optics["read_noise"],
        gain=optics["exposure"] / max(bright, 1e-3),
        offset=optics["offset"],
        bits=bits,
    )


def _process(stack: np.ndarray, artefacts: dict) -> np.ndarray:
    """What befalls the stack after the detector; nothing leaves it untouched."""
    steps = [
        (processing.denoise, artefacts["denoise"]),
        (processing.resample, artefacts["sampling"]),
        (lambda image, power: np.power(image, np.float32(power)), artefacts["gamma"]),
        (processing.stretch, artefacts["stretch"]),
        (processing.equalise, artefacts["equalise"]),
        (processing.compress, round(artefacts["jpeg"])),
    ]
    if not any(strength for _, strength in steps):
        return stack
    top = np.iinfo(stack.dtype).max
    image = stack.astype(np.float32) / np.float32(top)
    for step, strength in steps:
        if strength:
            image = step(image, strength)
    return np.rint(np.clip(image, 0, 1) * top).astype(stack.dtype)
