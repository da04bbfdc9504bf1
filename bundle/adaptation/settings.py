"""Settings of the segmentation, and what it finds by them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import expit, logit
from torch import nn

from ..errors import InputError
from ..networks import read_weights
from ..segmentation import Windows
from ..transforms import Closing, Hysteresis, Removal

__all__ = ["Adaptation", "Settings", "adapted_weights", "mask_of", "probability"]

FILE = "adapted.pt"


@dataclass(frozen=True)
class Settings:
    """How images of one kind are segmented, beside the weights.

    Args:
        contrast: "slice" or "volume" of slices of a stack, "equalized" of single images and fused stacks.
        scale: factor by which images are resampled.
        low: lower threshold of the hysteresis.
        high: upper threshold of the hysteresis.
    """

    contrast: str
    scale: float = 1.0
    low: float = 0.45
    high: float = 0.95

    def shifted(self, shift: float) -> Settings:
        """Thresholds that find what these do in S whose logits are shifted; they are rounded to three digits."""
        low, high = (round(float(expit(logit(threshold) - shift)), 3) for threshold in (self.low, self.high))
        return replace(self, low=low, high=high)

    def as_dict(self) -> dict[str, str | float]:
        """The settings in JSON's types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, noted: Any, path: str | Path) -> Settings:
        """The settings that :meth:`as_dict` gave, as a file of weights notes them.

        Args:
            noted: what the file holds.
            path: the file, for the error's line.

        Raises:
            InputError: they are none.
        """
        try:
            settings = cls(**noted)
            possible = 0.01 <= settings.scale <= 16 and 0 <= settings.low <= settings.high <= 1
            known = settings.contrast in ("slice", "volume", "equalized")
            known &= all(isinstance(number, int | float) for number in (settings.scale, settings.low, settings.high))
        except TypeError:
            possible = known = False
        if not (possible and known):
            raise InputError(path, f"notes as its settings {noted!r:.80}, which are none", "adapt again")
        return settings


@dataclass(frozen=True)
class Adaptation:
    """What a user's word for weights means.

    Args:
        weights: the file.
        mode: "fused" or "stack", for which it was adapted; None if it was not.
        settings: that go with it; None the same.
    """

    weights: Path
    mode: str | None = None
    settings: Settings | None = None


def adapted_weights(given: str | Path) -> Adaptation:
    """Weights, and the settings that :func:`~bundle.adaptation.adapt` chose with them.

    Args:
        given: a file of weights, or a folder that the command ``adapt`` wrote.

    Raises:
        InputError: a folder that it did not write, no file of weights, or settings that are none.
    """
    given = Path(given)
    path = given / FILE if given.is_dir() else given
    if given.is_dir() and not path.is_file():
        raise InputError(given, f"is a folder without {FILE}", "name a file of weights, or the folder adapt wrote")
    if not path.is_file():
        return Adaptation(path)  # whose loading says that it is missing
    noted = read_weights(path).get("segmentation")
    if noted is None:
        return Adaptation(path)
    mode = noted.get("mode") if isinstance(noted, dict) else None
    if mode not in ("fused", "stack"):
        raise InputError(path, f"notes as its settings {noted!r:.80}, which are none", "adapt again")
    return Adaptation(path, mode, Settings.from_dict({n: v for n, v in noted.items() if n != "mode"}, path))


@torch.inference_mode()
def probability(image: np.ndarray, network: nn.Module, inferer: Windows) -> np.ndarray:
    """S of an image ``[X, Y]``, in [0, 1], of the same shape."""
    device = next(network.parameters()).device
    return inferer.whole(torch.from_numpy(image)[None, None].to(device), network)[0, 0].float().cpu().numpy()


def mask_of(found: np.ndarray, low: float, high: float, close_gaps: float = 2, fragments: float = 30) -> np.ndarray:
    """The mask of S ``[X, Y]``, by the steps of configs/inference.json: bool, of the same shape."""
    mask = found
    for step in (Hysteresis(low, high), Closing(close_gaps), Removal(fragments)):
        mask = step.of(mask)
    return mask
