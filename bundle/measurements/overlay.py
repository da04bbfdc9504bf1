"""The picture to check a measurement by: centre lines on the image, coloured by diameter."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure

from ..io import atomic
from ..transforms import LinearContrast, stretch
from .measurement import Measurement

__all__ = ["nice_length", "write_overlay"]

# rises in lightness, so that it is read with any colour vision and in print; without its darkest part
COLOURS = LinearSegmentedColormap.from_list("diameter", colormaps["plasma"](np.linspace(0.3, 1, 256)))
DPI = 100
SIDES = (900, 2400)  # pixels of the longer side of the picture: a small image is enlarged, a large one reduced
_CONTRAST = LinearContrast(0.5, 99.5)


def write_overlay(path: str | Path, measurement: Measurement, ground: np.ndarray) -> None:
    """Draw the centre lines, coloured by their diameter, with a scale bar; nodes by their kind.

    Args:
        path: the PNG to write.
        measurement: what is drawn.
        ground: what it is drawn on: the image or the mask, ``[Y, X]`` or ``[Z, Y, X]``, of which the maximum
            projection is shown.

    Raises:
        InputError: the file cannot be written.
    """
    plane = _grey(ground if ground.ndim == 2 else ground.max(axis=0))
    rows, columns = plane.shape
    dy, dx = measurement.spacing[-2:]
    height, width = rows * dy, columns * dx
    longer = max(SIDES[0], min(SIDES[1], max(rows, columns)))
    scale = longer / max(height, width) / DPI
    figure = Figure(
        figsize=(max(width * scale, 3.5) + 1.1, max(height * scale, 2.0) + 0.2), dpi=DPI, layout="constrained"
    )
    axes = figure.subplots()
    # half a pixel before the centre of the first: the image's edge
    edges = (-dx / 2, (columns - 0.5) * dx, (rows - 0.5) * dy, -dy / 2)
    axes.imshow(plane, cmap="gray", vmin=0, vmax=255, extent=edges, interpolation="nearest")
    shades = _draw_lines(axes, measurement)
    _draw_nodes(axes, measurement)
    _draw_scale(axes, measurement, width, height)
    axes.set_xlim(edges[0], edges[1])
    axes.set_ylim(edges[2], edges[3])
    axes.set_axis_off()
    unit = "µm" if measurement.unit == "micrometer" else "pixels"
    figure.colorbar(shades, ax=axes, label=f"diameter ({unit})", fraction=0.05, pad=0.01, shrink=0.8)
    with atomic(path) as partial:
        figure.savefig(partial, format="png", metadata={"Software": None})


def nice_length(extent: float) -> float:
    """A round length, 1, 2 or 5 times a power of ten, of about a fifth of an extent."""
    aim = extent / 5
    power = 10.0 ** math.floor(math.log10(aim))
    return max(step * power for step in (1, 2, 5) if step * power <= aim)


def _grey(plane: np.ndarray) -> np.ndarray:
    """Uint8; darker than the image is, so that the lines stand out."""
    plane = np.asarray(plane, dtype=np.float32)
    if plane.min() == plane.max():
        return np.full(plane.shape, 150 if plane.max() > 0 else 0, dtype=np.uint8)
    low, high, margin = _CONTRAST.limits([lambda: [plane]], plane.shape)
    if low == high:
        low, high = plane.min(), plane.max()
    return np.round(150 * stretch(plane, low, high, margin)).astype(np.uint8)


def _draw_lines(axes: Axes, measurement: Measurement) -> ScalarMappable:
    graph = measurement.graph
    pieces, values = [], []
    for line, radii in zip(graph.paths, graph.path_radii, strict=True):
        flat = line[:, :0:-1]  # x, y
        pieces.append(np.stack([flat[:-1], flat[1:]], axis=1))
        values.append(radii[:-1] + radii[1:])
    diameters = np.concatenate(values) if values else np.zeros(1)
    low, high = np.percentile(diameters, (2, 98)) if values else (0, 1)
    shades = ScalarMappable(Normalize(low, high if high > low else low + 1), COLOURS)
    if values:
        axes.add_collection(
            LineCollection(np.concatenate(pieces), array=diameters, cmap=shades.cmap, norm=shades.norm, linewidths=1.8)
        )
    return shades


_MARKS = {
    "branch": {"marker": "o", "facecolor": "white", "edgecolor": "black", "linewidth": 0.5},
    "crossing": {"marker": "X", "facecolor": "white", "edgecolor": "black", "linewidth": 0.5},
    "end": {"marker": "s", "facecolor": "none", "edgecolor": "white", "linewidth": 0.9},
}


def _draw_nodes(axes: Axes, measurement: Measurement) -> None:
    for kind, mark in _MARKS.items():
        at = np.array([(node["x"], node["y"]) for node in measurement.nodes if node["kind"] == kind])
        if len(at):
            axes.scatter(at[:, 0], at[:, 1], s=14, zorder=3, **mark)


def _draw_scale(axes: Axes, measurement: Measurement, width: float, height: float) -> None:
    length = nice_length(width)
    unit = "µm" if measurement.unit == "micrometer" else "pixels"
    left, low = 0.03 * width, 0.97 * height
    axes.plot([left, left + length], [low, low], color="white", linewidth=4, solid_capstyle="butt", zorder=4)
    axes.text(
        left + length / 2,
        low - 0.015 * height,
        f"{length:g} {unit}",
        color="white",
        ha="center",
        va="bottom",
        zorder=4,
        bbox={"facecolor": "black", "edgecolor": "none", "alpha": 0.6, "pad": 1.5},
    )
