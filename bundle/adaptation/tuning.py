"""Fine-tuning on the little that is known of few images."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import numpy as np
import torch
from monai.transforms import (
    Compose,
    RandAdjustContrastd,
    RandFlipd,
    RandGaussianNoised,
    RandGaussianSmoothd,
    RandRotate90d,
    RandScaleIntensityd,
    RandWeightedCropd,
    SpatialPadd,
)
from scipy.ndimage import distance_transform_edt
from torch import nn
from torch.nn import functional as F

from ..transforms import DilatedProbabilityMap
from .annotation import UNLABELLED, VESSEL, Annotation
from .settings import Settings

__all__ = ["blended", "mean_of", "tuned"]

CROP = 128
BATCH = 4
RATE = 1.0e-3
# of a crop, what the weights were sure of counts this much where nothing is labelled, so that it is not forgotten
REMEMBERED = 0.2


def tuned(
    network: nn.Module,
    annotations: Sequence[Annotation],
    settings: Settings,
    steps: int,
    seed: int = 0,
    progress: Callable[[int], object] = lambda step: None,
) -> nn.Module:
    """A copy of a network, trained further on what is known.

    The statistics of batch normalisation stay as they are: those of a few crops would be worse. Losses are those of
    the cascades (section II-B of the paper) on the labelled pixels alone; the distance map D is regressed only in
    masks, and there only where nothing unlabelled is nearer than the nearest vessel. Scribbles leave the network's own
    earlier answer elsewhere as a weak target, the weaker the less sure that was (after Li and Hoiem, Learning without
    forgetting, doi:10.1109/TPAMI.2017.2773081).

    Args:
        network: a :class:`bundle.networks.CascadeEnsemble` in evaluation mode, left as it is.
        annotations: what is known, one or more.
        settings: contrast and scale at which the images are seen.
        steps: of the optimiser.
        seed: of the crops.
        progress: called after each step with its number from 1.

    Returns:
        The copy, in evaluation mode.
    """
    student = copy.deepcopy(network).eval().requires_grad_(True)
    device = next(student.parameters()).device
    crops = _crops(seed)
    telling = [annotation for annotation in annotations if (annotation.label != UNLABELLED).any()]
    items = [_prepared(annotation, settings, network) for annotation in telling]
    rng = np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(student.parameters(), RATE, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps, pct_start=0.2)
    for step in range(steps if items else 0):
        batch = [crops(items[rng.integers(len(items))])[0] for _ in range(BATCH)]
        images, targets = (
            torch.stack([torch.as_tensor(item[key]) for item in batch]).to(device) for key in ("image", "target")
        )
        loss = _loss(student.stages(images), targets)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        progress(step + 1)
    return student.requires_grad_(False)


def mean_of(networks: Sequence[nn.Module]) -> nn.Module:
    """A network whose weights are the mean of those of networks of one kind.

    After Wortsman et al., Model soups, arXiv:2203.05482.

    Args:
        networks: students of one network, of which each was trained a little.
    """
    network = networks[0]
    for number, other in enumerate(networks[1:], 2):
        network = blended(network, other, 1 / number)
    return network


def blended(before: nn.Module, after: nn.Module, share: float) -> nn.Module:
    """The mean of two networks' weights, which forgets less than the second alone.

    After Wortsman et al., Robust fine-tuning of zero-shot models, doi:10.1109/CVPR52688.2022.00780.

    Args:
        before: the network that was trained further.
        after: what came of it.
        share: of the second, 0 to 1.
    """
    first, second = before.state_dict(), after.state_dict()
    network = copy.deepcopy(after)
    network.load_state_dict(
        {
            name: torch.lerp(first[name], value, share) if value.is_floating_point() else value
            for name, value in second.items()
        }
    )
    return network.eval()


def _crops(seed: int) -> Compose:
    """Makes a list of one crop, in whose middle something is labelled."""
    both = ["image", "target"]
    transform = Compose(
        [
            SpatialPadd([*both, "drawn"], CROP, mode="reflect"),
            RandWeightedCropd(both, "drawn", (CROP, CROP)),
            RandFlipd(both, 0.5, 0),
            RandFlipd(both, 0.5, 1),
            RandRotate90d(both, 0.5),
            # the next slice is brighter or dimmer, and another part of it is sharper
            RandAdjustContrastd("image", 0.5, (0.6, 1.6)),
            RandScaleIntensityd("image", 0.3, 0.5),
            RandGaussianSmoothd("image", (0.3, 1.0), (0.3, 1.0), prob=0.2),
            RandGaussianNoised("image", 0.2, std=0.03),
        ]
    )
    return transform.set_random_state(seed)


def _prepared(annotation: Annotation, settings: Settings, network: nn.Module) -> dict[str, torch.Tensor]:
    """Image ``[1, X, Y]``, target ``[4, X, Y]`` and what is labelled ``[1, X, Y]``, at the scale of the settings.

    The target's channels are vessel, how much that counts, D, and how much that counts.
    """
    label = annotation.label
    known = (label != UNLABELLED).astype(np.float32)
    vessel = (label == VESSEL).astype(np.float32)
    distance, certain = _distance(label)
    target = torch.from_numpy(np.stack([vessel, known, distance, certain * annotation.whole]).astype(np.float32))
    image = torch.from_numpy(np.ascontiguousarray(annotation.images[settings.contrast]))[None]
    if settings.scale != 1:
        options = {"scale_factor": settings.scale, "mode": "bilinear", "antialias": settings.scale < 1}
        image = F.interpolate(image[None], **options)[0].clamp(0, 1)
        if annotation.whole:
            target = F.interpolate(target[None], size=image.shape[1:], mode="nearest")[0]
        else:  # of which a stroke of one pixel would vanish
            target = F.adaptive_max_pool2d(target, image.shape[1:])
    drawn = (target[1:2] > 0).float()
    if not annotation.whole:
        with torch.inference_mode():
            remembered = network(image[None].to(next(network.parameters()).device))[0].float().cpu()
        target[0:1] = torch.where(drawn > 0, target[0:1], remembered)
        # strokes are few: as a whole they count as much as all the rest
        strokes = min(1 / max(float(drawn.mean()), 1e-6), 100.0)
        target[1:2] = torch.where(drawn > 0, torch.tensor(strokes), REMEMBERED * (2 * remembered - 1) ** 2)
    return {"image": image.float(), "target": target, "drawn": drawn}


def _distance(label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """D of a label ``[X, Y]``, and where it is certain, bool: beside what is unlabelled a nearer vessel may lie."""
    vessel, unlabelled = label == VESSEL, label == UNLABELLED
    dilated = DilatedProbabilityMap()
    certain = np.minimum(_distance_to(vessel), dilated.bound) <= _distance_to(unlabelled)
    # what is unlabelled counts as vessel, so that the largest distance, by which D is divided, is one that is known
    return np.asarray(dilated((vessel | unlabelled)[None]))[0], certain & ~unlabelled


def _distance_to(mask: np.ndarray) -> np.ndarray:
    return distance_transform_edt(~mask) if mask.any() else np.full(mask.shape, np.inf)


def _loss(stages: dict[str, torch.Tensor], target: torch.Tensor) -> torch.Tensor:
    vessel, weight, distance, distance_weight = target.split(1, 1)
    labelled = (weight >= 1).float()  # what is remembered is no truth that Dice could be of
    loss = vessel.new_zeros(())
    for name, output in stages.items():
        if name.endswith("distance"):
            loss = loss + _mean(F.mse_loss(output, distance, reduction="none"), distance_weight)
        else:
            entropy = F.binary_cross_entropy_with_logits(output, vessel, reduction="none")
            loss = loss + _mean(entropy, weight) + _dice_loss(output, vessel, labelled)
    return loss


def _mean(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return (values * weight).sum() / weight.sum().clamp(min=1)


def _dice_loss(logits: torch.Tensor, vessel: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    found = torch.sigmoid(logits) * weight
    vessel = vessel * weight
    return 1 - (2 * (found * vessel).sum() + 1) / (found.sum() + vessel.sum() + 1)
