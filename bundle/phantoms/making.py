"""A phantom of a series: of the first recipe, or of a family of microscopes."""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from .composition import family_phantom
from .families import FAMILIES
from .phantom import Phantom
from .plain import plain_phantom

SPACING = (2.0, 0.8, 0.8)  # µm, of the first recipe


def make_phantom(
    shape: tuple[int, int, int] = (32, 256, 256),
    spacing: tuple[float, float, float] | None = None,
    *,
    seed: int = 0,
    index: int = 0,
    density: str = "random",
    staining: str = "random",
    bits: int = 8,
    family: str | None = None,
) -> Phantom:
    """Make one phantom of a series.

    Args:
        shape: voxels along z, y and x.
        spacing: µm between voxels along z, y and x. None draws what is usual in the family, or takes 2, 0.8 and 0.8 if
            there is none.
        seed: of the series.
        index: of the phantom in the series. Nothing but these arguments decides what comes out, so that a series can
            be extended and resumed.
        density: "sparse", "medium" or "dense" capillaries; "random" leaves it to chance and to the family.
        staining: "lumen", "wall", or "random" for one of the two by chance.
        bits: 8 or 16.
        family: a name of :data:`FAMILIES`, "random" for one of them by chance, or None for the first recipe, a
            confocal stack of evenly stained vessels.

    Returns:
        The phantom.

    Raises:
        InputError: if there is no such family.
    """
    if family is None:
        return plain_phantom(
            shape, spacing or SPACING, seed=seed, index=index, density=density, staining=staining, bits=bits
        )
    if family == "random":
        family = str(np.random.default_rng([seed, index, 2]).choice(list(FAMILIES)))
    if family not in FAMILIES:
        raise InputError(family, "is no family of phantoms", f"choose {', '.join(FAMILIES)} or random")
    return family_phantom(family, shape, spacing, seed=seed, index=index, density=density, staining=staining, bits=bits)
