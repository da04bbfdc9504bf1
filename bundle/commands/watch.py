"""Watch a folder: every stack that arrives is segmented, measured and shown: a line in the table, a card in the page.

A file counts as arrived when its size and time are the same in two looks, and when it can be read. OUT is what "report"
makes, whose words are taken here too, and grows with the folder: OUT/report.html, OUT/measured/images.csv,
OUT/segmented. What is done is done once: after a restart the same command goes on. A file that cannot be used is said
in a line, stands among the warnings of the page, and is looked at again when it changes.

Leave the stacks in FOLDER: one that is moved away keeps its masks and its lines in the tables, and leaves the page.
Subfolders are not looked into. Ctrl-C ends it.

Examples:
  vessels watch /data/microscope --output results
  vessels watch /data/microscope --channel 1 --mode stack --every 60 --output results
  vessels watch /data/microscope --once --output results      for a timer of the system: what is there, then end
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import time
from pathlib import Path

from ..errors import InputError
from ..io import Source, alone, expand, image_name, open_image, size_and_time, sources
from ..measurements import read_table
from . import report
from .words import log_to_terminal, reading_options

OWN = ("folder", "every", "once")  # words that the report does not know


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="where stacks arrive")
    parser.add_argument(
        "--every", metavar="SECONDS", type=_seconds, default=10.0, help="time between two looks (default: 10)"
    )
    parser.add_argument("--once", action="store_true", help="do what has arrived, and end")
    report.add_report_arguments(parser)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.1 <= value <= 86400:
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds from 0.1 to a day")
    return value


def run(arguments: argparse.Namespace) -> int:
    """Watch until interrupted.

    Returns:
        With ``--once`` 0 if everything that had arrived was written, 1 otherwise.
    """
    if not arguments.folder.is_dir():
        raise InputError(arguments.folder, "is no folder", "name the folder where stacks arrive")
    log_to_terminal()
    with alone(arguments.output / ".watch.lock", arguments.folder):
        watch = _Watch(arguments)
        if not arguments.once:
            print(f"{arguments.folder}: watched, every {arguments.every:g} s; Ctrl-C ends it", flush=True)
        watch.look()
        while True:
            time.sleep(arguments.every)
            arrived = watch.look()
            while arrived:
                arrived = watch.work(arrived)
            if arguments.once:
                for path in watch.growing:
                    print(f"{path}: is still being written, and left for the next time", file=sys.stderr)
                print(f"{arguments.output / report.PAGE}: {len(watch.done)} images, {len(watch.refused)} failed")
                return 1 if watch.refused else 0


class _Watch:
    """What is known of a folder.

    Attributes:
        done: the images in the report.
        refused: the line of each file that cannot be used.
        growing: files that were not the same in the last two looks.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        words = {name: value for name, value in vars(arguments).items() if name not in OWN}
        self._words = argparse.Namespace(**words, inputs=[])
        self._options = reading_options(arguments)
        self._seen: dict[Path, tuple[int, str]] = {}
        self._refused: dict[Path, tuple[tuple[int, str], str]] = {}
        self.done: list[Source] = []
        self.growing: list[Path] = []

    @property
    def refused(self) -> list[str]:
        return [line for _, line in self._refused.values()]

    def look(self) -> list[Path]:
        """The files that have arrived since, and can be read."""
        try:
            there = expand(self.arguments.folder)
        except InputError:  # empty as yet
            there = []
        now = {path: size_and_time(path) for path in there}
        before, self._seen = self._seen, now
        self.growing = [path for path in there if before.get(path) != now[path]]
        known = {source.path for source in self.done}
        arrived = []
        for path in there:
            if path in self.growing or path in known or self._refused.get(path, (None,))[0] == now[path]:
                continue
            self._refused.pop(path, None)
            if self._is_readable(path):
                arrived.append(path)
        return arrived

    def _is_readable(self, path: Path) -> bool:
        try:
            for source in sources([path], self._options):
                open_image(path, **{**self._options, **source.choices}).plane()
        except InputError as error:
            self._refuse(path, str(error))
            return False
        return True

    def _refuse(self, path: Path, line: str, say: bool = True) -> None:
        self._refused[path] = self._seen[path], line
        if say:
            print(line, file=sys.stderr, flush=True)

    def work(self, arrived: list[Path]) -> list[Path]:
        """Segment, measure and report some of what has arrived, and all of what was done before.

        The page is made anew each time, so that at most as many come at once as it has already.

        Returns:
            What is left of it.
        """
        rows = self._rows()
        # of an earlier run, kept as it is
        earlier = [path for path in arrived if image_name(path) in rows]
        new = [path for path in arrived if path not in earlier][: max(1, len(self.done) + len(earlier))]
        paths = [source.path for source in self.done]
        for path in [*earlier, *new]:
            try:
                sources([*paths, path], self._options)
                paths.append(path)
            except InputError as error:  # of the same NAME as another
                self._refuse(path, str(error))
        left = [path for path in arrived if path not in earlier and path not in new]
        added = [path for path in paths if path not in {source.path for source in self.done}]
        if not added:
            return left
        listed = sources(dict.fromkeys(paths), self._options)
        problems: list[str] = []
        with contextlib.redirect_stdout(io.StringIO()):  # what is kept is said of every file each time
            try:
                report.make(self._words, listed, self.refused, problems)
            except InputError as error:
                if not problems:
                    raise
                problems.append(str(error))
        rows = self._rows()
        failed = {source.path for source in listed if source.name not in rows}
        for path in added:
            if path in failed:
                line = next((text for text in problems if str(path) in text), f"{path}: could not be measured")
                self._refuse(path, line, say=False)  # it was said when it happened
        for source in listed:
            if source.path in added and source.path not in failed:
                row = rows[source.name]
                unit = "µm" if row["unit"] == "micrometer" else "pixels"
                print(f"{source}: {row['segments']} vessels, length {float(row['length']):.4g} {unit}", flush=True)
        self.done = [source for source in listed if source.path not in failed]
        return left

    def _rows(self) -> dict[str, dict[str, str]]:
        return {row["image"]: row for row in read_table(self.arguments.output / report.MEASURED / "images.csv")}
