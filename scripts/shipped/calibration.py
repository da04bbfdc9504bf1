"""Whether S is a probability: how often a pixel of a given S is vessel, before and after a temperature."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit

from ..tables.result_files import Row
from .images import labelled, probabilities, shipped

BINS = 10


def reliability(folder: Path) -> list[Row]:
    """The bins of the test images, of S and of S after a temperature chosen on the validation images."""
    _, versions, vessel = _versions(folder)
    return [{"version": name, **row} for name, probability in versions.items() for row in bins(probability, vessel)]


def summary(folder: Path) -> list[Row]:
    """Temperature, expected calibration error, Brier score and cross-entropy of both versions."""
    temperature, versions, vessel = _versions(folder)
    return [
        {
            "version": name,
            "temperature": temperature if name == "after" else 1.0,
            "calibration_error": calibration_error(probability, vessel),
            "brier": float(((probability - vessel) ** 2).mean()),
            "cross_entropy": cross_entropy(probability, vessel),
        }
        for name, probability in versions.items()
    ]


ROWS = {"reliability": reliability, "summary": summary}


def fitted_temperature(probability: np.ndarray, vessel: np.ndarray) -> float:
    """The T that makes sigmoid(logit(S) / T) likeliest (Guo et al. 2017, https://arxiv.org/abs/1706.04599)."""
    return float(minimize_scalar(lambda t: cross_entropy(cooled(probability, t), vessel), (0.3, 5), method="brent").x)


def cooled(probability: np.ndarray, temperature: float) -> np.ndarray:
    """sigmoid(logit(S) / T)."""
    return expit(logit(np.clip(probability, 1e-6, 1 - 1e-6)) / temperature)


def cross_entropy(probability: np.ndarray, vessel: np.ndarray) -> float:
    """Mean over pixels."""
    right = np.where(vessel, probability, 1 - probability)
    return float(-np.log(np.clip(right, 1e-6, 1)).mean())


def bins(probability: np.ndarray, vessel: np.ndarray) -> list[Row]:
    """Ten bins of equal width: pixels, mean probability, share that is vessel."""
    index = np.minimum((probability * BINS).astype(int), BINS - 1)
    return [
        {
            "from": i / BINS,
            "to": (i + 1) / BINS,
            "pixels": int((index == i).sum()),
            "probability": float(probability[index == i].mean()),
            "vessel": float(vessel[index == i].mean()),
        }
        for i in range(BINS)
        if (index == i).any()
    ]


def calibration_error(probability: np.ndarray, vessel: np.ndarray) -> float:
    """Expected calibration error: mean distance of both over the bins, weighted by their pixels."""
    rows = bins(probability, vessel)
    return sum(row["pixels"] * abs(row["probability"] - row["vessel"]) for row in rows) / probability.size


def _versions(folder: Path) -> tuple[float, dict[str, np.ndarray], np.ndarray]:
    temperature = fitted_temperature(*_pixels(folder, "val"))
    probability, vessel = _pixels(folder, "test")
    return temperature, {"before": probability, "after": cooled(probability, temperature)}, vessel


def _pixels(folder: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    items = labelled(folder, split)
    maps = probabilities(shipped(), items)
    vessel = np.concatenate([item["label"].numpy().ravel() > 0 for item in items.values()])
    return np.concatenate([maps[name].ravel() for name in items]).astype(np.float64), vessel
