"""How much ``adapt`` brings: from the middle slice of each stack of vesselNN to its other slices, into a CSV.

    python -m scripts.benchmarks.adapt DIR --output OUT.csv [--every 4] [--teach slice scribbles] [--stacks NAME ...]
    python -m scripts.benchmarks.adapt --phantoms FAMILY ... --output OUT.csv [--count 2] [--steps 0]

DIR holds ``vesselnn``; what ``adapt`` itself does is chosen on phantoms, small ones that no other benchmark has. Taught
are the whole middle slice, or 20 strokes of 30 pixels on it, ten along vessels and ten beside them, drawn by chance
from its mask. Judged is every fourth of the other slices, each by itself (in ``segment
--mode stack`` thresholds and morphology go through the volume), before and after, with the weights and settings that
``adapt`` chose. Pictures of errors (no grey values) go beside OUT.csv: NAME-TEACH-before.png and -after.png. What is in
the table stays as it is.
"""

from __future__ import annotations

import argparse
import csv
import logging
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import Literal

import numpy as np
import torch
from monai.bundle import ConfigParser
from scipy.ndimage import binary_dilation
from torch import nn

from bundle.adaptation import Settings, adapt, annotated_slices, mask_of, probability
from bundle.home import INFERENCE, shipped_weights
from bundle.io import atomic
from bundle.metrics import Confusion, skeleton
from bundle.networks import load_weights
from bundle.phantoms import FAMILIES, make_phantom
from bundle.pictures import error_overlay, write_png
from bundle.segmentation import WholeOrWindowsInferer
from bundle.transforms import LinearContrast

from .microscopes import Case, vesselnn

STROKES, LENGTH = 20, 30
SHAPE, SEED = (9, 160, 160), 7000  # of the phantoms
COLUMNS = ("stack", "teach", "chosen", "settings", "before", "after", "held_back", "seconds", "core_seconds")


def strokes(mask: np.ndarray, seed: int) -> np.ndarray:
    """Strokes along the vessels of a mask ``[X, Y]`` and beside them: 1 and 2, 0 where nothing was drawn."""
    rng = np.random.default_rng(seed)
    drawn = np.zeros(mask.shape, np.uint8)
    lines, away = skeleton(mask), ~binary_dilation(mask, iterations=3)
    for number in range(STROKES):
        place = away if number % 2 else lines & (drawn == 0)
        starts = np.argwhere(place)
        if len(starts):
            drawn[tuple(_walk(place, starts[rng.integers(len(starts))], rng).T)] = 1 + number % 2
    return drawn


def _walk(place: np.ndarray, start: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Pixels of a stroke through a place, going on as straight as it can."""
    pixels, seen = [start], {tuple(start)}
    heading = rng.normal(size=2)
    steps = np.array([(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if a or b])
    while len(pixels) < LENGTH:
        following = [
            step
            for step in steps
            if all(0 <= p < size for p, size in zip(pixels[-1] + step, place.shape, strict=True))
            and place[tuple(pixels[-1] + step)]
            and tuple(pixels[-1] + step) not in seen
        ]
        if not following:
            break
        step = max(following, key=lambda step: step @ heading / np.hypot(*step))
        heading = 0.8 * heading / np.hypot(*heading) + 0.2 * step
        pixels.append(pixels[-1] + step)
        seen.add(tuple(pixels[-1]))
    return np.array(pixels)


def phantoms(families: Sequence[str], count: int) -> Iterator[Case]:
    """Small stacks of each family, with the vessel within half a step of each slice; those whose middle shows one."""
    for family in families:
        for index in range(count):
            phantom = make_phantom(SHAPE, seed=SEED, index=index, family=family)
            if phantom.slab_mask[len(phantom.slab_mask) // 2].any():
                yield Case(f"{family}_{index}", phantom.stack.T, phantom.slab_mask.T)


def found(image: np.ndarray, slices: list[int], network: nn.Module, chosen: Settings) -> np.ndarray:
    """The masks of some slices of a stack ``[X, Y, Z]``: ``[N, X, Y]``."""
    inferer = WholeOrWindowsInferer(scale=chosen.scale)
    per: Literal["slice", "volume"] = "volume" if chosen.contrast == "volume" else "slice"
    seen = np.asarray(LinearContrast(per=per)(torch.from_numpy(np.ascontiguousarray(image))[None]))[0]
    maps = [probability(np.ascontiguousarray(seen[..., z]), network, inferer) for z in slices]
    return np.array([mask_of(each, chosen.low, chosen.high) for each in maps])


def row(case: Case, teach: str, network: nn.Module, every: int, steps: int, folder: Path) -> dict[str, object]:
    """Adapt to a stack, and judge."""
    middle = case.image.shape[-1] // 2
    judged = [z for z in range(middle % every, case.image.shape[-1], every) if z != middle]
    label = case.mask[..., middle].astype(np.uint8)
    if teach == "scribbles":
        label = strokes(case.mask[..., middle], zlib.crc32(case.name.encode()))
    start, busy = time.perf_counter(), time.process_time()
    known = annotated_slices(case.name, case.image.T, {middle: label.T}, scribbles=teach == "scribbles")
    settings = Settings("slice")
    adapted = adapt(network, known, settings, steps=steps)
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    print(*(f"{name} {dice:.3f}" for name, dice in adapted.tried.items()), sep=", ", flush=True)
    true = np.moveaxis(case.mask[..., judged], -1, 0)
    dice = {}
    for name, net, chosen in (("before", network, settings), ("after", adapted.network, adapted.settings)):
        masks = found(case.image, judged, net, chosen)
        dice[name] = float(np.nanmean([Confusion.between(*pair).dice for pair in zip(masks, true, strict=True)]))
        show = len(judged) // 2
        write_png(folder / f"{case.name}-{teach}-{name}.png", error_overlay(masks[show].T, true[show].T))
    return {
        "stack": case.name,
        "teach": teach,
        "chosen": adapted.kind,
        "settings": " ".join(f"{value}" for value in adapted.settings.as_dict().values()),
        "before": f"{dice['before']:.4f}",
        "after": f"{dice['after']:.4f}",
        "held_back": f"{adapted.expected:.4f}",
        "seconds": f"{seconds:.0f}",
        "core_seconds": f"{busy:.0f}",
    }


def rows(cases: Iterable[Case], arguments: argparse.Namespace, there: list[dict]) -> Iterator[dict[str, object]]:
    """What is not in the table yet."""
    config = ConfigParser()
    config.read_config(INFERENCE)
    network = load_weights(config.get_parsed_content("network_def"), shipped_weights("stack")).eval()
    for case in cases:
        for teach in arguments.teach:
            done = any((one["stack"], one["teach"]) == (case.name, teach) for one in there)
            if not done and (not arguments.stacks or case.name in arguments.stacks):
                yield row(case, teach, network, arguments.every, arguments.steps, arguments.output.parent)


def main() -> None:
    """Adapt to each stack, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", help="not needed with --phantoms")
    parser.add_argument("--phantoms", nargs="+", choices=tuple(FAMILIES), metavar="FAMILY", default=())
    parser.add_argument("--count", type=int, default=1, help="phantoms of each family (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=60, help="of each training (default: %(default)s)")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--every", type=int, default=4, help="slice that is judged (default: %(default)s)")
    parser.add_argument("--teach", nargs="+", choices=("slice", "scribbles"), default=("slice", "scribbles"))
    parser.add_argument("--stacks", nargs="+", metavar="NAME", help="default: all")
    arguments = parser.parse_args()
    if bool(arguments.phantoms) == bool(arguments.data):
        parser.error("give the folder of vesselnn, or --phantoms")
    logging.disable(logging.WARNING)  # how each file is read
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    made: list[dict] = []
    if arguments.output.exists():
        made = list(csv.DictReader(arguments.output.open(encoding="utf-8")))
    cases = phantoms(arguments.phantoms, arguments.count) if arguments.phantoms else vesselnn(arguments.data)
    for one in rows(cases, arguments, list(made)):
        made.append(one)
        print(*one.values(), flush=True)
        with atomic(arguments.output) as partial, open(partial, "w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(made)
    for teach in arguments.teach:
        some = [one for one in made if one["teach"] == teach]
        means = {name: fmean(float(one[name]) for one in some) for name in ("before", "after")}
        print(f"{teach}: before {means['before']:.3f}, after {means['after']:.3f}")


if __name__ == "__main__":
    main()
