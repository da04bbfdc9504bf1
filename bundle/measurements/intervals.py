"""How far each number may be from what a perfect mask would give: 90 % intervals from the two cascades.

The mask is made again several times: of S at shifted thresholds, and of the higher and the lower of the two cascades'
probabilities at each pixel, S ± |L − N| / 2. What the number's logarithm varies by over them, its spread, is small
where the cascades are sure and agree. By how many spreads measured numbers lie from true ones was found on phantoms,
for images and for stacks (``python -m scripts.benchmarks.calibrate_intervals``), and stands in interval_constants.json.
That it holds for an image assumes that the image is to the network as those phantoms are.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import map_coordinates

from ..transforms import Closing, Hysteresis, Removal
from .definitions import IMAGES, SEGMENTS
from .lines import weights_along
from .measurement import Measurement, measure_mask
from .sections import section_radii, tangents

__all__ = [
    "COUNTS",
    "INTERVALS",
    "Replicates",
    "add_intervals",
    "constants",
    "measure_sections",
    "not_calibrated",
    "replicate",
    "replicate_masks",
    "spread",
]

# by a mask's dimensions: by how much of |L − N| each replicate's probability lies off S, and the shift of both
# thresholds in logits. A stack takes long to measure: it is made again by one change at a time
PLAIN = (0.0, 0.0)
WAYS = {
    2: tuple((part, shift) for part in (0.0, 0.5, -0.5) for shift in (-1.0, -0.5, 0.0, 0.5, 1.0)),
    3: ((0.0, -1.0), PLAIN, (0.0, 1.0), (0.5, 0.0), (-0.5, 0.0)),
}
LOW, HIGH, GAPS, FRAGMENTS = 0.45, 0.95, 2, 30  # as in configs/inference.json
AGREES = 0.9  # Dice of the mask with the one that the probability gives, below which it is of something else
COUNTS = {"branch_points", "end_points", "segments", "pieces", "loops"}
DENSITIES = {"length_density": "length", "branch_point_density": "branch_points"}  # which have their numbers' intervals
INTERVALS = tuple(column.name for column in IMAGES if column.interval and column.name not in DENSITIES)
OF_SEGMENTS = tuple(column.name for column in SEGMENTS if column.interval)
FILE = Path(__file__).with_name("interval_constants.json")


@dataclass(frozen=True)
class Replicates:
    """What the replicates say of an image.

    Args:
        image: for each quantity its values over the R replicates, ``[R]``, NaN where it is not defined.
        segments: "length" and "diameter_mean" of each segment, ``[E, R]``.
        bottleneck: the least S along each segment's centre line, ``[E]``.
        agreement: Dice of the mask with the replicate that nothing was shifted in.
    """

    image: dict[str, np.ndarray]
    segments: dict[str, np.ndarray]
    bottleneck: np.ndarray
    agreement: float


def replicate_masks(probability: np.ndarray, disagreement: np.ndarray) -> Iterator[np.ndarray]:
    """The masks that might as well have come out, one after the other: 15 of an image, 5 of a stack.

    Of an image S, S + |L − N| / 2 and S − |L − N| / 2, each at five shifts of the thresholds from low to high; of a
    stack S at three shifts, then the other two as they are.

    Args:
        probability: S, 0 to 1, ``[Y, X]`` or ``[Z, Y, X]``.
        disagreement: |L − N|, of the same shape.

    Yields:
        Bool, of the same shape.
    """
    for part, shift in WAYS[probability.ndim]:
        values = np.clip(probability + part * disagreement, 0, 1, dtype=np.float32)
        mask = Hysteresis(_shifted(LOW, shift), _shifted(HIGH, shift)).of(values)
        yield Removal(FRAGMENTS).of(Closing(GAPS).of(mask))


def _shifted(threshold: float, shift: float) -> float:
    return 1 / (1 + math.exp(-(math.log(threshold / (1 - threshold)) + shift)))


def replicate(
    measurement: Measurement,
    mask: np.ndarray,
    probability: np.ndarray,
    disagreement: np.ndarray,
    **options: Any,
) -> Replicates:
    """Measure the replicates of an image, one after the other: it takes so many times as long as to measure once.

    Args:
        measurement: of the mask.
        mask: bool, ``[Y, X]`` or ``[Z, Y, X]``.
        probability: S, of the mask's shape.
        disagreement: |L − N|, of the mask's shape.
        options: of :func:`measure_mask`, as the mask was measured: region, visible, prune …
    """
    spacing = None if measurement.unit == "pixel" else measurement.spacing
    rows, lengths, widths, agreement = [], [], [], math.nan
    for way, other in zip(WAYS[mask.ndim], replicate_masks(probability, disagreement), strict=True):
        if way == PLAIN:
            agreement = _dice(mask, other)
        row = measure_mask(other, spacing, **options).image
        rows.append([float(row[name]) for name in INTERVALS])
        found = measure_sections(other, other, measurement)
        lengths.append(found[0])
        widths.append(found[1])
    return Replicates(
        image=dict(zip(INTERVALS, np.array(rows).T, strict=True)),
        segments={"length": np.array(lengths).T, "diameter_mean": np.array(widths).T},
        bottleneck=np.array([_bottleneck(probability, path, measurement.spacing) for path in _paths(measurement)]),
        agreement=agreement,
    )


def _paths(measurement: Measurement) -> list[np.ndarray]:
    """The centre lines with as many coordinates as the image has axes."""
    return [path[:, -len(measurement.axes) :] for path in measurement.graph.paths]


def measure_sections(around: np.ndarray, mask: np.ndarray, measurement: Measurement) -> tuple[list[float], list[float]]:
    """How much of each segment lies in a mask, and how wide that is along it.

    Args:
        around: in which a segment's points count as inside, bool, of the image's shape.
        mask: of which the width is measured, bool, of the same shape.
        measurement: of the image, whose centre lines are followed.

    Returns:
        Of each segment the length inside, and the mean diameter, NaN where no section is clear.
    """
    paths, spacing = _paths(measurement), measurement.spacing
    if not paths:
        return [], []
    radii = [np.maximum(radii, min(spacing) / 2) for radii in measurement.graph.path_radii]
    ways = [
        tangents(path, np.maximum(near, 1.5 * min(spacing)), bool(closed))
        for path, near, closed in zip(paths, radii, measurement.graph.closed, strict=True)
    ]
    points = np.concatenate(paths)
    sections = section_radii(mask, spacing, points, np.concatenate(ways), np.concatenate(radii))
    index = np.clip(np.rint(points / spacing).astype(int), 0, np.array(mask.shape) - 1)
    bounds = np.cumsum([len(path) for path in paths])[:-1]
    lengths, widths = [], []
    within = np.split(around[tuple(index.T)], bounds)
    for path, inside, section in zip(paths, within, np.split(sections, bounds), strict=True):
        weights = weights_along(path)
        lengths.append(float(weights[inside].sum()))
        known = np.isfinite(section)
        widths.append(float(2 * np.average(section[known], weights=weights[known] + 1e-9)) if known.any() else math.nan)
    return lengths, widths


def _bottleneck(probability: np.ndarray, path: np.ndarray, spacing: Sequence[float]) -> float:
    values = map_coordinates(probability.astype(np.float32), (path / np.asarray(spacing)).T, order=1, mode="nearest")
    return float(values.min())


def _dice(mask: np.ndarray, other: np.ndarray) -> float:
    total = np.count_nonzero(mask) + np.count_nonzero(other)
    return 2 * np.count_nonzero(mask & other) / total if total else 1.0


def spread(values: np.ndarray, count: bool = False) -> float:
    """Standard deviation of the logarithms over the replicates (of n + 1 for counts); NaN if half or fewer have one."""
    values = np.asarray(values, dtype=float) + (1 if count else 0)
    known = values[np.isfinite(values) & (values > 0)]
    return float(np.log(known).std()) if 2 * len(known) > len(values) else math.nan


@cache
def constants() -> Mapping:
    """interval_constants.json: by axes, "YX" and "ZYX"; empty where nothing is calibrated."""
    return json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}


def add_intervals(measurement: Measurement, replicates: Replicates, calibrated: Mapping | None = None) -> Measurement:
    """Give a measurement its intervals.

    Args:
        measurement: of a mask.
        replicates: of it.
        calibrated: as :func:`constants`, which it is if None.

    Returns:
        The measurement with ``…_low`` and ``…_high`` of each quantity that has an interval, the segments' probability
        to exist, and the expected length; ``interval`` names the quantities that have a value and no interval. Without
        all of them, and a word why, where none is known.
    """
    calibrated = constants() if calibrated is None else calibrated
    of = calibrated.get(measurement.axes)
    if of is None:
        return not_calibrated(measurement)
    if not replicates.agreement >= AGREES:
        line = "the mask is not the one that the probability gives; there are no intervals"
        return _without(measurement, "none: mask and probability differ", line)
    row = dict(measurement.image)
    for name in INTERVALS:
        if name in of["image"]:
            row |= _interval(name, row[name], replicates.image[name], of["image"][name])
    for name, number in DENSITIES.items():
        for end in ("low", "high") if f"{number}_low" in row and row[number] else ():
            row[f"{name}_{end}"] = row[f"{number}_{end}"] * row[name] / row[number]
    segments, expected = [], 0.0
    for e, segment in enumerate(measurement.segments):
        segment = dict(segment)
        for name in OF_SEGMENTS:
            if name in of["segments"]:
                segment |= _interval(name, segment[name], replicates.segments[name][e], of["segments"][name])
        segment["exists"] = float(
            np.interp(replicates.bottleneck[e], of["exists"]["bottleneck"], of["exists"]["share"])
        )
        expected += segment["exists"] * segment["length"]
        segments.append(segment)
    row["expected_length"] = expected
    lacking = [name for name in INTERVALS if math.isfinite(row[name]) and f"{name}_low" not in row]
    row["interval"] = "90 %" + (f"; none of {', '.join(lacking)}" if lacking else "")
    return replace(measurement, image=row, segments=segments)


def not_calibrated(measurement: Measurement) -> Measurement:
    """The measurement, and the word that intervals of its kind are not known."""
    return _without(measurement, f"none: not calibrated for {measurement.axes}")


def _without(measurement: Measurement, why: str, *remarks: str) -> Measurement:
    image = {**measurement.image, "interval": why}
    return replace(measurement, image=image, remarks=(*measurement.remarks, *remarks))


def _interval(name: str, value: float, values: np.ndarray, constant: Mapping) -> dict[str, float]:
    count = name in COUNTS
    offset = 1 if count else 0
    s = spread(values, count)
    if not math.isfinite(s) or not value + offset > 0:
        return {}
    middle = math.log(value + offset) - constant["bias"]
    half = constant["factor"] * (s + constant["floor"])
    low, high = (math.exp(middle + side * half) - offset for side in (-1, 1))
    least, most = _LIMITS.get(name, (0.0, math.inf))
    low, high = max(low, least), min(high, most)
    if count:
        low, high = math.floor(low), math.ceil(high)
    # what was measured is always among what it may be
    return {f"{name}_low": min(low, value), f"{name}_high": max(high, value)}


_LIMITS = {"fraction": (0.0, 100.0), "tortuosity_mean": (1.0, math.inf)}
