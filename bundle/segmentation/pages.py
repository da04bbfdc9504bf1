"""Segmentation of images, and of stacks by their fusion, whose planes are larger than memory.

The steps are those of :class:`~bundle.segmentation.ImageSegmenter`, by bands of rows that lie on the disk in between:
fusion, equalisation, windows, hysteresis and morphology, and writing. Without a margin that shows nothing the results
are equal to the last bit; a margin is found by squares (:class:`bundle.transforms.EqualizedPlane`).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..home import VERSION
from ..io import Image, Recording, Source
from ..transforms import Equalization, EqualizedPlane, Fusing
from ..transforms.focus import fuse, fuse_maximum
from ..volumes import StoredVolume, band_rows
from .fingerprints import fingerprint_of_network
from .outputs import Outputs
from .second_opinion import SecondOpinion, better_of
from .stacks import Binarization, GreyBlocks, SegmentedStack, SliceNetwork, SliceRows, StackWriter, work_folder

__all__ = ["PageSegmenter"]


class PageSegmenter:
    """Segment single large images, or stacks of large slices by their fusion.

    Args:
        outputs: the run's.
        fusing: how stacks are fused; those of other methods than the maximum hold a dozen planes in memory.
        equalization: how contrast is enhanced.
        network: the network, and how it sees a plane.
        binarization: the steps to a mask.
        second: asked where little is to be expected of what the network finds.
    """

    def __init__(
        self,
        outputs: Outputs,
        fusing: Fusing,
        equalization: Equalization,
        network: SliceNetwork,
        binarization: Sequence[object],
        second: SecondOpinion | None = None,
    ) -> None:
        self.outputs = outputs
        self.fusing = fusing
        self.equalization = equalization
        self.network = network
        self.binarization = Binarization(binarization)
        self.second = second

    def segment(self, source: Source, image: Image) -> None:
        """Segment, and write what was found; a run that was interrupted goes on with what there is.

        Raises:
            InputError: the image cannot be read, or a file cannot be written.
        """
        folder = self.outputs.folder / f".{source.name}.parts"
        with work_folder(folder, image.path, lambda: self._settings(image, source)) as work:
            flat, also = (image, {}) if len(image.shape) == 2 else self._fused(image, work)
            stages = self.binarization.stages(flat)
            grey, writer = GreyBlocks(flat), StackWriter(self.outputs)

            def found(network: SliceNetwork, place: Path) -> SegmentedStack:
                probability, disagreement = (
                    StoredVolume(place / kind, grey.shape, np.float32, band_rows(grey.shape[2]))
                    for kind in ("probability", "disagreement")
                )
                scale = network.go_over(
                    grey, probability, disagreement, enhance=lambda: _Enhanced(grey, self.equalization, work)
                )
                mask = self.binarization.by_blocks(probability, stages, place)
                return SegmentedStack(source, flat, grey.shape, probability, disagreement, mask, scale=scale)

            first = found(self.network, work)
            second = self.second or SecondOpinion(self.network.network)
            at_scale = replace(self.network, inferer=self.network.inferer.at(first.scale))
            stack, expectation, other = better_of(
                first,
                lambda stack, second: writer.expectation(stack, stack.mask, second),
                lambda network: found(replace(at_scale, network=network), work / f"second-{second.digest}"),
                second,
            )
            writer.all_of(stack, also, expectation, second if other else None)

    def _fused(self, image: Image, work: Path) -> tuple[Image, dict[str, StoredVolume]]:
        """The fusion of a stack, and its depth map."""
        grey = GreyBlocks(image)
        _, height, width = grey.shape
        # as the file has them, where float32 holds the type: what is written of images in memory is the same
        dtype = image.dtype if image.dtype.kind in "iu" and np.can_cast(image.dtype, np.float32) else np.float32
        rows = grey.bands[0][1]
        fused, depth = (
            StoredVolume(work / name, (1, height, width), kind, rows)
            for name, kind in (("fused", dtype), ("depth", np.float32))
        )
        if not all(depth.has(0, start) for start, _ in depth.bands):
            if self.fusing.method == "maximum":

                def read(z: int, start: int, stop: int) -> np.ndarray:
                    return grey.rows(z, start, stop).astype(dtype, copy=False)

                fuse_maximum(read, grey.shape, fused, depth, work / "focus")
            else:
                planes = fuse(lambda: (grey.rows(z, 0, height) for z in range(len(image))), self.fusing.method)
                for volume, plane in zip((fused, depth), planes, strict=True):
                    for start, stop in volume.bands:
                        volume.write(0, start, plane[start:stop].astype(volume.dtype, copy=False))
            shutil.rmtree(work / "focus", ignore_errors=True)
        recording = Recording(
            image.path,
            "YX",
            (height, width),
            fused.dtype,
            lambda index: fused.plane(0),
            rows=lambda index, start, stop: fused.rows(0, start, stop),
            affine=image.affine,
        )
        flat = Image(recording, "YX", {}, spacing=image.spacing and image.spacing[-2:])
        return flat, {"fused": fused, "depth": depth}

    def _settings(self, image: Image, source: Source) -> dict:
        """All that the probability depends on, as JSON gives it back."""
        inferer, equalization = self.network.inferer, self.equalization
        return {
            "version": VERSION,
            "input": list(self.outputs.provenance(source).inputs),
            "reading": [*image.shape, str(image.dtype), self.outputs.provenance(source, "fused").record["options"]],
            "contrast": [str(self.fusing.method), equalization.tile_size, equalization.clip_limit],
            "network": fingerprint_of_network(self.network.network),
            "windows": [inferer.window, inferer.overlap, inferer.whole_pixels],
            "scale": inferer.scale,
            "precision": "mixed" if self.network.amp else "single",
        }


class _Enhanced:
    """A page whose contrast is equalised."""

    def __init__(self, grey: GreyBlocks, equalization: Equalization, work: Path) -> None:
        self.grey = grey
        _, height, width = grey.shape
        stored = StoredVolume(work / "equalized", grey.shape, np.uint16, band_rows(width))
        self._page = EqualizedPlane(
            lambda start, stop: grey.rows(0, start, stop), (height, width), equalization, stored, str(grey.path)
        )

    def each(self, slices: Iterable[int]) -> Iterator[tuple[int, SliceRows]]:
        return ((z, self._page.rows) for z in slices)
