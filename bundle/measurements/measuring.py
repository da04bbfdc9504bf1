"""All that is measured of an image: its vessels, what checks them, and how sure the numbers are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..graphs import BRICK_VOXELS, PRUNE
from ..volumes import HERE, Volume, Workers
from .boxes import fractal_dimension, lacunarity
from .crofton import crofton_length_density
from .grids import Grid
from .intervals import add_intervals, constants, not_calibrated, replicate
from .measurement import Measurement, measure_mask, prepared, seen_by_crofton
from .tallies import mean_over

__all__ = ["measure"]

DISAGREEMENT = 0.05  # between the two estimates of length, beyond which it is said


def measure(
    mask: np.ndarray | Volume,
    spacing: Sequence[float] | None = None,
    *,
    image: np.ndarray | Volume | None = None,
    probability: np.ndarray | Volume | None = None,
    disagreement: np.ndarray | Volume | None = None,
    region: np.ndarray | Volume | None = None,
    visible: np.ndarray | None = None,
    prune: float = PRUNE,
    min_length: float = 0.0,
    pinholes: int | None = None,
    work: str | Path | None = None,
    brick: int = BRICK_VOXELS,
    workers: Workers = HERE,
) -> Measurement:
    """Measure the vessels of a mask.

    Args:
        mask: ``[Y, X]`` or ``[Z, Y, X]``, nonzero is vessel; or a :class:`bundle.volumes.Volume` that is larger than
            memory, and so may be all that goes with it: a few bricks at a time are read, and the numbers are the same.
        spacing: micrometres along each axis; None if unknown: all is then in pixels.
        image: the grey values, of the mask's shape: widths are then told by them where that is possible.
        probability: of a vessel, 0 to 1, of the mask's shape.
        disagreement: of the two cascades, 0 to 1, of the mask's shape: with the probability it gives the numbers their
            intervals, which takes 16 times as long, 6 times for a stack.
        region: what is to be measured, bool, of the mask's shape: vessels are cut at its outline.
        visible: what was imaged, no margin of a mosaic, no NaN: bool, of the mask's shape, or a plane ``[Y, X]`` that
            holds for each slice.
        prune: of :func:`bundle.graphs.vessel_graph`.
        min_length: the same.
        pinholes: the same.
        work: the same.
        brick: the same.
        workers: the same; they do all that goes by blocks.

    Returns:
        The numbers, the graph, and remarks.

    Raises:
        ValueError: the arrays or the spacing do not fit each other.
    """
    if isinstance(mask, np.ndarray | list):
        mask = np.asarray(mask) != 0
    shape = tuple(mask.shape)
    if len(shape) not in (2, 3) or 0 in shape:
        raise ValueError(f"a mask of shape {shape} is neither an image nor a stack")
    given = {"image": image, "probability": probability, "disagreement": disagreement, "region": region}
    for name, values in given.items():
        if values is not None and tuple(values.shape) != shape:
            raise ValueError(f"{name} {tuple(values.shape)} and mask {shape} differ in shape")
    if visible is not None and visible.shape not in (shape, shape[-2:]):
        raise ValueError(f"visible {visible.shape} and mask {shape} differ in shape")
    if spacing is not None and (len(spacing) != len(shape) or not all(s > 0 and math.isfinite(s) for s in spacing)):
        raise ValueError(f"spacing {tuple(spacing)} does not fit a mask of {len(shape)} axes")
    options: dict[str, Any] = {"region": region, "visible": visible, "pinholes": pinholes, "work": work}
    options |= {"brick": brick, "workers": workers}
    vessels: dict[str, Any] = {"prune": prune, "min_length": min_length}
    with prepared(mask, spacing, **options) as subject:
        measurement = measure_mask(subject, image, **vessels)
        row, steps, field = dict(measurement.image), subject.spacing, subject.field
        row["length_crofton"] = crofton_length_density(subject.filled, steps, field, workers) * row["field"]
        row["fractal_dimension"] = fractal_dimension(subject.mask, steps, field, workers)
        row["lacunarity"] = lacunarity(subject.mask, steps, field, workers)
        expected = math.nan if probability is None else mean_over(Grid(probability), field, workers)
        row["expected_fraction"] = 100 * expected
        row["interval"] = "none: only a mask"
        remarks = tuple(_remarks(row, seen_by_crofton(measurement.graph, len(shape))))
        measurement = replace(measurement, image=row, remarks=remarks)
        empty = not subject.tally.vessel
    if probability is None or disagreement is None or empty:
        return measurement
    if measurement.axes not in constants():  # before the replicates, which take long
        return not_calibrated(measurement)
    return add_intervals(measurement, replicate(measurement, mask, probability, disagreement, **options, **vessels))


def _remarks(row: dict[str, float], expected: float) -> list[str]:
    lines = []
    if not row["fraction"] > 0:
        lines.append("no vessel in what is measured; widths and distances are NaN")
    elif row["fraction"] >= 100:
        lines.append("nothing but vessel in what is measured; the centre line of such a mask means little")
    if row["unit"] == "pixel":
        lines.append("no pixel size: everything is in pixels (--spacing states it)")
    other = row["length_crofton"]
    if expected > 0 and math.isfinite(other) and abs(other - expected) > DISAGREEMENT * expected:
        lines.append(
            f"the length without a skeleton is {other:.4g}, {100 * (other / expected - 1):+.0f} % from what the centre "
            f"lines, their ends and branch points make it, {expected:.4g}: look at the overlay"
        )
    return lines
