"""Words that several commands share: which files, and how they are read."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from itertools import takewhile

from ..errors import InputError
from ..io import ANY, Source, is_foreground, is_possible_size, raw_images, sources

READING = ("channel", "time", "scene", "position", "axes", "spacing")


def add_reading_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare how a file is read, the same for every command."""
    add_choice_arguments(parser)
    parser.add_argument(
        "--spacing",
        type=_lengths,
        metavar="[Z] Y X",
        help="micrometres per voxel, instead of the file's: three numbers for a stack, two are enough for an image",
    )


def add_foreground_argument(parser: argparse.ArgumentParser) -> None:
    """Declare which label of a mask is vessel."""
    parser.add_argument(
        "--foreground",
        metavar="LABEL",
        type=_label,
        help="of masks that are labels (ilastik's 1 and 2, classes, objects), that of vessels, or any for all but 0",
    )


def _label(text: str) -> float | str:
    value = text if text == ANY else int(text) if text.lstrip("-").isdecimal() else math.nan
    if not is_foreground(value):
        raise argparse.ArgumentTypeError(f"{text} is neither a whole number nor any")
    return value


def add_choice_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare which part of a file is meant."""
    parser.add_argument(
        "--channel", help="channel to read: its number from 0, or its name; red, green or blue of a colour image"
    )
    parser.add_argument("--time", help="time point to read: its number from 0")
    parser.add_argument("--scene", help="scene to read: its number from 0, or its name")
    parser.add_argument("--position", help="position of the stage to read: its number from 0, or its name")
    parser.add_argument("--axes", help="what the stored dimensions are, such as ZYX, where the file does not say")


def add_stack_argument(parser: argparse.ArgumentParser) -> None:
    """Declare folders whose single images are the slices of one stack."""
    parser.add_argument(
        "--stack-from",
        metavar="FOLDER",
        action="append",
        default=[],
        help="the single images of a folder are the slices of one stack, in the order of the numbers in their names",
    )


def joined_lengths(words: Sequence[str]) -> list[str]:
    """Make the two or three numbers after ``--spacing`` one word, which leaves what follows to be an input.

    Args:
        words: a command line.
    """
    joined: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--spacing":
            lengths = [text for text in takewhile(_is_number, rest[:3])]
            del rest[: len(lengths)]
            word = f"--spacing={' '.join(lengths)}"
        joined.append(word)
        if word == "--":
            return joined + rest
    return joined


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _lengths(text: str) -> tuple[float, ...]:
    lengths = tuple(map(length, text.split()))
    if len(lengths) not in (2, 3):
        raise argparse.ArgumentTypeError("give micrometres along Z, Y and X, or of an image along Y and X")
    return lengths


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


def listed_sources(
    inputs: Sequence[str], options: Mapping[str, object], stacks: Sequence[str] = ()
) -> tuple[list[Source], int]:
    """The images meant by a command's words, each with a NAME, and how many words mean none, which is said.

    Args:
        inputs: the words.
        options: of :func:`reading_options`, whose values may be ``all``.
        stacks: folders of single images, each of which is one stack.

    Raises:
        InputError: nothing is named; or two images have one NAME, so that their outputs would collide.
    """
    if not inputs and not stacks:
        raise InputError(None, "no image given", "name files, folders or patterns, or --stack-from FOLDER")
    found, failed = [], 0
    for given in inputs:
        try:
            found += raw_images(given)
        except InputError as error:
            failed += 1
            print(error, file=sys.stderr)
    return sources(found, options, stacks) if found or stacks else [], failed
