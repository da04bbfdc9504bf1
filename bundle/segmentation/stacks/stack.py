"""What was found in a stack."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...io import Image, Source
from ...volumes import StoredVolume

__all__ = ["SegmentedStack"]


@dataclass(frozen=True)
class SegmentedStack:
    """What was found in a stack; its volumes are read by blocks, and gone when the segmenter drops its folder.

    Args:
        source: the input, with the NAME of its outputs.
        image: the same, opened; an image that is no stack counts as one of one slice.
        shape: Z, Y, X.
        probability: S, float32, 0 to 1.
        disagreement: |L − N| of the two cascades, float32.
        mask: bool, after hysteresis and morphology.
    """

    source: Source
    image: Image
    shape: tuple[int, int, int]
    probability: StoredVolume
    disagreement: StoredVolume
    mask: StoredVolume

    @property
    def work(self) -> Path:
        """The folder of its blocks, for what else is made on the way and dropped with them."""
        return self.probability.folder.parent
