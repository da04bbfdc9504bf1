"""Segmentation of images and fused stacks, small ones side by side, of which some may be bad, by PyTorch alone."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from ..errors import InputError, foreseen, unreadable
from ..io import Image, Reading, Source, open_image
from ..transforms import Closing, Equalization, Fusing, Hysteresis, Removal, Stretching
from ..transforms.focus import fuse
from ..volumes import PAGE_PIXELS, ahead
from .disagreement import WithDisagreement
from .expecting import expected_of_image
from .outputs import Outputs
from .pages import PageSegmenter
from .second_opinion import SecondOpinion, better_of
from .side_by_side import side_by_side
from .stacks import SliceNetwork, known_steps
from .windows import Windows
from .writing import Found, FoundWriter

__all__ = ["ImageSegmenter"]

logger = logging.getLogger(__name__)

Read = tuple[Image, np.ndarray, np.ndarray | None, np.ndarray]


class ImageSegmenter:
    """Segment images, and stacks by their fusion, as :class:`bundle.segmentation.SegmentationEvaluator` does.

    Needs nothing of MONAI and ignite, whose import takes longer than a small image. The next image is read and
    enhanced while the network sees this one, and small ones are segmented side by side. Of a stack a few slices are
    in memory at a time; a plane larger than ``page_pixels`` is segmented by bands of rows
    (:class:`~bundle.segmentation.pages.PageSegmenter`).

    Args:
        inputs: files.
        reader: says which channel, time point and scene is read.
        fusion: a :class:`bundle.transforms.Fusing` and a :class:`bundle.transforms.Equalization`.
        network: a :class:`bundle.networks.CascadeEnsemble` in evaluation, on its device.
        inferer: how an image is segmented.
        binarization: :class:`bundle.transforms.Hysteresis`, ``Closing`` and ``Removal``, in any order.
        outputs: the run's.
        device: where the network computes.
        amp: compute in half precision where that is safe.
        page_pixels: of a plane, up to which it is held in memory.
        second: asked where little is to be expected of what the network finds.
    """

    def __init__(
        self,
        inputs: Sequence[Source],
        reader: Reading,
        fusion: Sequence[object],
        network: nn.Module,
        inferer: Windows,
        binarization: Sequence[object],
        outputs: Outputs,
        device: torch.device | str = "cpu",
        amp: bool = False,
        page_pixels: int = PAGE_PIXELS,
        second: SecondOpinion | None = None,
    ) -> None:
        self.inputs = inputs
        self.page_pixels = page_pixels
        self.reader = reader
        self.fusing, self.equalization = known_steps(fusion, (Fusing, Equalization))
        self.network = WithDisagreement(network).eval()
        self.inferer = inferer
        self.binarization = known_steps(
            getattr(binarization, "transforms", binarization), (Hysteresis, Closing, Removal)
        )
        self.outputs = outputs
        self.device = torch.device(device)
        self.amp = amp
        self.writer = FoundWriter(outputs)
        seen = SliceNetwork(self.network, inferer, Stretching(), self.device, amp)
        self.second = second
        self.pages = PageSegmenter(outputs, self.fusing, self.equalization, seen, self.binarization, second)

    def run(self) -> None:
        """Segment everything, a line for each, and say at the end how much there was.

        Raises:
            InputError: an input failed; its own line has been logged.
        """
        failed, large = 0, []
        bar = tqdm(desc="segment", total=len(self.inputs), ncols=100, leave=False, disable=None)
        with bar:
            for (source, read), found in side_by_side(ahead(self._read(), 1), self._found_in, self._threads):
                if isinstance(read, Image):  # segmented last, when no other image takes memory
                    large.append((source, read))
                    continue
                failed += not self._succeeds(source, partial(self._write, source, found))
                bar.update()
            for source, image in large:
                failed += not self._succeeds(source, partial(self.pages.segment, source, image))
                bar.update()
        if len(self.inputs) > failed:
            self.writer.say_where_to_look()
            self.outputs.check_there()
        logger.info("%d segmented, %d failed", len(self.inputs) - failed, failed)
        if failed:
            raise InputError(None, f"{failed} of {len(self.inputs)} inputs failed", "see above")

    def _succeeds(self, source: Source, segment: Callable[[], object]) -> bool:
        """Call what segments an input; what is wrong with that is logged."""
        try:
            segment()
        except Exception as exception:
            self.outputs.say_failed(source, exception)
            return False
        return True

    def _write(self, source: Source, found: Callable[[], Found | Image]) -> None:
        result = found()
        assert isinstance(result, Found)
        self.writer.write(source, result)

    def _read(self) -> Iterator[tuple[Source, InputError | Image | Read]]:
        """Each input with what was read of it, with itself if its planes are large, or with its error."""
        for source in self.inputs:
            try:
                self.outputs.claim(source)
                image = open_image(source.path, **{**self.reader.options, **source.choices})
                large = math.prod(image.shape[-2:]) > self.page_pixels
                yield source, image if large else self._enhanced(image)
            except Exception as exception:
                yield source, foreseen(exception, source) or unreadable(exception)

    def _enhanced(self, image: Image) -> Read:
        """The image, its plane or that of its fusion, the fusion's depth, and the enhanced plane; ``[Y, X]`` each."""

        def planes() -> Iterator[np.ndarray]:
            for stored in image.planes():
                with np.errstate(over="ignore"):
                    plane = stored.astype(np.float32)
                if not np.isfinite(plane).all():
                    raise InputError(image.path, "holds values beyond float32", "scale them down")
                yield plane

        depth = None
        if len(image.shape) == 3:
            plane, depth = fuse(planes, self.fusing.method)
        else:
            plane = next(planes())
        # columns first, as MONAI's readers have it
        return image, plane, depth, self.equalization.of_plane(plane.T, str(image.path)).T

    def _threads(self, entry: tuple[Source, InputError | Image | Read]) -> int:
        """On how many threads an input is segmented."""
        read = entry[1]
        if isinstance(read, InputError | Image):
            return 1
        scale = 2.0 if self.inferer.scale == "auto" else self.inferer.scale  # as large as it is likely to become
        return self.inferer.threads(read[1].shape, scale, self.device)

    def _found_in(self, entry: tuple[Source, InputError | Image | Read]) -> Found | Image:
        """What was found; an image whose planes are large is given back, since it is segmented alone."""
        read = entry[1]
        if isinstance(read, InputError):
            raise read
        return read if isinstance(read, Image) else self._found(*read)

    def _found(self, image: Image, plane: np.ndarray, depth: np.ndarray | None, enhanced: np.ndarray) -> Found:
        seen = torch.as_tensor(enhanced.T)[None, None].to(self.device)
        scale = self.inferer.factor(seen, partial(self._seen_by, self.network), image.path)
        spacing = image.spacing and image.spacing[-2:]

        def found(network: nn.Module) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            maps = self.inferer.whole(seen, partial(self._seen_by, network), scale)[0].float().cpu().numpy()
            return maps[0].T, maps[1].T, self._mask(image, maps[0], spacing).T

        (probability, disagreement, mask), expectation, other = better_of(
            found(self.network),
            lambda found, second: expected_of_image(plane, *found, second=second),
            found,
            self.second,
        )
        return Found(
            mask=mask,
            maps={"probability": probability, "disagreement": disagreement},
            image=plane,
            dtype=image.dtype.name,
            depth=depth,
            spacing=spacing,
            affine=image.affine,
            scale=scale,
            expectation=expectation,
            second=self.second if other else None,
        )

    def _seen_by(self, network: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        with torch.autocast(self.device.type, enabled=self.amp):
            return network(batch)

    def _mask(self, image: Image, probability: np.ndarray, spacing: tuple[float, ...] | None) -> np.ndarray:
        """Of S, columns first."""
        mask = probability
        for step in self.binarization:
            if getattr(step, "unit", "pixel") == "micrometer" and step.size and spacing is None:
                problem = "a size in micrometres was asked for, but the image has no pixel spacing"
                raise InputError(image.path, problem, "give --spacing, or sizes in pixels")
            mask = step.of(mask, spacing and spacing[::-1])
        return mask
