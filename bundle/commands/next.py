"""Say what to label next: the images, and the places in them, that stand for most of what is likely to be wrong.

Each image is segmented and cut into boxes. Of each box it is estimated how much of its mask is wrong, and how much it
is like the others; the first box is the one whose label says most about all that is wrong, the next the one that says
most of what is left. The curve tells the mean Dice that the boxes' masks are expected to have after so many labels:
where it is flat, more labels bring little. It is an estimate (docs/trust.md says how good).

With --output OUT there are

  next.csv             rank, image, slice, place of the box (rows and columns from 0), and what is expected of it
  next_NUMBER.png      with --pictures: the image with the mask's outline and the box

Label the boxes as masks or scribbles, then give them to adapt, or to the fine-tuning of docs/guides/fine_tune.md.

Examples:
  python -m bundle next images --count 10
  python -m bundle next images/*.tif --output plan --pictures
  python -m bundle next stack.ome.tif --mode stack --box 128
"""

from __future__ import annotations

import argparse
import csv
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from ..errors import InputError, input_error
from ..home import shipped_weights
from ..io import Provenance, Source, atomic, reading_record, refuse_others, write_record
from .words import add_reading_arguments, listed_sources, reading_options

if TYPE_CHECKING:
    from ..interface import Segmentation
    from ..trust import Box, Choice, Kind

TABLE = "next.csv"
COLUMNS = ("rank", "image", "slice", "top", "left", "height", "width", "expected_dice", "wrong_pixels", "covered")


@dataclass(frozen=True)
class Place:
    """A box of an image.

    Args:
        source: the image.
        box: in it.
    """

    source: Source
    box: Box

    def __str__(self) -> str:
        return f"{self.source}, {self.box}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    parser.add_argument("inputs", metavar="IMAGE", nargs="+", help="files, folders or patterns")
    parser.add_argument("--count", type=_positive, default=5, help="of places to name (default: %(default)s)")
    parser.add_argument(
        "--box", metavar="PIXELS", type=_side, default=256, help="side of a place to label (default: %(default)s)"
    )
    parser.add_argument("--output", metavar="OUT", type=Path, help="folder to write to")
    parser.add_argument("--pictures", action="store_true", help="with --output: a picture of each place")
    parser.add_argument(
        "--mode",
        choices=("auto", "fused", "stack"),
        default="auto",
        help="as the images will be segmented: stacks fused, or slice by slice (default: auto, which fuses)",
    )
    add_reading_arguments(parser)
    parser.add_argument("--scale", type=float, help="as in segment (default: 1)")
    parser.add_argument("--weights", type=Path, help="instead of the shipped ones, as in segment")
    parser.add_argument("--device", help="cpu, cuda, cuda:1 … (default: cuda where there is one)")
    parser.add_argument("--overwrite", action="store_true", help="replace what is there")


def run(arguments: argparse.Namespace) -> int:
    """Segment, choose, say.

    Returns:
        0, or 1 if an input failed.
    """
    if arguments.pictures and arguments.output is None:
        raise InputError(None, "--pictures need a place", "say --output OUT")
    sources, failed = listed_sources(arguments.inputs, reading_options(arguments))
    if not sources:
        return 1
    outputs = _outputs(sources, arguments)
    refuse_others(outputs, arguments.overwrite)
    from ..trust import choose, learned, look_into_boxes

    places: list[Place] = []
    for source in tqdm(sources, desc="next", unit="image", leave=False, disable=None):
        try:
            found = _segmented(source, arguments)
            arrays = (found.image, found.probability, found.disagreement, found.mask)
            places += [Place(source, box) for box in look_into_boxes(*arrays, arguments.box)]
        except Exception as exception:
            error = input_error(exception)
            if error is None:
                raise
            failed += 1
            tqdm.write(str(error if error.path else InputError(source, error.problem, error.remedy)), file=sys.stderr)
    if not places:
        raise InputError(None, "there is nothing to choose from", "see above")
    kind: Kind = "image" if places[0].box.z is None else "stack"
    choice = choose([place.box.evidence for place in places], learned(kind), kind, arguments.count)
    for number, place in enumerate(choice.order, 1):
        print(f"{number}. {places[place]}: expected Dice {choice.dice[place]:.2f}")
    print("labels         " + "".join(f"{number:6}" for number in range(len(choice.expected))))
    print("expected Dice  " + "".join(f"{dice:6.2f}" for dice in choice.expected))
    if arguments.output is not None:
        _write(arguments, places, choice, outputs)
    return 1 if failed else 0


def _segmented(source: Source, arguments: argparse.Namespace) -> Segmentation:
    from ..interface import segment

    choices = {
        name: value for name, value in {**reading_options(arguments), **source.choices}.items() if value is not None
    }
    spacing = choices.pop("spacing", None)
    options = {name: getattr(arguments, name) for name in ("mode", "scale", "device")}
    # one network for all places, by which they are compared, and no second opinion for some
    options["weights"] = arguments.weights or shipped_weights(arguments.mode)
    return segment(source.path, spacing, **options, **choices)


def _outputs(sources: list[Source], arguments: argparse.Namespace) -> dict[Path, Provenance]:
    """What will be written, and what makes it."""
    if arguments.output is None:
        return {}
    options: dict[str, Any] = {name: getattr(arguments, name) for name in ("count", "box", "mode", "scale")}
    options["weights"] = None if arguments.weights is None else str(arguments.weights)
    made = Provenance.of(
        "next", [s.path for s in sources], {**reading_record(reading_options(arguments), {}), **options}
    )
    names = [TABLE, *(f"next_{n}.png" for n in range(1, arguments.count + 1) if arguments.pictures)]
    return {arguments.output / name: made for name in names}


def _write(arguments: argparse.Namespace, places: list[Place], choice: Choice, outputs: dict[Path, Provenance]) -> None:
    write_record(arguments.output / "provenance.json", outputs)
    if arguments.pictures:
        for number, chosen in enumerate(choice.order, 1):
            _picture(arguments.output / f"next_{number}.png", places[chosen], arguments)
    rows = []
    for number, chosen in enumerate(choice.order, 1):
        place, box = places[chosen], places[chosen].box
        sides = {
            "top": box.rows.start,
            "left": box.columns.start,
            "height": box.rows.stop - box.rows.start,
            "width": box.columns.stop - box.columns.start,
        }
        numbers = {
            "expected_dice": f"{choice.dice[chosen]:.4f}",
            "wrong_pixels": f"{choice.wrong[chosen]:.0f}",
            "covered": f"{choice.covered[number]:.4f}",
        }
        rows.append({"rank": number, "image": place.source.name, "slice": box.z} | sides | numbers)
    with atomic(arguments.output / TABLE) as partial, open(partial, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(arguments.output / TABLE)


def _picture(path: Path, place: Place, arguments: argparse.Namespace) -> None:
    """The whole image with the mask's outline and the box."""
    from ..pictures import mask_overlay, write_png

    found = _segmented(place.source, arguments)  # made again, since the images of all would not fit into memory
    image, mask = (array if place.box.z is None else array[place.box.z] for array in (found.image, found.mask))
    picture = mask_overlay(image, mask)
    rows, columns = place.box.rows, place.box.columns
    for row in (rows.start, rows.stop - 1):
        picture[row, columns] = _BOX
    for column in (columns.start, columns.stop - 1):
        picture[rows, column] = _BOX
    write_png(path, picture)


_BOX = (255, 220, 0)


def _positive(text: str) -> int:
    value = int(text) if text.isdecimal() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is no number from 1 on")
    return value


def _side(text: str) -> int:
    value = int(text) if text.isdecimal() else 0
    if value < 32:
        raise argparse.ArgumentTypeError(f"{text} is no number of pixels from 32 on")
    return value
