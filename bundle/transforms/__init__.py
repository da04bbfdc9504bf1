"""MONAI transforms of the method, each with a dictionary twin (`…d`) that acts on the items of given keys.

They take `[C, X, Y]` or `[C, X, Y, Z]` as NumPy array, tensor or MetaTensor, and give the same kind with its metadata.
What they do to arrays needs nothing of MONAI, whose import takes seconds, and can be had without it: ``Stretching``,
``Equalization``, ``Fusing``, ``Hysteresis``, ``Closing``, ``Removal`` and the functions.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from .focus import Fusing
from .margins import empty_margin, hidden_pixels, mirrored
from .masks import Closing, Hysteresis, Removal, ball, pixels_of_fragment
from .stretching import Equalization, Stretching, stretch

if TYPE_CHECKING:
    from .arrays import DictionaryTwin
    from .binarization import (
        CloseGaps,
        CloseGapsd,
        HysteresisThreshold,
        HysteresisThresholdd,
        RemoveFragments,
        RemoveFragmentsd,
    )
    from .blur import RandBlur, RandBlurd
    from .contrast import (
        AdaptiveHistogramEqualization,
        AdaptiveHistogramEqualizationd,
        EnhanceContrast,
        EnhanceContrastd,
        LinearContrast,
        LinearContrastd,
    )
    from .dilated_probability import DilatedProbabilityMap, DilatedProbabilityMapd
    from .equalizing import EqualizedPlane
    from .focus import FuseFocus, FuseFocusd
    from .labels import BinaryLabel, BinaryLabeld
    from .orientation import RestoreAffine, RestoreAffined
    from .random_margins import RandMargin, RandMargind

__all__ = [
    "AdaptiveHistogramEqualization",
    "AdaptiveHistogramEqualizationd",
    "BinaryLabel",
    "BinaryLabeld",
    "CloseGaps",
    "CloseGapsd",
    "Closing",
    "DictionaryTwin",
    "DilatedProbabilityMap",
    "DilatedProbabilityMapd",
    "EnhanceContrast",
    "EnhanceContrastd",
    "Equalization",
    "EqualizedPlane",
    "FuseFocus",
    "FuseFocusd",
    "Fusing",
    "Hysteresis",
    "HysteresisThreshold",
    "HysteresisThresholdd",
    "LinearContrast",
    "LinearContrastd",
    "RandBlur",
    "RandBlurd",
    "RandMargin",
    "RandMargind",
    "Removal",
    "RemoveFragments",
    "RemoveFragmentsd",
    "RestoreAffine",
    "RestoreAffined",
    "Stretching",
    "ball",
    "empty_margin",
    "hidden_pixels",
    "mirrored",
    "pixels_of_fragment",
    "stretch",
]

# by modules whose import takes long: those of MONAI seconds, that of scikit-image's exposure some tenths
_LATE = {
    "arrays": ("DictionaryTwin",),
    "binarization": ("CloseGaps", "HysteresisThreshold", "RemoveFragments"),
    "blur": ("RandBlur",),
    "contrast": ("AdaptiveHistogramEqualization", "EnhanceContrast", "LinearContrast"),
    "dilated_probability": ("DilatedProbabilityMap",),
    "equalizing": ("EqualizedPlane",),
    "focus": ("FuseFocus",),
    "labels": ("BinaryLabel",),
    "orientation": ("RestoreAffine",),
    "random_margins": ("RandMargin",),
}


def __getattr__(name: str) -> object:
    for module, names in _LATE.items():
        if name in names or name.removesuffix("d") in names:
            return getattr(importlib.import_module(f".{module}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
