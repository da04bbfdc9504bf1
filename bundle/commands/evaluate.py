"""Score masks against true masks.

PREDICTIONS and TRUTH are folders, or single files. A mask and its truth belong together if their file names agree up
to the suffix and a trailing _mask; two single files belong together whatever their names. Beside NAME or NAME_mask the
other outputs of "segment" (NAME_probability, NAME_overlay, NAME_fused, NAME_depth, NAME_disagreement) are passed over,
and so is NAME beside NAME_mask. In a mask 0 is background, and one other value vessel;
of labels, such as those of ilastik (1 and 2), --foreground says which is vessel.

The command writes CSV, a table with a row per image. Beside it, for scores.csv, lie scores_summary.csv, with mean,
standard deviation and 95 % bootstrap interval of each metric, and scores_overlays/NAME.png: true positive white, false
positive red, false negative blue. What was scored is told in provenance.json beside them; a table of other masks is not
replaced without --overwrite. A metric that is undefined for an image is nan there, left out of the mean, and counted.
hd95 is in µm if every pair has a pixel size, else in pixels. The exit status is 1 if a true mask has no prediction, or
one that cannot be scored.

Examples:
  python -m bundle evaluate segmented masks --output scores.csv
  python -m bundle evaluate segmented/a_mask.tif truth/a.png --output a.csv --no-overlays
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ..errors import InputError
from ..io import (
    KINDS,
    Foreground,
    Image,
    Provenance,
    check_writable,
    image_name,
    list_images,
    open_image,
    reading_record,
    record_path,
    refuse_others,
    remark,
    why_no_mask,
    write_record,
)
from ..metrics import as_mask, format_summary, score, write_scores, write_summary
from ..pictures import error_overlay, write_png
from .words import add_foreground_argument, add_reading_arguments, reading_options

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    parser.add_argument("predictions", metavar="PREDICTIONS", type=Path, help="folder of masks, or one mask")
    parser.add_argument("truth", metavar="TRUTH", type=Path, help="folder of true masks, or one true mask")
    parser.add_argument("--output", metavar="CSV", type=Path, required=True, help="table to write")
    parser.add_argument("--no-overlays", dest="overlays", action="store_false", help="draw no pictures")
    add_foreground_argument(parser)
    add_reading_arguments(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace the table and pictures that are there")


def run(arguments: argparse.Namespace) -> int:
    """Score every pair.

    Returns:
        0 if every true mask was scored, 1 otherwise.
    """
    table, options = arguments.output, reading_options(arguments)
    summary, overlays = (table.with_name(f"{image_name(table)}_{kind}") for kind in ("summary.csv", "overlays"))
    check_writable(table.parent)
    if table.is_dir():
        raise InputError(table, "is a folder", "name the table to write, such as scores.csv")
    pairs, missing = _pair(arguments.predictions, arguments.truth)
    images, failed = _open(pairs, options)
    files = [image.path for pair in images.values() for image in pair]
    if table.resolve() in {file.resolve() for file in files}:
        raise InputError(table, "is one of the masks", "name a table to write, such as scores.csv")
    record = Provenance.of("evaluate", files, {**reading_record(options, {}), "foreground": arguments.foreground})
    tables = dict.fromkeys((table, summary), record)
    pictures = {overlays / f"{name}.png": record for name in images} if arguments.overlays else {}
    refuse_others({**tables, **pictures}, arguments.overwrite)
    in_micrometres = all(_spacing(*pair) for pair in images.values())
    rows: list[dict] = []
    for name, (prediction, truth) in tqdm(images.items(), desc="evaluate", unit="image", leave=False, disable=None):
        try:
            predicted, true = (_read(image, arguments.foreground) for image in (prediction, truth))
            scores = _score(prediction, predicted, truth, true, in_micrometres)
        except InputError as error:
            failed += 1
            tqdm.write(str(error), file=sys.stderr)
            continue
        if arguments.overlays and not rows:
            write_record(record_path(overlays), pictures)
        rows.append({"image": name, **scores, "hd95_unit": "um" if in_micrometres else "pixel"})
        if arguments.overlays:
            write_png(overlays / f"{name}.png", error_overlay(predicted, true))
    if rows:
        record.confirm()
        write_record(record_path(table.parent), tables)
        write_scores(table, rows)
        write_summary(summary, rows)
        print(format_summary(rows))
        print(f"hd95 in {'µm' if in_micrometres else 'pixels'}")
    print(f"{table}: {len(rows)} scored, {failed} failed, {missing} without prediction")
    return 1 if failed or missing else 0


def _pair(predictions: Path, truth: Path) -> tuple[dict[str, tuple[Path, Path]], int]:
    """Return the pairs by name, and how many true masks have no prediction."""
    found, wanted = _masks(predictions), _masks(truth)
    if predictions.is_file() and truth.is_file():
        return {next(iter(found)): (predictions, truth)}, 0
    pairs = {name: (found[name], path) for name, path in wanted.items() if name in found}
    if not pairs:
        raise InputError(predictions, f"no mask has the name of one in {truth}", "name the files alike, up to _mask")
    unused, missing = ([name for name in names if name not in pairs] for names in (found, wanted))
    if unused:
        logger.warning("%s: no true mask for %s", predictions, _listed(unused))
    if missing:
        print(InputError(truth, f"no prediction for {_listed(missing)}", "segment them"), file=sys.stderr)
    return pairs, len(missing)


def _masks(given: Path) -> dict[str, Path]:
    """Return the masks of a folder, or the one given, by the name of their image."""
    paths = {image_name(path): path for path in list_images([given])}
    if given.is_file():
        return {name.removesuffix("_mask"): path for name, path in paths.items()}
    names = {name.removesuffix("_mask") for name in paths}
    others = {f"{name}_{kind}" for name in names for kind in KINDS if kind != "mask"}
    return {
        name.removesuffix("_mask"): path
        for name, path in paths.items()
        if name not in others and f"{name}_mask" not in paths
    }


def _open(pairs: dict[str, tuple[Path, Path]], options: dict) -> tuple[dict[str, tuple[Image, Image]], int]:
    """Return what could be opened, and how many pairs could not."""
    opened = {}
    for name, paths in pairs.items():
        try:
            prediction, truth = (open_image(path, **options) for path in paths)
            opened[name] = prediction, truth
        except InputError as error:
            print(error, file=sys.stderr)
    return opened, len(pairs) - len(opened)


def _spacing(prediction: Image, truth: Image) -> tuple[float, ...] | None:
    if prediction.spacing and truth.spacing and not np.allclose(prediction.spacing[-2:], truth.spacing[-2:], rtol=0.01):
        remark(prediction.path, f"states another pixel size than {truth.path}, whose is taken")
    return truth.spacing or prediction.spacing


def _read(image: Image, foreground: Foreground) -> np.ndarray:
    array = image.array()
    wrong = why_no_mask(array, foreground)
    if wrong is not None:
        raise InputError(image.path, *wrong)
    return as_mask(array, foreground)


def _score(
    prediction: Image, predicted: np.ndarray, truth: Image, true: np.ndarray, in_micrometres: bool
) -> dict[str, float]:
    try:
        return score(predicted, true, _spacing(prediction, truth) if in_micrometres else None)
    except ValueError as error:
        raise InputError(prediction.path, str(error), f"check that {truth.path} is its truth") from error


def _listed(names: list[str], most: int = 10) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
