"""What all writers ask of an image before they write it, and of its planes while they do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

AXES = ("YX", "ZYX", "CYX", "CZYX")
DTYPES = ("uint8", "uint16", "uint32", "int8", "int16", "int32", "float32", "float64")


def check_layout(
    shape: Sequence[int], dtype: np.dtype, axes: str, spacing: Sequence[float] | None, channels: Sequence[str]
) -> None:
    """Refuse what no file could state.

    Args:
        shape: the sizes along ``axes``.
        dtype: the type that is stored.
        axes: one of ``AXES``.
        spacing: micrometres per pixel along the axes other than C, or None.
        channels: the channels' names, or none.

    Raises:
        ValueError: the arguments do not fit each other.
    """
    lengths = axes.replace("C", "")
    if axes not in AXES or len(axes) != len(shape) or 0 in shape:
        raise ValueError(f"axes {axes!r} do not describe an array of shape {tuple(shape)}")
    if dtype.name not in DTYPES:
        raise ValueError(f"{dtype.name} is not written; {', '.join(DTYPES)} are")
    if spacing is not None and (len(spacing) != len(lengths) or not all(np.isfinite(s) and s > 0 for s in spacing)):
        raise ValueError(f"spacing {tuple(spacing)} is not a positive length for each of {lengths}")
    count = dict(zip(axes, shape, strict=True)).get("C", 1)
    if channels and len(channels) != count:
        raise ValueError(f"{len(channels)} names for {count} channels")


def stored_type(dtype: np.dtype) -> np.dtype:
    """Return the type that a file holds: little-endian, and ``uint8`` for masks."""
    return np.dtype(np.uint8) if dtype.kind == "b" else dtype.newbyteorder("<")


def checked_planes(planes: Iterable[np.ndarray], shape: Sequence[int], dtype: np.dtype) -> Iterator[np.ndarray]:
    """Pass the planes on as they are stored, True as 255, once each is found to be what was announced.

    Args:
        planes: the 2D arrays ``[Y, X]`` in the order of the leading axes.
        shape: the shape of the whole; its last two are those of a plane.
        dtype: the type of every plane.

    Raises:
        ValueError: a plane is of another shape or type, or there are more or fewer of them.
    """
    count, page, done = int(np.prod(shape[:-2])), tuple(shape[-2:]), 0
    for plane in planes:
        if done == count:
            raise ValueError(f"more planes came than the {count} that were announced")
        if plane.shape != page or plane.dtype != dtype:
            raise ValueError(f"plane {done} is {plane.dtype} {plane.shape}, where {dtype} {page} was announced")
        done += 1
        yield plane * np.uint8(255) if dtype.kind == "b" else np.ascontiguousarray(plane, stored_type(dtype))
    if done < count:
        raise ValueError(f"{done} planes came, where {count} were announced")
