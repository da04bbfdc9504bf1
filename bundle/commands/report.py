"""From raw microscope files to one page: segment, measure, compare, report.

RAW are images and stacks as "segment" takes them, whose words are taken here too. With --groups, a table with the
columns image, animal and group, groups of animals are compared. OUT gets:

  report.html   warnings, each image with its measurements, its vessels in space, all images in a table, the comparison,
                a methods section ready to paste; one file, which needs no network and can be sent by mail
  segmented/    what "segment" writes
  measured/     what "measure" writes
  compared/     what "compare" writes, with --groups
  data/         the data behind the histograms of the page
  settings.json what the masks and numbers were made with; with other words another folder is wanted

What was done before is kept, so that a command that was stopped can be given again; the tables and the page are made
anew. --overwrite makes everything again.

Examples:
  python -m bundle report stacks --output report
  python -m bundle report stacks/*.oif --channel 1 --groups groups.csv --output report
  python -m bundle report stacks --mode stack --output report3d
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import math
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from ..comparison import csv_text, place, quantities_of, read_groups, read_table, smallest_p
from ..errors import InputError
from ..graphs import VascularGraph
from ..home import VERSION
from ..io import (
    OUTPUT_SUFFIXES,
    Provenance,
    Source,
    atomic,
    check_writable,
    open_image,
    output_path,
    read_findings,
    read_record,
    record_path,
    refuse_others,
    write_record,
)
from ..reporting import (
    Grouping,
    ImageEntry,
    Lines,
    Methods,
    describe_methods,
    doubts,
    render_page,
    report_content,
)
from ..segmentation import disagreement_on_mask, second_weights
from ..transforms import FuseFocus
from ..trust import TRUSTED
from . import compare, measure, segment
from .words import add_stack_argument, listed_sources, log_to_terminal, reading_options

if TYPE_CHECKING:
    from monai.bundle import ConfigParser

SEGMENTED, MEASURED, COMPARED, DATA = "segmented", "measured", "compared", "data"
PAGE, SETTINGS, DEFINITIONS = "report.html", "settings.json", "definitions.csv"
_MADE = Provenance("report", (), {"of": "the images and settings that it shows"})
_NOT_SETTINGS = ("command", "run", "inputs", "output", "overwrite")
_HASH, _SECOND_HASH = "SHA-256 of the weights", "SHA-256 of the weights of the second opinion"
# what may change between two runs into one folder: the comparison and the page are made anew each time
_FREE = ("--device", "--groups", "--quantities", "--confidence", "--reference", "--mixed", "--swc", "--weights")
_PACKAGES = ("torch", "monai", "numpy", "scipy", "scikit-image")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    parser.add_argument("inputs", metavar="RAW", nargs="*", help="files, folders or patterns")
    add_stack_argument(parser)
    add_report_arguments(parser)


def add_report_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare how is segmented, measured and compared, the same for every command that makes a report."""
    segment.add_segmenting_words(parser)
    measure.add_measuring_arguments(parser)
    parser.add_argument(
        "--groups", metavar="CSV", type=Path, help="compare groups, by a table with the columns image, animal, group"
    )
    compare.add_comparing_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Do every step for all inputs, and write the page.

    Returns:
        0 if everything asked for was written, 1 if an input failed.
    """
    log_to_terminal()
    sources, failed = listed_sources(arguments.inputs, reading_options(arguments), arguments.stack_from)
    if not sources:
        return 1
    shown, more = make(arguments, sources)
    failed += more
    print(f"{arguments.output / PAGE}: {shown} images, {failed} failed")
    return 1 if failed else 0


def make(
    arguments: argparse.Namespace, sources: list[Source], known: Sequence[str] = (), problems: list[str] | None = None
) -> tuple[int, int]:
    """Do every step for some images, and write the page.

    Args:
        arguments: the command's words.
        sources: the images.
        known: lines of inputs that failed before.
        problems: takes the lines of those that fail now.

    Returns:
        How many images the page shows, and how many failed.

    Raises:
        InputError: no image was segmented, or the page is of something else.
    """
    problems = [] if problems is None else problems
    if arguments.groups is not None:  # what is wrong with it is better known before than after an hour
        place([{"image": source.name} for source in sources], read_groups(arguments.groups), arguments.groups)
    check_writable(arguments.output)
    refuse_others({arguments.output / PAGE: _MADE}, arguments.overwrite)
    parser = segment.configured(_with(arguments, output=arguments.output / SEGMENTED), sources)
    settings = _settings(parser, arguments)
    _same_settings(settings, arguments)
    problems += _segment(parser)
    failed = len(problems)
    finished = parser.get_parsed_content("outputs").finished(sources)
    if not finished:
        raise InputError(arguments.output, "no image was segmented, so that there is nothing to report", "see above")
    words = _with(arguments, output=arguments.output / MEASURED)
    failed += measure.measure_segmented(finished, words, arguments.output / SEGMENTED)
    rows = {row["image"]: row for row in read_table(arguments.output / MEASURED / "images.csv")}
    entries: list[ImageEntry] = []
    for source in tqdm(finished, desc="report", unit="image", leave=False, disable=None):
        if source.name in rows:
            entries.append(_entry(source, rows[source.name], arguments))
    shown = [rows[entry.name] for entry in entries]  # the table holds what was measured of other inputs as well
    grouping = _compare(shown, arguments)
    methods = _methods(entries, grouping, parser, settings, arguments)
    definitions = (arguments.output / MEASURED / DEFINITIONS).read_text(encoding="utf-8-sig")
    tables = {"images.csv": csv_text(shown), DEFINITIONS: definitions}
    made = f"Made on {date.today().isoformat()} by Vessel Cascades {VERSION}."
    content = report_content(entries, methods, made, [*known, *problems], grouping, tables)
    _write(arguments.output, content)
    return len(entries), failed


def _output(arguments: argparse.Namespace, folder: str, source: Source, kind: str) -> Path:
    return output_path(arguments.output / folder, source, kind, OUTPUT_SUFFIXES[arguments.format])


class _Problems(logging.Handler):
    """The lines of inputs that failed."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def _segment(parser: ConfigParser) -> list[str]:
    """Segment; the lines of inputs that failed."""
    logger, problems = logging.getLogger(__package__.split(".")[0]), _Problems()
    logger.addHandler(problems)
    try:
        segment.segment_files(parser)
    except InputError as error:
        if not problems.lines:  # of no input, but of all
            raise
        print(error, file=sys.stderr)
    finally:
        logger.removeHandler(problems)
    return problems.lines


def _same_settings(settings: Sequence[tuple[str, str]], arguments: argparse.Namespace) -> None:
    """Refuse to go on with what was made otherwise: its masks would stand under settings that they do not have."""
    path = arguments.output / SETTINGS
    wanted = {name: value for name, value in settings if name not in _FREE + _PACKAGES}
    if path.exists() and not arguments.overwrite:
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            before = {}
        for name, value in wanted.items():
            if before.get(name) != value:
                problem = f"holds a report that was made otherwise ({name}: {before.get(name, 'none')}, now {value})"
                raise InputError(arguments.output, problem, "choose another --output, or make it again by --overwrite")
    with atomic(path) as partial:
        partial.write_text(json.dumps(wanted, indent=1), encoding="utf-8")


def _with(arguments: argparse.Namespace, **words: object) -> argparse.Namespace:
    return argparse.Namespace(**{**vars(arguments), **words})


def _entry(source: Source, row: Mapping[str, str], arguments: argparse.Namespace) -> ImageEntry:
    """What the page shows of an image."""
    mask_file = _output(arguments, SEGMENTED, source, "mask")
    mask = open_image(mask_file)
    found = mask.array() != 0
    graph = json.loads(_output(arguments, MEASURED, source, "graph").read_text(encoding="utf-8"))
    lines = Lines.of(VascularGraph.from_dict(graph))
    spacing = [pixel if math.isfinite(pixel) else 1.0 for pixel in _spacing(row)]
    depth, height, width = (size * step for size, step in zip((1, *mask.shape)[-3:], spacing, strict=True))
    grey, what = _grey(source, arguments)
    disagreement = math.nan
    where = _output(arguments, SEGMENTED, source, "disagreement")
    if where.exists():
        values = open_image(where).array()
        disagreement = disagreement_on_mask(values, found) if values.shape == found.shape else math.nan
    return ImageEntry(
        name=row["image"],
        row=row,
        grey=grey,
        what=what,
        mask=found if found.ndim == 2 else found.any(axis=0),
        lines=lines,
        extent=(depth if found.ndim == 3 else 0.0, height, width),
        slices=_slices(source, row, arguments) if found.ndim == 2 else None,
        warnings=doubts(
            row, disagreement, graph["measured"]["remarks"], read_findings(mask_file), _scale(read_record(mask_file))
        ),
    )


def _scale(record: Mapping[str, Any] | None) -> float | None:
    """At which a mask was segmented, 1 if nothing is known; None if it was fitted."""
    scale = (record or {}).get("options", {}).get("scale", 1.0)
    return None if scale == "auto" else float(scale)


def _spacing(row: Mapping[str, str]) -> list[float]:
    return [float(row[f"spacing_{axis}"] or "nan") for axis in "zyx"]


def _grey(source: Source, arguments: argparse.Namespace) -> tuple[np.ndarray, str]:
    """The image that was segmented, or a projection of the stack, and what it is."""
    fused = _output(arguments, SEGMENTED, source, "fused")
    if fused.exists():
        return open_image(fused).array(), "fused stack"
    raw = open_image(source.path, **{**reading_options(arguments), **source.choices})
    grey = raw.plane(0)
    for z in range(1, len(raw)):
        grey = np.maximum(grey, raw.plane(z))
    return grey, "maximum projection" if len(raw) > 1 else "image"


def _slices(source: Source, row: Mapping[str, str], arguments: argparse.Namespace) -> tuple[np.ndarray, float] | None:
    """A fused stack's depth map and the distance of its slices, in the table's unit."""
    depth = _output(arguments, SEGMENTED, source, "depth")
    if not depth.exists():
        return None
    raw = open_image(source.path, **{**reading_options(arguments), **source.choices})
    step = raw.spacing[0] if raw.spacing is not None and row["unit"] == "micrometer" else 1.0
    return open_image(depth).array(), step


def _compare(rows: list[dict[str, str]], arguments: argparse.Namespace) -> Grouping | None:
    if arguments.groups is None:
        return None
    placed = place(rows, read_groups(arguments.groups), arguments.groups)
    comparisons = compare.compared(placed, arguments)
    record = compare.recorded(arguments.output / MEASURED / "images.csv", arguments)
    compare.write_comparison(arguments.output / COMPARED, placed, comparisons, arguments.confidence, record)
    compare.say(placed, comparisons, arguments.confidence)
    return Grouping(placed, comparisons, arguments.confidence)


def _methods(
    entries: Sequence[ImageEntry],
    grouping: Grouping | None,
    parser: ConfigParser,
    settings: Sequence[tuple[str, str]],
    arguments: argparse.Namespace,
) -> Methods:
    without_size = sum(entry.row["unit"] != "micrometer" for entry in entries)
    values: dict[str, object] = {
        "version": VERSION,
        "weights": Path(parser["weights_file"]).name,
        "weights_hash": dict(settings)[_HASH],
        "second_hash": dict(settings).get(_SECOND_HASH),
        "trusted": TRUSTED,
        "torch": version("torch"),
        "monai": version("monai"),
        "fusion": FuseFocus().method,
        "contrast": parser["contrast"],
        "scale": "a factor found for each" if parser["scale"] == "auto" else f"{parser['scale']:g}",
        "images": len(entries),
        "without_pixel_size": without_size,
        **{name: parser[name] for name in ("low", "high", "close_gaps", "remove_fragments")},
    }
    first = ["segment", parser["mode"], *["scale"] * (parser["scale"] != 1), "binarise"]
    first += ["second"] * (_SECOND_HASH in dict(settings))
    second = ["measure", *["no_pixel_size"] * (without_size > 0)]
    if any(
        f"{name}_low" in entry.row and entry.row[f"{name}_low"]
        for entry in entries
        for name in quantities_of([entry.row])
    ):
        second.append("intervals")
    third = []
    if grouping is not None:
        third = ["compare", *["mixed"] * arguments.mixed]
        groups = dict(zip(grouping.placed.animals, grouping.placed.groups, strict=True))
        counts = [list(groups.values()).count(group) for group in grouping.placed.order]
        tests = [one.test.smallest for comparison in grouping.comparisons for one in comparison.differences]
        values |= {
            "groups": ", ".join(grouping.placed.order),
            "animals": " and ".join(map(str, counts)),
            "confidence": f"{100 * arguments.confidence:g}",
            "tests": len(tests),
            "smallest_p": f"{min(tests, default=smallest_p(*counts[:2])):.2g}",
        }
    return describe_methods([first, second, third], values, settings)


def _settings(parser: ConfigParser, arguments: argparse.Namespace) -> list[tuple[str, str]]:
    """Every word of the command, those that were not said with their default, and what else decides the numbers."""
    weights = Path(parser["weights_file"])
    try:
        digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(weights, f"cannot be read ({error.strerror or error})", "check the name") from error
    words = {name: value for name, value in vars(arguments).items() if name not in _NOT_SETTINGS}
    words |= {name: parser[name] for name in ("low", "high")}
    words["weights"] = weights.name
    settings = [("program", f"Vessel Cascades {VERSION}"), (_HASH, digest)]
    other = second_weights(weights, parser["mode"]) if arguments.weights is None else None
    if other is not None:
        settings.append((_SECOND_HASH, hashlib.sha256(other.read_bytes()).hexdigest()))
    settings += [(f"--{name.replace('_', '-')}", _said(value)) for name, value in words.items()]
    settings += [(name, str(parser[name])) for name in ("close_gaps", "remove_fragments")]
    settings.append(("fusion of stacks", str(FuseFocus().method)))
    settings += [(package, version(package)) for package in _PACKAGES]
    return settings


def _said(value: object) -> str:
    if value is None:
        return "not given"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return " ".join(map(str, value))
    return value.name if isinstance(value, Path) else str(value)


def _write(output: Path, content: dict) -> None:
    data = {output / DATA / name: text for name, text in content["files"].items() if name.endswith("_diameters.csv")}
    write_record(record_path(output), {output / PAGE: _MADE, output / SETTINGS: _MADE})
    write_record(record_path(output / DATA), dict.fromkeys(data, _MADE))
    for path, text in data.items():
        with atomic(path) as partial:
            partial.write_text(text, encoding="utf-8", newline="")
    with atomic(output / PAGE) as partial:
        partial.write_text(render_page(content), encoding="utf-8")
