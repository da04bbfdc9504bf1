"""The scores of many images: the table, and its summary over the images."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..io import atomic

RESAMPLES = 10_000
SEED = 0

Row = Mapping[str, float | str]


class Summary(NamedTuple):
    """A metric over images.

    Args:
        mean: mean over the images for which the metric is defined; NaN if there is none.
        sd: their sample standard deviation (n − 1); NaN for fewer than two.
        low: lower end of the mean's 95 % interval; NaN for fewer than two.
        high: its upper end.
        n: number of images for which the metric is defined.
        n_undefined: number of images for which it is NaN, left out of all of the above.
    """

    mean: float
    sd: float
    low: float
    high: float
    n: int
    n_undefined: int


def summarize(rows: Sequence[Row]) -> dict[str, Summary]:
    """Mean, spread and interval of every metric over images.

    The interval is the percentile bootstrap's: the images are drawn 10,000 times with replacement, always the same
    way, so that the same scores give the same interval.

    Args:
        rows: for each image its metrics, as :func:`score` gives them; texts, such as the image's name, are passed over.

    Returns:
        For each metric, in the order of the first row, its :class:`Summary`.
    """
    return {metric: _summary(np.array([row[metric] for row in rows], dtype=float)) for metric in _metrics(rows)}


def write_scores(path: str | Path, rows: Sequence[Row]) -> None:
    """Write the scores as CSV, a row per image.

    Args:
        path: the file to write.
        rows: at least one; for each image its columns, of which ``image``, its name, comes first; numbers get six
            decimals.

    Raises:
        InputError: the file cannot be written.
    """
    columns = ["image", *(column for column in rows[0] if column != "image")]
    _write_csv(path, columns, ([row[column] for column in columns] for row in rows))


def write_summary(path: str | Path, rows: Sequence[Row]) -> None:
    """Write the summary of the scores as CSV, a row per metric.

    Args:
        path: the file to write.
        rows: as for :func:`write_scores`.

    Raises:
        InputError: the file cannot be written.
    """
    columns = ["metric", "mean", "sd", "low", "high", "images", "undefined"]
    _write_csv(path, columns, ([metric, *summary] for metric, summary in summarize(rows).items()))


def format_summary(rows: Sequence[Row]) -> str:
    """Lay the summary of the scores out for a terminal.

    Args:
        rows: as for :func:`write_scores`.

    Returns:
        A line of headings and a line per metric.
    """
    lines = [f"{'metric':<14}{'mean':>9}{'sd':>9}{'95 % interval':>20}{'images':>8}{'undefined':>11}"]
    for metric, (mean, sd, low, high, n, n_undefined) in summarize(rows).items():
        interval = "–" if math.isnan(low) else f"{low:.3f} … {high:.3f}"
        centre, spread = ("–" if math.isnan(value) else f"{value:.3f}" for value in (mean, sd))
        lines.append(f"{metric:<14}{centre:>9}{spread:>9}{interval:>20}{n:>8}{n_undefined:>11}")
    return "\n".join(lines)


def _metrics(rows: Sequence[Row]) -> list[str]:
    return [column for column, value in rows[0].items() if not isinstance(value, str)] if rows else []


def _summary(values: np.ndarray) -> Summary:
    defined = values[~np.isnan(values)]
    n, n_undefined = defined.size, values.size - defined.size
    if n < 2:
        mean = float(defined[0]) if n else math.nan
        return Summary(mean, math.nan, math.nan, math.nan, n, n_undefined)
    from scipy.stats import bootstrap  # whose import takes a third of a second, and few need it

    interval = bootstrap(
        (defined,),
        np.mean,
        n_resamples=RESAMPLES,
        batch=max(1, 10_000_000 // n),  # a draw of thousands of images at a time would fill the memory
        method="percentile",
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    return Summary(
        float(defined.mean()), float(defined.std(ddof=1)), float(interval.low), float(interval.high), n, n_undefined
    )


def _write_csv(path: str | Path, columns: Sequence[str], rows: Iterable[Sequence[float | str]]) -> None:
    with atomic(path) as partial, open(partial, "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([f"{cell:.6f}" if isinstance(cell, float) else cell for cell in row] for row in rows)
