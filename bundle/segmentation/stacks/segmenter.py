"""Segmentation of stacks in memory that does not grow with their depth, and that goes on where it was interrupted.

Reading and enhancing, the network, and storing the probability overlap; hysteresis and morphology then go over the
stored volume by blocks (:mod:`bundle.volumes`).

What is built on a segmented stack uses the seam between computing and writing::

    with segmenter.segmented(path) as stack:  # a SegmentedStack; its blocks lie on disk until the with ends
        for z in range(stack.shape[0]):
            stack.probability.plane(z)  # float32 [Y, X]; .disagreement and .mask (bool) alike, any slice at any time
            stack.image.plane(z)  # the grey values
        segmenter.write(stack)

or subclasses :class:`StackSegmenter` and extends ``write``, with what :class:`~.writing.StackWriter` writes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ...errors import InputError
from ...home import VERSION
from ...io import Image, Reading, Source, as_source, open_image, reading_record
from ...transforms import Stretching
from ...volumes import HERE, StoredVolume, Workers, band_rows
from ..disagreement import WithDisagreement
from ..expecting import write_expectations
from ..fingerprints import fingerprint_of_network
from ..outputs import Outputs
from ..windows import Windows
from .binarizing import Binarization
from .reading import GreyBlocks
from .resuming import work_folder
from .slices import SliceNetwork
from .stack import SegmentedStack
from .steps import known_steps
from .writing import StackWriter

__all__ = ["StackSegmenter"]

logger = logging.getLogger(__name__)


class StackSegmenter:
    """Segment stacks slice by slice with the 2D network, and make one mask of each volume.

    The results equal those of the transforms given here on the stack in memory, voxel for voxel.

    Args:
        inputs: files; an image that is no stack is segmented as its one slice.
        output_dir: folder to write to.
        reader: says which channel, time point and scene is read.
        contrast: a :class:`bundle.transforms.LinearContrast`, or transforms of which one is its dictionary twin.
        network: a :class:`bundle.networks.CascadeEnsemble` in evaluation, on its device.
        inferer: how a slice is segmented.
        binarization: transforms of the probability: :class:`bundle.transforms.HysteresisThreshold`, ``CloseGaps`` and
            ``RemoveFragments`` or their twins, the first of which must come first.
        device: where the network computes.
        amp: compute in half precision where that is safe.
        suffix: of the images written, which says in which format.
        outputs: the run's; made of the others if None, and then what lies there is replaced.

    Raises:
        ValueError: a transform that is not known by blocks.
    """

    def __init__(
        self,
        inputs: Sequence[str | Path | Source],
        output_dir: str | Path,
        reader: Reading,
        contrast: Stretching | Sequence[object],
        network: nn.Module,
        inferer: Windows,
        binarization: Sequence[object],
        device: torch.device | str = "cpu",
        amp: bool = False,
        suffix: str = ".tif",
        outputs: Outputs | None = None,
    ) -> None:
        self.inputs = [as_source(path) for path in inputs]
        self.reader = reader
        self.network = WithDisagreement(network).eval()
        enhanced = known_steps(contrast if isinstance(contrast, Sequence) else [contrast], (Stretching,))[0]
        self.slices = SliceNetwork(self.network, inferer, enhanced, torch.device(device), amp)
        self.binarization = Binarization(binarization)
        self.workers: Workers = HERE  # or those of a cluster
        self.outputs = outputs or Outputs(output_dir, suffix, True, reader, network)
        self.writer = StackWriter(self.outputs)

    def run(self) -> None:
        """Segment all inputs, a line for each, and say at the end how many there were.

        Raises:
            InputError: an input failed; its own line has been logged.
        """
        failed = 0
        for source in self.inputs:
            try:
                self.outputs.claim(source)
                with self.segmented(source) as stack:
                    self.write(stack)
            except Exception as exception:
                self.outputs.say_failed(source, exception)
                failed += 1
        if failed < len(self.inputs):
            write_expectations(self.outputs)
        logger.info("%d segmented, %d failed", len(self.inputs) - failed, failed)
        if failed:
            raise InputError(None, f"{failed} of {len(self.inputs)} inputs failed", "see above")
        self.outputs.check_there()

    @contextmanager
    def segmented(self, path: str | Path | Source) -> Iterator[SegmentedStack]:
        """Segment a stack, and drop its blocks when the ``with`` ends.

        If it does not end well, blocks are kept for the next run, unless it is the input that is at fault.

        Raises:
            InputError: the input cannot be read, its sizes in micrometres are asked for and not known, no room, or
                another process is at it.
        """
        source = as_source(path)
        options = {**self.reader.options, **source.choices}
        image = open_image(source.path, **options)
        folder = self.outputs.folder / f".{source.name}.parts"
        with work_folder(folder, image.path, lambda: self._settings(image, source)) as work:
            grey = GreyBlocks(image, options)
            stages = self.binarization.stages(image)
            probability, disagreement = (
                StoredVolume(work / kind, grey.shape, np.float32, band_rows(grey.shape[2]))
                for kind in ("probability", "disagreement")
            )
            scale = self.slices.go_over(grey, probability, disagreement, self.workers)
            mask = self.binarization.by_blocks(probability, stages, work, self.workers)
            volumes = probability, disagreement, mask
            yield SegmentedStack(source, image, grey.shape, *volumes, self.workers, options, scale)

    def write(self, stack: SegmentedStack) -> None:
        """Write probability, disagreement, overlay, and last the mask.

        Raises:
            InputError: a file cannot be written.
        """
        self.writer.all_of(stack)

    def _settings(self, image: Image, source: Source) -> dict:
        """All that the probability depends on, as JSON gives it back."""
        contrast, inferer = self.slices.contrast, self.slices.inferer
        return {
            "version": VERSION,
            "input": list(self.outputs.provenance(source).inputs),
            "reading": [*image.shape, str(image.dtype), reading_record(self.reader.options, source.choices)],
            "contrast": [*contrast.percentiles, contrast.per, "without margins"],
            "network": fingerprint_of_network(self.network.network),
            "windows": [inferer.window, inferer.overlap, inferer.whole_pixels],
            "scale": inferer.scale,
            "precision": "mixed" if self.slices.amp else "single",
        }
