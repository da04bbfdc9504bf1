"""Words that several commands share: which files, and how they are read."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterable
from pathlib import Path

from ..errors import InputError
from ..io import expand, is_possible_size, list_images

READING = ("channel", "time", "scene", "axes", "spacing")


def add_reading_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare how a file is read, the same for every command."""
    parser.add_argument("--channel", help="number from 0, or name")
    parser.add_argument("--time", help="number from 0")
    parser.add_argument("--scene", help="number from 0, or name")
    parser.add_argument("--axes", help="what the stored dimensions are, such as ZYX, where the file does not say")
    parser.add_argument(
        "--spacing", type=length, nargs=3, metavar=("Z", "Y", "X"), help="micrometres per voxel, instead of the file's"
    )


def length(text: str) -> float:
    """Micrometres per pixel.

    Raises:
        argparse.ArgumentTypeError: it is no number, or no possible length.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not is_possible_size(value):
        raise argparse.ArgumentTypeError(f"{text} is no possible length of a pixel, 0.00001 to 10000 µm")
    return value


def reading_options(arguments: argparse.Namespace) -> dict:
    """The arguments of :func:`add_reading_arguments` as :func:`bundle.io.open_image` takes them."""
    return {name: getattr(arguments, name) for name in READING}


def listed(inputs: Iterable[str]) -> tuple[list[Path], int]:
    """The files meant by a command's words, and how many words mean none, which is said.

    Raises:
        InputError: two files have one NAME, so that their outputs would collide.
    """
    found, failed = [], 0
    for given in inputs:
        try:
            found += expand(Path(given))
        except InputError as error:
            failed += 1
            print(error, file=sys.stderr)
    return list_images(found) if found else [], failed
