"""Words that several commands share: which files, and how they are read."""

from __future__ import annotations

import argparse
import logging
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import takewhile
from typing import TYPE_CHECKING

from tqdm import tqdm

from ..errors import InputError
from ..io import ANY, Source, is_foreground, is_possible_size, raw_images, sources

if TYPE_CHECKING:
    from ..volumes import Workers

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


def add_cluster_arguments(parser: argparse.ArgumentParser, what: str) -> None:
    """Declare who does the work.

    Args:
        parser: of a command.
        what: is done by many processes, the first words of the help.
    """
    parser.add_argument(
        "--cluster",
        metavar="WHERE",
        help=f"{what} by many processes: local, slurm, or the address of a Dask scheduler",
    )
    parser.add_argument("--workers", metavar="N", type=_count, help="processes or jobs that --cluster starts")


def check_cluster(arguments: argparse.Namespace) -> None:
    """Refuse words of :func:`add_cluster_arguments` that do not go together.

    Raises:
        InputError: ``--workers`` without a cluster to start.
    """
    if arguments.workers and arguments.cluster not in ("local", "slurm"):
        raise InputError(None, "--workers is for --cluster local or slurm", "say one of them, or leave --workers out")


@contextmanager
def started_workers(arguments: argparse.Namespace) -> Iterator[Workers | None]:
    """The workers that a command's words ask for, as long as the ``with`` lasts; None for this process alone.

    Raises:
        InputError: as of :func:`bundle.cluster.cluster`.
    """
    if not arguments.cluster:
        yield None
        return
    from ..cluster import cluster

    with cluster(arguments.cluster, arguments.output, arguments.workers) as workers:
        yield workers


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text} is no whole number above 0")
    return int(text)


class _BesideTheBar(logging.Handler):
    """Lines above the progress bar: what is amiss to standard error, the rest to standard output."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(self.format(record), file=sys.stderr if record.levelno >= logging.WARNING else sys.stdout)


def log_to_terminal() -> None:
    """Show what the package logs, without breaking the progress bar."""
    handler = _BesideTheBar()
    logger = logging.getLogger(__package__.split(".")[0])
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False
    tqdm.monitor_interval = 0  # a thread that would show bars that stand still: none here has such short steps


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
