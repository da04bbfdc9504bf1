"""Multi-focus fusion: one image, sharp everywhere, from the slices of a stack, and the depth that each pixel has."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from .bands import fuse_maximum
from .fusion import DEFAULT, METHODS, Fusing, fuse
from .planes import along

if TYPE_CHECKING:
    from .transform import FuseFocus, FuseFocusd

__all__ = ["DEFAULT", "METHODS", "FuseFocus", "FuseFocusd", "Fusing", "along", "fuse", "fuse_maximum"]


def __getattr__(name: str) -> object:
    if name in ("FuseFocus", "FuseFocusd"):  # of MONAI, whose import takes seconds
        return getattr(importlib.import_module(".transform", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
