"""Fuse the slices of a stack into one image that is in focus everywhere, and tell each pixel's depth.

For each stack NAME, OUT gets two images: NAME_fused, of the stack's type and within its values, and NAME_depth, for
each pixel the index of the slice in focus, counted from 0 with fractions between slices, as 32-bit float. A stack of
any length is read slice by slice and never held whole; slices of more than 4096 x 4096 pixels are read by bands of rows
if they are fused by the maximum, and held, a dozen of them, by the other methods.

Methods:
  maximum     each pixel's brightest value
  hessian     its value where its neighbourhood looks most like a vessel, by the Hessian at three scales
  laplacian   its value where its neighbourhood is sharpest, by the energy of the Laplacian
  variance    the same, by the variance of a window
  wavelet     the sharpest complex wavelet coefficients, brought back to values of the stack
  network     the mean of its values, weighted by how likely the shipped network takes each slice for a vessel; slow

With --depth another channel is read along the depth map of one that was fused before: OUT gets NAME_channel-C_fused.

Examples:
  python -m bundle fuse stack.tif --output fused
  python -m bundle fuse stacks/*.oif --channel 1 --method hessian --output fused
  python -m bundle fuse stack.tif --channel 0 --output fused
  python -m bundle fuse stack.tif --channel 1 --depth fused/stack_depth.tif --output fused
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from ..errors import InputError
from ..home import INFERENCE, WEIGHTS
from ..io import (
    DTYPES,
    OUTPUT_SUFFIXES,
    Image,
    Layout,
    Provenance,
    Source,
    check_writable,
    image_name,
    open_image,
    reading_record,
    record_path,
    refuse_others,
    scratch_folder,
    write_image_planes,
    write_record,
)
from ..transforms.focus import DEFAULT, METHODS, along, fuse, fuse_maximum
from ..volumes import PAGE_PIXELS, StoredVolume, band_rows
from .words import add_reading_arguments, add_stack_argument, listed_sources, reading_options

if TYPE_CHECKING:
    from ..segmentation import SliceLikelihood

NETWORK = "network"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    parser.add_argument("stacks", metavar="STACK", nargs="*", help="files, folders or patterns")
    parser.add_argument("--output", metavar="OUT", type=Path, required=True, help="folder to write to")
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--method", choices=[*METHODS, NETWORK], default=DEFAULT, help="how to fuse (default: %(default)s)"
    )
    how.add_argument(
        "--depth",
        metavar="MAP",
        type=Path,
        help="read the stacks along this depth map; a folder: along NAME_depth in it, each along its own",
    )
    parser.add_argument(
        "--format", choices=OUTPUT_SUFFIXES, default="ome-tiff", help="format of images (default: %(default)s)"
    )
    add_stack_argument(parser)
    add_reading_arguments(parser)
    parser.add_argument("--weights", type=Path, help="weights of the network, instead of the shipped ones")
    parser.add_argument("--overwrite", action="store_true", help="make again what is there")


def run(arguments: argparse.Namespace) -> int:
    """Fuse the stacks, one after the other.

    Returns:
        0 if every stack was fused or kept, 1 otherwise.
    """
    if arguments.weights and arguments.method != NETWORK:
        raise InputError(
            None, f"--weights are of the network, the method is {arguments.method}", "say --method network"
        )
    options = reading_options(arguments)
    if arguments.depth and not arguments.depth.exists():
        raise InputError(
            arguments.depth, "no such depth map", "give NAME_depth of an earlier fuse, or a folder of them"
        )
    check_writable(arguments.output)
    stacks, failed = listed_sources(arguments.stacks, options, arguments.stack_from)
    network = _likelihood(arguments.weights) if arguments.method == NETWORK and stacks else None
    fused = kept = 0
    for stack in stacks:
        outputs = _outputs(stack, arguments)
        try:
            made = _provenance(stack, arguments, network)
            refuse_others(dict.fromkeys(outputs, made), arguments.overwrite)
            present = [] if arguments.overwrite else [file for file in outputs if file.exists()]
            if present:
                print(f"{stack}: kept {' and '.join(map(str, present))} (--overwrite makes them again)")
            if len(present) == len(outputs):
                kept += 1
                continue
            image = _open_stack(stack, {**options, **stack.choices})
            with ExitStack() as until_written:
                results = (
                    [_along(image, stack, arguments.depth)]
                    if arguments.depth
                    else _fuse(image, arguments, network, until_written)
                )
                made.confirm()
                write_record(record_path(arguments.output, stack), dict.fromkeys(outputs, made))
                for file, result in zip(outputs, results, strict=True):
                    if file not in present:
                        parts = result.parts() if isinstance(result, StoredVolume) else [result]
                        spacing = image.spacing and image.spacing[1:]
                        layout = Layout(
                            image.shape[1:], result.dtype, "YX", spacing, affine=image.affine, record=made.record
                        )
                        write_image_planes(file, parts, layout)
                        print(f"{stack}: {len(image)} slices, wrote {file}")
            fused += 1
        except InputError as error:
            failed += 1
            print(error, file=sys.stderr)
    print(f"{arguments.output}: {fused} fused, {kept} kept, {failed} failed")
    return 1 if failed else 0


def _outputs(stack: Source, arguments: argparse.Namespace) -> list[Path]:
    """The fused image and the depth map; along a depth map only the former, named so that no other channel's is hit."""
    name, suffix = stack.name, OUTPUT_SUFFIXES[arguments.format]
    if not arguments.depth:
        return [arguments.output / f"{name}_{kind}{suffix}" for kind in ("fused", "depth")]
    if arguments.channel is not None and "channel" not in stack.choices:
        name += "_channel-" + re.sub(r"[^\w.-]+", "-", arguments.channel)
    return [arguments.output / f"{name}_fused{suffix}"]


def _provenance(stack: Source, arguments: argparse.Namespace, network: SliceLikelihood | None) -> Provenance:
    """What makes the outputs of a stack; ``segment`` says the same of its fusion."""
    reading = reading_record(reading_options(arguments), stack.choices)
    if arguments.depth:
        return Provenance.of("fuse", [stack, _map_of(stack, arguments.depth)], reading)
    weights = None if network is None else network.fingerprint
    return Provenance.of("fuse", [stack], {**reading, "method": arguments.method}, weights)


def _fuse(
    image: Image, arguments: argparse.Namespace, network: SliceLikelihood | None, until_written: ExitStack
) -> Sequence[np.ndarray | StoredVolume]:
    """The fused plane and the depth map; of large slices by bands of rows, which are stored until all is written."""
    depth, height, width = image.shape
    if arguments.method != DEFAULT or height * width <= PAGE_PIXELS:
        return fuse(_planes(image), arguments.method if network is None else network)
    work = until_written.enter_context(scratch_folder(arguments.output / "fuse"))
    flat = (1, height, width)
    fused = StoredVolume(work / "fused", flat, image.dtype, band_rows(width))
    depths = StoredVolume(work / "depth", flat, np.float32, band_rows(width))
    fuse_maximum(image.rows, (depth, height, width), fused, depths, work)
    return fused, depths


def _open_stack(path: Source, options: dict) -> Image:
    image = open_image(path.path, **options)
    if "Z" not in image.axes:
        raise InputError(path, "is a single image, there is nothing to fuse", "give a stack; --axes says where Z is")
    if image.dtype.name not in DTYPES:
        raise InputError(path, f"holds {image.dtype.name} values, which no output can store", "convert the stack")
    return image


def _map_of(stack: Source, given: Path) -> Path:
    """The depth map of a stack: the one that was given, or its own in a folder of them."""
    return given if not given.is_dir() or given.suffix == ".zarr" else _depth_of(stack, given)


def _along(image: Image, stack: Source, given: Path) -> np.ndarray:
    path = _map_of(stack, given)
    depth = open_image(path)
    if "Z" in depth.axes:
        raise InputError(path, "is a stack, no depth map", "give NAME_depth of an earlier fuse")
    try:
        return along(_planes(image), depth.plane())
    except ValueError as error:
        raise InputError(image.path, f"{error} ({path})", "give the depth map of this stack") from None


def _depth_of(stack: Source, folder: Path) -> Path:
    names = dict.fromkeys([stack.name, image_name(stack.path)])  # of this channel, or of the stack's one
    candidates = [folder / f"{name}_depth{suffix}" for name in names for suffix in OUTPUT_SUFFIXES.values()]
    found = [path for path in candidates if path.exists()]
    if len(found) != 1:
        some = f"{len(found)} depth maps of it" if found else "no depth map of it"
        raise InputError(stack, f"{some} in {folder}", f"name one file, such as {candidates[0]}")
    return found[0]


def _planes(image: Image) -> Callable[[], Iterator[np.ndarray]]:
    def planes() -> Iterator[np.ndarray]:
        return tqdm(image.planes(), total=len(image), desc=image.path.name, unit="slice", leave=False, disable=None)

    return planes


def _likelihood(weights: Path | None) -> SliceLikelihood:
    """The network of configs/inference.json, asked slice by slice."""
    from monai.bundle import ConfigParser  # slow to import, and the other methods need no network

    from ..segmentation import SliceLikelihood

    config = ConfigParser()
    config.read_config(INFERENCE)
    config["weights_file"] = weights or WEIGHTS
    network, inferer, device = (config.get_parsed_content(name) for name in ("network", "inferer", "device"))
    return SliceLikelihood(network.eval(), inferer, device)
