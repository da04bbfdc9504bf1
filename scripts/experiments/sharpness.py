"""Images less sharp than VessMAP's, as another lens or a denoiser makes them: what blurred crops in training win."""

from __future__ import annotations

from functools import partial

import torch
from scipy.ndimage import gaussian_filter

from . import release
from .parts import Part, Places, Row
from .predictions import probabilities, scored, seen_otherwise

NAME = "sharpness"
DEVIATIONS = ("0", "0.7", "1", "1.5")  # of the Gaussian, in pixels
WEIGHTS = {
    "mixed": "no blurred crops, DBAC with margins",
    "magnified": "magnified phantoms, no margins",
    "blurred": "the same, half of the crops blurred",
    "averaged": "mean of the weights of these two",
    "shipped": "shipped",
}


def parts() -> list[Part]:
    """The averaged ensemble of each training on VessMAP's validation images, ever less sharp."""
    return [
        Part(NAME, f"{data}-{deviation}", 0, partial(scores, data=data, deviation=float(deviation)))
        for data in WEIGHTS
        for deviation in DEVIATIONS
    ]


def label(row: str) -> tuple[str, str]:
    """Weights and deviation of a row, in words."""
    data, deviation = row.split("-")
    return WEIGHTS[data], deviation


@torch.inference_mode()
def scores(places: Places, data: str, deviation: float) -> list[Row]:
    """Scores of the average of both cascades; the images are blurred before equalisation."""
    both = release.probability_of_both(places, data)
    items = seen_otherwise(places.data("vessmap").resolve(), "val", partial(blurred, deviation=deviation), torch.clone)
    return scored(probabilities(lambda x: release.METHODS["average"][1](*both(x)), items), items)


def blurred(image: torch.Tensor, deviation: float) -> torch.Tensor:
    """``[C, X, Y]`` through a Gaussian of the given standard deviation in pixels."""
    return torch.from_numpy(gaussian_filter(image.numpy(), (0, deviation, deviation)))
