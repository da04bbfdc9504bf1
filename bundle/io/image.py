"""What the readers of all formats hand over, and the choice of one image or stack from it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from threading import Lock

import numpy as np

from ..errors import InputError
from .memory import check_fits
from .remarks import remark
from .spacing import check_usual, is_possible_size, plausible_spacing

logger = logging.getLogger(__name__)

_OPTIONS = {"C": "channel", "T": "time", "R": "position"}
_COLOURS = ("red", "green", "blue")
_NO_COLOURS = ("alpha", "index", "stored")  # samples that are not compared with the others
_SLICES = 5  # channels, positions or samples, from which on slices may be meant
_LARGEST, _SMALLEST = 1e30, 1e-30  # float32 holds no more, and no detector counts so


@dataclass(frozen=True)
class Recording:
    """One scene of a file, as the file stores it, no pixel read yet.

    Args:
        path: the file.
        axes: one letter per dimension, of ``TRZCYXS``: R is the stage's positions, S the samples of a colour image.
        shape: the sizes, in the order of ``axes``.
        dtype: the type of the values, in native byte order.
        read: takes the index along every axis but Y, X and S, and gives that plane ``[Y, X]`` or ``[Y, X, S]``.
        spacing: micrometres per pixel by axis, as far as the file says.
        channels: the channels' names, or none.
        name: the scene's name, or nothing.
        samples: what the samples along S are; by default red, green and blue, and alpha.
        positions: the positions' names, or none.
        undeclared: the file does not say what Z is: it is only the order of the pages.
        rows: as ``read``, with the first row and the row after the last one of those that are wanted, where the format
            gives some rows without all; None where it does not.
        affine: of a NIfTI file, 4 × 4: from indices along X, Y, Z to millimetres in the world.
        problem: what keeps it from being read as an image, and what to do; none if nothing does. Stated axes override.
    """

    path: Path
    axes: str
    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[Mapping[str, int]], np.ndarray]
    spacing: Mapping[str, float | None] = field(default_factory=dict)
    channels: tuple[str, ...] = ()
    name: str = ""
    samples: tuple[str, ...] = ()
    positions: tuple[str, ...] = ()
    undeclared: bool = False
    rows: Callable[[Mapping[str, int], int, int], np.ndarray] | None = None
    affine: np.ndarray | None = None
    problem: tuple[str, str] | None = None

    @property
    def size(self) -> dict[str, int]:
        """The size along each axis."""
        return dict(zip(self.axes, self.shape, strict=True))

    @property
    def sample_names(self) -> tuple[str, ...]:
        """What the samples along S are called."""
        count = self.size.get("S", 0)
        if len(self.samples) == count:
            return self.samples
        colours = ("grey",) if count < 3 else _COLOURS
        return (*colours, "alpha", *(f"sample {i}" for i in range(len(colours) + 1, count)))[:count]


class Image:
    """One image or stack of a file: one channel, time point, position and scene. Planes are read when asked for.

    Where floating-point values are NaN, nothing was recorded: a margin, which has the lowest value of the image.

    Args:
        recording: the scene.
        axes: ``"YX"`` or ``"ZYX"``.
        index: the chosen index along every further axis.
        sample: the chosen sample of a colour image; None demands that its samples are equal.
        spacing: micrometres along ``axes``, or None.

    Attributes:
        path: the file.
        axes: ``"YX"`` or ``"ZYX"``.
        shape: the sizes along ``axes``.
        dtype: the type of the values.
        spacing: micrometres along ``axes``, or None where the file does not say.
        channel_names: the names of all channels of the file, as far as it has them.
        affine: of a NIfTI file, 4 × 4: from indices along X, Y, Z to millimetres in the world; else None.
    """

    def __init__(
        self,
        recording: Recording,
        axes: str,
        index: Mapping[str, int],
        sample: int | None = None,
        spacing: Sequence[float] | None = None,
    ) -> None:
        self._recording = recording
        self._index = dict(index)
        self._sample = sample
        self._lock = Lock()
        self._lowest: float | None = None
        self.path = recording.path
        self.axes = axes
        self.shape = tuple(recording.size[axis] for axis in axes)
        self.dtype = recording.dtype
        self.spacing = None if spacing is None else tuple(float(length) for length in spacing)
        self.channel_names = recording.channels
        self.affine = recording.affine

    def __len__(self) -> int:
        """The number of planes: 1 for an image that is no stack."""
        return prod(self.shape[:-2])

    def plane(self, z: int = 0) -> np.ndarray:
        """Read one plane.

        Args:
            z: the slice, from 0.

        Returns:
            The plane ``[Y, X]`` in the file's type and native byte order.

        Raises:
            InputError: the pixels cannot be read, are no grey values (infinity, or beyond 1e30), are NaN in all of the
                image, or are coloured while no channel was chosen.
        """
        return self._read(z, 0, self.shape[-2], self._recording.read)

    def rows(self, z: int, start: int, stop: int) -> np.ndarray:
        """Read some rows of one plane, where the format allows it without decoding all of them.

        Args:
            z: the slice, from 0.
            start: the first row.
            stop: the row after the last one.

        Returns:
            The same as ``plane(z)[start:stop]``.

        Raises:
            InputError: see :py:meth:`plane`.
        """
        start, stop, _ = slice(start, stop).indices(self.shape[-2])
        if start >= stop:
            return np.empty((0, self.shape[-1]), self.dtype)
        rows = self._recording.rows
        if rows is None:
            return self.plane(z)[start:stop]
        return self._read(z, start, stop, lambda index: rows(index, start, stop))

    def _read(self, z: int, start: int, stop: int, read: Callable[[Mapping[str, int]], np.ndarray]) -> np.ndarray:
        if not 0 <= z < len(self):
            raise IndexError(f"slice {z} of {len(self)}")
        where = f"slice {z + 1} of {len(self)}" if len(self) > 1 else "the image"
        samples = self._recording.size.get("S", 1)
        check_fits(self.path, (stop - start, self.shape[-1], samples)[: 3 if samples > 1 else 2], self.dtype)
        try:
            with self._lock:  # one file handle serves all threads
                plane = read({**self._index, "Z": z} if self.axes == "ZYX" else self._index)
        except InputError:
            raise
        except MemoryError as error:
            raise InputError(self.path, f"{where} does not fit into memory", "cut it into smaller ones") from error
        except Exception as error:  # decoders raise whatever their libraries do
            logger.debug("%s", self.path, exc_info=error)
            reason = f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else ""
            raise InputError(
                self.path, f"{where} cannot be read{reason}", "the file is damaged; get another copy"
            ) from error
        if plane.ndim == 3:
            plane = _one_sample(plane, self._sample, self._recording)
        shape = stop - start, self.shape[-1]
        if plane.shape != shape:
            problem = f"{where} is {_by(plane.shape)} pixels, where {_by(shape)} are declared"
            raise InputError(self.path, problem, "the file is damaged; get another copy")
        plane = np.asarray(plane, plane.dtype.newbyteorder("="))
        return self._without_gaps(plane, where) if plane.dtype.kind == "f" else plane

    def _without_gaps(self, plane: np.ndarray, where: str) -> np.ndarray:
        """Give NaN, which is a margin, the lowest value of the image; refuse what is no grey value."""
        gaps = np.isnan(plane)
        sizes = np.abs(plane[~gaps] if gaps.any() else plane)
        largest = float(sizes.max(initial=0))
        if largest > _LARGEST:
            what = "infinity" if np.isinf(largest) else f"{largest:.3g}"
            raise InputError(
                self.path,
                f"{where} holds {what}, which is no grey value",
                "replace it, by NaN where nothing was recorded",
            )
        if 0 < largest < _SMALLEST:
            raise InputError(self.path, f"{where} holds values up to {largest:.3g} only", "multiply them by a number")
        if not gaps.any():
            return plane
        if self._lowest is None:
            self._lowest = self._lowest_value()
        return np.where(gaps, plane.dtype.type(self._lowest), plane)

    def _lowest_value(self) -> float:
        """The lowest value of all slices that is none of their gaps."""
        lowest = np.inf
        for z in range(len(self)):
            with self._lock:
                plane = self._recording.read({**self._index, "Z": z} if self.axes == "ZYX" else self._index)
            if plane.ndim == 3:
                plane = _one_sample(plane, self._sample, self._recording)
            lowest = min(lowest, float(np.min(plane, initial=np.inf, where=~np.isnan(plane))))
        if np.isinf(lowest):
            raise InputError(self.path, "holds nothing but NaN", "get a copy in which something was recorded")
        remark(self.path, "holds NaN, which is taken for a margin where nothing was recorded")
        return lowest

    def planes(self) -> Iterator[np.ndarray]:
        """Read the planes one after the other, first slice first."""
        return (self.plane(z) for z in range(len(self)))

    def array(self) -> np.ndarray:
        """Read everything, ``[Y, X]`` or ``[Z, Y, X]``."""
        if self.axes == "YX":
            return self.plane()
        array = np.empty(self.shape, self.dtype)
        for z, plane in enumerate(self.planes()):
            array[z] = plane
        return array


def choose(
    recordings: Sequence[Recording],
    *,
    channel: int | str | None = None,
    time: int | str | None = None,
    scene: int | str | None = None,
    position: int | str | None = None,
    axes: str | None = None,
    spacing: Sequence[float] | None = None,
) -> Image:
    """Choose one image or stack of a file; where the file leaves a choice, it must be made.

    Args:
        recordings: the file's scenes.
        channel: index from 0, or name; for a colour image 0, 1, 2 or ``red``, ``green``, ``blue``; of several channels
            that are colour images both, such as ``"0 red"``.
        time: index from 0.
        scene: index from 0, or name.
        position: of the stage; index from 0, or name.
        axes: what the stored dimensions are, where the file does not say or is wrong, such as ``"ZYX"``.
        spacing: micrometres along Z, Y, X (of an image: Y, X), instead of the file's.

    Raises:
        InputError: a choice is open, or none of the file's; axes or spacing contradict the file.
    """
    path = recordings[0].path
    names = [recording.name for recording in recordings]
    recording = recordings[_pick(path, "scene", len(recordings), names, scene)]
    if axes is not None:
        recording = relabel(recording, axes)
    elif recording.problem is not None:
        raise InputError(path, *recording.problem)
    elif recording.undeclared:
        remark(path, "does not say what its pages are; they are taken as the slices of a stack (--axes overrides)")
    size = recording.size
    if not {"Y", "X"} <= size.keys():
        raise InputError(path, f"holds no planes of rows and columns (axes {recording.axes})", "state them with --axes")
    coloured, colour = size.get("S", 1) > 1, None
    colours = recording.sample_names
    if coloured and size.get("C", 1) == 1:  # then --channel means the colour
        channel, colour = None, channel
    elif coloured and isinstance(channel, str) and channel.rpartition(" ")[2].casefold() in colours:
        channel, _, colour = channel.rpartition(" ")
    wanted = {"C": channel, "T": time, "R": position}
    named = {"C": recording.channels, "R": recording.positions}
    if time is None and size.get("T", 1) > 1 and size.get("Z", 1) == 1:
        raise InputError(
            path,
            f"has {size['T']} times (0 to {size['T'] - 1}) and no slices",
            f"choose one with --time, or say --axes {as_slices(recording, 'T')} if they are slices",
        )
    # an axis that is absent counts one: an index beyond it is refused all the same
    index = {}
    for axis, option in _OPTIONS.items():
        count = size.get(axis, 1)
        # many of them, without names, beside no slices may be the slices
        may_be = count >= _SLICES and size.get("Z", 1) == 1 and not any(named.get(axis, ()))
        hint = f", or say --axes {as_slices(recording, axis)} if they are slices" if may_be else ""
        index[axis] = _pick(path, option, count, named.get(axis, ()), wanted[axis], hint)
    for axis in size.keys() - set("TRZCYXS"):
        if size[axis] > 1:
            hint = f", such as --axes {as_slices(recording, axis)} if it is slices" if size.get("Z", 1) == 1 else ""
            raise InputError(
                path, f"has an axis {axis} of {size[axis]}, which is not known", f"state what it is with --axes{hint}"
            )
        index[axis] = 0
    stack = size.get("Z", 1) > 1 or (axes is not None and "Z" in size)
    if not stack:
        index["Z"] = 0
    sample = None
    if colour is not None:
        sample = _pick(path, "channel", size["S"], colours, colour)
    axes = "ZYX" if stack else "YX"
    return Image(recording, axes, index, sample, _spacing(recording, axes, spacing))


def as_slices(recording: Recording, axis: str) -> str:
    """What ``--axes`` would say of a file if one of its axes were slices.

    Args:
        recording: the scene.
        axis: the letter of the axis.
    """
    return "".join(letter for letter in recording.axes if recording.size[letter] > 1 or letter in "YX").replace(
        axis, "Z"
    )


def relabel(recording: Recording, axes: str) -> Recording:
    """Return the recording with its dimensions renamed, their order on disk kept.

    Args:
        recording: the scene.
        axes: one letter of ``TZCYX`` for each dimension longer than 1; a colour image's samples may be left out. A
            single plane may be called ``"ZYX"``: a stack of one slice.

    Raises:
        InputError: the letters do not fit the shape.
    """
    kept = [axis for axis, n in recording.size.items() if n > 1 or axis in "YX"]
    shape, new = [recording.size[axis] for axis in kept], list(axes.upper())
    if "S" in kept and len(new) == len(kept) - 1:
        new.insert(kept.index("S"), "S")
    if kept == ["Y", "X"] and new[-2:] == kept:
        kept, shape = [*new], [1] * (len(new) - 2) + shape
        meaning = {}
    else:
        meaning = dict(zip(kept, new, strict=False))
    fits = len(new) == len(kept) and all(meaning.get(axis, axis) == axis for axis in "YX")
    if not fits or len(set(new)) < len(new) or not set(new) <= set("TRZCYX") | {"S"} & set(kept):
        raise InputError(
            recording.path,
            f"axes {axes!r} contradict its shape {_by(recording.shape)} ({recording.axes})",
            "name each dimension once, of T, Z, C, R, Y and X; Y and X are the rows and columns of a plane",
        )

    def stored(index: Mapping[str, int]) -> dict[str, int]:
        return dict.fromkeys(recording.axes, 0) | {old: index[axis] for old, axis in meaning.items() if axis in index}

    def one_sample(plane: np.ndarray, at: Mapping[str, int]) -> np.ndarray:
        return plane if meaning.get("S", "S") == "S" else plane[..., at["S"]]

    def read(index: Mapping[str, int]) -> np.ndarray:
        at = stored(index)
        return one_sample(recording.read(at), at)

    def rows(index: Mapping[str, int], start: int, stop: int) -> np.ndarray:
        at = stored(index)
        some = recording.rows
        return one_sample(recording.read(at)[start:stop] if some is None else some(at, start, stop), at)

    channels = recording.channels if meaning.get("C") == "C" else ()
    return replace(
        recording,
        axes="".join(new),
        shape=tuple(shape),
        read=read,
        channels=channels,
        undeclared=False,
        rows=None if recording.rows is None else rows,
        problem=None,
    )


def _pick(path: Path, option: str, count: int, names: Sequence[str], wanted: int | str | None, hint: str = "") -> int:
    """Return the index that an option means; refuse what is open or absent, listing what there is."""
    listed = ", ".join(f"{i} {name}".strip() for i, name in enumerate(names or [""] * count)) if count < 50 else ""
    listed = listed or f"0 to {count - 1}"
    if wanted is None:
        if count == 1:
            return 0
        raise InputError(path, f"has {count} {option}s ({listed})", f"choose one with --{option}{hint}")
    matches = [i for i, name in enumerate(names) if name and name.casefold() == str(wanted).casefold()]
    if len(matches) == 1:
        return matches[0]
    if not matches and str(wanted).isdecimal() and int(wanted) < count:
        return int(wanted)
    if len(matches) > 1:
        raise InputError(path, f"has {len(matches)} {option}s called {wanted}", f"choose by number: {listed}")
    raise InputError(path, f"has no {option} {wanted}", f"choose one with --{option}: {listed}")


def _spacing(recording: Recording, axes: str, spacing: Sequence[float] | None) -> tuple[float, ...] | None:
    if spacing is not None:
        lengths = tuple(float(length) for length in spacing)
        if len(lengths) == 3 and axes == "YX":
            lengths = lengths[1:]
        if len(lengths) != len(axes) or not all(map(is_possible_size, lengths)):
            raise InputError(
                recording.path,
                f"spacing {' '.join(f'{length:g}' for length in lengths)} is not possible for its axes {axes}",
                f"give µm per pixel, from 1e-05 to 10000, for each of {', '.join(axes)}",
            )
        check_usual(recording.path, dict(zip(axes, lengths, strict=True)))
        return lengths
    stated = plausible_spacing(recording.path, {axis: recording.spacing.get(axis) for axis in axes})
    return tuple(stated[axis] for axis in axes) if len(stated) == len(axes) else None


def _one_sample(plane: np.ndarray, sample: int | None, recording: Recording) -> np.ndarray:
    """Return one sample of a colour plane ``[Y, X, S]``; without a choice the colours must be equal."""
    if sample is not None:
        return plane[..., sample]
    path, names = recording.path, recording.sample_names
    shown = [plane[..., i] for i, name in enumerate(names) if name not in _NO_COLOURS] or [plane[..., 0]]
    alpha = plane[..., names.index("alpha")] if "alpha" in names else np.zeros(1)
    if "stored" in names and (plane[..., names.index("stored")] != shown[0]).any():
        raise InputError(
            path,
            "stores white as 0, so that programs show the inverse of its numbers",
            "choose with --channel: shown, or stored for the numbers as they are; or save it with black as 0",
        )
    if any((colour != shown[0]).any() for colour in shown[1:]):
        marked = _one_colour(shown, alpha)
        if marked is not None:
            return marked
        kind = "is a colour image" if set(_COLOURS) <= set(names) else f"has {len(names)} samples in each pixel"
        chosen = [name for name in names if name != "alpha"]
        listed = f"{', '.join(chosen[:-1])} or {chosen[-1]}"
        hint = f"; or say --axes {as_slices(recording, 'S')} if they are slices" if len(names) >= _SLICES else ""
        raise InputError(path, kind, f"choose one with --channel: {listed}, after the channel if there are more{hint}")
    if alpha.min() != alpha.max():
        raise InputError(path, "has a transparency that varies", "flatten it, or choose the grey values by --channel 0")
    return shown[0]


def _one_colour(colours: Sequence[np.ndarray], alpha: np.ndarray) -> np.ndarray | None:
    """A picture of one colour on black, or on what is transparent, as 0 and that colour's strongest part.

    So some programs save a mask. None if there are more colours.
    """
    brightest = np.maximum.reduce(colours)
    if alpha.ndim == 2:
        brightest = np.where(alpha == 0, 0, brightest).astype(brightest.dtype)
    marked = brightest != 0
    one = all((colour[marked] == colour[marked][:1]).all() for colour in (*colours, *([alpha] * (alpha.ndim == 2))))
    return brightest if one else None


def _by(shape: Sequence[int]) -> str:
    return " × ".join(str(n) for n in shape)
