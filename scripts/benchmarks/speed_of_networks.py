"""Set networks beside each other: seconds for an image of 512 × 512, and the Dice of their masks.

    python -m scripts.benchmarks.speed_of_networks DIR --earlier FOLDER --output docs/results/speed/networks.csv

DIR holds ``vessmap`` and ``vesselnn``; FOLDER is a checkout of another version, whose ``configs/inference.json`` names
its network and whose ``models/`` holds its weights. Both are computed by the code of this version, so that what differs
is the network. Of each the ensemble and either cascade alone; one thread, in turns; the least of the turns counts, as
what disturbs only adds. Images are VessMAP's test images, slices those of vesselNN's stacks.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

import torch

from bundle.home import ROOT
from bundle.metrics import Confusion
from bundle.networks import CascadeEnsemble, count_parameters, faster_copy, keep_memory

from ..tables.result_files import write_rows
from .microscopes import Segmenter, pairs, vesselnn

SIDE = 512
TURNS = 9
PARTS: dict[str, Callable[[CascadeEnsemble, torch.Tensor], torch.Tensor]] = {
    "both": lambda network, image: network(image),
    "DBAC": lambda network, image: network.dbac_probability(image),
    "DDMAC": lambda network, image: network.ddmac_probability(image),
}


def of_checkout(folder: Path) -> dict[str, Segmenter]:
    """What a version makes masks with, of images and of slices."""
    files = {"images": "model.pt", "slices": "stack.pt"}
    return {
        of: Segmenter(folder / "models" / file, "paper", folder / "configs" / "inference.json")
        for of, file in files.items()
    }


@torch.inference_mode()
def seconds(networks: dict[str, CascadeEnsemble]) -> dict[tuple[str, str], float]:
    """The least of the turns of each network and part."""
    image = torch.rand(1, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    fast = {name: faster_copy(network) for name, network in networks.items()}
    taken: dict[tuple[str, str], list[float]] = {(name, part): [] for name in fast for part in PARTS}
    for _ in range(1 + TURNS):
        for (name, part), turns in taken.items():
            start = time.perf_counter()
            PARTS[part](fast[name], image)
            turns.append(time.perf_counter() - start)
    return {key: min(turns[1:]) for key, turns in taken.items()}


def dice(segmenter: Segmenter, part: str, data: Path, of: str) -> float:
    """Mean Dice over VessMAP's test images, or over vesselNN's stacks."""
    network = segmenter.network
    segmenter.network = lambda image: PARTS[part](network, image)
    cases = pairs(data / "vessmap", "test") if of == "images" else vesselnn(data)
    mean = fmean(Confusion.between(*segmenter(case)).dice for case in cases)
    segmenter.network = network
    return mean


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--earlier", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_memory()
    logging.disable(logging.WARNING)  # how each file is read
    versions = {"this version": of_checkout(ROOT), arguments.earlier.name: of_checkout(arguments.earlier)}
    taken = seconds({name: made["images"].network for name, made in versions.items()})
    rows = []
    for name, made in versions.items():
        network = made["images"].network
        counted = {"both": network, "DBAC": network.dbac, "DDMAC": network.ddmac}
        for part in PARTS:
            row = {"network": name, "part": part, "parameters": count_parameters(counted[part])}
            row |= {"seconds": f"{taken[name, part]:.3f}"}
            row |= {f"dice of {of}": f"{dice(made[of], part, arguments.data, of):.4f}" for of in made}
            rows.append(row)
            print(", ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    write_rows(arguments.output, rows)


if __name__ == "__main__":
    main()
