"""The first recipe: a confocal stack of evenly stained vessels. What it made of a seed once it makes for ever."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
from scipy import ndimage

from ..graphs import VascularGraph
from .microscope import Microscope, depth_of_focus, detect, digitize, expose
from .network import grow_network
from .phantom import Phantom
from .rendering import add_blobs, emit, slabs, stain_vessels, tube_field, tubes_between

LENGTH_DENSITIES = {"sparse": (0.3, 0.6), "medium": (0.7, 1.1), "dense": (1.4, 2.0)}  # m of capillary in a mm³
STAININGS = ("lumen", "wall")


def plain_phantom(
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
    *,
    seed: int,
    index: int,
    density: str,
    staining: str,
    bits: int,
) -> Phantom:
    """Make one phantom of no family; the arguments are those of :func:`make_phantom`."""
    # A stream of chance for each stage: what one stage draws changes nothing in the others.
    choose, grow, stain, expose_, count = np.random.default_rng([seed, index]).spawn(5)
    density = str(choose.choice(list(LENGTH_DENSITIES))) if density == "random" else density
    staining = str(choose.choice(STAININGS)) if staining == "random" else staining
    specimen = _draw_specimen(density, staining, choose)
    microscope = _draw_microscope(bits, choose)
    depth, height, width = ((n - 1) * s for n, s in zip(shape, spacing, strict=True))
    graph = grow_network(
        (depth, height, width),
        grow,
        length_density=specimen["length_density"],
        capillary_radius=specimen["capillary_radius"],
        trunks=specimen["trunks"],
        tortuosity=specimen["tortuosity"],
        flatness=specimen["flatness"],
    )
    field = tube_field(graph, shape, spacing, reach=max(specimen["wall"], min(spacing)))
    emission = emit(
        field,
        stain_vessels(graph, specimen["unevenness"], stain),
        staining,
        specimen["wall"],
        min(spacing),
        specimen["grain"],
        stain,
    )
    background = _tissue(emission, graph, spacing, specimen, expose_)
    light, in_focus = expose(microscope, emission, background, spacing)
    mask = field.mask
    return Phantom(
        stack=detect(microscope, light, count),
        light=digitize(microscope, light),
        spacing=spacing,
        mask=mask,
        slab_mask=tubes_between(graph, shape, spacing, *slabs(shape[0], spacing[0])),
        depth=depth_of_focus(in_focus, mask, spacing[0]),
        focus=digitize(microscope, in_focus.max(axis=0)),
        graph=graph,
        settings={
            "seed": seed,
            "index": index,
            "density": density,
            "staining": staining,
            "specimen": specimen,
            "microscope": asdict(microscope),
        },
    )


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _draw_specimen(density: str, staining: str, rng: np.random.Generator) -> dict:
    """What differs from animal to animal and from stain to stain; in µm, and relative to a typical vessel's stain."""
    capillary = float(rng.uniform(1.6, 3.2))
    return {
        "length_density": float(rng.uniform(*LENGTH_DENSITIES[density])),
        "capillary_radius": capillary,
        "tortuosity": _log_uniform(rng, 0.06, 0.3),
        "flatness": float(rng.uniform(1.3, 3.0)),
        "trunks": [[kind, _draw_trunk(capillary, rng)] for kind in ("arteriole", "venule")],
        "unevenness": float(rng.uniform(0.2, 0.55)),
        "wall": float(rng.uniform(0.6, 1.4)),
        "grain": float(rng.uniform(0.1, 0.6)),
        "background": _log_uniform(rng, 0.08, 0.6),
        "shading": float(rng.uniform(0.0, 0.3)),
        "texture": float(rng.uniform(0.02, 0.12)),
        "specks_per_nanolitre": _log_uniform(rng, 2, 500),
        "cells_per_nanolitre": float(rng.uniform(0, 2)),
        "leaks": int(rng.integers(0, 5)),
    }


def _draw_trunk(capillary: float, rng: np.random.Generator) -> float:
    """A trunk's least radius: little more than a capillary's as a rule, now and then a large vessel's."""
    return float(rng.uniform(5, 11) if rng.random() < 0.12 else capillary * rng.uniform(1.1, 1.9))


def _draw_microscope(bits: int, rng: np.random.Generator) -> Microscope:
    lateral = float(rng.uniform(0.4, 0.9))
    return Microscope(
        lateral_blur=lateral,
        axial_blur=float(lateral * rng.uniform(2.5, 4.5)),
        haze=float(rng.uniform(0.05, 0.3)),
        haze_blur=float(rng.uniform(4, 8)),
        attenuation_length=_log_uniform(rng, 120, 500),
        photons=_log_uniform(rng, 20, 200),
        read_noise=float(rng.uniform(0.3, 1.5)),
        gain=_log_uniform(rng, 0.08, 0.4),
        offset=float(rng.uniform(0.01, 0.08)),
        bits=bits,
    )


def _tissue(
    emission: np.ndarray,
    graph: VascularGraph,
    spacing: tuple[float, float, float],
    specimen: dict,
    rng: np.random.Generator,
) -> np.ndarray:
    """The tissue between the vessels: autofluorescence, uneven and textured, and dye that leaked. Specks and cells that
    took up stain are objects as the vessels are: they are added to the emission, in place.

    Returns:
        The background, `[Z, Y, X]`, float32.
    """
    shape = emission.shape
    extent = (np.array(shape) - 1) * spacing
    count = rng.poisson(specimen["specks_per_nanolitre"] * np.prod(extent / 100))
    centres = rng.uniform(0, 1, (count, 3)) * extent
    add_blobs(emission, spacing, centres, rng.gamma(4, 0.2, count), rng.gamma(1.2, 1.2, count))
    count = rng.poisson(specimen["cells_per_nanolitre"] * np.prod(extent / 100))
    centres = rng.uniform(0, 1, (count, 3)) * extent
    add_blobs(emission, spacing, centres, rng.uniform(1.5, 4, count), rng.gamma(2, 0.7, count))
    background = rng.standard_normal(shape, dtype=np.float32)
    background = ndimage.gaussian_filter(background, 1.0, mode="nearest", truncate=2.0)
    background *= specimen["texture"] / max(float(background.std()), 1e-6)
    y, x = (np.linspace(-1, 1, n, dtype=np.float32) for n in shape[1:])
    tilt = rng.normal(0, 1, 5).astype(np.float32)
    plane = tilt[0] * y[:, None] + tilt[1] * x + tilt[2] * y[:, None] ** 2 + tilt[3] * x**2 + tilt[4] * y[:, None] * x
    background += 1 + np.clip(specimen["shading"] * plane, -0.7, 1)
    np.maximum(background, 0.1, out=background)
    background *= specimen["background"]
    leaks = rng.integers(0, len(graph.nodes), specimen["leaks"])
    add_blobs(
        background, spacing, graph.nodes[leaks], rng.uniform(10, 35, len(leaks)), rng.uniform(0.05, 0.3, len(leaks))
    )
    return background
