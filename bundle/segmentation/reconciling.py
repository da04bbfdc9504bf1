"""Segmentation of stacks by the fused image and by the slices, each corrected by the other."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Transform
from torch import nn

from ..pictures import (
    brightest_vessel,
    depth_picture,
    for_people,
    mask_overlay,
    rendering_picture,
    write_png,
    write_surface,
)
from ..transforms import AdaptiveHistogramEqualization, FuseFocus
from ..transforms.focus import fuse
from ..volumes import StoredVolume, reconcile
from .disagreement import WithDisagreement
from .expecting import note_expectation
from .outputs import ALSO, ALWAYS
from .remarks import say_found
from .stacks import SegmentedStack, StackSegmenter, known_steps

__all__ = ["ReconcilingSegmenter"]

logger = logging.getLogger(__name__)


class ReconcilingSegmenter(StackSegmenter):
    """Segment stacks both ways, and make one answer of them (:func:`bundle.volumes.reconcile`).

    Written are the volume as ``NAME_mask``, its projection as ``NAME_mask_2d``, the fused image and its depth map, the
    slices' probability and disagreement, and the pictures ``NAME_overlay``, ``NAME_colour`` (hue is depth) and
    ``NAME_rendering``. A few planes are in memory beside those of the fused image, which is segmented whole.

    Args:
        args: of :class:`StackSegmenter`.
        fusion: a :class:`bundle.transforms.FuseFocus` and a :class:`bundle.transforms.AdaptiveHistogramEqualization`,
            or their dictionary twins.
        fused_network: of the fused image; that of the slices if None.
        surface: write ``NAME_surface`` too, a mesh as "stl" or "ply", in µm where the voxels' size is known.
        kwargs: of :class:`StackSegmenter`.

    Raises:
        ValueError: a surface of another kind, or what :class:`StackSegmenter` refuses.
    """

    def __init__(
        self,
        *args: Any,
        fusion: Sequence[Transform],
        fused_network: nn.Module | None = None,
        surface: Literal["stl", "ply"] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        if surface not in (None, "stl", "ply"):
            raise ValueError(f"surface must be 'stl' or 'ply', got {surface!r}")
        self.fuse, self.equalize = known_steps(fusion, (FuseFocus, AdaptiveHistogramEqualization))
        self.flat = self.slices
        if fused_network is not None:
            self.flat = replace(self.slices, network=WithDisagreement(fused_network).eval())
        self.surface = surface

    def write(self, stack: SegmentedStack) -> None:
        """Reconcile, and write what came out, the mask last.

        Raises:
            InputError: a file cannot be written.
        """
        image, source, writer = stack.image, stack.source, self.writer
        self.outputs.begin(source, [*ALWAYS, *ALSO["both"], *(["surface"] if self.surface else [])])
        spacing = image.spacing if len(image.shape) == 3 else None  # of one slice, depth has no length
        fused, depth = fuse(image.planes, self.fuse.method)
        probability, mask = self._segment(fused, stack)
        flat, planes = reconcile(
            mask, probability, depth, image.planes, stack.mask.planes, stack.probability.planes, spacing
        )
        for kind, array in (("fused", fused), ("depth", depth), ("mask_2d", flat)):
            writer.image(stack, kind, array)
        writer.volume(stack, "probability", stack.probability.planes(), np.float32)
        writer.volume(stack, "disagreement", stack.disagreement.planes(), np.float32)
        kept = StoredVolume(stack.work / "reconciled", stack.shape, bool, stack.shape[1])
        for z, plane in enumerate(planes):
            kept.write(z, 0, plane)
        picture = for_people(mask_overlay(fused, flat), image.spacing[-1] if image.spacing else None)
        write_png(writer.path(stack, "overlay"), picture)
        grey, level = brightest_vessel(image.planes(), kept.planes())
        write_png(writer.path(stack, "colour"), depth_picture(grey, level, stack.shape[0], spacing))
        write_png(writer.path(stack, "rendering"), rendering_picture(kept.planes(), stack.shape, spacing))
        if self.surface:
            file = writer.path(stack, "surface").with_suffix(f".{self.surface}")
            count = write_surface(file, kept.planes(), spacing)
            logger.info("%s: %d triangles in %s, %s", source, count, "µm" if spacing else "voxels", file)
        expectation = writer.expectation(stack, kept)
        note_expectation(self.outputs, source, expectation)
        share = writer.mask(stack, kept.planes(), fused)
        words = [share, "2D and 3D reconciled"]
        say_found(self.outputs, source, words, expectation, flat, fused, stack.scale)

    def _segment(self, fused: np.ndarray, stack: SegmentedStack) -> tuple[np.ndarray, np.ndarray]:
        """Probability and mask of the fused image, ``[Y, X]``."""
        spacing = stack.image.spacing
        steps = (1.0, 1.0) if spacing is None else spacing[:-3:-1]  # x first, as in MONAI's images
        like = MetaTensor(
            torch.as_tensor(fused.astype(np.float32).T.copy())[None],
            affine=torch.diag(torch.tensor([*steps, 1.0, 1.0], dtype=torch.float64)),
            meta={"spacing": spacing and spacing[-2:], "filename_or_obj": str(stack.image.path)},
        )
        with torch.inference_mode():
            found = self.flat.of_image(self.equalize(like)[None])[0, :1].float().cpu()
        mask = self.binarization.in_memory(found)
        return np.asarray(found[0]).T, np.asarray(mask[0]).T > 0
