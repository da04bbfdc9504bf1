"""Learn what Dice to expect of a mask, and say how well that holds on families of phantoms that were left out.

    python -m scripts.release.learn_trust DIR [--cases FILE] [--count 24] [--workers 2]

DIR holds ``vessmap``, ``vesselnn`` and ``octa``. Phantoms of every family, images of nothing, and VessMAP's training
and validation images, as they are and spoiled, are segmented with the shipped weights as ``segment`` does; what is seen
of each mask and its Dice go to FILE. A family is judged by what the others taught; VessMAP's test images, vesselNN and
the angiogram are judged by all and teach nothing. Written are ``bundle/trust/learned.json``, which ``segment`` reads,
and ``docs/results/trust.csv``. Give the command again to go on; after a change of weights it begins anew by itself.

The truth of a phantom is the vessel within half a step of each slice's plane, of a fused one the projection; vessels
that nobody sees (``training_images.seen``) are neither asked for nor counted as wrong.
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial, reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from scipy.ndimage import gaussian_filter, zoom

from bundle.home import INFERENCE, PACKAGE, ROOT, shipped_weights
from bundle.io import atomic
from bundle.networks import load_weights
from bundle.phantoms import FAMILIES, make_phantom
from bundle.segmentation import WholeOrWindowsInferer, WithDisagreement
from bundle.transforms import AdaptiveHistogramEqualization, LinearContrast
from bundle.trust import TRUSTED, Evidence, Expectation, Learned, area_under_curve

from ..benchmarks import microscopes
from ..benchmarks.microscopes import PLAIN, Case
from .training_images import seen

SEED = 12000  # of the phantoms, which neither a training nor a benchmark has seen
SHAPE = (6, 160, 160)
MIDDLE = SHAPE[0] // 2
NOTHING = 32  # images of nothing
NOTHING_SIDE = 160
PENALTY = 5.0
# what may count, and in which direction: what the networks say of themselves holds on families that were left out; grey
# values and widths teach what a family is like, and mislead on others
SIGNS = {
    "expected overlap": 1,
    "agreement": 1,
    "disagreement on vessels": -1,
    "disagreement beside": -1,
    "doubt on vessels": -1,
    "doubt beside": -1,
    "probability around": -1,
    "steepness": 1,
    "pieces": -1,
}
SLICE = 0.25  # what a slice counts where its stack counts 1: slices of a stack are much alike
REAL = "VessMAP"  # the family of its images, whatever was done to them
TESTS = ("VessMAP test", "vesselNN", "vesselNN slices", "OCT-A")
LEARNED, TABLE = PACKAGE / "trust" / "learned.json", ROOT / "docs" / "results" / "trust.csv"


@dataclass(frozen=True)
class Judged:
    """A mask, what was seen of it, and how good it is.

    Args:
        kind: "image" or "stack", by which weights it was made; "second" of an image by the weights of slices.
        family: what is left out together.
        name: of the image, or of the stack and the slice's number.
        part: whether it is a slice of a stack that counts as well.
        dice: with the truth.
        evidence: what was seen.
    """

    kind: str
    family: str
    name: str
    part: bool
    dice: float
    evidence: Evidence


@cache
def segmenter(kind: str) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Gives S, |L − N| and the mask of an image ``[X, Y]`` or a stack ``[X, Y, Z]``, of its shape."""
    torch.set_num_threads(1)
    config = ConfigParser()
    config.read_config(INFERENCE)
    weights = shipped_weights("fused" if kind == "image" else "stack")
    network = WithDisagreement(load_weights(config.get_parsed_content("network_def"), weights)).eval()
    binarize, inferer = config.get_parsed_content("postprocessing"), WholeOrWindowsInferer()

    @torch.inference_mode()
    def segment(image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        contrast = LinearContrast() if image.ndim == 3 else AdaptiveHistogramEqualization()
        enhanced = torch.as_tensor(contrast(torch.from_numpy(np.ascontiguousarray(image, np.float32))[None]))
        found = inferer(enhanced[None].float(), network)[0]
        mask = np.asarray(binarize({"pred": found[:1]})["pred"])[0] > 0
        return found[0].numpy(), found[1].numpy(), mask

    return segment


def judged(kind: str, family: str, case: Case, counts: np.ndarray | None = None) -> Iterator[Judged]:
    """Segment an image, by both weights, or a stack and its slices, and compare with the truth where that counts."""
    if kind == "image":
        yield from judged("second", family, case, counts)
    s, d, mask = segmenter(kind)(case.image)
    counts = np.ones(mask.shape, bool) if counts is None else counts
    found, true, right = (part & counts for part in (mask, case.mask, mask & case.mask))
    if case.image.ndim == 2:
        evidence = Evidence.of(case.image, s, d, mask)
        yield Judged(kind, family, case.name, False, _dice(right, found, true), evidence)
        return
    slices = []
    for z in range(case.image.shape[-1]):
        beside = [case.image[..., n] for n in (z - 1, z + 1) if 0 <= n < case.image.shape[-1]]
        slices.append(Evidence.of(case.image[..., z], s[..., z], d[..., z], mask[..., z], beside))
        dice = _dice(right[..., z], found[..., z], true[..., z])
        yield Judged(kind, family, f"{case.name} {z}", True, dice, slices[-1])
    yield Judged(kind, family, case.name, False, _dice(right, found, true), reduce(add, slices))


def _dice(right: np.ndarray, found: np.ndarray, true: np.ndarray) -> float:
    total = np.count_nonzero(found) + np.count_nonzero(true)
    return 2 * np.count_nonzero(right) / total if total else 1.0


def of_phantom(family: str, index: int) -> Iterator[Judged]:
    """A phantom slice by slice, fused, and its middle slice as a single image."""
    phantom = make_phantom(SHAPE, seed=SEED, index=index, family=None if family == PLAIN else family)
    stack = Case(f"{family}-{index}", phantom.stack.T, phantom.slab_mask.T)
    planes = zip(phantom.stack.astype(np.float32), phantom.slab_mask, strict=True)
    visible = np.stack([seen(image, mask) for image, mask in planes])
    counts = ~(phantom.slab_mask & ~visible).T
    yield from judged("stack", family, stack, counts)
    middle = Case(f"{stack.name}-middle", stack.image[..., MIDDLE], stack.mask[..., MIDDLE])
    yield from judged("image", family, middle, counts[..., MIDDLE])
    fused = stack.fused()
    fused = replace(fused, name=f"{stack.name}-fused", mask=phantom.projected_mask.T)
    flat = np.asarray(fused.image, np.float32)
    yield from judged("image", family, fused, ~fused.mask | seen(flat, fused.mask))


def of_nothing(index: int) -> Iterator[Judged]:
    """An image without any vessel, and a stack of it: noise, mottle, a flat field, a slope, dust."""
    rng = np.random.default_rng([SEED, index])
    shape = (NOTHING_SIDE, NOTHING_SIDE)
    ways: tuple[Callable[[], np.ndarray], ...] = (
        lambda: rng.poisson(rng.uniform(1, 30), shape),
        lambda: 100 + 20 * gaussian_filter(rng.normal(0, 1, shape), rng.uniform(1, 6)) + rng.normal(0, 1, shape),
        lambda: rng.normal(100, 3, shape),
        lambda: rng.poisson(5 + np.add.outer(np.arange(shape[0]) * 0.2, np.arange(shape[1]) * 0.1)),
        lambda: 2000 * gaussian_filter((rng.random(shape) > 0.995) * 1.0, rng.uniform(1, 4)) + rng.poisson(20, shape),
    )
    image = np.asarray(ways[index % len(ways)](), np.float32)
    nowhere = np.zeros(shape, bool)
    yield from judged("image", "nothing", Case(f"nothing-{index}", image, nowhere))
    stack = np.stack([image + rng.normal(0, image.std() / 2 + 0.1, shape) for _ in range(2)], -1).astype(np.float32)
    yield from judged("stack", "nothing", Case(f"nothing-{index}", stack, np.zeros(stack.shape, bool)))


def spoiled(case: Case) -> Case:
    """An image of VessMAP as another microscope might have taken it: magnified, small, blurred, noisy or dim."""
    rng = np.random.default_rng(zlib.crc32(case.name.encode()))
    image, mask, name = (
        np.asarray(case.image, np.float32),
        case.mask,
        str(rng.choice(["large", "small", "blur", "noise", "dim"])),
    )
    if name in ("large", "small"):
        factor = rng.uniform(2, 4) if name == "large" else rng.uniform(0.25, 0.6)
        image = zoom(gaussian_filter(image, 0 if factor > 1 else 0.4 / factor), factor, order=1)[:320, :320]
        mask = zoom(mask.astype(np.float32), factor, order=1)[:320, :320] > 0.5
    elif name == "blur":
        image = gaussian_filter(image, rng.uniform(1, 5))
    else:
        light = image / max(float(image.max()), 1.0)
        seen_light = (
            gaussian_filter(light, 1) * 3 + rng.uniform(5, 50)
            if name == "dim"
            else light * np.exp(rng.uniform(-0.7, 2.3))
        )
        image = rng.poisson(np.clip(seen_light, 0, None)).astype(np.float32)
    return Case(f"{case.name}-{name}", image, mask)


def of_vessmap(data: Path, split: str, number: int) -> Iterator[Judged]:
    """An image of VessMAP; of those that may teach, a spoiled one too."""
    case = list(microscopes.pairs(data / "vessmap", split))[number]
    family = "VessMAP test" if split == "test" else REAL
    yield from judged("image", family, case)
    if split != "test":
        yield from judged("image", family, spoiled(case))


def of_stack(data: Path, name: str, number: int) -> Iterator[Judged]:
    """The middle of a stack of a test set slice by slice, fused, and every sixth slice as a single image."""
    sets = {"vesselNN": microscopes.vesselnn, "OCT-A": microscopes.octa}
    case = list(sets[name](data))[number].middle()
    case = replace(case, image=np.ascontiguousarray(case.image))
    for one in judged("stack", name, case):
        yield replace(one, family=f"{name} slices" if one.part and name == "vesselNN" else name)
    yield from judged("image", name, replace(case.fused(), name=f"{case.name}-fused"))
    for z in range(2, case.image.shape[-1], 6):
        single = Case(f"{case.name}-{z}", case.image[..., z], case.mask[..., z])
        yield from judged("image", f"{name} slices" if name == "vesselNN" else name, single)


def jobs(data: Path, count: int) -> dict[str, Callable[[], Iterator[Judged]]]:
    """All that is to be segmented, by name; the families in turn, so that what is there is even."""
    made: dict[str, Callable[[], Iterator[Judged]]] = {}
    for number in range(NOTHING):
        made[f"nothing {number}"] = partial(of_nothing, number)
    for split, images in (("train", 50), ("val", 10), ("test", 20)):
        for number in range(images):
            made[f"{split} {number}"] = partial(of_vessmap, data, split, number)
    for index in range(count):
        for family in (PLAIN, *FAMILIES):
            made[f"{family} {index}"] = partial(of_phantom, family, index)
    for number in range(7):
        made[f"vesselNN {number}"] = partial(of_stack, data, "vesselNN", number)
    made["OCT-A 0"] = partial(of_stack, data, "OCT-A", 0)
    return made


def _run(job: Callable[[], Iterator[Judged]]) -> list[Judged]:
    logging.disable(logging.WARNING)
    return list(job())


def collected(file: Path, todo: dict[str, Callable[[], Iterator[Judged]]], workers: int) -> list[Judged]:
    """All cases, those that FILE holds from there."""
    weights = [f"{zlib.crc32(shipped_weights(mode).read_bytes()):08x}" for mode in ("fused", "stack")]
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    if not lines or json.loads(lines[0]) != weights:
        lines = [json.dumps(weights)]
        file.write_text(lines[0] + "\n", encoding="utf-8")
    done = {name: rows for name, rows in map(json.loads, lines[1:])}
    left = {name: job for name, job in todo.items() if name not in done}
    with ProcessPoolExecutor(workers) as pool, file.open("a", encoding="utf-8") as stream:
        for name, rows in zip(left, pool.map(_run, left.values()), strict=True):
            done[name] = [vars(row) | {"evidence": dict(row.evidence.sums)} for row in rows]
            stream.write(json.dumps([name, done[name]]) + "\n")
            stream.flush()
            print(name, *(f"{row.dice:.2f}" for row in rows if not row.part), flush=True)
    rows = [row for name in todo for row in done[name]]
    return [Judged(**{**row, "evidence": Evidence(row["evidence"])}) for row in rows]


def taught(cases: Sequence[Judged]) -> Learned:
    """What cases of one kind teach, a large family less than its size and a small one more: by the root of it."""
    dice = np.array([case.dice for case in cases])
    weights = np.array([SLICE if case.part else 1.0 for case in cases])
    families = np.array([case.family for case in cases])
    sizes = {family: weights[families == family].sum() for family in set(families)}
    balanced = weights * np.array([np.sqrt(weights.sum() / len(sizes) / sizes[family]) for family in families])
    return Learned.of([case.evidence for case in cases], dice, SIGNS, PENALTY, balanced)


def expected(cases: Sequence[Judged]) -> tuple[dict[str, Learned], list[dict[str, Any]]]:
    """What is learned of each kind, and for each mask what others than its own family let expect of it.

    Of an image the mask is that which ``segment`` keeps: of which more is expected where little is of the first.
    """
    some = [case for case in cases if not case.evidence.empty]
    teaching = [case for case in some if case.family not in TESTS]
    found = {kind: taught([case for case in teaching if case.kind == kind]) for kind in ("image", "second", "stack")}
    second = {(case.family, case.name): case for case in some if case.kind == "second"}

    @cache
    def teacher(kind: str, family: str) -> Learned:
        others = [case for case in teaching if case.kind == kind and case.family != family]
        return found[kind] if family in TESTS else taught(others)

    def kept(first: Judged) -> tuple[Judged, Expectation]:
        answer = teacher(first.kind, first.family).expect(first.evidence, first.kind)
        other = second.get((first.family, first.name)) if first.kind == "image" and not answer.trusted else None
        if other is None:
            return first, answer
        more = teacher("second", first.family).expect(other.evidence, "image")
        return (other if more.dice > answer.dice else first), answer

    rows = []
    for first in sorted((case for case in some if case.kind != "second"), key=lambda case: case.kind == "stack"):
        case, answer = kept(first)
        what = "slice" if case.part else first.kind
        numbers = {"dice": f"{case.dice:.4f}", "expected": f"{answer.dice:.4f}"}
        role = "test" if case.family in TESTS else "left out"
        about = {"family": case.family, "role": role, "kind": what, "image": case.name}
        by = "stack.pt" if case.kind != "image" else "model.pt"
        rows.append({**about, **numbers, "weights": by, "first": f"{first.dice:.4f}", "reason": answer.reason})
    return found, rows


def line(name: str, rows: Sequence[dict[str, Any]]) -> str:
    """How well a set is sorted, and how far off the expected Dice is."""
    dice, hoped = (np.array([float(row[column]) for row in rows]) for column in ("dice", "expected"))
    curve = area_under_curve(hoped, dice < TRUSTED)
    off = hoped - dice
    return (
        f"{name:32} {len(rows):5}  Dice {dice.mean():.2f}  below {TRUSTED:g}: {np.mean(dice < TRUSTED):4.0%}"
        f"  area {curve:5.3f}  off by {np.abs(off).mean():.3f}  in the mean {off.mean():+.3f}"
    )


def main() -> None:
    """Collect, learn, judge, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--cases", type=Path, default=Path("runs/trust/cases.jsonl"))
    parser.add_argument("--count", type=int, default=24, help="phantoms of each family (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes (default: one for each core)")
    arguments = parser.parse_args()
    cases = collected(arguments.cases, jobs(arguments.data, arguments.count), arguments.workers)
    found, rows = expected(cases)
    with atomic(LEARNED) as partial_file:
        text = json.dumps({kind: each.as_dict() for kind, each in found.items()}, indent=1, ensure_ascii=False)
        partial_file.write_text(text + "\n", encoding="utf-8")
    with atomic(TABLE) as partial_file, open(partial_file, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    for kind in ("image", "stack", "slice"):
        of_kind = [row for row in rows if row["kind"] == kind]
        for family in dict.fromkeys(row["family"] for row in of_kind):
            print(line(f"{kind} {family}", [row for row in of_kind if row["family"] == family]))
        print(line(f"{kind}, all that was left out", [row for row in of_kind if row["family"] not in TESTS]))


if __name__ == "__main__":
    main()
