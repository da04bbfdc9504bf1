"""Multi-focus fusion: one image, sharp everywhere, from the slices of a stack, and the depth that each pixel has."""

from .fusion import DEFAULT, METHODS, fuse
from .planes import along
from .transform import FuseFocus, FuseFocusd

__all__ = ["DEFAULT", "METHODS", "FuseFocus", "FuseFocusd", "along", "fuse"]
