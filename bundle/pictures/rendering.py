"""A volume of vessels from above and aside, shaded, as in the paper's Fig. 6: ray casting without a display."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates, maximum_filter, uniform_filter

from .depth import framed, hue

__all__ = ["reduced", "render", "rendering_picture"]

_CELLS = 320  # along the longest side of what is rendered
_TILT, _TURN = np.deg2rad(38), np.deg2rad(-24)
_LIGHT = np.array([-0.75, -0.5, -0.45])  # towards the light: from the viewer's left, above
_AMBIENT, _DIFFUSE, _GLOSS = 0.28, 0.72, 0.35
_PIXELS = 900
_LEVEL = 0.35  # of the field that is the surface
_CHUNK, _TILE = 12, 4  # layers, and pixels, that are looked at or passed over together


def reduced(
    planes: Iterable[np.ndarray],
    shape: Sequence[int],
    spacing: Sequence[float] | None = None,
    cells: int = _CELLS,
) -> tuple[np.ndarray, np.ndarray]:
    """Reduce a mask to a volume small enough to render, a slice at a time.

    Args:
        planes: the slices in order, ``[Y, X]``, nonzero is vessel.
        shape: Z, Y, X.
        spacing: length of a voxel along each; cubes if None.
        cells: the most along any axis.

    Returns:
        The share of each cell that is vessel, float32 ``[Z, Y, X]``, at most `cells` along each axis; and a cell's
        length along each axis, in the unit of `spacing`.
    """
    steps = np.ones(3) if spacing is None else np.asarray(spacing, float)
    sides = np.asarray(shape)
    cell = max(steps.min(), (sides * steps).max() / cells)
    blocks = np.maximum(np.floor(cell / steps * (1 + 1e-9)), 1).astype(int)
    blocks = np.maximum(blocks, -(-sides // cells))
    size = -(-sides // blocks)
    volume = np.zeros(size, np.float32)
    rows, columns = (np.arange(0, n, b) for n, b in zip(shape[1:], blocks[1:], strict=True))
    for z, plane in enumerate(planes):
        sums = np.add.reduceat(np.add.reduceat((plane != 0).astype(np.float32), rows, 0), columns, 1)
        volume[z // blocks[0]] += sums
    whole = [np.minimum(b, n - np.arange(0, n, b)) for n, b in zip(shape, blocks, strict=True)]
    volume /= whole[0][:, None, None] * whole[1][:, None] * whole[2]
    return volume, blocks * steps


def render(volume: np.ndarray, cell: Sequence[float] | np.ndarray, pixels: int = _PIXELS) -> tuple[np.ndarray, float]:
    """Cast parallel rays on a volume seen obliquely from above, its first slice in front.

    Colour is the depth's, as in :func:`bundle.pictures.depth_colours`; light falls from the left, and vessels shade
    those behind them.

    Args:
        volume: share of vessel in each cell, ``[Z, Y, X]``.
        cell: a cell's length along each axis.
        pixels: along the longer side of the picture, about.

    Returns:
        uint8 ``[Y, X, 3]``; and a pixel's length, in the unit of `cell`.
    """
    lengths = np.asarray(cell, float)
    # a vessel of a single cell must not vanish: blurred, its height depends on its width, and the level on that
    field = np.maximum(gaussian_filter(np.pad(volume, 2), 0.7), 0.6 * np.pad(volume, 2))
    size = np.array(volume.shape) * lengths
    centre = (np.array(field.shape) - 1) / 2
    rotation = _rotation()  # from the viewer's (depth, down, right) to (z, y, x)
    corners = np.array(np.meshgrid(*[(-s / 2, s / 2) for s in size], indexing="ij")).reshape(3, -1)
    seen = rotation.T @ corners
    extent = seen.max(1) - seen.min(1)
    pixel = extent[1:].max() * 1.04 / pixels
    step = max(pixel, lengths.min() / 2)
    count = np.ceil(extent * 1.04 / (step, pixel, pixel)).astype(int)
    matrix = rotation * (step, pixel, pixel) / lengths[:, np.newaxis]
    offset = centre - matrix @ ((count - 1) / 2)
    distance = np.full(count[1:], np.inf)
    layers = np.arange(_CHUNK + 1)[:, np.newaxis]
    for start, rows, columns in _near_vessels(field, matrix, offset, count):
        waiting = np.isinf(distance[rows, columns])
        rows, columns = rows[waiting], columns[waiting]
        # each chunk takes the last layer before it as well, so that a hit lies between two of its own
        away = (layers + start - 1).repeat(len(rows), 1)
        ray = np.stack([away, np.broadcast_to(rows, away.shape), np.broadcast_to(columns, away.shape)])
        places = np.tensordot(matrix, ray, 1) + offset[:, np.newaxis, np.newaxis]
        values = map_coordinates(field, places, order=1, output=np.float32)
        inside = values >= _LEVEL
        first = inside.argmax(axis=0)
        hit = np.flatnonzero(inside.any(axis=0))
        first = first[hit]
        here, before = values[first, hit], values[np.maximum(first - 1, 0), hit]
        part = np.clip((here - _LEVEL) / np.maximum(here - before, 1e-6), 0, 1)
        distance[rows[hit], columns[hit]] = start - 1 + first - part
    return _shaded(field, distance, matrix, offset, rotation, lengths, step / pixel), pixel


def _near_vessels(
    field: np.ndarray, matrix: np.ndarray, offset: np.ndarray, count: np.ndarray
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """For each chunk of layers, from the nearest, its number and the pixels whose rays may meet a vessel in it."""
    cells = np.argwhere(field > _LEVEL / 2)
    seen = np.linalg.solve(matrix, cells.T - offset[:, np.newaxis])
    reach = np.sqrt(3) * np.linalg.norm(np.linalg.inv(matrix), axis=1)  # of a cell and the ones beside it
    tiles = -(-count[1:] // _TILE)
    row, column = (np.clip(seen[k] // _TILE, 0, tiles[k - 1] - 1).astype(int) for k in (1, 2))
    around = [int(np.ceil(reach[k] / _TILE)) for k in (1, 2)]
    for start in range(0, count[0], _CHUNK):
        near = (seen[0] > start - 1 - reach[0]) & (seen[0] < start + _CHUNK + reach[0])
        if not near.any():
            continue
        marked = np.zeros(tiles, bool)
        marked[row[near], column[near]] = True
        marked = maximum_filter(marked, [2 * min(n, size) + 1 for n, size in zip(around, tiles, strict=True)])
        pixels = marked.repeat(_TILE, 0).repeat(_TILE, 1)[: count[1], : count[2]]
        rows, columns = np.nonzero(pixels)
        yield start, rows, columns


def _rotation() -> np.ndarray:
    """Columns are the viewer's axes, away, down and right, in (z, y, x)."""
    turn = np.array([[1, 0, 0], [0, np.cos(_TURN), -np.sin(_TURN)], [0, np.sin(_TURN), np.cos(_TURN)]])
    tilt = np.array([[np.cos(_TILT), np.sin(_TILT), 0], [-np.sin(_TILT), np.cos(_TILT), 0], [0, 0, 1]])
    return turn @ tilt


def _shaded(
    field: np.ndarray,
    distance: np.ndarray,
    matrix: np.ndarray,
    offset: np.ndarray,
    rotation: np.ndarray,
    cell: np.ndarray,
    step: float,
) -> np.ndarray:
    """The picture of what rays hit at these distances."""
    hit = np.isfinite(distance)
    picture = np.zeros((*distance.shape, 3))
    rows, columns = np.nonzero(hit)
    places = matrix @ np.array([distance[hit], rows, columns]) + offset[:, np.newaxis]
    smooth = gaussian_filter(field, 1.2)
    slope = (
        np.stack(
            [map_coordinates(np.gradient(smooth, axis=axis), places, order=1, mode="nearest") for axis in range(3)]
        )
        / cell[:, np.newaxis]
    )
    normal = -slope / np.maximum(np.linalg.norm(slope, axis=0), 1e-9)
    normal = rotation.T @ normal  # as the viewer sees it: away, down, right
    normal[0] = -np.abs(normal[0])  # what is seen faces the viewer
    light = _LIGHT / np.linalg.norm(_LIGHT)
    diffuse = np.clip(light @ normal, 0, 1)
    half = light + (-1, 0, 0)
    gloss = np.clip(half / np.linalg.norm(half) @ normal, 0, 1) ** 24
    share = np.clip((places[0] - 2) / max(field.shape[0] - 5, 1), 0, 1)
    colour = hue(share)
    shadow = _occlusion(np.where(hit, distance * step, np.nan))[hit]
    lit = (_AMBIENT + _DIFFUSE * diffuse) * shadow
    picture[hit] = np.clip(colour * lit[:, np.newaxis] + _GLOSS * gloss[:, np.newaxis] * shadow[:, np.newaxis], 0, 1)
    return np.round(255 * picture).astype(np.uint8)


def _occlusion(distance: np.ndarray) -> np.ndarray:
    """How much light reaches a point past what stands before it: darker beside a nearer vessel."""
    hit = ~np.isnan(distance)
    shade = np.ones(distance.shape)
    for radius in (6, 18):
        size = 2 * radius + 1
        weight = uniform_filter(hit.astype(float), size, mode="constant")
        mean = uniform_filter(np.where(hit, distance, 0.0), size, mode="constant") / np.maximum(weight, 1e-6)
        behind = np.where(hit, distance, 0) - mean
        shade -= 0.3 * np.clip(behind / (2 * radius), 0, 1) * np.minimum(1, 2 * weight)
    return shade


def rendering_picture(
    planes: Iterable[np.ndarray], shape: Sequence[int], spacing: Sequence[float] | None = None
) -> np.ndarray:
    """The rendering of a mask with the bar of depths.

    Args:
        planes: as of :func:`reduced`.
        shape: Z, Y, X.
        spacing: µm along Z, Y and X; None draws cubic voxels and counts slices.

    Returns:
        uint8 ``[Y, X, 3]``.
    """
    volume, size = reduced(planes, shape, spacing)
    picture, pixel = render(volume, size)
    return framed(picture, shape[0], spacing, pixel if spacing is not None else None)
