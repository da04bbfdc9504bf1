"""Fuse the slices of a stack into one image that is in focus everywhere, and tell each pixel's depth.

For each stack NAME, OUT gets two OME-TIFFs: NAME_fused.tif, of the stack's type and within its values, and
NAME_depth.tif, for each pixel the index of the slice in focus, counted from 0, as 32-bit float. A stack of any length
is read slice by slice and never held whole. "maximum" takes each pixel's brightest value; "laplacian" its value in the
slice where its neighbourhood is sharpest.

Examples:
  python -m bundle fuse stack.tif --output fused
  python -m bundle fuse stacks/*.oif --channel 1 --method laplacian --output fused
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ..errors import InputError
from ..io import Image, image_name, open_image, write_ome_tiff
from ..io.ome_xml import TYPES
from ..transforms.focus import METHODS, fuse
from .words import add_reading_arguments, listed, reading_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    parser.add_argument("stacks", metavar="STACK", nargs="+", help="files, folders or patterns")
    parser.add_argument("--output", metavar="OUT", type=Path, required=True, help="folder to write to")
    parser.add_argument("--method", choices=METHODS, default="maximum", help="default: %(default)s")
    add_reading_arguments(parser)
    parser.add_argument("--overwrite", action="store_true", help="make again what is there")


def run(arguments: argparse.Namespace) -> int:
    """Fuse the stacks, one after the other.

    Returns:
        0 if every stack was fused or kept, 1 otherwise.
    """
    paths, failed = listed(arguments.stacks)
    fused = kept = 0
    for path in paths:
        outputs = [arguments.output / f"{image_name(path)}_{kind}.tif" for kind in ("fused", "depth")]
        present = [] if arguments.overwrite else [file for file in outputs if file.exists()]
        if present:
            print(f"{path}: kept {' and '.join(map(str, present))} (--overwrite makes them again)")
        if len(present) == len(outputs):
            kept += 1
            continue
        try:
            image = _open_stack(path, arguments)
            results = fuse(lambda image=image: _planes(image), arguments.method)
            for file, result in zip(outputs, results, strict=True):
                if file not in present:
                    write_ome_tiff(file, result, "YX", image.spacing and image.spacing[1:])
                    print(f"{path}: {len(image)} slices, wrote {file}")
            fused += 1
        except InputError as error:
            failed += 1
            print(error, file=sys.stderr)
    print(f"{arguments.output}: {fused} fused, {kept} kept, {failed} failed")
    return 1 if failed else 0


def _open_stack(path: Path, arguments: argparse.Namespace) -> Image:
    image = open_image(path, **reading_options(arguments))
    if "Z" not in image.axes:
        raise InputError(path, "is a single image, there is nothing to fuse", "give a stack; --axes says where Z is")
    if image.dtype.name not in TYPES:
        raise InputError(path, f"holds {image.dtype.name} values, which OME-TIFF cannot store", "convert the stack")
    return image


def _planes(image: Image) -> Iterator[np.ndarray]:
    return tqdm(image.planes(), total=len(image), desc=image.path.name, unit="slice", leave=False, disable=None)
