"""What is said of scores: means over seeds, differences over the same images, how well a clue tells the bad ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata, wilcoxon

from .result_files import Row


def spread(values: Sequence[float], digits: int) -> str:
    """Mean, and ± standard deviation of more than one."""
    mean = f"{np.mean(values):.{digits}f}"
    return mean if len(values) < 2 else f"{mean} ± {np.std(values, ddof=1):.{digits}f}"


def averaged(rows: Sequence[list[Row]], names: Sequence[str] = ("dice", "cldice")) -> list[Row]:
    """Scores of the same images, their means over seeds."""
    each = [{row["image"]: row for row in seed} for seed in rows]
    return [
        {"image": image} | {name: float(np.mean([seed[image][name] for seed in each])) for name in names}
        for image in each[0]
    ]


def difference(ours: list[Row], theirs: list[Row], names: Sequence[str] = ("dice", "cldice")) -> list[str]:
    """Mean difference in points and Wilcoxon's p, of each measure, over the images of both."""
    cells = []
    for name in names:
        values = {row["image"]: row[name] for row in theirs}
        points = np.array([row[name] - values[row["image"]] for row in ours])
        cells += [f"{100 * points.mean():+.2f}", f"{wilcoxon(points).pvalue:.2g}" if points.any() else "1"]
    return cells


def area_under_curve(value: np.ndarray, positive: np.ndarray) -> float:
    """Probability that a positive has a higher value than a negative, ties counting half; NaN without either."""
    n = int(positive.sum())
    if n in (0, positive.size):
        return float("nan")
    return float((rankdata(value)[positive].sum() - n * (n + 1) / 2) / (n * (positive.size - n)))
