"""Write masks and their vessels as Fiji and QuPath open them.

MASK is a mask of any program, or a folder of what "segment" wrote. For each mask of NAME, OUT gets:

  NAME_fiji.tif          for Fiji: NAME_fused if it lies beside the mask, else the mask, with its pixel size and the
                         vessels as an overlay
  NAME_rois.zip          the same vessels for Fiji's ROI manager
  NAME_vessels.geojson   for QuPath: an annotation for each piece of the mask, holes kept, a detection for each centre
                         line

Outlines follow the edges of pixels: their area is that of the mask. Of a stack each slice has its own. Centre lines,
with their lengths and diameters, are there if "measure" wrote NAME_graph.json beside the mask or into --measured.

Examples:
  vessels segment stacks --measure --output masks
  vessels export masks --output for_fiji --to fiji
  vessels export masks/slide_mask.tif --measured tables --output for_qupath --to qupath
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ..errors import InputError
from ..exchange import fiji_rois, qupath_features, write_fiji_image, write_geojson, write_rois
from ..graphs import VascularGraph
from ..io import (
    OUTPUT_SUFFIXES,
    Image,
    Provenance,
    Source,
    image_name,
    open_image,
    record_path,
    refuse_others,
    write_record,
)
from ..measurements import read_rows
from ..metrics import as_mask
from .measure import masks_of
from .words import add_reading_arguments, reading_options

PROGRAMS = ("fiji", "qupath")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    parser.add_argument("masks", metavar="MASK", nargs="+", help="files, folders or patterns")
    parser.add_argument("--output", metavar="OUT", type=Path, required=True, help="folder to write to")
    parser.add_argument("--to", choices=PROGRAMS, nargs="+", default=list(PROGRAMS), help="default: both")
    parser.add_argument("--measured", metavar="FOLDER", type=Path, help="where measure wrote NAME_graph.json")
    add_reading_arguments(parser)
    parser.add_argument("--overwrite", action="store_true", help="make again what is there")


def run(arguments: argparse.Namespace) -> int:
    """Write the masks, one after the other.

    Returns:
        0 if all were written or kept, 1 otherwise.
    """
    written = kept = failed = 0
    found: list[Path] = []
    for given in arguments.masks:
        try:
            found += masks_of(Path(given))
        except InputError as error:
            failed += 1
            print(error, file=sys.stderr)
    for mask in tqdm(found, desc="export", unit="mask", leave=False, disable=None):
        try:
            if _export(mask, arguments):
                written += 1
            else:
                kept += 1
        except InputError as error:
            failed += 1
            tqdm.write(str(error), file=sys.stderr)
    print(f"{arguments.output}: {written} written, {kept} kept, {failed} failed")
    return 1 if failed else 0


def _export(path: Path, arguments: argparse.Namespace) -> bool:
    """Write one mask; False if that was done before."""
    name = image_name(path).removesuffix("_mask")
    graph_path = (arguments.measured or path.parent) / f"{name}_graph.json"
    fused = next((one for one in _fused(path, name) if one.exists()), None)
    read = [path, *(one for one in (fused, graph_path) if one is not None and one.exists())]
    made = Provenance.of("export", read, reading_options(arguments))
    outputs = {
        "fiji": [arguments.output / f"{name}_fiji.tif", arguments.output / f"{name}_rois.zip"],
        "qupath": [arguments.output / f"{name}_vessels.geojson"],
    }
    wanted = [file for program in PROGRAMS if program in arguments.to for file in outputs[program]]
    refuse_others(dict.fromkeys(wanted, made), arguments.overwrite)
    if not arguments.overwrite and all(file.exists() for file in wanted):
        tqdm.write(f"{path}: kept {', '.join(file.name for file in wanted)} (--overwrite makes them again)")
        return False
    opened = open_image(path, **reading_options(arguments))
    try:
        mask = as_mask(opened.array())
    except ValueError as error:
        raise InputError(path, str(error), "give a mask: 0 and one other value") from error
    graph, segments = _graph(graph_path, opened)
    made.confirm()
    write_record(record_path(arguments.output, Source(path, name)), dict.fromkeys(wanted, made))
    spacing = opened.spacing
    if "fiji" in arguments.to:
        rois = fiji_rois(mask, spacing, graph)
        shown = mask.astype(np.uint8) * 255
        image = shown if fused is None else open_image(fused).array()
        write_fiji_image(outputs["fiji"][0], image if image.shape == mask.shape else shown, spacing, rois)
        write_rois(outputs["fiji"][1], rois)
    if "qupath" in arguments.to:
        write_geojson(outputs["qupath"][0], qupath_features(mask, spacing, graph, segments))
    lines = 0 if graph is None else len(graph.paths)
    tqdm.write(f"{path}: wrote {', '.join(file.name for file in wanted)}; {lines} centre lines")
    return True


def _fused(path: Path, name: str) -> list[Path]:
    return [path.with_name(f"{name}_fused{suffix}") for suffix in OUTPUT_SUFFIXES.values()]


def _graph(path: Path, mask: Image) -> tuple[VascularGraph | None, Sequence[dict]]:
    """The graph of a mask and what was measured of its vessels; none if there is no file."""
    if not path.exists():
        return None, ()
    try:
        graph = VascularGraph.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(path, "is no graph that measure wrote", "measure again") from error
    if (graph.unit == "micrometer") != (mask.spacing is not None):
        raise InputError(
            path, f"is in {graph.unit}s, unlike the mask's pixel size", "say --spacing as measure was told"
        )
    rows = read_rows(path)
    return graph, () if rows is None else rows["segments"]
