"""MONAI transforms of the method, each with a dictionary twin (`…d`) that acts on the items of given keys.

They take `[C, X, Y]` or `[C, X, Y, Z]` as NumPy array, tensor or MetaTensor, and give the same kind with its metadata.
"""

from .arrays import DictionaryTwin
from .binarization import (
    CloseGaps,
    CloseGapsd,
    HysteresisThreshold,
    HysteresisThresholdd,
    RemoveFragments,
    RemoveFragmentsd,
    ball,
    pixels_of_fragment,
)
from .blur import RandBlur, RandBlurd
from .contrast import (
    AdaptiveHistogramEqualization,
    AdaptiveHistogramEqualizationd,
    EnhanceContrast,
    EnhanceContrastd,
    LinearContrast,
    LinearContrastd,
    stretch,
)
from .dilated_probability import DilatedProbabilityMap, DilatedProbabilityMapd
from .focus import FuseFocus, FuseFocusd
from .labels import BinaryLabel, BinaryLabeld
from .margins import RandMargin, RandMargind, empty_margin, hidden_pixels, mirrored
from .orientation import RestoreAffine, RestoreAffined

__all__ = [
    "AdaptiveHistogramEqualization",
    "AdaptiveHistogramEqualizationd",
    "BinaryLabel",
    "BinaryLabeld",
    "CloseGaps",
    "CloseGapsd",
    "DictionaryTwin",
    "DilatedProbabilityMap",
    "DilatedProbabilityMapd",
    "EnhanceContrast",
    "EnhanceContrastd",
    "FuseFocus",
    "FuseFocusd",
    "HysteresisThreshold",
    "HysteresisThresholdd",
    "LinearContrast",
    "LinearContrastd",
    "RandBlur",
    "RandBlurd",
    "RandMargin",
    "RandMargind",
    "RemoveFragments",
    "RemoveFragmentsd",
    "RestoreAffine",
    "RestoreAffined",
    "ball",
    "empty_margin",
    "hidden_pixels",
    "mirrored",
    "pixels_of_fragment",
    "stretch",
]
