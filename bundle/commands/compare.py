"""Compare groups of animals by what was measured of their images.

TABLE is the images.csv of "measure". The table of groups has the columns image, animal and group, one row for each
image; commas, semicolons and a byte order mark are all right. The group that it names first is what the others are
compared with.

The animal is the unit: its value is the mean of its images, since ten images of one animal are not ten animals.
OUT gets:

  animals.csv      each animal's values
  comparison.csv   for each quantity and pair of groups: the difference with Welch's interval, Hedges' g, the exact p of
                   a permutation of the animals' labels, the same after Holm's correction for all quantities asked
                   for, the smallest p that so many animals can reach, and how much of the spread between animals is
                   measurement
  plots/           for each quantity a superplot, as PNG and SVG, and the data behind it as CSV
  provenance.json  of which tables and with which words all that was made

Examples:
  python -m bundle compare measured/images.csv --groups groups.csv --output compared
  python -m bundle compare measured/images.csv --groups groups.csv --quantities length_density,loops --output compared
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

from ..comparison import (
    DEFAULT_QUANTITIES,
    Comparison,
    Placed,
    animal_rows,
    compare,
    comparison_rows,
    draw_superplot,
    place,
    plot_rows,
    quantities_of,
    read_groups,
    read_table,
    svg_text,
    title,
    write_rows,
)
from ..errors import InputError
from ..io import Provenance, atomic, check_writable, record_path, refuse_others, write_record

TABLES = ("animals.csv", "comparison.csv")
PLOTS, SUFFIXES = "plots", (".png", ".svg", ".csv")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    parser.add_argument("table", metavar="TABLE", type=Path, help="images.csv of measure")
    parser.add_argument(
        "--groups", metavar="CSV", type=Path, required=True, help="table with the columns image, animal, group"
    )
    parser.add_argument("--output", metavar="OUT", type=Path, required=True, help="folder to write to")
    add_comparing_arguments(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace the tables and plots that are there")


def add_comparing_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare how groups are compared, the same for every command that compares."""
    parser.add_argument(
        "--quantities",
        metavar="A,B,…",
        help="columns of the table, or all; Holm's correction grows with their number (default: "
        f"{','.join(DEFAULT_QUANTITIES)}, as far as they are there)",
    )
    parser.add_argument(
        "--confidence", type=_confidence, default=0.95, help="confidence of the intervals (default: %(default)s)"
    )
    parser.add_argument("--reference", metavar="GROUP", help="compare with this group alone (default: every pair)")
    parser.add_argument("--mixed", action="store_true", help="fit a mixed model too (needs the extra stats)")


def run(arguments: argparse.Namespace) -> int:
    """Compare.

    Returns:
        0; what could not be compared is said.
    """
    check_writable(arguments.output)
    record = recorded(arguments.table, arguments)
    refuse_others({arguments.output / name: record for name in TABLES}, arguments.overwrite)
    placed = placed_images(arguments.table, arguments.groups)
    comparisons = compared(placed, arguments)
    write_comparison(arguments.output, placed, comparisons, arguments.confidence, record)
    say(placed, comparisons, arguments.confidence)
    print(f"{arguments.output / 'comparison.csv'}: {len(comparisons)} quantities, {len(set(placed.animals))} animals")
    return 0


def recorded(table: Path, arguments: argparse.Namespace) -> Provenance:
    """What a comparison is made of."""
    options = {name: getattr(arguments, name) for name in ("quantities", "confidence", "reference", "mixed")}
    return Provenance.of("compare", [table, arguments.groups], options)


def placed_images(table: Path, groups: Path) -> Placed:
    """The measured images with their animals; what is left out is said.

    Raises:
        InputError: see :func:`bundle.comparison.place`; or the table is none of ``measure``.
    """
    rows = read_table(table)
    if "image" not in rows[0]:
        raise InputError(table, "has no column image", "give the images.csv that measure writes")
    return place(rows, read_groups(groups), groups)


def compared(placed: Placed, arguments: argparse.Namespace) -> list[Comparison]:
    """The comparison that the words of :func:`add_comparing_arguments` ask for."""
    there = quantities_of(placed.rows)
    if arguments.quantities is None:
        quantities = [name for name in DEFAULT_QUANTITIES if name in there]
    elif arguments.quantities == "all":
        quantities = there
    else:
        quantities = list(dict.fromkeys(name.strip() for name in arguments.quantities.split(",") if name.strip()))
    for name in quantities:
        if set(name) & set('/\\:*?"<>|'):  # plots are named after them
            raise InputError(None, f"the column {name!r} cannot be the name of a file", "rename it")
    if not quantities:
        raise InputError(None, "no quantity to compare", f"name some by --quantities, of {', '.join(there) or 'none'}")
    return compare(placed, quantities, arguments.confidence, arguments.reference, arguments.mixed)


def write_comparison(
    output: Path, placed: Placed, comparisons: list[Comparison], confidence: float, record: Provenance
) -> None:
    """Write the tables and plots, and what made them; plots of quantities that were asked for before are removed."""
    plots = output / PLOTS
    for quantity in quantities_of(placed.rows):
        for suffix in SUFFIXES:
            old = plots / f"{quantity}{suffix}"
            if old.parent == plots:
                old.unlink(missing_ok=True)
    drawn = [comparison for comparison in comparisons if comparison.animals]
    files = [plots / f"{comparison.quantity}{suffix}" for comparison in drawn for suffix in SUFFIXES]
    write_record(record_path(output), {output / name: record for name in TABLES})
    write_record(record_path(plots), dict.fromkeys(files, record))
    write_rows(output / "animals.csv", animal_rows(placed, comparisons))
    for comparison in drawn:
        figure = draw_superplot(comparison, placed.order, confidence)
        with atomic(plots / f"{comparison.quantity}.png") as partial:
            figure.savefig(partial, format="png", dpi=200, metadata={"Software": None})
        with atomic(plots / f"{comparison.quantity}.svg") as partial:
            partial.write_text(svg_text(figure, comparison.quantity), encoding="utf-8")
        write_rows(plots / f"{comparison.quantity}.csv", plot_rows(comparison))
    write_rows(output / "comparison.csv", comparison_rows(comparisons, confidence))
    record.confirm()


def say(placed: Placed, comparisons: list[Comparison], confidence: float) -> None:
    """Print what was found, a line per difference, and what was left out."""
    for line in placed.remarks:
        print(line, file=sys.stderr)
    remarks = [line for comparison in comparisons for one in comparison.differences for line in one.remarks]
    remarks += [f"{title(comparison.quantity)}: {line}" for comparison in comparisons for line in comparison.remarks]
    for line in dict.fromkeys(remarks):
        print(line, file=sys.stderr)
    for comparison in comparisons:
        for one in comparison.differences:
            value, low, high = one.difference
            unit = f" {comparison.unit}" if comparison.unit else ""
            interval = "" if math.isnan(low) else f" ({100 * confidence:g} % interval {low:.4g} to {high:.4g})"
            print(
                f"{title(comparison.quantity)}: {one.second} − {one.first} = {value:+.4g}{unit}{interval}, "
                f"p = {one.test.p:.3g}, after Holm {one.p_holm:.3g}, smallest possible {one.test.smallest:.2g}"
            )


def _confidence(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1, such as 0.95")
    return value
