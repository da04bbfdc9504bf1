"""From a mask to the graph of its vessels."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from ..volumes import HERE, Volume, Workers, in_groups
from .blocks import skeleton_by_blocks, stored_without_pinholes
from .borders import leave
from .ends import extended
from .fields import BRICK_VOXELS, Field
from .graph import VascularGraph
from .junctions import met
from .pinholes import fill_pinholes
from .pruning import Line, Net, Node
from .sections import Course, centred, radii, shares
from .smoothing import smooth
from .thinning import as_volume, fitting, skeleton
from .tracing import trace_voxels

__all__ = ["PRUNE", "vessel_graph"]

# the corners of vessels that end square reach 2.4 in voxels
PRUNE = 2.5


def vessel_graph(
    mask: np.ndarray | Volume,
    spacing: Sequence[float] | None = None,
    *,
    prune: float = PRUNE,
    min_length: float = 0.0,
    pinholes: int | None = None,
    work: str | Path | None = None,
    brick: int = BRICK_VOXELS,
    workers: Workers = HERE,
) -> VascularGraph:
    """The vessels of a mask as a graph: where they run, branch and end, and how wide they are.

    Pinholes are filled, the mask is thinned (:func:`thin`), the skeleton is followed, side lines that hardly stand out
    are taken out, the centre lines are smoothed as far as half a voxel allows, and free ends are extended to the
    surface or the border of the field. The radius at a point is that of the round vessel with as much mask to its
    length there, in an image half its width; it comes from the volume, not from a distance to the background.

    Args:
        mask: bool ``[Y, X]`` or ``[Z, Y, X]``; or a :class:`bundle.volumes.Volume` that is larger than memory, of which
            a few bricks at a time are read, with the same graph. A field of one slice is an image.
        spacing: of the voxels along each axis, three of a volume, in micrometres; if absent, lengths are in pixels.
        prune: bulge size below which a side line is no vessel: how far it stands out from where it branches off, in
            radii of its own; 0 prunes nothing.
        min_length: free-ended vessels and lone ones that are shorter, in the unit of the spacing, are left out.
        pinholes: the largest hole that is filled, as of :func:`fill_pinholes`.
        work: where a volume's states are kept meanwhile, six bytes a voxel; the system's temporary folder if absent.
        brick: about how many voxels of a volume are worked on at a time, without what is read around them.
        workers: who thins the bricks of a volume, such as a :class:`bundle.cluster.Cluster`; ``work`` is then a folder
            that all of them see. The rest, which is of the lines alone, is done here.

    Returns:
        The graph. With ``prune=0`` its pieces and loops are those of the mask with its pinholes filled; pruning changes
        neither.

    Raises:
        ValueError: the mask has neither two nor three axes, or the spacing does not fit it.
    """
    unit = "pixel" if spacing is None else "micrometer"
    if isinstance(mask, np.ndarray | list):
        volume, steps = as_volume(fill_pinholes(mask, pinholes), spacing)
        left, depths = skeleton(volume, steps)
        return _graph_of(np.argwhere(left), depths, Field(volume), np.array(steps), prune, min_length, unit)
    with TemporaryDirectory(dir=work) as folder:
        z, y, x = fitting(spacing, 3)
        steps = (z, y, x)
        field = stored_without_pinholes(Field(mask, brick), pinholes, Path(folder) / "mask", workers)
        voxels, depths = skeleton_by_blocks(field, steps, Path(folder), workers)
        return _graph_of(voxels, depths, field, np.array(steps), prune, min_length, unit, workers)


def _graph_of(
    voxels: np.ndarray,
    depths: np.ndarray,
    field: Field,
    spacing: np.ndarray,
    prune: float,
    min_length: float,
    unit: str,
    workers: Workers = HERE,
) -> VascularGraph:
    # without any background a voxel is as deep as the field is large
    depths = np.minimum(depths.astype(float), np.linalg.norm(np.array(field.shape) * spacing))
    net = as_net(voxels, depths, spacing)
    net.prune(prune)
    net.merge()
    leave(net, field, spacing)
    net.shorten()
    while True:
        graph = drawn(net, field, spacing, unit, workers)
        short = (graph.lengths < min_length) & ~graph.cut & (graph.degrees[graph.edges] == 1).any(axis=1)
        if not short.any():
            return graph
        names = list(net.lines)
        net.drop([names[e] for e in np.flatnonzero(short)])


def as_net(voxels: np.ndarray, depths: np.ndarray, spacing: np.ndarray) -> Net:
    """The lines of a skeleton in space.

    Args:
        voxels: of the skeleton, ``[N, 3]``, in the order in which an array holds them.
        depths: distance of each to the background, micrometres.
        spacing: micrometres.
    """
    clusters, chains = trace_voxels(voxels)
    points = voxels * spacing
    net = Net()
    names = [net.add_node(Node(points[cluster].mean(axis=0), float(depths[cluster].max()))) for cluster in clusters]
    for chain in chains:
        net.add_line(Line(names[chain.source], names[chain.target], points[chain.voxels], depths[chain.voxels]))
    net.straighten(names)
    return net


def drawn(net: Net, field: Field, spacing: np.ndarray, unit: str, workers: Workers = HERE) -> VascularGraph:
    """The graph of a net: its lines smoothed, moved to the middle, extended, and as wide as the mask around them.

    Args:
        net: nodes and lines.
        field: the mask.
        spacing: micrometres.
        unit: of the spacing.
        workers: who looks at the mask around the lines.
    """
    image = field.shape[0] == 1
    numbers = {name: number for number, name in enumerate(net.nodes)}
    edges = np.array([[numbers[line.source], numbers[line.target]] for line in net.lines.values()], int).reshape(-1, 2)
    nodes = np.array([node.position for node in net.nodes.values()], float).reshape(-1, 3)
    depths = np.array([node.depth for node in net.nodes.values()], float)
    degrees = np.bincount(edges.ravel(), minlength=len(nodes))
    reach = np.where(degrees >= 3, depths, 0.0)
    bends = np.where(reach > 0, 1.25 * reach + spacing.min(), 0.0)  # so far a junction bends a skeleton
    courses = []
    for line, (a, b) in zip(net.lines.values(), edges, strict=True):
        points, deep = net.points_of(line)
        ring = bool(a == b and degrees[a] == 2)
        # a pixel of an image's vessel is no further from its middle than that is deep; a vessel in space may be flat
        far = (1 if image else 2) * float(deep.max()) + spacing.max()
        courses.append(Course(points, ring, (reach[a], reach[b]), float(np.median(deep)), far))
    rings = [course.ring for course in courses]
    lines = smooth([course.points for course in courses], spacing, rings)
    border = np.zeros(len(nodes), bool)
    exits = [node.exit for node in net.nodes.values()]

    def put(lines: list[np.ndarray]) -> None:
        """Let the lines meet at their nodes, and end at the surface or at the border."""
        sums = np.zeros_like(nodes)
        for line, pair in zip(lines, edges, strict=True):
            np.add.at(sums, pair, line[[0, -1]])
        joined = degrees > 0
        nodes[joined] = sums[joined] / degrees[joined, None]
        nodes[:], lines = met(lines, edges, nodes, bends, 3 * spacing.min())
        for course, points, (a, b) in zip(courses, lines, edges, strict=True):
            for node, turn in ((a, -1), (b, 1)):
                if degrees[node] == 1:
                    known = exits[node]
                    nodes[node], border[node] = (
                        extended(points[::turn], depths[node], field, spacing) if known is None else (known, True)
                    )
                    points = np.concatenate([points[::turn], nodes[[node]]])[::turn]
            course.points = points

    put(lines)
    loose = degrees[edges] == 1
    told = list(zip(courses, *shares(courses, field, spacing, workers), loose.tolist(), strict=True))
    lines = in_groups(workers, "moving lines to the middle", partial(_moved, spacing, field.shape), told)
    put(lines)
    shared = list(zip(courses, shares(courses, field, spacing, workers)[0], strict=True))
    widths = in_groups(workers, "finding radii", partial(_radii, spacing, field.shape), shared)
    means = []
    for course, width in zip(courses, widths, strict=True):
        steps = np.diff(course.along)
        means.append(float(np.average((width[1:] + width[:-1]) / 2, weights=steps) if steps.any() else width.mean()))
    paths = [course.points for course in courses]
    return VascularGraph(nodes, edges, np.array(means), ["vessel"] * len(edges), paths, widths, border, unit)


def _moved(
    spacing: np.ndarray, shape: tuple[int, ...], told: tuple[Course, np.ndarray, np.ndarray, tuple[bool, bool]]
) -> np.ndarray:
    """A line in the middle of its vessel, without its free ends, which are found anew."""
    course, counts, sums, (first, last) = told
    return centred(course, counts, sums, spacing, shape)[int(first) : len(counts) - int(last)]


def _radii(spacing: np.ndarray, shape: tuple[int, ...], told: tuple[Course, np.ndarray]) -> np.ndarray:
    course, counts = told
    return radii(course, counts, spacing, shape)
