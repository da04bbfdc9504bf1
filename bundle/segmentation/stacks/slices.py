"""The 2D network over the slices of a stack: what it says of each goes to the disk while it sees the next."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial, reduce
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from ...io import atomic, image_name
from ...networks import give_memory_back
from ...transforms import Stretching
from ...volumes import HERE, Slab, StoredVolume, Workers, ahead, band_rows, behind
from ..scales import say_scale
from ..side_by_side import side_by_side
from ..windows import Windows, middle_of
from .projections import middle_projection
from .reading import Enhanced, EnhancedSlices, GreyBlocks, SliceRows

__all__ = ["SliceNetwork"]

logger = logging.getLogger(__name__)

NOTE = "scale.json"


@dataclass(frozen=True)
class SliceNetwork:
    """The network, and how it sees a slice.

    Args:
        network: gives ``[B, 2, X, Y]``, a probability and a disagreement, of ``[B, 1, X, Y]``.
        inferer: how a slice is segmented.
        contrast: how a slice is enhanced before.
        device: where the network computes.
        amp: compute in half precision where that is safe.
    """

    network: nn.Module
    inferer: Windows
    contrast: Stretching
    device: torch.device
    amp: bool

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        """What the network gives of a batch on its device."""
        with torch.autocast(self.device.type, enabled=self.amp):
            return self.network(batch)

    def of_image(self, image: torch.Tensor) -> torch.Tensor:
        """What the network gives ``[1, 2, X, Y]`` of an enhanced image ``[1, 1, X, Y]``, through the inferer."""
        return self.inferer(image.to(self.device), self)

    def go_over(
        self,
        grey: GreyBlocks,
        probability: StoredVolume,
        disagreement: StoredVolume,
        workers: Workers = HERE,
        enhance: Callable[[], Enhanced] | None = None,
    ) -> float:
        """Compute the slices that are missing.

        Args:
            grey: the stack.
            probability: of its shape; what is not there yet is written.
            disagreement: the same.
            workers: who does it.
            enhance: enhances the slices, if any is missing; by ``contrast`` if None.

        Returns:
            The factor by which they were resampled.

        Raises:
            InputError: a slice cannot be read, or no room is left.
        """
        depth = grey.shape[0]
        # the probability of a block is written after its disagreement, and stands for both
        missing = _missing(probability, (0, depth))
        if not missing:
            return _noted(probability.folder.parent) if self.inferer.scale == "auto" else self.inferer.scale
        done = depth - len(missing)
        if done:
            logger.info("%s: goes on with slice %d, %d of %d are there", grey.path, missing[0] + 1, done, depth)
        slices = enhance() if enhance else EnhancedSlices(grey, self.contrast, workers)
        if self.inferer.scale == "auto":
            scale = self._fit(slices, probability.folder.parent, workers)
            say_scale(scale, grey.path)
        else:
            scale = self.inferer.scale
        slabs = [slab for slab in workers.slabs(depth, 1) if not probability.holds(*slab)]
        workers.each("network", partial(self._see, slices, probability, disagreement, scale), slabs)
        return scale

    @torch.inference_mode()
    def _see(
        self, slices: Enhanced, probability: StoredVolume, disagreement: StoredVolume, scale: float, slab: Slab
    ) -> None:
        """Compute what is missing of a slab."""
        missing = _missing(probability, slab)
        depth, height, width = slices.grey.shape
        name, done = image_name(slices.grey.path), depth - len(missing)
        bar = tqdm(desc=name, total=depth, initial=done, unit="slice", ncols=100, leave=False, disable=None)
        with bar, behind() as call:
            for z, blocks in self._found(ahead(slices.each(missing)), (width, height), scale, probability.bands):
                for start, block in blocks:
                    call(disagreement.write, z, start, block[1])
                    call(probability.write, z, start, block[0])
                bar.update()
        give_memory_back()

    def _found(
        self, slices: Iterable[tuple[int, SliceRows]], size: tuple[int, int], scale: float, bands: list[tuple[int, int]]
    ) -> Iterator[tuple[int, Iterable[tuple[int, np.ndarray]]]]:
        """Each slice's number and, by bands, what the network finds: slices side by side, large ones in parts."""

        def found(entry: tuple[int, SliceRows]) -> Iterator[tuple[int, np.ndarray]]:
            def rows(start: int, stop: int) -> torch.Tensor:
                return _tensor(entry[1](start, stop)).to(self.device)

            return _banded(self.inferer.rows(rows, size, self, scale), bands)

        threads = self.inferer.threads(size, scale, self.device)
        if threads == torch.get_num_threads():  # no room for two of them
            for entry in slices:
                yield entry[0], found(entry)
            return
        for (z, _), result in side_by_side(slices, lambda entry: list(found(entry)), lambda _: threads):
            yield z, result()

    def _fit(self, slices: Enhanced, work: Path, workers: Workers) -> float:
        """The scale that the projection of the enhanced slices asks for, which is that of all of them, whoever goes on.

        Args:
            slices: all of them are read.
            work: folder in which it is noted.
            workers: who looks at the slices.
        """
        if (work / NOTE).exists():
            return _noted(work)
        depth, height, width = slices.grey.shape
        slabs = workers.slabs(depth)
        (top, bottom), (left, right) = middle_of(height), middle_of(width)
        shape = (len(slabs), bottom - top, right - left)
        middles = StoredVolume(work / "middle", shape, np.float32, band_rows(shape[2]))
        workers.each("looking for widths", partial(_project, slices, middles), list(enumerate(slabs)))
        (scale,) = workers.each("choosing the scale", partial(self._fitting, middles), [None])
        with atomic(work / NOTE) as file:
            file.write_text(json.dumps(scale), encoding="utf-8")
        return scale

    @torch.inference_mode()
    def _fitting(self, middles: StoredVolume, _: None) -> float:
        shown = reduce(np.maximum, middles.planes())
        return self.inferer.fit(_tensor(shown).to(self.device), self)


def _noted(work: Path) -> float:
    """The scale that was found for the blocks of a folder."""
    return float(json.loads((work / NOTE).read_text(encoding="utf-8")))


def _project(slices: Enhanced, middles: StoredVolume, part: tuple[int, Slab]) -> None:
    number, slab = part
    rows = (rows for _, rows in ahead(slices.each(range(*slab))))
    shown = middle_projection(rows, slices.grey.shape[1:])
    for start, stop in middles.bands:
        middles.write(number, start, shown[start:stop])


def _missing(probability: StoredVolume, slab: Slab) -> list[int]:
    return [z for z in range(*slab) if not probability.holds(z, z + 1)]


def _tensor(rows: np.ndarray) -> torch.Tensor:
    """``[Y, X]`` as ``[1, 1, X, Y]``, as MONAI's readers have it."""
    return torch.as_tensor(rows.T)[None, None]


def _banded(parts: Iterable[torch.Tensor], bands: list[tuple[int, int]]) -> Iterator[tuple[int, np.ndarray]]:
    """Cut what comes in parts ``[1, K, X, n]`` to bands ``[K, rows, X]``."""
    held: list[np.ndarray] = []
    waiting = list(reversed(bands))
    for part in parts:
        held.append(part[0].float().cpu().numpy().transpose(0, 2, 1))
        while waiting and sum(block.shape[1] for block in held) >= waiting[-1][1] - waiting[-1][0]:
            start, stop = waiting.pop()
            rows = held[0] if len(held) == 1 else np.concatenate(held, 1)
            yield start, rows[:, : stop - start]
            held = [rows[:, stop - start :]]
