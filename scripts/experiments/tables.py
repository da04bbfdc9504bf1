"""Tables I to III of the paper on VessMAP's test split."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from .parts import Part, Places, Row
from .predictions import Maps, fused, labelled, predicted, scored
from .trainings import CROP, Training

NAME = "tables"
SEEDS = (0, 1, 2)
CHANNELS = [8, 16, 32, 64, 128]


def cascade(name: str, scale: float) -> dict:
    """network_def of a cascade that is trained and used at a scale."""
    alone = {"_target_": f"bundle.networks.{name}", "channels": CHANNELS}
    return alone if scale == 1 else {"_target_": "bundle.networks.AtScale", "cascade": alone, "scale": scale}


# name: how it is called in the table, network_def, side of its crops; the paper's crops have one size in the network's
# own pixels, so that a step costs the same at every scale
NETWORKS: dict[str, tuple[str, dict, int]] = {
    "UNet": ("U-Net", {"_target_": "bundle.networks.UNet", "channels": CHANNELS}, CROP),
    "DBAC": ("DBAC, scale 1", cascade("DBAC", 1), CROP),
    "DDMAC": ("DDMAC, scale 1", cascade("DDMAC", 1), CROP),
    "UNetPlusPlus": ("U-Net++", {"_target_": "bundle.networks.UNetPlusPlus", "channels": CHANNELS}, CROP),
    "DeeperUNetPlusPlus": (
        "deeper U-Net++",
        {"_target_": "bundle.networks.DeeperUNetPlusPlus", "channels": CHANNELS},
        CROP,
    ),
    "DBAC_x2": ("DBAC, scale 2", cascade("DBAC", 2.0), CROP // 2),
    "DDMAC_x2": ("DDMAC, scale 2", cascade("DDMAC", 2.0), CROP // 2),
    "MonaiUNetPlusPlus": (
        "MONAI BasicUNetPlusPlus",
        {"_target_": "scripts.experiments.monai_unet_plus_plus.MonaiUNetPlusPlus", "channels": CHANNELS},
        CROP,
    ),
    **{
        f"{name}_in": (
            f"{called}, instance normalisation",
            {"_target_": f"bundle.networks.{name}", "channels": CHANNELS, "norm": "instance"},
            CROP,
        )
        for name, called in {"UNet": "U-Net", "UNetPlusPlus": "U-Net++", "DBAC": "DBAC", "DDMAC": "DDMAC"}.items()
    },
}
ENSEMBLES = (("DBAC", "DDMAC"), ("DBAC_x2", "DDMAC"), ("DBAC_x2", "DDMAC_x2"), ("DBAC_in", "DDMAC_in"))
FUSIONS = ("average", "maximum")
# what the weights have seen: source domain only, or VessMAP after it
STATES = {"phantoms": "phantoms", "fine_tuned": "phantoms, then VessMAP"}
SECOND_SOURCE = {"retina": "retina", "retina_fine_tuned": "retina, then VessMAP"}


def training(network: str, state: str, seed: int) -> Training:
    """The training of one network in one state."""
    _, definition, crop = NETWORKS[network]
    options = {"seed": seed, "crop": crop}
    if state in ("phantoms", "retina"):
        return Training(f"{network}-{state}", definition, state, **options)
    start = training(network, "phantoms" if state == "fine_tuned" else "retina", seed)
    return Training(f"{network}-{state}", definition, "vessmap", start, **options)


def label(row: str) -> tuple[str, str]:
    """Network and training data of a row, in words."""
    networks, *fusion, state = row.split("-")
    names = " + ".join(NETWORKS[name][0] for name in networks.split("+"))
    return ", ".join([names, *fusion]), (STATES | SECOND_SOURCE)[state]


def parts() -> list[Part]:
    """All rows with the first seed, then with the next."""
    made = []
    for seed in SEEDS:
        for name in NETWORKS:
            made += [Part(NAME, f"{name}-{state}", seed, single(name, state, seed)) for state in STATES]
        made += [part for pair in ENSEMBLES for state in STATES for part in ensembles(pair, state, seed)]
    for state in SECOND_SOURCE:  # of the ensemble alone, one seed
        made += [Part(NAME, f"{name}-{state}", 0, single(name, state, 0)) for name in ENSEMBLES[0]]
        made += ensembles(ENSEMBLES[0], state, 0)
    return made


def single(name: str, state: str, seed: int) -> Callable[[Places], list[Row]]:
    """Scores of one network."""
    return lambda places: _scored(places, lambda split: _maps(places, name, state, seed, split))


def ensembles(pair: tuple[str, str], state: str, seed: int) -> list[Part]:
    """Both fusions of two cascades' predictions."""
    return [
        Part(NAME, f"{'+'.join(pair)}-{fusion}-{state}", seed, partial(_fused, pair, fusion, state, seed))
        for fusion in FUSIONS
    ]


def _fused(pair: tuple[str, str], fusion: str, state: str, seed: int, places: Places) -> list[Row]:
    return _scored(places, lambda split: fused([_maps(places, name, state, seed, split) for name in pair], fusion))


def _maps(places: Places, name: str, state: str, seed: int, split: str) -> Maps:
    return predicted(training(name, state, seed), places, places.data("vessmap").resolve(), split)


def _scored(places: Places, maps: Callable[[str], Maps]) -> list[Row]:
    return scored(maps("test"), labelled(places.data("vessmap").resolve(), "test"))
