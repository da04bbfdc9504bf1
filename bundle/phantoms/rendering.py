"""From the graph to voxels: the exact mask, and how much fluorophore each voxel holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..graphs import VascularGraph


@dataclass(frozen=True)
class TubeField:
    """Where each voxel lies in relation to the vessels.

    Args:
        distance: signed distance to the nearest vessel's wall in µm, negative inside, `[Z, Y, X]`, float32. Voxels
            farther from every vessel than the field's reach hold infinity.
        segment: the segment of the graph's centre lines whose wall is nearest, -1 out of reach, `[Z, Y, X]`, int32.
    """

    distance: np.ndarray
    segment: np.ndarray

    @property
    def mask(self) -> np.ndarray:
        """The voxels whose centre is inside a vessel, `[Z, Y, X]`, bool."""
        return self.distance <= 0


def tube_field(
    graph: VascularGraph,
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
    reach: float = 0.0,
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> TubeField:
    """Distance of every voxel near a vessel to that vessel's wall.

    A vessel is the union of the tubes along its centre line's segments. A point's distance to a segment's wall is the
    distance to the segment's nearest point, less the radius there, which runs linearly from one end's to the other's.

    Args:
        graph: the network.
        shape: voxels along z, y and x.
        spacing: µm between voxels along z, y and x.
        reach: distance from the walls in µm up to which the field is computed.
        origin: the centre of the first voxel in µm.

    Returns:
        The field.
    """
    distance = np.full(shape, np.inf, dtype=np.float32)
    segment = np.full(shape, -1, dtype=np.int32)
    step = np.asarray(spacing, dtype=float)
    axes = [np.arange(n) * s for n, s in zip(shape, step, strict=True)]
    starts, ends, start_radii, end_radii = _segments(graph, origin)
    wide = np.maximum(start_radii, end_radii)[:, None] + reach
    low = np.maximum(np.ceil((np.minimum(starts, ends) - wide) / step), 0).astype(int)
    high = np.minimum(np.floor((np.maximum(starts, ends) + wide) / step) + 1, shape).astype(int)
    for s in np.flatnonzero((low < high).all(axis=1)):
        box = tuple(slice(a, b) for a, b in zip(low[s], high[s], strict=True))
        z, y, x = (axis[part] - origin for axis, part, origin in zip(axes, box, starts[s], strict=True))
        z, y = z[:, None, None], y[:, None]
        dz, dy, dx = ends[s] - starts[s]
        share = np.clip((z * dz + y * dy + x * dx) / (dz * dz + dy * dy + dx * dx), 0, 1)
        to_axis = np.sqrt((z - share * dz) ** 2 + (y - share * dy) ** 2 + (x - share * dx) ** 2)
        to_wall = to_axis - (start_radii[s] + share * (end_radii[s] - start_radii[s]))
        here = distance[box]
        nearer = (to_wall < here) & (to_wall <= reach)
        here[nearer] = to_wall[nearer]
        segment[box][nearer] = s
    return TubeField(distance, segment)


def slabs(count: int, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Where the slab of each slice begins and ends: half a step above its plane and half a step below.

    Args:
        count: slices; the plane of the first lies at 0.
        step: µm between planes.

    Returns:
        The slabs' upper and lower ends in µm, `[Z, 1, 1]` each.
    """
    planes = np.arange(count)[:, None, None] * step
    return planes - step / 2, planes + step / 2


def tubes_between(
    graph: VascularGraph,
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
    top: np.ndarray,
    bottom: np.ndarray,
    origin: tuple[float, float] = (0.0, 0.0),
) -> np.ndarray:
    """Where a vessel is met on the way along z from one depth to another.

    It is exact: along z the distance to a segment's wall (see :func:`tube_field`) is convex before the segment, beside
    it and behind it, and its minimum in each of the three parts has a closed form.

    Args:
        graph: the network.
        shape: slices, and pixels along y and x.
        spacing: µm between slices, and between pixels along y and x.
        top: where the way begins in µm, of any shape that broadcasts to `[Z, Y, X]`.
        bottom: where it ends; above the beginning means that there is no way, and no vessel.
        origin: y and x of the first pixel's centre in µm.

    Returns:
        Whether a vessel is met, `[Z, Y, X]`, bool.
    """
    met = np.zeros(shape, dtype=bool)
    top, bottom = np.broadcast_to(top, shape), np.broadcast_to(bottom, shape)
    first, last = top.min(axis=(1, 2)), bottom.max(axis=(1, 2))
    step = np.asarray(spacing[1:], dtype=float)
    rows, columns = (np.arange(n) * s for n, s in zip(shape[1:], step, strict=True))
    starts, ends, start_radii, end_radii = _segments(graph, (0.0, *origin))
    wide = np.maximum(start_radii, end_radii)[:, None]
    near, far = np.minimum(starts, ends) - wide, np.maximum(starts, ends) + wide
    low = np.maximum(np.ceil(near[:, 1:] / step), 0).astype(int)
    high = np.minimum(np.floor(far[:, 1:] / step) + 1, shape[1:]).astype(int)
    for s in np.flatnonzero((low < high).all(axis=1)):
        planes = np.flatnonzero((first <= far[s, 0]) & (last >= near[s, 0]))
        if not len(planes):
            continue
        box = slice(planes[0], planes[-1] + 1), slice(low[s, 0], high[s, 0]), slice(low[s, 1], high[s, 1])
        y, x = rows[box[1]][:, None] - starts[s, 1], columns[box[2]] - starts[s, 2]
        way = top[box] - starts[s, 0], bottom[box] - starts[s, 0]
        met[box] |= _least_distance(y, x, way, ends[s] - starts[s], start_radii[s], end_radii[s]) <= 0
    return met


def _least_distance(
    y: np.ndarray,
    x: np.ndarray,
    way: tuple[np.ndarray, np.ndarray],
    chord: np.ndarray,
    start_radius: float,
    end_radius: float,
) -> np.ndarray:
    """The least distance to a segment's wall on ways along z; all relative to the segment's start, infinite where the
    way is none.
    """
    top, bottom = way
    dz, dy, dx = chord
    square, taper = dz * dz + dy * dy + dx * dx, end_radius - start_radius
    along = y * dy + x * dx
    # Where the minimum can lie: at the ends of the way, at the nearest point of either of the segment's ends, where
    # one part goes over into the next, and beside the segment, where the distance is √(α(z - m)² + k) - βz - const.
    stops = [np.zeros_like(along), np.full_like(along, dz)]
    if dz:
        stops += [-along / dz, (square - along) / dz]
    lean, slope = (dy * dy + dx * dx) / square, taper * dz / square
    if lean > slope * slope:
        middle = along * dz / (lean * square)
        offset = np.maximum(y * y + x * x - along * along / square - lean * middle * middle, 0)
        stops.append(middle + slope * np.sqrt(offset / (lean * (lean - slope * slope))))
    least = np.full(top.shape, np.inf)
    # Minimum and maximum, for clip takes longer than the arithmetic on boxes as small as these.
    for stop in [np.minimum(top, bottom), bottom, *(np.minimum(np.maximum(stop, top), bottom) for stop in stops)]:
        share = np.minimum(np.maximum((stop * dz + along) / square, 0), 1)
        to_axis = np.sqrt((stop - share * dz) ** 2 + (y - share * dy) ** 2 + (x - share * dx) ** 2)
        np.minimum(least, to_axis - (start_radius + share * taper), out=least)
    least[top > bottom] = np.inf
    return least


def _segments(
    graph: VascularGraph, origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Ends `[S, 3]`, as seen from the origin, and radii `[S]` of all centre lines' segments, vessel after vessel."""
    return (
        np.concatenate([path[:-1] for path in graph.paths]) - origin,
        np.concatenate([path[1:] for path in graph.paths]) - origin,
        np.concatenate([radii[:-1] for radii in graph.path_radii]),
        np.concatenate([radii[1:] for radii in graph.path_radii]),
    )


def stain_vessels(graph: VascularGraph, unevenness: float, rng: np.random.Generator) -> np.ndarray:
    """The brightness of the stain along the vessels.

    It differs from vessel to vessel and wanders along each, on a logarithmic scale.

    Args:
        graph: the network.
        unevenness: standard deviation of the brightness's logarithm; 0 stains all alike.
        rng: source of chance.

    Returns:
        The brightness of each segment of the centre lines, 1 on average in the logarithm, `[S]`.
    """
    at_nodes = rng.normal(0, unevenness, len(graph.nodes))
    levels = []
    calm = np.minimum(1.0, np.median(graph.radii) / graph.radii)  # a large vessel is stained evenly for its length
    for (a, b), path, share in zip(graph.edges, graph.paths, calm, strict=True):
        points = len(path) - 1
        t = (np.arange(points) + 0.5) / points
        # About 10 µm, the length over which endothelial staining changes.
        wander = ndimage.gaussian_filter1d(rng.normal(0, 1, points), 2.5, mode="reflect") * np.sqrt(2.5 * 3.5)
        levels.append(share * ((1 - t) * at_nodes[a] + t * at_nodes[b] + 0.7 * unevenness * wander))
    return np.exp(np.clip(np.concatenate(levels), -1.0, 1.8)).astype(np.float32)


def emit(
    field: TubeField,
    brightness: np.ndarray,
    staining: str,
    wall: float,
    blur: float,
    grain: float,
    rng: np.random.Generator,
    fill: float = 0.25,
) -> np.ndarray:
    """Fluorophore in each voxel.

    Args:
        field: the vessels' field, with a reach of `wall` at least.
        brightness: brightness of each segment, `[S]`.
        staining: "lumen" (a dye in the blood) or "wall" (an antibody against the endothelium).
        wall: thickness of the wall in µm.
        blur: µm over which a voxel on the lumen's border goes from full to empty, its partial volume.
        grain: relative standard deviation of the stain from voxel to voxel.
        rng: source of chance.
        fill: share of the stain inside of a vessel whose wall is stained.

    Returns:
        Relative fluorophore density, about 1 in a typical vessel, `[Z, Y, X]`, float32.
    """
    near = np.flatnonzero(field.segment >= 0)
    depth = field.distance.ravel()[near]
    filled = np.clip(0.5 - depth / blur, 0, 1)
    if staining == "wall":
        half = max(wall, blur) / 2
        density = np.exp(-0.5 * ((depth + half) / half) ** 2) * 1.4 + fill * filled
    else:
        density = filled
    density *= brightness[field.segment.ravel()[near]]
    if grain:
        density *= rng.gamma(1 / grain**2, grain**2, len(near)).astype(np.float32)
    emission = np.zeros(field.distance.shape, dtype=np.float32)
    emission.ravel()[near] = density
    return emission


def add_blobs(
    volume: np.ndarray, spacing: tuple[float, float, float], centres: np.ndarray, sizes: np.ndarray, heights: np.ndarray
) -> None:
    """Add Gaussian blobs to a volume, in place: specks of debris, or clouds of dye that leaked.

    Args:
        volume: `[Z, Y, X]`, float32.
        spacing: µm between voxels along z, y and x.
        centres: `[B, 3]` in µm.
        sizes: standard deviations in µm, `[B]`.
        heights: `[B]`.
    """
    axes = [np.arange(n) * s for n, s in zip(volume.shape, spacing, strict=True)]
    for centre, size, height in zip(centres, sizes, heights, strict=True):
        parts, bells = [], []
        for axis, middle in zip(axes, centre, strict=True):
            low, high = np.searchsorted(axis, (middle - 3 * size, middle + 3 * size))
            parts.append(slice(low, high))
            bells.append(np.exp(-0.5 * ((axis[low:high] - middle) / size) ** 2).astype(np.float32))
        z, y, x = bells
        volume[tuple(parts)] += np.float32(height) * z[:, None, None] * y[:, None] * x
