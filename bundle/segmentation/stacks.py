"""Segmentation of stacks in memory that does not grow with their depth, and that goes on where it was interrupted.

Reading and enhancing, the network, and storing the probability overlap; hysteresis and morphology then go over the
stored volume by blocks (:mod:`bundle.volumes`). All lies in a hidden folder beside the outputs, which a killed run
leaves and the next one takes up if the input, the network and all that the probability depends on are the same.

What is built on a segmented stack uses the seam between computing and writing::

    with segmenter.segmented(path) as stack:  # a SegmentedStack; its blocks lie on disk until the with ends
        for z in range(stack.shape[0]):
            stack.probability.plane(z)  # float32 [Y, X]; .disagreement and .mask (bool) alike, any slice at any time
            stack.image.plane(z)  # the grey values
        segmenter.write(stack)

or subclasses :class:`StackSegmenter` and extends ``write``.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from monai.transforms import Compose, CopyItemsd, Transform
from torch import nn
from tqdm import tqdm

from .. import volumes
from ..errors import InputError, input_error
from ..io import (
    Image,
    Layout,
    MicroscopyReader,
    atomic,
    image_name,
    open_image,
    output_path,
    remove_found,
    write_image_planes,
)
from ..io.atomic import atomic_folder
from ..io.lock import alone
from ..pictures import mask_overlay, write_png
from ..transforms import CloseGaps, HysteresisThreshold, LinearContrast, RemoveFragments
from ..transforms.arrays import DictionaryTwin
from ..transforms.binarization import TOLERANCE, ball
from ..transforms.contrast import stretch
from ..volumes import StoredVolume, ahead, band_rows, behind
from .disagreement import WithDisagreement
from .inferers import WholeOrWindowsInferer, middle_of
from .remarks import remark_on_mask, vessel_share

__all__ = ["SegmentedStack", "StackSegmenter"]

logger = logging.getLogger(__name__)

# pixels of a side of a picture: a page of 60,000 is shown by the maxima of squares
PICTURE_SIDE = 8192

ReadRows = Callable[[int, int, int], np.ndarray]
Limits = tuple[float, float, float | None]  # of the contrast


@dataclass(frozen=True)
class SegmentedStack:
    """What was found in a stack; its volumes are read by blocks, and gone when the segmenter drops its folder.

    Args:
        image: the input; an image that is no stack counts as one of one slice.
        shape: Z, Y, X.
        probability: S, float32, 0 to 1.
        disagreement: |L − N| of the two cascades, float32.
        mask: bool, after hysteresis and morphology.
    """

    image: Image
    shape: tuple[int, int, int]
    probability: StoredVolume
    disagreement: StoredVolume
    mask: StoredVolume


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

    Raises:
        ValueError: a transform that is not known by blocks.
    """

    def __init__(
        self,
        inputs: Sequence[str | Path],
        output_dir: str | Path,
        reader: MicroscopyReader,
        contrast: LinearContrast | Sequence[Transform],
        network: nn.Module,
        inferer: WholeOrWindowsInferer,
        binarization: Compose | Sequence[Transform],
        device: torch.device | str = "cpu",
        amp: bool = False,
        suffix: str = ".tif",
    ) -> None:
        self.inputs = [Path(path) for path in inputs]
        self.output_dir = Path(output_dir)
        self.reader = reader
        self.contrast = _known([contrast] if isinstance(contrast, Transform) else contrast, (LinearContrast,))[0]
        self.network = WithDisagreement(network).eval()
        self.inferer = inferer
        steps = binarization.transforms if isinstance(binarization, Compose) else binarization
        self.threshold, *self.morphology = _known(steps, (HysteresisThreshold, CloseGaps, RemoveFragments))
        if not isinstance(self.threshold, HysteresisThreshold):
            raise ValueError("the first step to a mask must be a HysteresisThreshold")
        self.device = torch.device(device)
        self.amp = amp
        self.suffix = suffix

    def run(self) -> None:
        """Segment all inputs, a line for each, and say at the end how many there were.

        Raises:
            InputError: an input failed; its own line has been logged.
        """
        failed = 0
        for path in self.inputs:
            try:
                with self.segmented(path) as stack:
                    self.write(stack)
            except Exception as exception:
                error = input_error(exception)
                if isinstance(exception, MemoryError):
                    error = InputError(path, "does not fit into memory", "crop it")
                if error is None:
                    raise
                logger.error("%s", error if error.path else InputError(path, error.problem, error.remedy))
                failed += 1
        logger.info("%d segmented, %d failed", len(self.inputs) - failed, failed)
        if failed:
            raise InputError(None, f"{failed} of {len(self.inputs)} inputs failed", "see above")

    @contextmanager
    def segmented(self, path: str | Path) -> Iterator[SegmentedStack]:
        """Segment a stack, and drop its blocks when the ``with`` ends.

        If it does not end well, blocks are kept for the next run, unless it is the input that is at fault.

        Raises:
            InputError: the input cannot be read, its sizes in micrometres are asked for and not known, no room, or
                another process is at it.
        """
        image = open_image(path, **self.reader.options)
        grey = _Grey(image)
        work = self.output_dir / f".{image_name(path)}.parts"
        with alone(work.with_suffix(".lock"), image.path):
            yield from self._within(work, image, grey)

    def _within(self, work: Path, image: Image, grey: _Grey) -> Iterator[SegmentedStack]:
        self._take_up(work, image)
        try:
            steps = self._steps(image)
            probability, disagreement = (
                StoredVolume(work / kind, grey.shape, np.float32, band_rows(grey.shape[2]))
                for kind in ("probability", "disagreement")
            )
            with torch.inference_mode():
                self._infer(grey, probability, disagreement)
            mask = self._binarize(probability, steps, work)
            yield SegmentedStack(image, grey.shape, probability, disagreement, mask)
        except InputError as error:
            if error.path is None or Path(error.path) == image.path:
                shutil.rmtree(work, ignore_errors=True)
            raise
        shutil.rmtree(work, ignore_errors=True)

    def write(self, stack: SegmentedStack) -> None:
        """Write probability, disagreement, overlay, and last the mask.

        Raises:
            InputError: a file cannot be written.
        """
        source = stack.image.path
        remove_found(self.output_dir, source, self.suffix)
        with ThreadPoolExecutor(2) as pool:
            written = [
                pool.submit(self.write_volume, stack, kind, volume.planes(), np.float32)
                for kind, volume in (("probability", stack.probability), ("disagreement", stack.disagreement))
            ]
            grey = _shown(_Grey(stack.image).native, stack.shape).astype(np.float32)
            found = _shown(stack.mask.rows, stack.shape)
            write_png(self._path(stack, "overlay"), mask_overlay(grey, found))
            for future in written:
                future.result()
        voxels = 0

        def counted() -> Iterator[np.ndarray]:
            nonlocal voxels
            for plane in stack.mask.planes():
                voxels += int(np.count_nonzero(plane))
                yield plane

        self.write_volume(stack, "mask", counted(), bool)
        remark_on_mask(source, _middle(stack.mask.rows, stack.shape))
        logger.info("%s: %s, %s", source, vessel_share(voxels, stack.shape, grey), self._path(stack, "mask"))

    def write_volume(
        self, stack: SegmentedStack, kind: str, planes: Iterable[np.ndarray], dtype: np.dtype | type
    ) -> None:
        """Write an output of the stack's shape, spacing and axes, plane by plane.

        It is made in the stack's folder, so that a killed run leaves nothing elsewhere.

        Args:
            stack: what it is an output of.
            kind: a key of :data:`bundle.io.KINDS`.
            planes: 2D arrays ``[Y, X]``.
            dtype: of every plane; bool is written as 0 and 255.

        Raises:
            InputError: it cannot be written.
        """
        image, final = stack.image, self._path(stack, kind)
        made = stack.mask.folder.parent / f"{kind}{self.suffix}"
        try:
            write_image_planes(made, planes, Layout(image.shape, dtype, image.axes, image.spacing, affine=image.affine))
        except InputError as error:
            raise InputError(final, error.problem, error.remedy) from error if error.path == str(made) else None
        with (atomic_folder if made.is_dir() else atomic)(final) as partial:
            made.replace(partial)

    def _path(self, stack: SegmentedStack, kind: str) -> Path:
        return output_path(self.output_dir, stack.image.path, kind, self.suffix)

    def _take_up(self, work: Path, image: Image) -> None:
        """Keep the blocks of an earlier run that would come out the same, drop others, and say which."""
        settings = self._settings(image)
        note = work / "settings.json"
        try:
            before = json.loads(note.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            before = None
        if before == settings:
            return
        if isinstance(before, dict):
            other = [name for name in settings if before.get(name) != settings[name]]
            logger.info("%s: begins anew, since %s changed", image.path, " and ".join(other))
        shutil.rmtree(work, ignore_errors=True)
        with atomic(note) as partial:
            partial.write_text(json.dumps(settings, indent=1), encoding="utf-8")

    def _settings(self, image: Image) -> dict:
        """All that the probability depends on, as JSON gives it back."""
        files = [image.path]
        if image.path.is_dir():
            files = sorted(path for path in image.path.rglob("*") if path.is_file())
        about = [path.stat() for path in files]
        inferer = self.inferer
        return {
            "input": [str(image.path.resolve()), sum(s.st_size for s in about), max(s.st_mtime_ns for s in about)],
            "reading": [*image.shape, str(image.dtype), repr(sorted(self.reader.options.items(), key=str))],
            "contrast": [*self.contrast.percentiles, self.contrast.per, "without margins"],
            "network": _fingerprint(self.network.network),
            "windows": [inferer.window, inferer.overlap, inferer.whole_pixels],
            "scale": inferer.scale,
            "precision": "mixed" if self.amp else "single",
        }

    def _steps(self, image: Image) -> list[tuple[str, object]]:
        """The morphology as the image's spacing has it: balls, and numbers of voxels."""
        steps: list[tuple[str, object]] = []
        for step in self.morphology:
            if not step.size:
                continue
            if step.unit == "micrometer" and image.spacing is None:
                problem = "a size in micrometres was asked for, but the image has no pixel spacing"
                raise InputError(image.path, problem, "give --spacing, or sizes in pixels")
            spacing = image.spacing if step.unit == "micrometer" else (1.0,) * len(image.shape)
            if isinstance(step, CloseGaps):
                # made with x first, as of the array that the reader gives, since the last bit of its sums may decide
                element = ball(step.size, spacing[::-1]).T
                steps.append(("close", element.reshape((1,) * (3 - element.ndim) + element.shape)))
            else:
                steps.append(("remove", step.size / np.prod(spacing[::-1]) * (1 - TOLERANCE)))
        return steps

    def _infer(self, grey: _Grey, probability: StoredVolume, disagreement: StoredVolume) -> None:
        """Compute the probability of the slices that are missing."""
        depth, height, width = grey.shape
        # the probability of a block is written after its disagreement, and stands for both
        missing = [z for z in range(depth) if not all(probability.has(z, start) for start, _ in probability.bands)]
        if not missing:
            return
        if len(missing) < depth:
            count = depth - len(missing)
            logger.info("%s: goes on with slice %d, %d of %d are there", grey.path, missing[0] + 1, count, depth)
        limits = None
        if self.contrast.per == "volume":
            limits = self._limits(grey, range(depth))
        scale = self.inferer.scale
        if scale == "auto":
            scale = self._fit(grey, limits)
        bar = tqdm(
            desc=image_name(grey.path),
            total=depth,
            initial=depth - len(missing),
            unit="slice",
            ncols=100,
            leave=False,
            disable=None,
        )
        with bar, behind() as call:
            for z, read in ahead(self._readers(grey, missing, limits)):
                parts = self.inferer.rows(
                    lambda start, stop, read=read: _tensor(read(start, stop)).to(self.device),
                    (width, height),
                    self._compute,
                    scale,
                )
                for start, block in _banded(parts, probability.bands):
                    call(disagreement.write, z, start, block[1])
                    call(probability.write, z, start, block[0])
                bar.update()

    def _compute(self, batch: torch.Tensor) -> torch.Tensor:
        with torch.autocast(self.device.type, enabled=self.amp):
            return self.network(batch)

    def _fit(self, grey: _Grey, limits: Limits | None) -> float:
        """The scale that the projection of the enhanced slices asks for."""
        reads = dict(self._readers(grey, range(grey.shape[0]), limits, keep=False))
        shown = _middle(lambda z, start, stop: reads[z](start, stop), grey.shape)
        return self.inferer.fit(_tensor(shown).to(self.device), self._compute)

    def _readers(
        self, grey: _Grey, slices: Iterable[int], limits: Limits | None, keep: bool = True
    ) -> Iterator[tuple[int, Callable[[int, int], np.ndarray]]]:
        """For each slice, what reads its enhanced rows; a slice of one block is read and enhanced at once."""
        for z in slices:
            if len(grey.bands) == 1 and keep:
                plane = grey.rows(z, 0, grey.shape[1])
                own = limits or self.contrast.limits([lambda plane=plane: [plane]], plane.shape)
                enhanced = stretch(plane, *own)
                yield z, lambda start, stop, enhanced=enhanced: enhanced[start:stop]
            else:
                own = limits or self._limits(grey, [z])
                yield z, lambda start, stop, z=z, own=own: stretch(grey.rows(z, start, stop), *own)

    def _limits(self, grey: _Grey, slices: Iterable[int]) -> Limits:
        return self.contrast.limits([lambda z=z: grey.blocks([z]) for z in slices], grey.shape[1:])

    def _binarize(self, probability: StoredVolume, steps: list[tuple[str, object]], work: Path) -> StoredVolume:
        mask = None
        stages = [("hysteresis", None), *steps]
        for number, (kind, value) in enumerate(stages):
            out = StoredVolume(work / f"{number}-{kind}", probability.shape, bool, _rows(probability))
            notes = work / "notes"
            if kind == "hysteresis":
                volumes.hysteresis(probability, self.threshold.low, self.threshold.high, out, notes)
            elif kind == "close":
                volumes.close_gaps(mask, value, out)
            else:
                volumes.remove_fragments(mask, value, out, notes)
            shutil.rmtree(notes, ignore_errors=True)
            if mask is not None:
                shutil.rmtree(mask.folder, ignore_errors=True)
            mask = out
        return mask


class _Grey:
    """An image's grey values as float32 would hold them, by blocks; those of 16 bits or less as they are."""

    def __init__(self, image: Image) -> None:
        self.image, self.path = image, image.path
        self.shape = (len(image), *image.shape[-2:])
        height = band_rows(self.shape[2])
        self.bands = [(start, min(start + height, self.shape[1])) for start in range(0, self.shape[1], height)]
        self._narrow = image.dtype.kind in "bui" and image.dtype.itemsize <= 2

    def native(self, z: int, start: int, stop: int) -> np.ndarray:
        """Rows in the file's type."""
        if (start, stop) == (0, self.shape[1]):
            return self.image.plane(z)
        return self.image.rows(z, start, stop)

    def rows(self, z: int, start: int, stop: int) -> np.ndarray:
        """Rows in a type whose values float32 holds.

        Raises:
            InputError: a value is too large for it.
        """
        rows = self.native(z, start, stop)
        if self._narrow:
            return rows
        with np.errstate(over="ignore"):
            rows = rows.astype(np.float32)
        if not np.isfinite(rows).all():
            raise InputError(self.path, "holds values beyond float32", "scale them down")
        return rows

    def blocks(self, slices: Iterable[int]) -> Iterator[np.ndarray]:
        """All blocks of the slices."""
        return (self.rows(z, start, stop) for z in slices for start, stop in self.bands)


def _known(transforms: Iterable[Transform], kinds: tuple[type, ...]) -> list:
    arrays = [step.transform if isinstance(step, DictionaryTwin) else step for step in transforms]
    known = [step for step in arrays if isinstance(step, kinds)]
    for step in arrays:
        if step not in known and not isinstance(step, CopyItemsd):
            raise ValueError(f"{type(step).__name__} is not known by blocks; known are {[k.__name__ for k in kinds]}")
    if not known:
        raise ValueError(f"none of {[k.__name__ for k in kinds]} is given")
    return known


def _rows(volume: StoredVolume) -> int:
    start, stop = volume.bands[0]
    return stop - start


def _tensor(rows: np.ndarray) -> torch.Tensor:
    """``[Y, X]`` as ``[1, 1, X, Y]``, as MONAI's readers have it."""
    return torch.as_tensor(rows.T)[None, None]


def _banded(parts: Iterable[torch.Tensor], bands: list[tuple[int, int]]) -> Iterator[tuple[int, np.ndarray]]:
    """Cut what comes in parts ``[1, K, X, n]`` to bands ``[K, rows, X]``."""
    held: list[np.ndarray] = []
    waiting = iter(bands)
    start, stop = next(waiting)
    for part in parts:
        held.append(part[0].float().cpu().numpy().transpose(0, 2, 1))
        while start is not None and sum(block.shape[1] for block in held) >= stop - start:
            rows = held[0] if len(held) == 1 else np.concatenate(held, 1)
            yield start, rows[:, : stop - start]
            held = [rows[:, stop - start :]]
            start, stop = next(waiting, (None, None))


def _middle(read: ReadRows, shape: tuple[int, int, int]) -> np.ndarray:
    """The maximum projection of a volume's middle, in which widths are measured."""
    (top, bottom), (left, right) = (middle_of(side) for side in shape[1:])
    projection = None
    for z in range(shape[0]):
        rows = read(z, top, bottom)[:, left:right]
        projection = rows.copy() if projection is None else np.maximum(projection, rows, out=projection)
    return projection


def _shown(read: ReadRows, shape: tuple[int, int, int]) -> np.ndarray:
    """The maximum projection of a volume, by the maxima of squares where it is too wide for a picture."""
    depth, height, width = shape
    square = math.ceil(max(height, width) / PICTURE_SIDE)
    step = height if square == 1 and height <= band_rows(width) else max(square, band_rows(width) // square * square)
    projection = None
    for start in range(0, height, step):
        for z in range(depth):
            rows = read(z, start, min(start + step, height))
            if square > 1:
                rows = np.maximum.reduceat(rows, np.arange(0, len(rows), square), axis=0)
                rows = np.maximum.reduceat(rows, np.arange(0, width, square), axis=1)
            if projection is None:
                projection = np.zeros((-(-height // square), rows.shape[1]), rows.dtype)
            part = projection[start // square : start // square + len(rows)]
            part[...] = rows if z == 0 else np.maximum(part, rows)
    return projection


def _fingerprint(network: nn.Module) -> str:
    """Whether a network gives the same: its weights, and what it does with them."""
    digest = hashlib.sha256(repr(network).encode())
    plain = {name: value for name, value in vars(network).items() if isinstance(value, (bool, int, float, str))}
    digest.update(repr(sorted(plain.items())).encode())
    for name, tensor in network.state_dict().items():
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
