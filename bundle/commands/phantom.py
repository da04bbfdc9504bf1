"""Make synthetic stacks of vascular networks, with exact truth.

OUT becomes a dataset folder: stacks in images/, masks of their projection in masks/, and for each stack the 3D mask in
masks3d/, the vessels within half a slice step of each slice in slabs/ (what people draw who mark a slice), the depth of
the vessels in focus (in micrometres from the first slice; NaN where no vessel is) in depth/, the noise-free image that
is in focus everywhere in focus/, and the network with its radii in graphs/. A phantom is decided by the seed and its
number alone: a set is extended by asking for more of it, and what was interrupted goes on with the same words.

A family is a kind of microscope and specimen with its artefacts, docs/phantoms.md tells which there are. Without one,
the stacks are confocal and evenly stained. Slices of a family may be displaced against each other or black, as
microscopes give them; masks go with them, the graph is that of the undisturbed specimen.

Examples:
  python -m bundle phantom phantoms --count 100
  python -m bundle phantom sections --family thin-section --count 20
  python -m bundle phantom everything --family random --count 200 --shape 24 256 256 --jobs 2
  python -m bundle phantom big --shape 64 512 512 --density dense --bits 16
"""

from __future__ import annotations

import argparse
import csv
import json
import multiprocessing
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path

from tqdm import tqdm

from ..errors import InputError
from ..home import VERSION
from ..io import atomic, check_writable, image_name, write_ome_tiff
from ..phantoms import FAMILIES, LENGTH_DENSITIES, SPACING, STAININGS, Phantom, make_phantom

OUTPUTS = {
    "images": ".ome.tif",
    "masks": ".tif",
    "masks3d": ".ome.tif",
    "slabs": ".ome.tif",
    "depth": ".ome.tif",
    "focus": ".ome.tif",
    "graphs": ".json",
}
SPLIT = ("train",) * 4 + ("val",) + ("train",) * 4 + ("test",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    parser.add_argument("output", metavar="OUT", type=Path, help="folder to write to")
    parser.add_argument("--count", type=_count, default=1, help="phantoms in the set (default: %(default)s)")
    parser.add_argument(
        "--family",
        choices=[*FAMILIES, "random"],
        help="kind of microscope and specimen; random draws one for each phantom (default: evenly stained, confocal)",
    )
    parser.add_argument(
        "--shape",
        type=_count,
        nargs=3,
        default=(32, 256, 256),
        metavar=("Z", "Y", "X"),
        help="number of voxels (default: 32 256 256)",
    )
    parser.add_argument(
        "--spacing",
        type=_voxel,
        metavar="Z Y X",
        help="micrometres between voxels (default: 2 0.8 0.8, or for each phantom what is usual in its family)",
    )
    parser.add_argument("--seed", type=_natural, default=0, help="seed of the set (default: %(default)s)")
    parser.add_argument(
        "--density",
        choices=[*LENGTH_DENSITIES, "random"],
        default="random",
        help="density of capillaries (default: %(default)s)",
    )
    parser.add_argument(
        "--staining", choices=[*STAININGS, "random"], default="random", help="what is stained (default: %(default)s)"
    )
    parser.add_argument("--bits", type=int, choices=(8, 16), default=8, help="bits of a voxel (default: %(default)s)")
    parser.add_argument("--jobs", type=_count, default=1, help="phantoms made at a time (default: %(default)s)")
    parser.add_argument("--overwrite", action="store_true", help="make again what is there")


def run(arguments: argparse.Namespace) -> int:
    """Make the set.

    Returns:
        0 if every phantom was written or kept, 1 otherwise.
    """
    output: Path = arguments.output
    spacing = arguments.spacing or (None if arguments.family else SPACING)
    settings = {
        **({"family": arguments.family} if arguments.family else {}),
        "seed": arguments.seed,
        "shape": list(arguments.shape),
        "spacing": list(spacing) if spacing else None,
        "density": arguments.density,
        "staining": arguments.staining,
        "bits": arguments.bits,
    }
    check_writable(output)
    _claim(output, settings, arguments.overwrite)
    wanted = [i for i in range(arguments.count) if arguments.overwrite or not _complete(output, i)]
    failed = 0
    with tqdm(total=len(wanted), unit="phantom", disable=None) as bar:
        for problem in _make_all(partial(_make, output, settings), wanted, arguments.jobs):
            bar.update()
            if problem:
                failed += 1
                bar.write(problem, file=sys.stderr)
    _write_split(output)
    kept = arguments.count - len(wanted)
    print(
        f"{output}: {len(wanted) - failed} phantoms made"
        + (f", {kept} kept as they were (--overwrite makes them again)" if kept else "")
        + (f", {failed} failed" if failed else "")
    )
    return 1 if failed else 0


def _claim(output: Path, settings: dict, overwrite: bool) -> None:
    """Keep the phantoms of a folder alike: one that holds others is refused, and so is one that holds something else.

    What made the phantoms is told in settings.json alone: they are inputs, which outputs of a run are not.
    """
    path = output / "settings.json"
    text = json.dumps({**settings, "version": VERSION}, indent=1) + "\n"
    if not overwrite and _text(path) != text:
        if path.exists():
            problem = "holds phantoms of other settings, or of another version"
            raise InputError(output, problem, "choose another folder, or say --overwrite")
        own = next((file for file in (*_paths(output, 0).values(), output / "split.csv") if file.exists()), None)
        if own is not None:
            raise InputError(own, "is there, and nothing tells what made it", "choose another folder")
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None


def _paths(output: Path, index: int) -> dict[str, Path]:
    return {folder: output / folder / f"phantom-{index:04d}{suffix}" for folder, suffix in OUTPUTS.items()}


def _complete(output: Path, index: int) -> bool:
    return all(path.exists() for path in _paths(output, index).values())


def _make_all(make: partial, wanted: list[int], jobs: int) -> Iterator[str | None]:
    if jobs == 1 or len(wanted) < 2:
        yield from map(make, wanted)
        return
    with ProcessPoolExecutor(min(jobs, len(wanted)), multiprocessing.get_context("spawn")) as pool:
        for done in as_completed([pool.submit(make, index) for index in wanted]):
            yield done.result()


def _make(output: Path, settings: dict, index: int) -> str | None:
    """Make and write one phantom.

    Returns:
        What went wrong in one line, or None.
    """
    options = {key: settings[key] for key in ("family", "seed", "density", "staining", "bits") if key in settings}
    spacing = settings["spacing"] and tuple(settings["spacing"])
    try:
        phantom = make_phantom(tuple(settings["shape"]), spacing, index=index, **options)
        _write(phantom, _paths(output, index))
    except InputError as error:
        return str(error)
    return None


def _write(phantom: Phantom, paths: dict[str, Path]) -> None:
    plane = phantom.spacing[1:]
    write_ome_tiff(paths["images"], phantom.stack, "ZYX", phantom.spacing)
    write_ome_tiff(paths["masks"], phantom.projected_mask, "YX", plane)
    write_ome_tiff(paths["masks3d"], phantom.mask, "ZYX", phantom.spacing)
    write_ome_tiff(paths["slabs"], phantom.slab_mask, "ZYX", phantom.spacing)
    write_ome_tiff(paths["depth"], phantom.depth, "YX", plane)
    write_ome_tiff(paths["focus"], phantom.focus, "YX", plane)
    graph = {
        "shape": phantom.stack.shape,
        "spacing": phantom.spacing,
        "settings": phantom.settings,
        **phantom.graph.as_dict(),
    }
    with atomic(paths["graphs"]) as temporary:
        temporary.write_text(json.dumps(graph) + "\n", encoding="utf-8", newline="\n")


def _write_split(output: Path) -> None:
    """Part the whole set in 80/10/10; a phantom's part depends on its number alone, so that extending a set moves none.

    Sets of fewer than ten get no split file: a trainer then draws its own.
    """
    names = sorted(image_name(path) for path in (output / "images").glob("phantom-*.ome.tif"))
    if len(names) < len(SPLIT):
        return
    with atomic(output / "split.csv") as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("stem", "split"))
        rows.writerows((name, SPLIT[int(name.split("-")[1]) % len(SPLIT)]) for name in names)


def _natural(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return number


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number


def _voxel(text: str) -> tuple[float, ...]:
    lengths = tuple(_length(word) for word in text.split())
    if len(lengths) != 3:
        raise argparse.ArgumentTypeError("give micrometres along Z, Y and X")
    return lengths


def _length(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no length")
    return number
