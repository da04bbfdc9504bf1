"""Results as napari's layers, and napari's layers as images ``[Z, Y, X]`` with micrometres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError

if TYPE_CHECKING:
    from ..interface import Segmentation
    from ..measurements import Measurement
    from ..trust import Box

__all__ = [
    "Layer",
    "Layout",
    "box_layer",
    "graph_layers",
    "nearest_vessel",
    "picture_of",
    "pieces",
    "result_layers",
    "spacing_of",
    "strokes_layer",
    "vector_arguments",
    "vessel_path",
]

# data, arguments, type: what napari's add_layer functions take
Layer = tuple[Any, dict[str, Any], str]

MICROMETRE, PIXEL = "micrometer", "pixel"
MASK_COLOURS = {None: "transparent", 1: "orange"}
STROKE_COLOURS = {None: "transparent", 1: "limegreen", 2: "red"}
# micrometres of the units of length that napari's layers have
_LENGTHS = {"meter": 1e6, "centimeter": 1e4, "millimeter": 1e3, MICROMETRE: 1.0, "nanometer": 1e-3, "angstrom": 1e-4}
NOT_SPACE = ("time", "position")  # axes of which one place at a time is segmented


@dataclass(frozen=True)
class Layout:
    """Where a layer lies.

    Args:
        scale: along each axis.
        units: of the scale along each axis.
        labels: of the axes.
        translate: of the first pixel.
    """

    scale: tuple[float, ...]
    units: tuple[str, ...]
    labels: tuple[str, ...]
    translate: tuple[float, ...]

    @classmethod
    def of(cls, shape: Sequence[int], spacing: Sequence[float] | None, before: Sequence[str] = ()) -> Layout:
        """Of an image of this shape, in micrometres or in pixels, with further axes before it."""
        count = len(shape)
        steps = (1.0,) * count if spacing is None else tuple(map(float, spacing))
        return cls(
            (1.0,) * len(before) + steps,
            (PIXEL,) * len(before) + (PIXEL if spacing is None else MICROMETRE,) * count,
            (*before, *"zyx"[-count:]),
            (0.0,) * (len(before) + count),
        )

    @classmethod
    def of_layer(cls, layer: Any) -> Layout:
        """Of a layer of napari."""
        return cls(
            tuple(map(float, layer.scale)),
            tuple(map(str, layer.units)),
            tuple(layer.axis_labels),
            tuple(map(float, layer.translate)),
        )

    def last(self, axes: int) -> Layout:
        """The same of the last axes alone."""
        return Layout(self.scale[-axes:], self.units[-axes:], self.labels[-axes:], self.translate[-axes:])

    def arguments(self) -> dict[str, Any]:
        """As napari takes them."""
        return {
            "scale": self.scale,
            "units": self.units,
            "axis_labels": self.labels,
            "translate": self.translate,
        }


def spacing_of(scale: Sequence[float], units: Sequence[Any] | None, axes: int) -> tuple[float, ...] | None:
    """Micrometres along the last axes of a layer; None if its units are no lengths.

    Args:
        scale: of the layer.
        units: of the layer: names, or units of pint; None are pixels.
        axes: how many.
    """
    if units is None or len(scale) < axes:
        return None
    lengths = [
        float(step) * _LENGTHS.get(str(unit), 0) for step, unit in zip(scale[-axes:], units[-axes:], strict=True)
    ]
    return tuple(round(length, 9) for length in lengths) if all(lengths) else None


def picture_of(layer: Any, place: Sequence[int]) -> tuple[np.ndarray, Layout]:
    """The image or stack of a layer, at the time and position that are shown.

    Args:
        layer: of images, of napari.
        place: the step along each of the layer's axes that is shown.

    Returns:
        ``[Y, X]`` or ``[Z, Y, X]``, and where it lies.

    Raises:
        InputError: it has colours that differ, or more axes.
    """
    data = layer.data[0] if layer.multiscale else layer.data
    layout = Layout.of_layer(layer)
    if layer.rgb:
        colours = np.asarray(data)[..., :3]
        if (colours != colours[..., :1]).any():
            raise InputError(None, f"{layer.name} has colours", "choose Split RGB in its menu, and take one of them")
        data = colours[..., 0]
    while data.ndim > 3 or (data.ndim == 3 and layout.labels[0] in NOT_SPACE):
        if data.ndim > 5:
            raise InputError(None, f"{layer.name} has {data.ndim} axes", "open one image or stack of it")
        data = data[int(place[len(place) - data.ndim])]
        layout = layout.last(data.ndim)
    if data.ndim < 2:
        raise InputError(None, f"{layer.name} is no image", "choose a layer of rows and columns")
    return np.asarray(data), layout


def result_layers(name: str, result: Segmentation, layout: Layout) -> list[Layer]:
    """What was found in an image: the mask on top, what it comes from below, hidden.

    Args:
        name: of the image's layer.
        result: of it.
        layout: of the image.
    """
    layout = layout.last(result.mask.ndim)
    common = layout.arguments()
    unit = {"contrast_limits": (0, 1), "visible": False}
    found: list[Layer] = []
    if result.depth is not None:
        found.append((result.image, common | {"name": f"{name} fused"}, "image"))
        found.append((result.depth, common | {"name": f"{name} depth", "colormap": "turbo", "visible": False}, "image"))
    found.append((result.probability, common | unit | {"name": f"{name} probability"}, "image"))
    disagreement = common | unit | {"name": f"{name} disagreement", "colormap": "magma"}
    found.append((result.disagreement, disagreement, "image"))
    mask = common | {"name": f"{name} mask", "opacity": 0.5, "colormap": MASK_COLOURS}
    found.append((result.mask.astype(np.uint8), mask, "labels"))
    return found


def strokes_layer(name: str, shape: Sequence[int], layout: Layout) -> Layer:
    """A layer to paint corrections on: 1 where a vessel is, 2 where none is."""
    options = layout.last(len(shape)).arguments() | {"name": f"{name} strokes", "colormap": STROKE_COLOURS}
    return np.zeros(shape, np.uint8), options, "labels"


def box_layer(name: str, box: Box, layout: Layout) -> Layer:
    """The frame around a place to label, in its slice alone.

    It goes through the centres of its outer pixels: along their outer edges it would move napari's sliders.
    """
    rows, columns = ((float(side.start), float(side.stop - 1)) for side in (box.rows, box.columns))
    slices = [] if box.z is None else [float(box.z)]
    corners = [[*slices, y, x] for y, x in zip((*rows, *rows[::-1]), np.repeat(columns, 2).tolist(), strict=True)]
    options = layout.arguments() | {
        "name": f"{name} label next",
        "shape_type": "polygon",
        "edge_color": "yellow",
        "face_color": "transparent",
        "edge_width": 1.0,
        "opacity": 1.0,
    }
    return [np.array(corners)], options, "shapes"


def graph_layers(name: str, measurement: Measurement, shape: Sequence[int], layout: Layout) -> list[Layer]:
    """The graph: the pieces of the centre lines, coloured by the vessel's diameter, and its nodes.

    The pieces are vectors: napari shows paths that go through slices in three dimensions alone.

    Args:
        name: of the image's layer.
        measurement: of its mask.
        shape: of the mask.
        layout: of the mask.
    """
    axes = len(measurement.axes)
    layout = layout.last(axes)
    if not measurement.segments:
        return []
    diameters = np.array([row["diameter_mean"] for row in measurement.segments], dtype=float)
    diameters = np.where(np.isfinite(diameters), diameters, 2 * measurement.graph.radii)
    low, high = (float(value) for value in np.percentile(diameters, (2, 98)))
    paths = [vessel_path(measurement, row, shape) for row in range(len(measurement.segments))]
    owner = np.repeat(np.arange(len(paths)), [len(path) - 1 for path in paths])
    lines = vector_arguments(layout) | {
        "name": f"{name} vessels",
        "features": {"segment": owner, "diameter": diameters[owner]},
        "edge_width": 1.0,
        "edge_color": "diameter",
        "edge_colormap": "plasma",
        "edge_contrast_limits": (low, high if high > low else low + 1),
        "metadata": {"unit": measurement.unit},
    }
    nodes = [row for row in measurement.nodes if row["kind"] in ("branch", "crossing", "end")]
    places = np.array([[row[axis] for axis in measurement.axes.lower()] for row in nodes], dtype=float)
    places = np.clip(places.reshape(-1, axes) / np.array(measurement.spacing), 0, np.array(shape) - 1)
    points = layout.arguments() | {
        "name": f"{name} nodes",
        "size": 3,
        "features": {"kind": [row["kind"] for row in nodes], "degree": [row["degree"] for row in nodes]},
        "face_color": ["white" if row["kind"] != "end" else "transparent" for row in nodes] or "white",
        "border_color": "white",
        "out_of_slice_display": True,
        "visible": False,
    }
    return [(np.concatenate(list(map(pieces, paths))), lines, "vectors"), (places, points, "points")]


def vector_arguments(layout: Layout) -> dict[str, Any]:
    """How centre lines are shown: over the mask, and in the slices beside theirs too."""
    return layout.arguments() | {
        "vector_style": "line",
        "out_of_slice_display": True,
        "blending": "translucent_no_depth",
        "opacity": 1.0,
    }


def vessel_path(measurement: Measurement, row: int, shape: Sequence[int]) -> np.ndarray:
    """The centre line of a vessel in pixels along the axes of a mask of this shape, ``[P, D]``, two points at least.

    What is drawn out beyond the centres of the last pixels is cut, since it would move napari's sliders.
    """
    axes = len(measurement.axes)
    path = measurement.graph.paths[row][:, -axes:] / np.array(measurement.spacing)
    path = path if len(path) > 1 else np.concatenate([path, path + 0.5])
    return np.clip(path, 0, np.array(shape) - 1)


def pieces(path: np.ndarray) -> np.ndarray:
    """A path ``[P, D]`` as napari's vectors ``[P - 1, 2, D]``: where each begins, and where it leads."""
    return np.stack([path[:-1], np.diff(path, axis=0)], axis=1)


def nearest_vessel(
    vectors: np.ndarray,
    owner: np.ndarray,
    position: np.ndarray,
    direction: np.ndarray | None,
    shown: Sequence[int],
    reach: float,
) -> int | None:
    """The vessel at which a click points.

    Args:
        vectors: of :func:`graph_layers`, ``[N, 2, D]``.
        owner: the vessel of each, ``[N]``.
        position: of the click, ``[D]``, in the same coordinates.
        direction: in which the eye looks, ``[D]``; None where a slice is shown.
        shown: the axes on the screen.
        reach: how far beside the line a click may be.

    Returns:
        The number of the vessel; None if none is so near.
    """
    offset = vectors[:, 0] + vectors[:, 1] / 2 - position
    if direction is not None:
        along = direction / np.linalg.norm(direction)
        offset = offset - np.outer(offset @ along, along)
    else:
        hidden = [axis for axis in range(offset.shape[1]) if axis not in shown]
        near = (np.abs(offset[:, hidden]) <= 1.5).all(axis=1)  # those that the slice shows
        offset = np.where(near[:, None], offset, np.inf)[:, list(shown)]
    distance = np.linalg.norm(offset, axis=1)
    best = int(np.argmin(distance))
    return int(owner[best]) if distance[best] <= reach else None
