"""What lies between vessels: textured tissue with surfaces, cells, fibres, granules, dust; and the stain of vessels."""

from __future__ import annotations

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse.csgraph import connected_components

from ..graphs import VascularGraph


def rough(
    shape: tuple[int, ...], sigma: tuple[float, ...], rng: np.random.Generator, coarse: bool = True
) -> np.ndarray:
    """Smooth noise of mean 0 and standard deviation 1.

    Args:
        shape: of the result.
        sigma: size of its hills, standard deviation in samples along each axis.
        rng: source of chance.
        coarse: make wide hills on a coarse grid and interpolate, which is quicker and lowers the variance in between.

    Returns:
        The noise, float32. Hills much larger than the array leave noise of less than unit size.
    """
    stride = [max(int(s / 2), 1) if coarse else 1 for s in sigma]
    noise = rng.standard_normal([int(np.ceil(n / t)) + 1 for n, t in zip(shape, stride, strict=True)], dtype=np.float32)
    for axis, (n, s, t) in enumerate(zip(shape, sigma, stride, strict=True)):
        size = noise.shape[axis]
        noise = ndimage.gaussian_filter1d(noise, s / t, axis, mode="wrap") / _kept(size, s / t)
        place = np.arange(n, dtype=np.float32) / np.float32(t)
        low = place.astype(int)
        share = (place - low).reshape([-1 if a == axis else 1 for a in range(len(shape))])
        noise = (
            noise.take(low, axis) if t == 1 else (1 - share) * noise.take(low, axis) + share * noise.take(low + 1, axis)
        )
    return noise.astype(np.float32, copy=False)


def _kept(size: int, sigma: float) -> np.float32:
    """Standard deviation that a Gaussian leaves of white noise on a ring of so many samples."""
    pulse = np.zeros(size)
    pulse[size // 2] = 1
    return np.float32(np.sqrt((ndimage.gaussian_filter1d(pulse, sigma, mode="wrap") ** 2).sum()))


def surfaces(
    shape: tuple[int, int, int],
    step: float,
    top: float,
    bottom: float,
    tilt: float,
    hole: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """The tissue's upper and lower surface, tilted and a little wavy; and where there is none.

    Args:
        shape: of the stack.
        step: µm between slices.
        top: share of the stack above the tissue; 0 is a tissue without an upper surface.
        bottom: share of the stack below it; 0 is none.
        tilt: slices by which a surface rises from one side of the stack to the other.
        hole: share of the image without tissue: beyond its edge, or in a tear.
        rng: source of chance.

    Returns:
        Depth of the upper and of the lower surface in µm, `[Y, X]`, float64; minus and plus infinity if there is none,
        and plus infinity for the upper one where there is no tissue.
    """
    depth = (shape[0] - 1) * step
    found = []
    for share, level in ((top, top * depth), (bottom, (1 - bottom) * depth)):
        angle = rng.uniform(0, 2 * np.pi)
        waves = rough(shape[1:], (min(shape[1], 80) / 2, min(shape[2], 80) / 2), rng)
        y, x = (np.linspace(-0.5, 0.5, n) for n in shape[1:])
        rise = tilt * step * (np.sin(angle) * y[:, None] + np.cos(angle) * x) + 0.5 * step * waves
        found.append(level + rise if share else np.full(shape[1:], np.inf))
    upper = found[0] if top else -found[0]
    if hole:
        land = rough(shape[1:], (shape[1] / 5, shape[2] / 5), rng)
        upper[land < np.quantile(land, hole)] = np.inf
    return upper, found[1]


def within(top: np.ndarray, bottom: np.ndarray, planes: np.ndarray) -> np.ndarray:
    """How much of each voxel is in the tissue, 0 to 1.

    Args:
        top: depth of the upper surface in µm, `[Y, X]`.
        bottom: depth of the lower one, `[Y, X]`.
        planes: depth of the slices in µm, evenly spaced, `[Z]`.

    Returns:
        The share, `[Z, Y, X]`, float32.
    """
    step = planes[1] - planes[0] if len(planes) > 1 else 1.0
    z = planes[:, None, None]
    return np.clip(np.minimum((z - top) / step, (bottom - z) / step) + 0.5, 0, 1).astype(np.float32)


def add_cells(
    volume: np.ndarray,
    spacing: tuple[float, float, float],
    centres: np.ndarray,
    radii: np.ndarray,
    body: np.ndarray,
    nucleus: np.ndarray,
    rim: np.ndarray,
    angles: np.ndarray,
) -> None:
    """Add ellipsoids with a nucleus and a rim, in place: a body, an inside of another brightness, a bright border.

    Args:
        volume: `[Z, Y, X]`, float32.
        spacing: µm between voxels along z, y and x.
        centres: `[C, 3]` in µm from the first voxel.
        radii: along z and the two axes in plane in µm, `[C, 3]`.
        body: brightness of the body, `[C]`.
        nucleus: brightness of what lies within 0.6 of the radius, `[C]`.
        rim: brightness that the border has more, `[C]`.
        angles: by which the axes are turned in plane, `[C]`.
    """
    axes = [np.arange(n, dtype=np.float32) * np.float32(s) for n, s in zip(volume.shape, spacing, strict=True)]
    reach = 1.4 * np.stack([radii[:, 0], *[radii[:, 1:].max(axis=1)] * 2], axis=1)
    for c, centre in enumerate(centres):
        parts = []
        for axis, middle, far in zip(axes, centre, reach[c], strict=True):
            parts.append(slice(*np.searchsorted(axis, (middle - far, middle + far))))
        z, y, x = (axis[part] - np.float32(middle) for axis, part, middle in zip(axes, parts, centre, strict=True))
        if not (len(z) and len(y) and len(x)):
            continue
        cosine, sine = np.float32(np.cos(angles[c])), np.float32(np.sin(angles[c]))
        rz, ru, rv = radii[c].astype(np.float32)
        u, v = cosine * y[:, None] + sine * x, cosine * x - sine * y[:, None]
        far = np.sqrt((z / rz)[:, None, None] ** 2 + (u / ru) ** 2 + (v / rv) ** 2)
        inside = np.clip((1 - far) / 0.2 + 0.5, 0, 1)
        core = np.clip((0.6 - far) / 0.2 + 0.5, 0, 1)
        light = np.float32(body[c]) * inside + np.float32(nucleus[c] - body[c]) * core
        if rim[c]:
            light += np.float32(rim[c]) * np.exp(-0.5 * ((far - 1) / 0.1) ** 2)
        volume[tuple(parts)] += light


def add_points(
    volume: np.ndarray, spacing: tuple[float, float, float], points: np.ndarray, heights: np.ndarray
) -> None:
    """Add points to a volume, in place, each to the voxel it lies in; those outside are left out.

    Args:
        volume: `[Z, Y, X]`, float32.
        spacing: µm between voxels along z, y and x.
        points: `[P, 3]` in µm from the first voxel's centre.
        heights: what each adds to its voxel, `[P]`.
    """
    voxel = np.rint(points / spacing).astype(int)
    seen = ((voxel >= 0) & (voxel < volume.shape)).all(axis=1)
    np.add.at(volume, tuple(voxel[seen].T), heights[seen].astype(np.float32))


def strands(
    starts: np.ndarray, length: float, bend: float, step: float, rng: np.random.Generator, flatness: float = 3.0
) -> np.ndarray:
    """Points along thin winding strands: fibres, or the processes of cells.

    Args:
        starts: `[S, 3]` in µm.
        length: of each in µm.
        bend: standard deviation of the turn in radians per 10 µm.
        step: µm between points.
        rng: source of chance.
        flatness: how much more they run in plane than along z.

    Returns:
        The points, `[S, P, 3]`.
    """
    count = max(int(length / step), 2)
    turns = np.cumsum(rng.normal(0, bend * np.sqrt(step / 10), (len(starts), count)), axis=1)
    angle = rng.uniform(0, 2 * np.pi, (len(starts), 1)) + turns
    dip = np.clip(rng.normal(0, 1 / flatness, (len(starts), 1)) + 0.3 * turns / flatness, -1, 1)
    way = np.stack([np.sin(dip), np.cos(dip) * np.sin(angle), np.cos(dip) * np.cos(angle)], axis=2)
    return starts[:, None] + np.cumsum(way, axis=1) * step


def vessel_light(
    graph: VascularGraph,
    typical: float,
    spread: float,
    slope: float,
    unevenness: float,
    gaps: float,
    rings: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """The brightness of vessels, which differs tenfold between the vessels of one image.

    It goes from a vessel into those that it branches into without a step, follows the radius by a power, wanders along
    each vessel, is broken by red blood cells in capillaries and by rings of muscle around arterioles.

    Args:
        graph: the network.
        typical: radius of a typical capillary in µm.
        spread: standard deviation of the brightness's logarithm from vessel to vessel.
        slope: power of the radius, relative to the typical one, with which it grows.
        unevenness: standard deviation of the logarithm along each vessel.
        gaps: share of a capillary's length that is darkened to a quarter.
        rings: depth of the rings around arterioles wider than 3 µm, 0 to 1.
        rng: source of chance.

    Returns:
        The brightness of each segment of the centre lines, 1 on average in the logarithm, `[S]`, float32.
    """
    nodes = rng.normal(0, 1, len(graph.nodes))
    a, b = graph.edges.T
    # Wide vessels that are joined are alike, and capillaries somewhat like their neighbours, for blood and antibodies
    # come the same way.
    wide = graph.radii > 1.8 * typical
    links = sparse.coo_matrix((np.ones(wide.sum()), (a[wide], b[wide])), shape=(len(nodes), len(nodes)))
    nodes = nodes[connected_components(links, directed=False)[1]]
    free = np.ones(len(nodes))
    free[graph.edges[wide]] = 0
    for _ in range(2):
        pull = np.zeros(len(nodes))
        for here, there in ((a, b), (b, a)):
            np.add.at(pull, here, nodes[there] - nodes[here])
        nodes = nodes + 0.15 * free * pull
    nodes = spread * (nodes - nodes.mean()) / max(float(nodes.std()), 1e-6)
    levels = []
    for e, (path, radii) in enumerate(zip(graph.paths, graph.path_radii, strict=True)):
        count = len(path) - 1
        t = (np.arange(count) + 0.5) / count
        noise = rng.normal(0, 1, (2, count))
        wander = ndimage.gaussian_filter1d(noise[0], 2.5, mode="reflect") * np.sqrt(2.5 * 3.5)
        calm = min(1.0, typical / graph.radii[e])
        level = (1 - t) * nodes[a[e]] + t * nodes[b[e]] + unevenness * calm * wander
        level += slope * np.log(graph.radii[e] / typical)
        phase = rng.uniform(0, 2 * np.pi)
        if gaps and radii.max() < 4:
            cells = ndimage.gaussian_filter1d(noise[1], 1.0, mode="reflect")
            level -= np.log(4) * (cells > np.quantile(cells, 1 - gaps))
        if rings and graph.kinds[e] == "arteriole" and radii.max() > 3:
            along = np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))
            # Muscle cells of 6 to 12 µm, no two alike.
            waves = np.sin(2 * np.pi * along / 9.0 + phase + 3.0 * wander) + 0.5 * noise[1]
            level += np.log(1 - rings * np.clip(0.5 + 0.4 * waves, 0, 0.95))
        levels.append(level)
    level = np.concatenate(levels)
    return np.exp(np.clip(level, -3.0, 2.0)).astype(np.float32)
