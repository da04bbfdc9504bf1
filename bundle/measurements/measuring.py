"""All that is measured of an image: its vessels, what checks them, and how sure the numbers are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..graphs import fill_pinholes
from .boxes import fractal_dimension, lacunarity
from .crofton import crofton_length_density
from .intervals import add_intervals, constants, not_calibrated, replicate
from .measurement import Measurement, field_of, mean_over, measure_mask, seen_by_crofton

__all__ = ["measure"]

DISAGREEMENT = 0.05  # between the two estimates of length, beyond which it is said


def measure(
    mask: np.ndarray,
    spacing: Sequence[float] | None = None,
    *,
    image: np.ndarray | None = None,
    probability: np.ndarray | None = None,
    disagreement: np.ndarray | None = None,
    region: np.ndarray | None = None,
    visible: np.ndarray | None = None,
    **thinning: Any,
) -> Measurement:
    """Measure the vessels of a mask.

    Args:
        mask: ``[Y, X]`` or ``[Z, Y, X]``, nonzero is vessel.
        spacing: micrometres along each axis; None if unknown: all is then in pixels.
        image: the grey values, of the mask's shape: widths are then told by them where that is possible.
        probability: of a vessel, 0 to 1, of the mask's shape.
        disagreement: of the two cascades, 0 to 1, of the mask's shape: with the probability it gives the numbers their
            intervals, which takes 16 times as long, 6 times for a stack.
        region: what is to be measured, bool, of the mask's shape: vessels are cut at its outline.
        visible: what was imaged, bool, of the mask's shape: no margin of a mosaic, no NaN.
        thinning: of :func:`bundle.graphs.vessel_graph`.

    Returns:
        The numbers, the graph, and remarks.

    Raises:
        ValueError: the arrays or the spacing do not fit each other.
    """
    mask = np.asarray(mask) != 0
    if mask.ndim not in (2, 3) or mask.size == 0:
        raise ValueError(f"a mask of shape {mask.shape} is neither an image nor a stack")
    given = {"image": image, "probability": probability, "disagreement": disagreement}
    for name, array in (given | {"region": region, "visible": visible}).items():
        if array is not None and np.shape(array) != mask.shape:
            raise ValueError(f"{name} {np.shape(array)} and mask {mask.shape} differ in shape")
    if spacing is not None and (len(spacing) != mask.ndim or not all(s > 0 and math.isfinite(s) for s in spacing)):
        raise ValueError(f"spacing {tuple(spacing)} does not fit a mask of {mask.ndim} axes")
    options = {"region": region, "visible": visible, **thinning}
    measurement = measure_mask(mask, spacing, image=image, **options)
    field, row = field_of(region, visible), dict(measurement.image)
    filled = fill_pinholes(mask, thinning.get("pinholes"))
    row["length_crofton"] = crofton_length_density(filled, measurement.spacing, field) * row["field"]
    shown = mask if field is None else mask & field
    row["fractal_dimension"] = fractal_dimension(shown, measurement.spacing)
    row["lacunarity"] = lacunarity(shown, measurement.spacing)
    row["expected_fraction"] = math.nan if probability is None else 100 * mean_over(probability, field)
    row["interval"] = "none: only a mask"
    remarks = tuple(_remarks(row, seen_by_crofton(measurement.graph, mask.ndim)))
    measurement = replace(measurement, image=row, remarks=remarks)
    if probability is None or disagreement is None or not mask.any():
        return measurement
    if measurement.axes not in constants():  # before the replicates, which take long
        return not_calibrated(measurement)
    return add_intervals(measurement, replicate(measurement, mask, probability, disagreement, **options))


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
