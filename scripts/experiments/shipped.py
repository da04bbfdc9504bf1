"""What needs no training: how the shipped weights are calibrated, where they disagree, at which scale they hold."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from monai.bundle import ConfigParser
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit
from scipy.stats import rankdata
from torch.nn import functional as F

from bundle.io import open_image
from bundle.metrics import score, summarize
from bundle.networks import count_parameters
from bundle.segmentation import WholeOrWindowsInferer, disagreement_on_mask
from platforms.monailabel.lib.ranking import disagreement as on_vessels

from .parts import Part, Places, Row
from .predictions import Maps, config, labelled, probabilities, scored, seen_otherwise, shipped
from .tables import NETWORKS
from .trainings import made

BINS = 10
MAGNIFICATIONS = {"half": 0.5, "as_it_is": 1.0, "twice": 2.0}
SCALES = ("as_given", "matched", "auto")
TURNS = {
    "none": [(0, False)],
    "flips": [(0, False), (0, True), (2, False), (2, True)],
    "flips_and_turns": [(k, f) for k in range(4) for f in (False, True)],
}
SIZES = (0.75, 1.0, 1.25)
REPEATS = 5


# --- calibration -------------------------------------------------------------------------------------------------


def calibration_parts() -> list[Part]:
    """Reliability of S on the test images, before and after a temperature chosen on the validation images."""
    return [
        Part("calibration", "reliability", 0, reliability),
        Part("calibration", "summary", 0, calibration_summary),
    ]


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


def _pixels(places: Places, split: str) -> tuple[np.ndarray, np.ndarray]:
    items = labelled(places.data("vessmap").resolve(), split)
    maps = probabilities(shipped(), items)
    vessel = np.concatenate([item["label"].numpy().ravel() > 0 for item in items.values()])
    return np.concatenate([maps[name].ravel() for name in items]).astype(np.float64), vessel


def _versions(places: Places) -> tuple[float, dict[str, np.ndarray], np.ndarray]:
    temperature = fitted_temperature(*_pixels(places, "val"))
    probability, vessel = _pixels(places, "test")
    return temperature, {"before": probability, "after": cooled(probability, temperature)}, vessel


def reliability(places: Places) -> list[Row]:
    """The bins of both versions."""
    _, versions, vessel = _versions(places)
    return [{"version": name, **row} for name, probability in versions.items() for row in bins(probability, vessel)]


def calibration_summary(places: Places) -> list[Row]:
    """Temperature, expected calibration error, Brier score and cross-entropy of both versions."""
    temperature, versions, vessel = _versions(places)
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


# --- disagreement ------------------------------------------------------------------------------------------------


def disagreement_parts() -> list[Part]:
    """How well |L − N| points to wrong pixels and to bad images, beside the plain uncertainty of S."""
    return [Part("disagreement", split, 0, partial(disagreement, split=split)) for split in ("val", "test")]


def area_under_curve(value: np.ndarray, positive: np.ndarray) -> float:
    """Probability that a positive has a higher value than a negative, ties counting half; NaN without either."""
    n = int(positive.sum())
    if n in (0, positive.size):
        return float("nan")
    return float((rankdata(value)[positive].sum() - n * (n + 1) / 2) / (n * (positive.size - n)))


@torch.inference_mode()
def disagreement(places: Places, split: str) -> list[Row]:
    """For each image: errors of the mask, mean disagreement and uncertainty, and their areas under the curve.

    And by what ``segment`` and MONAI Label say which images to look at: ``on_mask`` and ``on_vessels``.
    """
    network = shipped()
    items = labelled(places.data("vessmap").resolve(), split)
    rows = []
    binarize = config().get_parsed_content("validate#postprocessing")
    for name, item in items.items():
        dbac, ddmac = (each[0] for each in network.probabilities(item["image"].as_tensor()[None]))
        s = (dbac + ddmac) / 2
        mask = binarize({"pred": s.clone()})["pred"].numpy() > 0
        truth = item["label"].numpy() > 0
        wrong = (mask != truth).ravel()
        clues = {"disagreement": (dbac - ddmac).abs(), "uncertainty": 1 - (2 * s - 1).abs()}
        row: Row = {"image": name, "dice": score(mask, truth)["dice"], "wrong": float(wrong.mean())}
        for clue, values in clues.items():
            row[clue] = float(values.mean())
            row[f"{clue}_auc"] = area_under_curve(values.numpy().ravel(), wrong)
        row["on_mask"] = disagreement_on_mask((dbac - ddmac).abs().numpy(), mask)
        row["on_vessels"] = on_vessels(dbac.numpy(), ddmac.numpy())
        rows.append(row)
    return rows


# --- scale -------------------------------------------------------------------------------------------------------


def scale_parts() -> list[Part]:
    """VessMAP's test images at half and at twice their magnification, segmented with --scale and without."""
    return [
        Part("scale", f"{name}-{scale}", 0, partial(rescaled, magnification=magnification, scale=scale))
        for name, magnification in MAGNIFICATIONS.items()
        for scale in SCALES
        if not (name == "as_it_is" and scale == "matched")
    ]


@torch.inference_mode()
def rescaled(places: Places, magnification: float, scale: str) -> list[Row]:
    """Scores at the magnified image's size; the image is resampled before equalisation, as another lens would do."""
    factor = {"as_given": 1.0, "matched": 1 / magnification, "auto": "auto"}[scale]
    inferer, network = WholeOrWindowsInferer(scale=factor), shipped()
    items = magnified(places, magnification)
    maps = {name: inferer(item["image"][None], network)[0].numpy() for name, item in items.items()}
    return scored(maps, items)


def magnified(places: Places, magnification: float, split: str = "test") -> dict[str, dict]:
    """The images as a lens of another magnification would show them, equalised, with their masks."""
    return seen_otherwise(places.data("vessmap").resolve(), split, partial(resampled, factor=magnification))


def resampled(image: torch.Tensor, factor: float) -> torch.Tensor:
    """``[C, X, Y]`` by a factor, averaged where it shrinks."""
    if factor == 1:
        return image
    options = {"mode": "bilinear", "align_corners": False, "antialias": factor < 1}
    return F.interpolate(image[None], scale_factor=factor, **options)[0]


# --- test time ---------------------------------------------------------------------------------------------------


def test_time_parts() -> list[Part]:
    """Averages of S over turned, flipped and resampled images, on the validation images."""
    made = [Part("test_time", name, 0, partial(averaged, turns=turns)) for name, turns in TURNS.items()]
    return [*made, Part("test_time", "sizes", 0, resized_average)]


def turned(network: Callable, turns: list[tuple[int, bool]]) -> Callable[[torch.Tensor], torch.Tensor]:
    """The mean of a network's output over quarter turns and flips of the image, each turned back."""

    def average(image: torch.Tensor) -> torch.Tensor:
        outputs = []
        for quarter, flip in turns:
            seen = torch.rot90(image.flip(-1) if flip else image, quarter, (-2, -1))
            output = torch.rot90(network(seen), -quarter, (-2, -1))
            outputs.append(output.flip(-1) if flip else output)
        return torch.stack(outputs).mean(0)

    return average


def averaged(places: Places, turns: list[tuple[int, bool]]) -> list[Row]:
    """Scores of the average over turns."""
    items = labelled(places.data("vessmap").resolve(), "val")
    return scored(probabilities(turned(shipped(), turns), items), items)


def resized_average(places: Places) -> list[Row]:
    """Scores of the average over sizes."""
    items, network = labelled(places.data("vessmap").resolve(), "val"), shipped()
    inferers = [WholeOrWindowsInferer(scale=size) for size in SIZES]
    maps: Maps = probabilities(lambda x: torch.stack([infer(x, network) for infer in inferers]).mean(0), items)
    return scored(maps, items)


# --- coarse to fine ----------------------------------------------------------------------------------------------


def stages_parts() -> list[Part]:
    """What DBAC's second subnetwork adds to the first, on the test images."""
    return [Part("stages", stage, 0, partial(stage_scores, stage=stage)) for stage in ("attention", "mask")]


def stage_scores(places: Places, stage: str) -> list[Row]:
    """Scores of the mask of one of DBAC's stages: sigmoid(W), which is trained against the mask, or the output L."""
    items, dbac = labelled(places.data("vessmap").resolve(), "test"), shipped().dbac
    return scored(probabilities(lambda x: torch.sigmoid(dbac.stages(x)[stage]), items), items)


# --- annotators --------------------------------------------------------------------------------------------------

ANNOTATORS = {  # of two masks of an image, which is scored, and against which
    "shipped-first": ("ensemble", "first annotator, from whom it learned"),
    "shipped-second": ("ensemble", "second annotator"),
    "second-first": ("second annotator", "first annotator"),
}


def annotators_parts() -> list[Part]:
    """The shipped weights and two people, each against the other, on the test images that both drew."""
    return [Part("annotators", row, 0, partial(annotator_scores, row=row)) for row in ANNOTATORS]


def annotator_scores(places: Places, row: str) -> list[Row]:
    """Scores of one of the masks of each image against another."""
    folder = places.data("vessmap").resolve()
    items = labelled(folder, "test")
    drawn = {path.stem: open_image(path).array().T[None] > 0 for path in (folder / "masks_annotator2").iterdir()}
    both = {name: items[name] for name in items if name in drawn}
    scores, against = row.split("-")
    if scores == "second":
        return [{"image": name, **score(drawn[name], item["label"] > 0)} for name, item in both.items()]
    if against == "second":
        both = {name: item | {"label": torch.from_numpy(drawn[name])} for name, item in both.items()}
    return scored(probabilities(shipped(), both), both)


# --- binarization ------------------------------------------------------------------------------------------------

SETTINGS = [  # low, high, gaps, fragments; the first is the default
    (0.45, 0.95, 2, 30),
    (0.45, 0.95, 0, 30),
    (0.45, 0.95, 3, 30),
    (0.45, 0.95, 5, 30),
    (0.45, 0.95, 2, 0),
    (0.45, 0.95, 2, 60),
    (0.45, 0.95, 2, 100),
    (0.45, 0.80, 2, 30),
    (0.40, 0.90, 2, 30),
    (0.50, 0.50, 2, 30),
]


def binarization_parts() -> list[Part]:
    """Steps from probability to mask, on the validation images."""
    return [Part("binarization", "val", 0, binarizations)]


def binarizations(places: Places) -> list[Row]:
    """Mean scores with each setting."""
    items = labelled(places.data("vessmap").resolve(), "val")
    maps = probabilities(shipped(), items)
    rows = []
    for low, high, gaps, fragments in SETTINGS:
        steps = [
            {"_target_": "bundle.transforms.HysteresisThresholdd", "keys": "pred", "low": low, "high": high},
            {"_target_": "bundle.transforms.CloseGapsd", "keys": "pred", "size": gaps},
            {"_target_": "bundle.transforms.RemoveFragmentsd", "keys": "pred", "size": fragments},
        ]
        parsed = ConfigParser({"steps": {"_target_": "Compose", "transforms": steps}}).get_parsed_content("steps")
        means = summarize(scored(maps, items, parsed))
        shown = ("dice", "cldice", "sensitivity", "precision", "betti0_error", "betti1_error")
        row: Row = {"low": low, "high": high, "gaps": gaps, "fragments": fragments}
        rows.append(row | {name: means[name].mean for name in shown})
    return rows


# --- time --------------------------------------------------------------------------------------------------------


def time_parts() -> list[Part]:
    """Parameters and seconds per image of every network of the tables, measured side by side."""
    return [Part("time", "vessmap", 0, times)]


@torch.inference_mode()
def times(places: Places) -> list[Row]:
    """Median of five runs, one after the other through all networks, so that other programs slow all alike."""
    networks = {name: made(definition).eval() for name, (_, definition, _) in NETWORKS.items()}
    networks = {name: network.to(memory_format=torch.channels_last) for name, network in networks.items()}
    image = torch.rand(1, 1, 256, 256, generator=torch.Generator().manual_seed(0))
    image = image.contiguous(memory_format=torch.channels_last)
    seconds: dict[str, list[float]] = {name: [] for name in networks}
    for repeat in range(REPEATS + 1):
        for name, network in networks.items():
            started = time.perf_counter()
            network(image)
            if repeat:  # the first run warms up
                seconds[name].append(time.perf_counter() - started)
    return [
        {
            "network": name,
            "parameters": count_parameters(network),
            "seconds": statistics.median(seconds[name]),
            "threads": torch.get_num_threads(),
        }
        for name, network in networks.items()
    ]
