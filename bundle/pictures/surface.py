"""The surface of a volume of vessels as a mesh, for Blender, ParaView, Fiji or a 3D printer."""

from __future__ import annotations

import shutil
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from ..io import atomic

__all__ = ["Mesh", "slabs", "write_surface"]

# Taubin's smoothing: a step that shrinks and one that swells it back, so that thin vessels keep their volume
_SHRINK, _SWELL, _STEPS = 0.5, -0.53, 12
_SLAB = 48

# the four corners of a voxel's face, from its lowest, in the order of (z, y, x), seen from the side of the higher index
_FACES = np.array(
    [
        [(0, 0, 0), (0, 0, 1), (0, 1, 1), (0, 1, 0)],  # z
        [(0, 0, 0), (1, 0, 0), (1, 0, 1), (0, 0, 1)],  # y
        [(0, 0, 0), (0, 1, 0), (1, 1, 0), (1, 0, 0)],  # x
    ]
)


class Mesh(NamedTuple):
    """A part of a surface.

    Args:
        points: corners, ``[P, 3]``, float64, along X, Y and Z.
        triangles: indices of corners in all parts together, ``[T, 3]``, int64, anticlockwise seen from outside.
    """

    points: np.ndarray
    triangles: np.ndarray


def slabs(
    planes: Iterable[np.ndarray], spacing: Sequence[float] | None = None, slab: int = _SLAB
) -> Iterator[tuple[Mesh, int]]:
    """The surface of a mask, slab by slab of its slices.

    Every side that a vessel's voxel shares with the background is two triangles, what lies beyond the volume being
    background: the surface is closed, at the volume's borders too, and no vessel is too thin for it. Its corners are
    then smoothed, which leaves them within about a voxel: G. Taubin, A signal processing approach to fair surface
    design, SIGGRAPH 1995, DOI 10.1145/218380.218473. As many slices around a slab are in memory as smoothing sees, so
    that slabs of any height give the same surface.

    Args:
        planes: the slices in order, ``[Y, X]``, nonzero is vessel.
        spacing: µm between voxels along Z, Y and X; their number is the unit if None. The centre of the first voxel is
            the origin.
        slab: slices of a slab.

    Yields:
        The triangles of a slab and the corners that no slab before had; and how many corners were given before.
    """
    step = np.ones(3) if spacing is None else np.asarray(spacing, float)
    halo = 2 * _STEPS + 1
    length = slab + 2 * halo
    window: deque[np.ndarray] = deque(maxlen=length)
    given = shared = 0  # corners that were given; those of them on the level where the next slab begins
    first = -halo  # slice at the window's start
    for plane in _with_empty_ends(planes, halo, slab):
        window.append(plane)
        if len(window) < length:
            continue
        points, triangles, levels = _smoothed(np.stack(window), first)
        start, stop = first + halo, first + halo + slab
        # a side belongs to the slab in which its first corners lie
        begins = levels[triangles].min(axis=1)
        triangles = triangles[(begins >= start) & (begins < stop)]
        here = np.flatnonzero((levels >= start) & (levels <= stop))
        numbers = np.zeros(len(points), np.int64)
        numbers[here] = given - shared + np.arange(len(here))
        part = Mesh((points[here[shared:]] * step)[:, ::-1], numbers[triangles])
        yield part, given
        given += len(here) - shared
        shared = int(np.count_nonzero(levels == stop))
        for _ in range(slab):
            window.popleft()
        first += slab


def _with_empty_ends(planes: Iterable[np.ndarray], halo: int, slab: int) -> Iterator[np.ndarray]:
    """Vessel or not of each slice, empty slices before the first, and behind the last until the last slab is whole."""
    count, empty = 0, None
    for plane in planes:
        plane = plane != 0
        if empty is None:
            empty = np.zeros_like(plane)
            yield from [empty] * halo
        count += 1
        yield plane
    if empty is not None:
        # the sides below the last slice belong to the slice behind it
        yield from [empty] * (-(count + 1) % slab + 1 + halo)


def _smoothed(volume: np.ndarray, first: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Corners in (z, y, x), level by level; triangles; each corner's level: it lies before the slice of this number.

    The surface is open where the volume is cut along z.
    """
    padded = np.pad(volume, ((0, 0), (1, 1), (1, 1)))
    sides = np.array([s + 1 for s in volume.shape])
    quads = []
    for axis, offset in ((0, (1, 0, 0)), (1, (0, 0, 0)), (2, (0, 0, 0))):
        change = np.diff(padded.view(np.int8), axis=axis)
        z, y, x = np.nonzero(change)
        leaves = change[z, y, x] < 0  # from vessel to background: outwards is towards the higher index
        # back from the padded frame; along the other axes a voxel's lowest corner has the voxel's own index
        corner = np.stack([z + offset[0], y - (axis != 1), x - (axis != 2)], axis=1)
        corners = corner[:, None] + _FACES[axis]
        corners[~leaves] = corners[~leaves, ::-1]
        quads.append(np.ravel_multi_index(tuple(np.moveaxis(corners, -1, 0)), sides))
    keys, numbers = np.unique(np.concatenate(quads), return_inverse=True)
    faces = numbers.reshape(-1, 4)
    points = np.stack(np.unravel_index(keys, sides), axis=1) - 0.5
    points[:, 0] += first
    levels = (points[:, 0] + 0.5).astype(np.int64)
    edges = np.concatenate([np.sort(faces[:, [a, b]], axis=1) for a, b in ((0, 1), (1, 2), (2, 3), (3, 0))])
    edges = np.unique(edges, axis=0)
    a, b = np.concatenate([edges, edges[:, ::-1]]).T
    order = np.lexsort((b, a))  # sums in one order, so that every slab gives the same bits
    a, b = a[order], b[order]
    neighbours = np.maximum(np.bincount(a, minlength=len(keys)), 1)
    for weight in (_SHRINK, _SWELL) * _STEPS:
        for axis in range(3):
            mean = np.bincount(a, points[b, axis], len(keys)) / neighbours
            points[:, axis] += weight * (mean - points[:, axis])
    triangles = np.concatenate([faces[:, [0, 1, 2]], faces[:, [0, 2, 3]]])
    return points, triangles[np.argsort(triangles.min(axis=1), kind="stable")], levels


def write_surface(
    path: str | Path, planes: Iterable[np.ndarray], spacing: Sequence[float] | None = None, slab: int = _SLAB
) -> int:
    """Write the surface of a mask as binary STL or PLY, in micrometres, or in voxels where these have no size.

    X runs to the right of a slice, Y downwards, Z from slice to slice. Memory does not grow with depth.

    Args:
        path: the file, whose suffix ``.stl`` or ``.ply`` says its format.
        planes: as of :func:`slabs`.
        spacing: as of :func:`slabs`.
        slab: as of :func:`slabs`.

    Returns:
        The number of triangles.

    Raises:
        InputError: the file cannot be written.
        ValueError: another suffix.
    """
    formats = {".stl": _write_stl, ".ply": _write_ply}
    suffix = Path(path).suffix.lower()
    if suffix not in formats:
        raise ValueError(f"a surface is written as .stl or .ply, not {suffix!r}")
    unit = "voxel" if spacing is None else "micrometer"
    with atomic(path) as partial, open(partial, "wb") as stream:
        return formats[suffix](stream, slabs(planes, spacing, slab), unit)


def _write_stl(stream: BinaryIO, parts: Iterable[tuple[Mesh, int]], unit: str) -> int:
    kind = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
    header = f"vessel surface, unit {unit}".encode().ljust(80)
    stream.write(header + bytes(4))
    count = 0
    carried = np.zeros((0, 3))  # the corners of the part before, of which some belong to this one's triangles
    for (points, triangles), given in parts:
        known = np.concatenate([carried, points])
        corners = known[triangles - (given - len(carried))]
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), np.finfo(float).tiny)
        records = np.zeros(len(corners), kind)
        records["normal"], records["corners"] = normals, corners
        stream.write(records.tobytes())
        count += len(records)
        carried = points
    stream.seek(80)
    stream.write(np.uint32(count).astype("<u4").tobytes())
    return count


def _write_ply(stream: BinaryIO, parts: Iterable[tuple[Mesh, int]], unit: str) -> int:
    def header(points: int, triangles: int) -> bytes:
        lines = [
            "ply",
            "format binary_little_endian 1.0",
            f"comment vessel surface, unit {unit}",
            f"element vertex {points:010}",  # as long before the counts are known as after
            *(f"property float {axis}" for axis in "xyz"),
            f"element face {triangles:010}",
            "property list uchar int vertex_indices",
            "end_header",
        ]
        return ("\n".join(lines) + "\n").encode()

    kind = np.dtype([("count", "u1"), ("corners", "<i4", 3)])
    points = triangles = 0
    stream.write(header(0, 0))
    with tempfile.TemporaryFile(dir=Path(stream.name).parent) as faces:  # they come behind all corners
        for part, _ in parts:
            stream.write(part.points.astype("<f4").tobytes())
            records = np.full(len(part.triangles), 3, kind)
            records["corners"] = part.triangles
            faces.write(records.tobytes())
            points += len(part.points)
            triangles += len(part.triangles)
        faces.seek(0)
        shutil.copyfileobj(faces, stream)
    stream.seek(0)
    stream.write(header(points, triangles))
    return triangles
