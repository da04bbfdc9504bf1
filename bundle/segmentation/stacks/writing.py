"""Writing what was found in a stack, plane by plane, each file complete or not there at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial, reduce
from operator import add
from pathlib import Path
from typing import TypeVar

import numpy as np

from ...errors import InputError
from ...io import Layout, OmeZarrParts, atomic, atomic_folder, check_threads_fit, write_image, write_image_planes
from ...pictures import for_people, mask_overlay, write_png
from ...trust import Evidence, Expectation, Light
from ...volumes import Slab, StoredVolume
from ..expecting import expected_of, note_expectation
from ..outputs import Outputs
from ..remarks import say_found, vessel_share
from ..second_opinion import SecondOpinion
from ..side_by_side import side_by_side
from .projections import middle_projection, picture_projection
from .reading import GreyBlocks
from .stack import SegmentedStack

__all__ = ["StackWriter"]

T = TypeVar("T")

# of a large slice, looked at together where it is asked what Dice to expect
PART_PIXELS = 1 << 21
FEW = 4  # slices that are worth a part where they need none of their neighbours, or one


@dataclass(frozen=True)
class StackWriter:
    """What is written of stacks.

    Args:
        outputs: where it goes, and what makes it.
    """

    outputs: Outputs

    def path(self, stack: SegmentedStack, kind: str) -> Path:
        """The file of an output; ``kind`` is a key of :data:`bundle.io.KINDS`."""
        return self.outputs.path(stack.source, kind)

    def all_of(
        self,
        stack: SegmentedStack,
        also: Mapping[str, StoredVolume] | None = None,
        expectation: Expectation | None = None,
        second: SecondOpinion | None = None,
    ) -> None:
        """Write probability, disagreement, overlay, and last the mask.

        Args:
            stack: what was found.
            also: more that is written before the mask, by its kind.
            expectation: of what the run's own network found; found out if None.
            second: whose network made the mask, if the run's own did not.

        Raises:
            InputError: a file cannot be written.
        """
        volumes = {"probability": stack.probability, "disagreement": stack.disagreement, **(also or {})}
        self.outputs.begin(stack.source, (*volumes, "overlay", "mask"))
        check_threads_fit(2)
        with ThreadPoolExecutor(2) as pool:
            written = [pool.submit(self.stored, stack, kind, volume) for kind, volume in volumes.items()]
            grey = picture_projection(stack.grey.native, stack.shape).astype(np.float32)
            found = picture_projection(stack.mask.rows, stack.shape)
            spacing = stack.image.spacing
            pixel = (
                None if spacing is None else spacing[-1] * stack.shape[-1] / grey.shape[-1]
            )  # of a wide page a pixel is several
            write_png(self.path(stack, "overlay"), for_people(mask_overlay(grey, found), pixel))
            expectation = expectation or self.expectation(stack, stack.mask)
            for future in written:
                future.result()
        source = stack.source
        note_expectation(self.outputs, source, expectation, second)
        self.outputs.confirm(source)
        share = vessel_share(self.stored(stack, "mask", stack.mask), stack.shape, grey)
        slices = (partial(stack.mask.rows, z) for z in range(stack.shape[0]))
        found = middle_projection(slices, stack.shape[1:])
        words = [share, second.words] if second else [share]
        say_found(self.outputs, source, words, expectation, found, grey, stack.scale)

    def expectation(self, stack: SegmentedStack, mask: StoredVolume, second: bool = False) -> Expectation | None:
        """What to expect of a stack's mask, seen by blocks; None of a network that cannot disagree with itself.

        Args:
            stack: what was found.
            mask: of its shape, what is to be written.
            second: whether the weights of slices made it of an image.
        """
        slabs = stack.workers.slabs(stack.shape[0], FEW)

        def seen(look: Callable[..., T], *volumes: StoredVolume) -> list[T]:
            return stack.workers.each("looking at the mask", partial(look, stack.grey, *volumes), slabs)

        said = seen(_said, stack.probability, stack.disagreement, mask)
        if not any(differs for _, differs in said):
            return None
        together = reduce(add, (each for each, _ in said))
        return expected_of(together, lambda: reduce(add, seen(_looks, mask)), stack.shape, second)

    def mask(self, stack: SegmentedStack, planes: Iterable[np.ndarray], grey: np.ndarray) -> str:
        """Write the mask.

        Args:
            stack: what it is the mask of.
            planes: bool ``[Y, X]``, one after the other, each whole or in parts.
            grey: a projection of the stack, in which margins are seen.

        Returns:
            How much of the stack is vessel, in words.

        Raises:
            InputError: it cannot be written, or the input has changed since it was opened.
        """
        self.outputs.confirm(stack.source)
        counts: list[int] = []
        self.volume(stack, "mask", _counted(planes, counts), bool)
        return vessel_share(sum(counts), stack.shape, grey)

    def volume(self, stack: SegmentedStack, kind: str, planes: Iterable[np.ndarray], dtype: np.dtype | type) -> None:
        """Write an output of the stack's shape, spacing and axes, plane by plane.

        It is made in the stack's folder, so that a killed run leaves nothing elsewhere.

        Args:
            stack: what it is an output of.
            kind: a key of :data:`bundle.io.KINDS`.
            planes: 2D arrays ``[Y, X]``, each whole or in parts.
            dtype: of every plane; bool is written as 0 and 255.

        Raises:
            InputError: it cannot be written.
        """
        made, layout = self._made(stack, kind, dtype)
        with self._said_of(stack, kind, made):
            write_image_planes(made, planes, layout)

    def stored(self, stack: SegmentedStack, kind: str, volume: StoredVolume) -> int:
        """Write a volume as an output, as :meth:`volume` does; by the stack's workers if the format has parts.

        Args:
            stack: what it is an output of.
            kind: a key of :data:`bundle.io.KINDS`.
            volume: of the stack's shape.

        Returns:
            How many of its voxels are not 0.

        Raises:
            InputError: it cannot be written.
        """
        made, layout = self._made(stack, kind, volume.dtype)
        with self._said_of(stack, kind, made):
            if made.suffix != ".zarr":
                counts: list[int] = []
                write_image_planes(made, _counted(volume.parts(), counts), layout)
                return sum(counts)
            parts = OmeZarrParts(made, layout)
            parts.begin()
            slabs = stack.workers.slabs(stack.shape[0], FEW)
            written = stack.workers.each(f"writing the {kind}", partial(_fill, parts, volume), slabs)
            parts.end(made.name, (min(low for low, _, _ in written), max(high for _, high, _ in written)))
            return sum(count for _, _, count in written)

    def _made(self, stack: SegmentedStack, kind: str, dtype: np.dtype | type) -> tuple[Path, Layout]:
        """Where an output is made before it is moved to its place, and what it says of itself.

        That is beside the blocks of its mask, in a folder of their thresholds alone, so that a late part of a killed
        command with others writes elsewhere.
        """
        image = stack.image
        record = self.outputs.provenance(stack.source, kind).record
        layout = Layout(image.shape, np.dtype(dtype), image.axes, image.spacing, affine=image.affine, record=record)
        return stack.mask.folder.parent / f"{kind}{self.outputs.suffix}", layout

    @contextmanager
    def _said_of(self, stack: SegmentedStack, kind: str, made: Path) -> Iterator[None]:
        """Move what was made to its place, and say of that what goes wrong."""
        final = self.path(stack, kind)
        try:
            yield
        except InputError as error:
            raise InputError(final, error.problem, error.remedy) from error if error.path == str(made) else None
        with (atomic_folder if made.is_dir() else atomic)(final) as hidden:
            made.replace(hidden)

    def image(self, stack: SegmentedStack, kind: str, array: np.ndarray) -> None:
        """Write an output that is one image ``[Y, X]`` of the stack.

        Raises:
            InputError: it cannot be written.
        """
        spacing = stack.image.spacing and stack.image.spacing[-2:]
        record = self.outputs.provenance(stack.source, kind).record
        write_image(self.path(stack, kind), array, "YX", spacing, affine=stack.image.affine, record=record)


def _bands(grey: GreyBlocks) -> list[tuple[int, int]]:
    """Rows that are looked at together: all of a small slice, however it is stored, since bands cut surroundings."""
    _, height, width = grey.shape
    return [(0, height)] if height * width <= PART_PIXELS else grey.bands


def _parts(grey: GreyBlocks, rows: int) -> list[slice]:
    """Columns of a band that are looked at together: of a large slice few, since that takes a hundred times as much."""
    width = grey.shape[2]
    columns = width if len(_bands(grey)) == 1 else max(1, PART_PIXELS // rows)
    return [slice(left, left + columns) for left in range(0, width, columns)]


def _said(
    grey: GreyBlocks, probability: StoredVolume, disagreement: StoredVolume, mask: StoredVolume, slab: Slab
) -> tuple[Evidence, bool]:
    """What the networks say of a slab of a stack, and whether they differ there."""

    def parts() -> Iterator[list[np.ndarray]]:
        for z in range(*slab):
            for start, stop in _bands(grey):
                rows = [volume.rows(z, start, stop) for volume in (grey, probability, disagreement, mask)]
                yield from ([each[:, part] for each in rows] for part in _parts(grey, stop - start))

    differs, total = False, None
    for part, evidence in side_by_side(parts(), lambda part: Evidence.of_networks(*part), lambda _: 1):
        differs = differs or bool(part[2].any())
        total = evidence() if total is None else total + evidence()
    assert total is not None
    return total, differs


def _looks(grey: GreyBlocks, mask: StoredVolume, slab: Slab) -> Evidence:
    """How the vessels of a slab look."""
    depth = grey.shape[0]

    def parts() -> Iterator[tuple[Light, np.ndarray, list[Light]]]:
        for start, stop in _bands(grey):
            columns = _parts(grey, stop - start)
            near: dict[int, Light | np.ndarray] = {}  # the slice and its neighbours; of a large one grey values alone
            for z in range(*slab):
                beside = [n for n in (z - 1, z + 1) if 0 <= n < depth]
                for n in {z, *beside} - near.keys():
                    rows = grey.rows(n, start, stop)
                    near[n] = Light(rows) if len(columns) == 1 else rows
                found = mask.rows(z, start, stop)
                for part in columns:
                    here, *others = (
                        each if isinstance(each, Light) else Light(each[:, part])
                        for each in (near[n] for n in (z, *beside))
                    )
                    yield here, found[:, part], others
                near.pop(z - 1, None)

    return reduce(
        add, (seen() for _, seen in side_by_side(parts(), lambda part: Evidence.of_looks(*part), lambda _: 1))
    )


def _fill(parts: OmeZarrParts, volume: StoredVolume, slab: Slab) -> tuple[float, float, int]:
    """Write a slab: the lowest and the highest of its values, and how many are not 0."""
    counts: list[int] = []
    blocks = (volume.rows(z, start, stop) for z in range(*slab) for start, stop in volume.bands)
    low, high = parts.fill(_counted(blocks, counts), slab[0], slab[1] - slab[0])
    return low, high, sum(counts)


def _counted(planes: Iterable[np.ndarray], counts: list[int]) -> Iterator[np.ndarray]:
    for plane in planes:
        counts.append(int(np.count_nonzero(plane)))
        yield plane
