"""The shipped weights: how they were trained, and what the recipe gives without phantoms and with a plain U-Net."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch

from bundle.networks import load_weights

from .averages import Average
from .parts import Part, Places, Row
from .predictions import labelled, probabilities, scored
from .recipe import BCE, CLDICE, zoomed
from .trainings import Training, made

NAME = "release"
ENSEMBLE = {
    "_target_": "bundle.networks.CascadeEnsemble",
    "in_channels": 1,
    "channels": [8, 16, 32, 64, 128],
    "dbac_scale": 1.0,
    "fusion": "average",
}
UNET = {"_target_": "bundle.networks.UNet", "channels": [8, 16, 32, 64, 128]}
UNET_PLUS_PLUS = {"_target_": "bundle.networks.UNetPlusPlus", "channels": [8, 16, 32, 64, 128]}
RUNNING = {"norm_crops": 0}  # statistics of batch normalisation as they were when the first weights were made
RECIPE = {"validated": True, "checkpoint": "best", "schedule": (12, 4), "crop": None, "overrides": RUNNING}
MARGINS = {"margins": 0.08}
# with instance normalisation: pretraining.py says why
INSTANCE_PHANTOMS = {"overrides": RUNNING | MARGINS | zoomed(0.5, 4.0)}
INSTANCE_VESSMAP = {"overrides": RUNNING | MARGINS}
NORM = {"DBAC": "instance", "DDMAC": "batch"}  # of the shipped pair
LONGER = {"schedule": (10, 8), "crop": 160, "overrides": RUNNING | {"averaging": 0.98}}


def stages(
    name: str, network: dict, on_phantoms: dict | None = None, on_vessmap: dict | None = None
) -> tuple[Training, Training, Training]:
    """On phantoms, then on VessMAP, then on VessMAP once more and for longer, with the weights averaged.

    Args:
        name: of the trainings.
        network: network_def.
        on_phantoms: what is different from RECIPE in the first.
        on_vessmap: the same in the second.
    """
    recipe = RECIPE | {"schedule": (17, 3)} | (on_phantoms or {})
    phantoms = Training(f"{name}_phantoms", network, "phantoms", **recipe)
    start = replace(phantoms, checkpoint="last")
    fine_tuned = Training(f"{name}_fine_tuned", network, "vessmap", start, **RECIPE | (on_vessmap or {}))
    return phantoms, fine_tuned, Training(f"{name}_longer", network, "vessmap", fine_tuned, **RECIPE | LONGER)


def instance_stages(name: str) -> tuple[Training, Training]:
    """On phantoms, then on VessMAP, with instance normalisation; a cascade alone, for a core of its own."""
    network = {"_target_": f"bundle.networks.{name}", "channels": UNET["channels"], "norm": "instance"}
    return stages(f"release_{name}_in", network, INSTANCE_PHANTOMS, INSTANCE_VESSMAP)[:2]


def magnified_stages(name: str) -> tuple[Training, Training]:
    """The same with the normalisation that is shipped, the config's own statistics of it, and no margins."""
    network = {"_target_": f"bundle.networks.{name}", "channels": UNET["channels"], "norm": NORM[name]}
    return stages(f"release_{name}_magnified", network, {"overrides": zoomed(0.5, 4.0)}, {"overrides": {}})[:2]


PHANTOMS, FINE_TUNED, LONGEST = stages("release", ENSEMBLE)
_, PLAIN_FINE_TUNED, PLAIN_LONGEST = stages("release_unet", UNET)
_, PLUS_FINE_TUNED, _ = stages("release_unet_plus_plus", UNET_PLUS_PLUS)
CASCADES_PHANTOMS, CASCADES_FINE_TUNED = zip(*map(instance_stages, ("DBAC", "DDMAC")), strict=True)
MAGNIFIED_PHANTOMS, MAGNIFIED_FINE_TUNED = zip(*map(magnified_stages, NORM), strict=True)
BLURRED = tuple(  # the last part of those once more
    replace(each, name=f"{each.name}_blurred", overrides={"blur": 0.5}) for each in MAGNIFIED_FINE_TUNED
)
AVERAGED = tuple(Average(f"{pair[1].name}_averaged", pair) for pair in zip(MAGNIFIED_FINE_TUNED, BLURRED, strict=True))
CONTINUED = replace(  # DBAC on, from the weights that it had
    CASCADES_FINE_TUNED[0],
    name="release_DBAC_in_fine_tuned_blurred",
    start=CASCADES_FINE_TUNED[0],
    overrides=INSTANCE_VESSMAP["overrides"] | {"blur": 0.5},
)
CONTINUED_AVERAGED = Average(f"{CONTINUED.name}_averaged", (CASCADES_FINE_TUNED[0], CONTINUED))
LOSSES = {  # of the masks, for DBAC
    "default": ("cross-entropy and Dice", MAGNIFIED_FINE_TUNED[0]),
    "cross_entropy": (
        "cross-entropy alone",
        replace(MAGNIFIED_FINE_TUNED[0], name="release_DBAC_magnified_fine_tuned_cross_entropy", overrides=BCE),
    ),
    "cldice": (
        "cross-entropy, Dice and soft clDice",
        replace(MAGNIFIED_FINE_TUNED[0], name="release_DBAC_magnified_fine_tuned_cldice", overrides=CLDICE),
    ),
}
SCRATCH = Training("release_scratch", ENSEMBLE, "vessmap", **RECIPE)
PLAIN = Training("release_unet", UNET, "vessmap", **RECIPE)
PLUS = Training("release_unet_plus_plus", UNET_PLUS_PLUS, "vessmap", **RECIPE)

DATA = {
    "scratch": "VessMAP",
    "fine_tuned": "phantoms, then VessMAP",
    "longer": "phantoms, then VessMAP, longer",
    "phantoms": "phantoms",
    "instance": "phantoms, then VessMAP; instance normalisation",
    "instance_phantoms": "phantoms; instance normalisation",
    "mixed": "phantoms, then VessMAP; DBAC with instance normalisation",
    "magnified": "magnified phantoms, then VessMAP; DBAC with instance normalisation",
    "blurred": "magnified phantoms, then VessMAP, half of the crops blurred; DBAC with instance normalisation",
    "averaged": "magnified phantoms, then VessMAP, mean without and with blur; DBAC with instance normalisation",
    "shipped": "phantoms, then VessMAP, mean without and with blur; as shipped",
}
NORMS = {"fine_tuned": "batch", "instance": "instance", "fine_tuned+instance": "both"}
# of the ensemble, or of DBAC and of DDMAC, each by itself or within an ensemble
TRAININGS: dict[str, tuple[Training | Average, ...]] = {
    "scratch": (SCRATCH,),
    "fine_tuned": (FINE_TUNED,),
    "longer": (LONGEST,),
    "phantoms": (PHANTOMS,),
    "instance": CASCADES_FINE_TUNED,
    "instance_phantoms": CASCADES_PHANTOMS,
    "mixed": (CASCADES_FINE_TUNED[0], FINE_TUNED),
    "magnified": MAGNIFIED_FINE_TUNED,
    "blurred": BLURRED,
    "averaged": AVERAGED,
    "shipped": (CONTINUED_AVERAGED, AVERAGED[1]),
}
SAME = ("dbac-mixed", "ddmac-mixed", "ddmac-shipped")  # as dbac-instance, ddmac-fine_tuned and ddmac-averaged
# whose training data and recipe a baseline must share to be compared with; the last five had more of it
ALIKE = {data: (data,) for data in TRAININGS} | dict.fromkeys(
    ("mixed", "magnified", "blurred", "averaged", "shipped"), ("fine_tuned", "instance")
)
BASELINES: dict[str, tuple[str, dict[str, Training]]] = {
    "unet": (
        "U-Net",
        {
            "scratch": PLAIN,
            "fine_tuned": PLAIN_FINE_TUNED,
            "longer": PLAIN_LONGEST,
            "instance": instance_stages("UNet")[1],
        },
    ),
    "unet_plus_plus": (
        "U-Net++",
        {"scratch": PLUS, "fine_tuned": PLUS_FINE_TUNED, "instance": instance_stages("UNetPlusPlus")[1]},
    ),
}
# training data of DBAC, and of DDMAC
PAIRS = {
    f"{dbac}-{ddmac}": (NORMS[dbac], NORMS[ddmac])
    for dbac, ddmac in itertools.product(("fine_tuned", "instance", "fine_tuned+instance"), repeat=2)
    if ("+" in dbac) == ("+" in ddmac)
} | {
    "magnified-mixed": ("instance, no margins", "batch"),
    "mixed-magnified": ("instance", "batch, phantoms magnified"),
    "magnified-magnified": ("instance, no margins", "batch, phantoms magnified"),
    "blurred-blurred": ("instance, no margins; blurred crops", "batch, phantoms magnified; blurred crops"),
    "averaged-averaged": ("mean of the weights of the last two", "mean of the weights of the last two"),
    "mixed-averaged": ("instance", "mean, without and with blurred crops"),
    "shipped-mixed": ("instance, mean of it and of it trained on with blurred crops", "batch"),
    "shipped-shipped": ("the same", "mean, without and with blurred crops"),
}
Fuse = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
METHODS: dict[str, tuple[str, Fuse]] = {
    "dbac": ("DBAC", lambda dbac, ddmac: dbac),
    "ddmac": ("DDMAC", lambda dbac, ddmac: ddmac),
    "average": ("ensemble, average", lambda dbac, ddmac: (dbac + ddmac) / 2),
    "maximum": ("ensemble, maximum", torch.maximum),
}


def parts() -> list[Part]:
    """The baselines, then both cascades and their fusions with each training data; seed 0."""
    rows = [
        Part(NAME, f"{network}-{data}", 0, partial(baseline, training=training))
        for network, (_, trainings) in BASELINES.items()
        for data, training in trainings.items()
    ]
    for data in TRAININGS:
        rows += [
            Part(NAME, f"{method}-{data}", 0, partial(one, method=method, data=data))
            for method in METHODS
            if f"{method}-{data}" not in SAME
        ]
    return rows


def pair_parts() -> list[Part]:
    """The choice of the shipped pair, on the validation images: DBACs with DDMACs, and all four of two kinds."""
    return [Part("pairs", row, 0, partial(pair_scores, row=row)) for row in PAIRS]


def loss_parts() -> list[Part]:
    """DBAC, fine-tuned from the magnified phantoms with another loss of its masks, on the validation images."""
    return [Part("losses", row, 0, partial(baseline, training=each, split="val")) for row, (_, each) in LOSSES.items()]


def label(row: str) -> tuple[str, str]:
    """Method and training data of a row, in words."""
    method, data = row.split("-")
    return (METHODS | BASELINES)[method][0], DATA[data]


@torch.inference_mode()
def baseline(places: Places, training: Training, split: str = "test") -> list[Row]:
    """Scores of a single network."""
    items = labelled(places.data("vessmap").resolve(), split)
    network = load_weights(made(training.network), training.weights(places)).eval()
    return scored(probabilities(network, items), items)


def probability_of_both(places: Places, data: str) -> Callable[[torch.Tensor], Sequence[torch.Tensor]]:
    """What both cascades say of an image, trained together or each by itself."""
    networks = [load_weights(made(each.network), each.weights(places)).eval() for each in TRAININGS[data]]
    dbac, ddmac = networks[0], networks[-1]
    dbac, ddmac = getattr(dbac, "dbac", dbac), getattr(ddmac, "ddmac", ddmac)
    return lambda image: (dbac(image), ddmac(image))


@torch.inference_mode()
def one(places: Places, method: str, data: str) -> list[Row]:
    """Scores of a cascade of an ensemble, or of a fusion, on the test split."""
    items = labelled(places.data("vessmap").resolve(), "test")
    both = probability_of_both(places, data)
    return scored(probabilities(lambda x: METHODS[method][1](*both(x)), items), items)


@torch.inference_mode()
def pair_scores(places: Places, row: str) -> list[Row]:
    """Scores of the average of a DBAC and a DDMAC, or of two of each, on the validation split."""
    items = labelled(places.data("vessmap").resolve(), "val")
    dbacs, ddmacs = ([probability_of_both(places, data) for data in each.split("+")] for each in row.split("-"))

    def average(image: torch.Tensor) -> torch.Tensor:
        return torch.stack([both(image)[0] for both in dbacs] + [both(image)[1] for both in ddmacs]).mean(0)

    return scored(probabilities(average, items), items)
