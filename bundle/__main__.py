"""``python -m bundle COMMAND``, or ``vessels COMMAND`` where the package is installed: the commands for people.

Each lives in a file of its name in ``bundle.commands``.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import sys
from pathlib import Path

from . import __version__
from .errors import InputError, end_of, end_on_sigterm, foreseen
from .home import WEIGHTS

COMMANDS = {
    "demo": "make a phantom, fuse, segment and score it: everything once, to look at",
    "segment": "segment images and stacks: mask, probability and overlay of each",
    "measure": "measure the vessels of masks: lengths, widths, branch points, distances; tables and graphs",
    "fuse": "fuse the slices of a stack into one image that is in focus everywhere",
    "evaluate": "score masks against true masks: a table and an overlay of each",
    "report": "from raw files to one page: segment, measure, compare, and show it",
    "watch": "segment, measure and report every stack that arrives in a folder",
    "compare": "compare groups of animals: differences, intervals, exact tests, plots",
    "export": "masks and vessels as Fiji and QuPath open them: ROIs, overlay, GeoJSON",
    "info": "tell how a file is read: axes, channels, spacing, type",
    "phantom": "make synthetic confocal stacks with exact truth",
    "package": "write the bundle as one file that a platform takes",
    "adapt": "weights and settings for your own images, from one annotated slice or scribbles",
    "next": "what to label next: images and places in them, and what labels would bring",
    "run": "run a config as MONAI does, after its words have been looked at: training, evaluating, inference",
    "doctor": "tell what is installed, and whether it works here",
}

_RESERVE = 1 << 22  # bytes, given back where memory runs out: to say so takes some, of which Python asks a MiB at once


def main(argv: list[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the words after ``python -m bundle``; those of the process if None.

    Returns:
        The exit status: 0 if everything asked for was written, 1 if an input failed, 2 for wrong words, 130 if it was
        interrupted, 143 if the system ended it.
    """
    end_on_sigterm()
    reserve = bytearray()
    try:
        reserve = bytearray(_RESERVE)
        return _run(sys.argv[1:] if argv is None else argv)
    except InputError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt as interrupt:  # also while libraries are being imported, which takes seconds
        line, status = end_of(interrupt)
        print(line, file=sys.stderr)
        return status
    except Exception as error:
        reserve.clear()
        cause = foreseen(error, None)
        if cause is None:
            raise
        print(cause, file=sys.stderr)
        return 1


def _run(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="vessels" if Path(sys.argv[0]).stem == "vessels" else "python -m bundle",
        description="Blood vessels in confocal stacks and fluorescence images.",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="versions of the program and of its weights")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    chosen = next((word for word in argv if not word.startswith("-")), None)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, formatter_class=argparse.RawDescriptionHelpFormatter)
        if name == chosen:  # the others' libraries are not worth the wait
            module = importlib.import_module(f".commands.{name}", __package__)
            command.description = module.__doc__
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    if "--spacing" in argv:
        argv = importlib.import_module(".commands.words", __package__).joined_lengths(argv)
    if chosen == "run":  # whose words look like options and are MONAI's
        place = argv.index(chosen) + 1
        argv = [*argv[:place], *(argv[place:] if argv[place:] in (["-h"], ["--help"]) else ["--", *argv[place:]])]
    arguments = parser.parse_args(argv)
    return arguments.run(arguments)


class _Version(argparse.Action):
    """Weights are told apart by their contents: they change with a release, or with a folder that was replaced."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        weights = hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()[:12] if WEIGHTS.exists() else "missing"
        print(f"vessels {__version__}, weights {weights}")
        parser.exit()


if __name__ == "__main__":
    sys.exit(main())
