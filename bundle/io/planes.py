"""An image that is to be written: what is said of it, and what all writers ask of its planes while they write."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

# pixels of a plane's longer side, beyond which it is stored in tiles and with a pyramid where the format has both
LARGE = 4096
AXES = ("YX", "ZYX", "CYX", "CZYX")
DTYPES = ("uint8", "uint16", "uint32", "int8", "int16", "int32", "float32", "float64")


@dataclass(frozen=True, eq=False)
class Layout:
    """An image that is to be written: all that a file says of it, beside its values.

    Args:
        shape: the sizes along ``axes``.
        dtype: the type of the values, one of ``DTYPES``, or ``bool``, which is a mask and is stored as 0 and 255.
        axes: one letter per dimension, of ``CZYX`` in this order; one of ``AXES``.
        spacing: micrometres per pixel along the axes other than C, in their order; None where it is unknown.
        channels: the channels' names, or none; NIfTI has no place for them.
        affine: where the image lies, as of :py:class:`bundle.io.Image`; of use to NIfTI alone.
        record: what made the image, as of :py:class:`bundle.io.Provenance`; nothing is told of it if None.

    Raises:
        ValueError: what no file could state: these do not fit each other.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    axes: str
    spacing: tuple[float, ...] | None = None
    channels: tuple[str, ...] = ()
    affine: np.ndarray | None = None
    record: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))
        object.__setattr__(self, "dtype", np.dtype(self.dtype))
        object.__setattr__(self, "spacing", None if self.spacing is None else tuple(map(float, self.spacing)))
        object.__setattr__(self, "channels", tuple(self.channels))
        if self.axes not in AXES or len(self.axes) != len(self.shape) or 0 in self.shape:
            raise ValueError(f"axes {self.axes!r} do not describe an array of shape {self.shape}")
        if self.stored.name not in DTYPES:
            raise ValueError(f"{self.dtype.name} is not written; {', '.join(DTYPES)} are")
        lengths = self.axes.replace("C", "")
        if self.spacing is not None and (
            len(self.spacing) != len(lengths) or not all(np.isfinite(s) and s > 0 for s in self.spacing)
        ):
            raise ValueError(f"spacing {self.spacing} is not a positive length for each of {lengths}")
        if self.channels and len(self.channels) != self.size.get("C", 1):
            raise ValueError(f"{len(self.channels)} names for {self.size.get('C', 1)} channels")

    @property
    def size(self) -> dict[str, int]:
        """The size along each axis."""
        return dict(zip(self.axes, self.shape, strict=True))

    @property
    def steps(self) -> dict[str, float]:
        """Micrometres along each axis other than C; empty where they are unknown."""
        return dict(zip(self.axes.replace("C", ""), self.spacing or (), strict=self.spacing is not None))

    @property
    def stored(self) -> np.dtype:
        """The type that a file holds: little-endian, and ``uint8`` for masks."""
        return np.dtype(np.uint8) if self.mask else self.dtype.newbyteorder("<")

    @property
    def mask(self) -> bool:
        """Whether its values are True and False."""
        return self.dtype.kind == "b"

    @property
    def plane(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.shape[-2], self.shape[-1]

    @property
    def large(self) -> bool:
        """Whether a viewer would not load a plane at once."""
        return max(self.plane) > LARGE

    @property
    def count(self) -> int:
        """The number of planes."""
        return prod(self.shape[:-2])


def checked_planes(planes: Iterable[np.ndarray], layout: Layout, count: int | None = None) -> Iterator[np.ndarray]:
    """Pass the planes on as they are stored, True as 255, once each is found to be what was announced.

    Args:
        planes: the 2D arrays ``[Y, X]`` in the order of the leading axes, each whole or in parts ``[n, X]``, one below
            the other.
        layout: what was announced.
        count: how many of its planes these are; all if None.

    Raises:
        ValueError: a plane is of another shape or type, or there are more or fewer of them.
    """
    (height, width), done, row = layout.plane, 0, 0
    count = layout.count if count is None else count
    for plane in planes:
        if done == count:
            raise ValueError(f"more planes came than the {count} that were announced")
        fits = plane.ndim == 2 and 0 < len(plane) <= height - row and plane.shape[1] == width
        if not fits or plane.dtype != layout.dtype:
            announced = f"{layout.dtype} {layout.plane}"
            at = f" from row {row} on" * bool(row)
            raise ValueError(f"plane {done}{at} is {plane.dtype} {plane.shape}, where {announced} was announced")
        row = (row + len(plane)) % height
        done += not row
        yield plane * np.uint8(255) if layout.mask else np.ascontiguousarray(plane, layout.stored)
    if done < count:
        raise ValueError(f"{done} planes came, where {count} were announced")
