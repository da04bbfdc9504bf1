"""Segmentation of blood vessels in confocal stacks and fluorescence images by an ensemble of two cascades.

The method is that of Wang et al., *Ensemble of Deep Learning Cascades for Segmentation of Blood Vessels in Confocal
Microscopy Images*. docs/decisions.md, The house, says what each room is for: it knows those below it, none above.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from .home import VERSION as __version__

if TYPE_CHECKING:
    from .interface import Fusion, Segmentation, adapt, fuse, measure, read, segment

__all__ = ["Fusion", "Segmentation", "__version__", "adapt", "fuse", "measure", "read", "segment"]

_ROOMS = (
    "data",
    "engines",
    "graphs",
    "io",
    "losses",
    "metrics",
    "networks",
    "phantoms",
    "pictures",
    "runner",
    "segmentation",
    "training",
    "transforms",
)


def __getattr__(name: str) -> object:
    # configs say `$import bundle` and then `$bundle.data.…`; the command line wants no room it does not enter
    if name in _ROOMS:
        return importlib.import_module(f".{name}", __name__)
    if name in __all__:
        return getattr(importlib.import_module(".interface", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
