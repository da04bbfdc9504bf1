"""The seven two-photon stacks of vesselNN, in the folders ``denoised`` and ``labels``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

# name of each stack, and the beginning of its files' names
STACKS = {
    "bbbDisruption": "burgess2014_bbbDisruption",
    "lowerRes": "burgess2014_lowerRes",
    "BBB_Leakage": "poon2015_BBB_Leakage",
    "BBB_noLeakage": "poon2015_BBB_noLeakage",
    "plaqueVessels": "poon2015_plaqueVessels",
    "lowContrast": "santos2015_lowContrast",
    "mixedSize": "santos2015_mixedSize",
}


def stack_files(source: Path) -> Iterator[tuple[str, Path, Path]]:
    """Name, image and mask of every stack."""
    for name, start in STACKS.items():
        yield name, *(next((source / kind).glob(f"{start}*.tif")) for kind in ("denoised", "labels"))
