"""What was found in a stack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...io import Image, Source
from ...volumes import HERE, StoredVolume, Workers
from .reading import GreyBlocks

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
        workers: who works on its slabs.
        options: of :func:`bundle.io.open_image`, by which they open the input.
        scale: factor by which the network saw the slices resampled.
    """

    source: Source
    image: Image
    shape: tuple[int, int, int]
    probability: StoredVolume
    disagreement: StoredVolume
    mask: StoredVolume
    workers: Workers = HERE
    options: Mapping[str, Any] = field(default_factory=dict)
    scale: float = 1.0

    @property
    def grey(self) -> GreyBlocks:
        """The grey values, by blocks."""
        return GreyBlocks(self.image, self.options)

    @property
    def work(self) -> Path:
        """The folder of its blocks, for what else is made on the way and dropped with them."""
        return self.probability.folder.parent
