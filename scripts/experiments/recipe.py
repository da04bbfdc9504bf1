"""The recipe, one change at a time, on VessMAP's validation images: the averaged ensemble, fine-tuned, one seed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial

from . import tables
from .parts import Part, Places, Row
from .predictions import fused, labelled, predicted, scored
from .trainings import STEPS, Training

NAME = "recipe"
SGD = {
    "optimizer": {
        "_target_": "torch.optim.SGD",
        "params": "$@network.parameters()",
        "lr": "@learning_rate",
        "momentum": 0.9,
    },
    "lr_scheduler": {
        "_target_": "torch.optim.lr_scheduler.PolynomialLR",
        "optimizer": "@optimizer",
        "power": 0.9,
        "total_iters": "$@train#trainer#max_epochs * len(@train#dataloader)",
    },
    "learning_rate": 1.0e-2,
}


def loss(**mask_loss: object) -> dict:
    """Override of the masks' loss."""
    return {"loss": {"_target_": "bundle.training.CascadeLoss", "mask_loss": mask_loss}}


def distance(**options: object) -> dict:
    """Override of the dilated probability map."""
    return {"train#targets#1": {"_target_": "bundle.transforms.DilatedProbabilityMapd", "keys": "distance", **options}}


def zoomed(share: float, most: float) -> dict:
    """Override that magnifies a share of the crops, from half to ``most`` times, before all else."""
    keys = ["image", "label", "distance"]
    zoom = {
        "_target_": "RandZoomd",
        "keys": keys,
        "prob": share,
        "min_zoom": 0.5,
        "max_zoom": most,
        "keep_size": False,
        "mode": ["bilinear", "nearest", "bilinear"],
    }
    crop = {
        "_target_": "RandSpatialCropd",
        "keys": keys,
        "roi_size": "$[2 * side for side in @crop]",
        "random_size": False,
    }
    return {"train#optics#0": {"_target_": "Compose", "transforms": [zoom, crop]}}


STRONGER = {
    "train#augmentation#2#factors": 0.5,
    "train#augmentation#3#offsets": 0.2,
    "train#augmentation#4": {"_target_": "RandAdjustContrastd", "keys": "image", "prob": 0.5, "gamma": [0.4, 2.5]},
}
MAGNIFIED = zoomed(0.7, 2.0)
INSTANCE = ("DBAC_in", "DDMAC_in")
BCE = loss(_target_="torch.nn.BCEWithLogitsLoss")
CLDICE = loss(_target_="bundle.training.BCEDiceLoss", centerline="cldice")
LINEAR = {"reading#3": {"_target_": "bundle.transforms.LinearContrastd", "keys": "image"}}


@dataclass(frozen=True)
class Change:
    """One change of configs/train.yaml.

    Args:
        called: what it is.
        overrides: settings of the config.
        cascades: networks of the tables that it changes; the others are the default's.
        steps: how many.
        channels: widths.
    """

    called: str
    overrides: dict = field(default_factory=dict)
    cascades: tuple[str, str] = ("DBAC", "DDMAC")
    changed: tuple[str, ...] = ("DBAC", "DDMAC", "DBAC_in", "DDMAC_in")
    steps: int = STEPS
    channels: tuple[int, ...] = tuple(tables.CHANNELS)


CHANGES: dict[str, Change] = {
    "default": Change("AdamW, one cycle, cross-entropy and Dice, batch normalisation"),
    "paper": Change("the paper's: SGD, cross-entropy alone", SGD | BCE),
    "cross_entropy": Change("cross-entropy alone", BCE),
    "sgd": Change("SGD, momentum 0.9, polynomial decay from 0.01", SGD),
    "cldice": Change("and soft clDice", CLDICE),
    "skeleton_recall": Change(
        "and skeleton recall", loss(_target_="bundle.training.BCEDiceLoss", centerline="skeleton_recall")
    ),
    "linear_contrast": Change("linear contrast instead of adaptive equalisation", LINEAR),
    "stronger_augmentation": Change("contrast, brightness and gamma varied twice as far", STRONGER),
    "d_by_bound": Change("D divided by k in every image", distance(normalization="bound"), changed=("DDMAC",)),
    "k_10": Change("k = 10", distance(bound=10), changed=("DDMAC",)),
    "k_40": Change("k = 40", distance(bound=40), changed=("DDMAC",)),
    "running_averages": Change("batch normalisation with running averages", {"norm_crops": 0}),
    "averaging": Change("weights averaged over some thirty steps", {"averaging": 0.97}),
    "instance": Change("instance normalisation, on phantoms too", cascades=INSTANCE),
    "instance_cldice": Change("the same, and soft clDice", CLDICE, INSTANCE),
    "instance_magnified": Change("the same, magnification varied from half to twice", MAGNIFIED, INSTANCE),
    "dbac_x2": Change("DBAC at scale 2", cascades=("DBAC_x2", "DDMAC")),
    "twice_as_long": Change("twice the steps", steps=2 * STEPS),
    "twice_as_wide": Change("16…256 channels", channels=(16, 32, 64, 128, 256)),
}


def parts() -> list[Part]:
    """A row for each change."""
    return [Part(NAME, name, 0, partial(scores, name=name)) for name in CHANGES]


def training(cascade: str, name: str) -> Training:
    """The cascade's fine-tuning with a change; the tables' own where the change does not touch it.

    All go on from the tables' training on phantoms, for which a change of width needs one of its own.
    """
    change = CHANGES[name]
    if name in ("default", "dbac_x2", "instance") or cascade not in change.changed:
        return tables.training(cascade, "fine_tuned", 0)
    tuned = replace(tables.training(cascade, "fine_tuned", 0), name=f"recipe_{name}-{cascade}", steps=change.steps)
    if change.channels == tuple(tables.CHANNELS):
        return replace(tuned, overrides=change.overrides)
    network = tuned.network | {"channels": list(change.channels)}
    phantoms = replace(tables.training(cascade, "phantoms", 0), name=f"{tuned.name}-phantoms", network=network)
    return replace(tuned, network=network, start=phantoms)


def scores(places: Places, name: str) -> list[Row]:
    """Scores of the average on the validation split."""
    folder = places.data("vessmap").resolve()
    maps = [predicted(training(cascade, name), places, folder, "val") for cascade in CHANGES[name].cascades]
    return scored(fused(maps, "average"), labelled(folder, "val"))
