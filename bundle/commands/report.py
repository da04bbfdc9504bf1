"""From raw microscope files to one page: segment, measure, compare, report.

RAW are images and stacks as "segment" takes them, whose words are taken here too. With --groups, a table with the
columns image, animal and group, groups of animals are compared. OUT gets:

  report.html   warnings, each image with its measurements, its vessels in space, all images in a table, the comparison,
                a methods section ready to paste; one file, which needs no network and can be sent by mail
  segmented/    what "segment" writes
  measured/     what "measure" writes
  compared/     what "compare" writes, with --groups
  data/         the data behind the histograms of the page

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
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from .. import __version__
from ..comparison import place, quantities_of, read_groups, read_table, smallest_p
from ..errors import InputError
from ..graphs import VascularGraph
from ..io import OUTPUT_SUFFIXES, atomic, image_name, open_image, output_path
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
from ..segmentation import disagreement_on_mask
from ..transforms.focus import DEFAULT as FUSION
from . import compare, measure, segment
from .words import listed, reading_options

if TYPE_CHECKING:
    from monai.bundle import ConfigParser

SEGMENTED, MEASURED, COMPARED, DATA = "segmented", "measured", "compared", "data"
PAGE = "report.html"
_OFFERED = ("images.csv", "definitions.csv")
_NOT_SETTINGS = ("command", "run", "inputs", "output", "overwrite")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    segment.add_arguments(parser)
    measure.add_measuring_arguments(parser)
    parser.add_argument("--groups", metavar="CSV", type=Path, help="columns image, animal, group: compare the groups")
    compare.add_comparing_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Do every step for all inputs, and write the page.

    Returns:
        0 if everything asked for was written, 1 if an input failed.
    """
    segment.log_to_terminal()
    paths, failed = listed(arguments.inputs)
    if not paths:
        return 1
    if arguments.groups is not None:  # what is wrong with it is better known before than after an hour
        place([{"image": image_name(path)} for path in paths], read_groups(arguments.groups), arguments.groups)
    problems, parser = _segment(paths, arguments)
    failed += len(problems)
    masks = {path: _output(arguments, SEGMENTED, path, "mask") for path in paths}
    masks = {path: mask for path, mask in masks.items() if mask.exists()}
    if not masks:
        raise InputError(arguments.output, "no image was segmented, so that there is nothing to report", "see above")
    failed += _measure(list(masks.values()), arguments)
    rows = {row["image"]: row for row in read_table(arguments.output / MEASURED / "images.csv")}
    entries = []
    for path in tqdm(masks, desc="report", unit="image", leave=False, disable=None):
        if image_name(path) in rows:
            entries.append(_entry(path, rows[image_name(path)], arguments))
    grouping = _compare(list(rows.values()), arguments)
    methods = _methods(entries, grouping, parser, arguments)
    tables = {name: (arguments.output / MEASURED / name).read_text(encoding="utf-8-sig") for name in _OFFERED}
    made = f"Made on {date.today().isoformat()} by Vessel Cascades {__version__}."
    content = report_content(entries, methods, made, problems, grouping, tables)
    _write(arguments.output, content)
    print(f"{arguments.output / PAGE}: {len(entries)} images, {failed} failed")
    return 1 if failed else 0


def _output(arguments: argparse.Namespace, folder: str, source: Path, kind: str) -> Path:
    return output_path(arguments.output / folder, source, kind, OUTPUT_SUFFIXES[arguments.format])


class _Problems(logging.Handler):
    """The lines of inputs that failed."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def _segment(paths: list[Path], arguments: argparse.Namespace) -> tuple[list[str], ConfigParser]:
    """Segment; the lines of inputs that failed, and the config with every setting."""
    logger, problems = logging.getLogger(__package__.split(".")[0]), _Problems()
    parser = segment.configured(_with(arguments, output=arguments.output / SEGMENTED), paths)
    logger.addHandler(problems)
    try:
        segment.segment_files(parser)
    except InputError as error:
        if not problems.lines:  # of no input, but of all
            raise
        print(error, file=sys.stderr)
    finally:
        logger.removeHandler(problems)
    return problems.lines, parser


def _measure(masks: Sequence[Path], arguments: argparse.Namespace) -> int:
    """Measure the masks; the number that failed."""
    # the masks have the pixel size that was stated or found; how the raw files are read says nothing of them
    reading = dict.fromkeys(reading_options(arguments))
    words = _with(arguments, masks=[str(mask) for mask in masks], images=None, roi=None, **reading)
    return measure.run(_with(words, output=arguments.output / MEASURED))


def _with(arguments: argparse.Namespace, **words: object) -> argparse.Namespace:
    return argparse.Namespace(**{**vars(arguments), **words})


def _entry(source: Path, row: Mapping[str, str], arguments: argparse.Namespace) -> ImageEntry:
    """What the page shows of an image."""
    mask = open_image(_output(arguments, SEGMENTED, source, "mask"))
    found = mask.array() != 0
    graph = json.loads(_output(arguments, MEASURED, source, "graph").read_text(encoding="utf-8"))
    lines = Lines.of(VascularGraph.from_dict(graph))
    spacing = [pixel if math.isfinite(pixel) else 1.0 for pixel in _spacing(row)]
    extent = tuple(size * step for size, step in zip((1, *mask.shape)[-3:], spacing, strict=True))
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
        extent=extent if found.ndim == 3 else (0.0, *extent[1:]),
        slices=_slices(source, row, arguments) if found.ndim == 2 else None,
        warnings=doubts(row, disagreement, graph["measured"]["remarks"]),
    )


def _spacing(row: Mapping[str, str]) -> list[float]:
    return [float(row[f"spacing_{axis}"] or "nan") for axis in "zyx"]


def _grey(source: Path, arguments: argparse.Namespace) -> tuple[np.ndarray, str]:
    """The image that was segmented, or a projection of the stack, and what it is."""
    fused = _output(arguments, SEGMENTED, source, "fused")
    if fused.exists():
        return open_image(fused).array(), "fused stack"
    raw = open_image(source, **reading_options(arguments))
    grey = raw.plane(0)
    for z in range(1, len(raw)):
        grey = np.maximum(grey, raw.plane(z))
    return grey, "maximum projection" if len(raw) > 1 else "image"


def _slices(source: Path, row: Mapping[str, str], arguments: argparse.Namespace) -> tuple[np.ndarray, float] | None:
    """A fused stack's depth map and the distance of its slices, in the table's unit."""
    depth = _output(arguments, SEGMENTED, source, "depth")
    if not depth.exists():
        return None
    raw = open_image(source, **reading_options(arguments))
    known = row["unit"] == "micrometer" and raw.spacing is not None
    return open_image(depth).array(), raw.spacing[0] if known else 1.0


def _compare(rows: list[dict[str, str]], arguments: argparse.Namespace) -> Grouping | None:
    if arguments.groups is None:
        return None
    placed = place(rows, read_groups(arguments.groups), arguments.groups)
    comparisons = compare.compared(placed, arguments)
    compare.write_comparison(arguments.output / COMPARED, placed, comparisons, arguments.confidence)
    compare.say(placed, comparisons, arguments.confidence)
    return Grouping(placed, comparisons, arguments.confidence)


def _methods(
    entries: Sequence[ImageEntry], grouping: Grouping | None, parser: ConfigParser, arguments: argparse.Namespace
) -> Methods:
    weights = Path(parser["weights_file"])
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    values: dict[str, object] = {
        "version": __version__,
        "weights": weights.name,
        "weights_hash": digest,
        "torch": version("torch"),
        "monai": version("monai"),
        "fusion": FUSION,
        "contrast": parser["contrast"],
        "scale": "a factor found for each" if parser["scale"] == "auto" else f"{parser['scale']:g}",
        "images": len(entries),
        "without_pixel_size": sum(entry.row["unit"] != "micrometer" for entry in entries),
        **{name: parser[name] for name in ("low", "high", "close_gaps", "remove_fragments")},
    }
    first = ["segment", parser["mode"], *["scale"] * (parser["scale"] != 1), "binarise"]
    second = ["measure", *["no_pixel_size"] * (values["without_pixel_size"] > 0)]
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
    return describe_methods([first, second, third], values, _settings(digest, weights, parser, arguments))


def _settings(digest: str, weights: Path, parser: ConfigParser, arguments: argparse.Namespace) -> list[tuple[str, str]]:
    """Every word of the command, those that were not said with their default, and what else decides the numbers."""
    words = {name: value for name, value in vars(arguments).items() if name not in _NOT_SETTINGS}
    words |= {name: parser[name] for name in ("low", "high")}
    words["weights"] = weights.name
    settings = [("program", f"Vessel Cascades {__version__}"), ("SHA-256 of the weights", digest)]
    settings += [(f"--{name.replace('_', '-')}", _said(value)) for name, value in words.items()]
    settings += [(name, str(parser[name])) for name in ("close_gaps", "remove_fragments")]
    settings.append(("fusion of stacks", FUSION))
    settings += [(package, version(package)) for package in ("torch", "monai", "numpy", "scipy", "scikit-image")]
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
    for name, text in content["files"].items():
        if name.endswith("_diameters.csv"):
            with atomic(output / DATA / name) as partial:
                partial.write_text(text, encoding="utf-8", newline="")
    with atomic(output / PAGE) as partial:
        partial.write_text(render_page(content), encoding="utf-8")
