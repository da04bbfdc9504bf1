"""Segmentation of blood vessels in confocal stacks and fluorescence images by an ensemble of two cascades.

The method is that of Wang et al., *Ensemble of Deep Learning Cascades for Segmentation of Blood Vessels in Confocal
Microscopy Images*. The rooms, from the ground up: ``io`` reads and writes microscope files, ``graphs``
holds networks of vessels, ``phantoms`` makes synthetic stacks, ``transforms`` changes arrays, ``networks`` and
``losses`` hold the cascades, ``metrics`` scores masks, ``engines`` trains and infers, ``commands`` is what ``python -m
bundle`` runs. A room knows those before it, and none after it.
"""

from __future__ import annotations

import importlib
from types import ModuleType

__version__ = "0.4.0"

_ROOMS = ("data", "engines", "graphs", "io", "losses", "metrics", "networks", "phantoms", "pictures", "transforms")


def __getattr__(name: str) -> ModuleType:
    # configs say `$import bundle` and then `$bundle.data.…`; the command line wants no room it does not enter
    if name in _ROOMS:
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
