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
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from scipy.ndimage import map_coordinates

from ..graphs import BRICK_VOXELS, PRUNE
from ..transforms import Closing, Hysteresis, Removal, ball
from ..volumes import (
    HERE,
    StoredVolume,
    Volume,
    Workers,
    band_rows,
    close_gaps,
    hysteresis,
    in_groups,
    remove_fragments,
)
from .definitions import IMAGES, SEGMENTS
from .grids import Grid, as_grid
from .lines import weights_along
from .measurement import Measurement, measure_mask, prepared
from .sections import section_radii, tangents
from .tallies import Tally, tally

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
_PIECE = 64  # points of a path that are looked at together
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
        values = _moved(probability, disagreement, part)
        mask = Hysteresis(_shifted(LOW, shift), _shifted(HIGH, shift)).of(values)
        yield Removal(FRAGMENTS).of(Closing(GAPS).of(mask))


def _stored_masks(probability: Volume, disagreement: Volume, folder: Path, workers: Workers) -> Iterator[StoredVolume]:
    """The same of a stack on the disk, by blocks. Each mask is gone when the next is asked for."""
    for part, shift in WAYS[3]:
        rows = band_rows(probability.shape[2])
        raw, closed, mask = (
            StoredVolume(folder / name, probability.shape, bool, rows) for name in ("raw", "closed", "mask")
        )
        low, high = _shifted(LOW, shift), _shifted(HIGH, shift)
        hysteresis(_Moved(probability, disagreement, part), low, high, raw, folder / "notes", workers)
        close_gaps(raw, ball(GAPS, (1.0, 1.0, 1.0)), closed, workers)
        remove_fragments(closed, FRAGMENTS, mask, folder / "fragments", workers)
        yield mask
        shutil.rmtree(folder)


class _Moved:
    """A volume of a probability that is moved by a part of the disagreement."""

    def __init__(self, probability: Volume, disagreement: Volume, part: float) -> None:
        self.probability, self.disagreement, self.part = probability, disagreement, part
        self.shape = probability.shape

    def rows(self, z: int, start: int, stop: int) -> np.ndarray:
        """As of :class:`bundle.volumes.Volume`."""
        return _moved(self.probability.rows(z, start, stop), self.disagreement.rows(z, start, stop), self.part)


def _moved(probability: np.ndarray, disagreement: np.ndarray, part: float) -> np.ndarray:
    return np.clip(probability + part * disagreement, 0, 1, dtype=np.float32)


def _shifted(threshold: float, shift: float) -> float:
    return 1 / (1 + math.exp(-(math.log(threshold / (1 - threshold)) + shift)))


def replicate(
    measurement: Measurement,
    mask: np.ndarray | Volume,
    probability: np.ndarray | Volume,
    disagreement: np.ndarray | Volume,
    *,
    prune: float = PRUNE,
    min_length: float = 0.0,
    work: str | Path | None = None,
    brick: int = BRICK_VOXELS,
    workers: Workers = HERE,
    **options: Any,
) -> Replicates:
    """Measure the replicates of an image, one after the other: it takes so many times as long as to measure once.

    Args:
        measurement: of the mask.
        mask: bool, ``[Y, X]`` or ``[Z, Y, X]``, or a volume.
        probability: S, of the mask's shape, in memory if the mask is.
        disagreement: |L − N|, of the mask's shape, in memory if the mask is.
        prune: as the mask was measured.
        min_length: the same.
        work: the same.
        brick: the same.
        workers: the same.
        options: region, visible and pinholes, the same.
    """
    spacing = None if measurement.unit == "pixel" else measurement.spacing
    rows, lengths, widths, agreement = [], [], [], math.nan
    with TemporaryDirectory(dir=work) as folder:
        others: Iterable[Any]
        if isinstance(mask, np.ndarray):
            assert isinstance(probability, np.ndarray) and isinstance(disagreement, np.ndarray)
            others = replicate_masks(probability, disagreement)
        else:
            assert not isinstance(probability, np.ndarray) and not isinstance(disagreement, np.ndarray)
            others = _stored_masks(probability, disagreement, Path(folder) / "replicate", workers)
        other: Any
        for way, other in zip(WAYS[len(mask.shape)], others, strict=True):
            grid = Grid(other, brick)
            if way == PLAIN:
                agreement = _dice(tally(Grid(mask), grid, workers))
            with prepared(other, spacing, work=work, brick=brick, workers=workers, **options) as subject:
                row = measure_mask(subject, prune=prune, min_length=min_length).image
            rows.append([float(row[name]) for name in INTERVALS])
            found = measure_sections(grid, grid, measurement, workers)
            lengths.append(found[0])
            widths.append(found[1])
    least = partial(_bottleneck, Grid(probability), measurement.spacing)
    bottlenecks = in_groups(workers, "finding the least probabilities", least, _paths(measurement))
    return Replicates(
        image=dict(zip(INTERVALS, np.array(rows).T, strict=True)),
        segments={"length": np.array(lengths).T, "diameter_mean": np.array(widths).T},
        bottleneck=np.array(bottlenecks),
        agreement=agreement,
    )


def _paths(measurement: Measurement) -> list[np.ndarray]:
    """The centre lines with as many coordinates as the image has axes."""
    return [path[:, -len(measurement.axes) :] for path in measurement.graph.paths]


def measure_sections(
    around: np.ndarray | Grid, mask: np.ndarray | Grid, measurement: Measurement, workers: Workers = HERE
) -> tuple[list[float], list[float]]:
    """How much of each segment lies in a mask, and how wide that is along it.

    Args:
        around: in which a segment's points count as inside, bool, of the image's shape.
        mask: of which the width is measured, bool, of the same shape.
        measurement: of the image, whose centre lines are followed.
        workers: who looks around the lines.

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
    sections = section_radii(mask, spacing, points, np.concatenate(ways), np.concatenate(radii), workers)
    inner = as_grid(around)
    index = np.clip(np.rint(points / spacing).astype(int), 0, np.array(inner.shape) - 1)
    bounds = np.cumsum([len(path) for path in paths])[:-1]
    lengths, widths = [], []
    within = np.split(inner.at(index), bounds)
    for path, inside, section in zip(paths, within, np.split(sections, bounds), strict=True):
        weights = weights_along(path)
        lengths.append(float(weights[inside].sum()))
        known = np.isfinite(section)
        widths.append(float(2 * np.average(section[known], weights=weights[known] + 1e-9)) if known.any() else math.nan)
    return lengths, widths


def _bottleneck(probability: Grid, spacing: Sequence[float], path: np.ndarray) -> float:
    """The least probability along a path, of which a piece at a time is read."""
    least = math.inf
    for start in range(0, len(path), _PIECE):
        at = path[start : start + _PIECE] / np.asarray(spacing)
        low = np.clip(np.floor(at.min(axis=0)).astype(int), 0, np.array(probability.shape) - 1)
        high = np.clip(np.ceil(at.max(axis=0)).astype(int) + 1, low + 1, probability.shape)
        block = probability.read(tuple(map(slice, low.tolist(), high.tolist()))).astype(np.float32)
        least = min(least, float(map_coordinates(block, (at - low).T, order=1, mode="nearest").min()))
    return least


def _dice(counted: Tally) -> float:
    total = counted.vessel + counted.field
    return 2 * counted.inside / total if total else 1.0


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
