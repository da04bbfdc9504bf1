"""Measure the vessels of masks: how long, how wide, how branched, how far from the tissue.

MASK is a mask of any program, an image or a stack, 0 and one other value; of labels, such as those of ilastik (1 and
2), --foreground says which is vessel. Or it is a folder of what "segment" wrote. Beside NAME_mask the image (NAME_fused
or NAME), the probability and the disagreement are found by their names; with --images the grey values are looked for
there. Widths come from the grey values where there are any, else from the mask.

For each mask of NAME, OUT gets:

  NAME_graph.json      the vessels as a graph, in the form of a phantom's true graph, and what was measured of it
  NAME_graph.graphml   for networkx, Gephi, Cytoscape
  NAME_graph.vtp       centre lines with radii, for ParaView and 3D Slicer
  NAME_graph.swc       with --swc: a tree; loops are cut, and how many is said
  NAME_diameters.png   centre lines coloured by diameter: look at it before you believe the numbers

and for all of them images.csv, segments.csv and nodes.csv, with a row for each image, vessel and node, and
definitions.csv, which says of every column its unit and how it is estimated. Lengths are micrometres if the pixel size
is known, by the file or --spacing, else pixels. A mask that is measured already is kept; the tables hold all that OUT
has.

A stack of more than some 30 megavoxels is measured by blocks, which lie in OUT meanwhile, with the same numbers: memory
grows with its vessels and not with its size. With --cluster the blocks are measured by many processes: those of this
machine (local), jobs of Slurm (slurm), or the workers of a Dask scheduler (its address). OUT and the files must be on a
disk that all of them see (docs/guides/cluster.md). Images of one plane are measured by the command itself.

Examples:
  python -m bundle measure masks --output measured
  python -m bundle measure cells_mask.png --spacing 1 0.5 0.5 --output measured
  python -m bundle measure "masks/*_mask.tif" --images stacks --roi regions --output measured
  python -m bundle measure masks3d/stack_mask.ome.zarr --cluster local --workers 4 --output measured
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np
from tqdm import tqdm

from ..errors import InputError
from ..io import (
    KINDS,
    OUTPUT_SUFFIXES,
    Image,
    Provenance,
    as_source,
    check_writable,
    expand,
    image_name,
    list_images,
    open_image,
    output_path,
    reading_record,
    record_path,
    refuse_others,
    scratch_folder,
    write_record,
)
from ..io import Source as Input
from ..measurements import (
    TABLES,
    Blocks,
    Measurement,
    Within,
    measure,
    read_rows,
    rows_of,
    write_definitions,
    write_graphml,
    write_json,
    write_overlay,
    write_swc,
    write_table,
    write_vtp,
)
from ..metrics import as_mask
from ..transforms import empty_margin
from ..volumes import HERE, StoredVolume, Volume, Workers
from .words import (
    add_cluster_arguments,
    add_foreground_argument,
    add_reading_arguments,
    check_cluster,
    log_to_terminal,
    reading_options,
    started_workers,
)

IN_MEMORY = 1 << 25  # voxels of a stack; of more, a few are in memory at a time
_ALL = "every NAME_graph.json of this folder"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    parser.add_argument("masks", metavar="MASK", nargs="+", help="files, folders or patterns")
    parser.add_argument("--output", metavar="OUT", type=Path, required=True, help="folder to write to")
    parser.add_argument(
        "--images", metavar="FOLDER", type=Path, help="folder that holds the grey values of NAME, or one file"
    )
    parser.add_argument(
        "--roi", metavar="MASK", type=Path, help="measure inside this mask only; a folder: inside NAME in it, of each"
    )
    add_measuring_arguments(parser)
    add_foreground_argument(parser)
    add_reading_arguments(parser)
    add_cluster_arguments(parser, "stacks are measured")
    parser.add_argument("--overwrite", action="store_true", help="measure again what is there")


def add_measuring_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare how vessels are measured, the same for every command that does."""
    parser.add_argument(
        "--min-length",
        metavar="L",
        type=_positive,
        default=0.0,
        help="take away blind ends shorter than this, in µm (pixels without a pixel size; default: 0)",
    )
    parser.add_argument("--prune", metavar="SIZE", type=_positive, help="take away spurs whose bulge is below this")
    parser.add_argument("--swc", action="store_true", help="write the network as SWC too")


def run(arguments: argparse.Namespace) -> int:
    """Measure the masks, one after the other.

    Returns:
        0 if every mask was measured or kept, 1 otherwise.
    """
    check_cluster(arguments)
    found, failed = _sources(arguments.masks, arguments.images)
    if not arguments.cluster or not found:
        return measure_all(found, failed, arguments)
    log_to_terminal()
    with started_workers(arguments) as workers:
        return measure_all(found, failed, arguments, workers)


@dataclass(frozen=True)
class Source:
    """A mask and what belongs to it.

    Args:
        name: of the image.
        mask: its file.
        beside: further files by kind: image, probability, disagreement, region.
        chosen: of which of them the channel and the like are chosen: the image as a microscope wrote it, the mask where
            there is none, or, of what segment made, neither.
        choices: what is read of this one, such as its channel, where the words do not say it of all.
    """

    name: str
    mask: Path
    beside: dict[str, Path] = field(default_factory=dict)
    chosen: Literal["image", "mask", "neither"] = "mask"
    choices: Mapping[str, object] = field(default_factory=dict)

    @property
    def named(self) -> Input:
        """The mask under the image's NAME, which may hold a dot."""
        return Input(self.mask, self.name)

    def reading(self, kind: str, arguments: argparse.Namespace) -> dict:
        """How the mask or the image is read: where there is a raw image, channels are its and not the mask's."""
        options = {**reading_options(arguments), **self.choices}
        if kind == self.chosen:
            return options
        return {"spacing": options["spacing"]}


def measure_all(
    sources: Sequence[Source], failed: int, arguments: argparse.Namespace, workers: Workers | None = None
) -> int:
    """Measure masks and write the tables of all that OUT holds.

    Args:
        sources: the masks.
        failed: how many inputs have failed before.
        arguments: the command's words.
        workers: who measures stacks by blocks; if None this process, and it those that are too large for memory.

    Returns:
        0 if every mask was measured or kept, 1 otherwise.
    """
    check_writable(arguments.output)
    tables = dict.fromkeys(_table_paths(arguments.output), Provenance("measure", (), {"of": _ALL}))
    refuse_others(tables, arguments.overwrite)
    measured = kept = 0
    try:
        for source in tqdm(sources, desc="measure", unit="mask", leave=False, disable=None):
            try:
                record = _provenance(source, arguments)
                if _is_kept(source, record, arguments):
                    kept += 1
                else:
                    _measure_one(source, record, arguments, workers)
                    measured += 1
            except InputError as error:
                failed += 1
                tqdm.write(str(error), file=sys.stderr)
    finally:
        if measured or kept:
            write_record(record_path(arguments.output), tables)
            _write_tables(arguments.output)
    print(f"{arguments.output}: {measured} measured, {kept} kept, {failed} failed")
    return 1 if failed else 0


def _sources(given: Iterable[str], images: Path | None) -> tuple[list[Source], int]:
    """The masks that the words mean, each with what lies beside it; and how many words mean none."""
    by_name: dict[str, Path] = {}
    failed = 0
    for word in given:
        try:
            for path in masks_of(Path(word)):
                name = image_name(path).removesuffix("_mask")
                other = by_name.setdefault(name, path)
                if other.resolve() != path.resolve():
                    raise InputError(path, f"has the same name as {other}", "rename one, or measure into two folders")
        except InputError as error:
            failed += 1
            print(error, file=sys.stderr)
    sources = []
    for name, path in by_name.items():
        try:
            beside = _beside(name, path, images)
            raw = "image" in beside and image_name(beside["image"]) == name
            sources.append(Source(name, path, beside, "image" if raw else "mask"))
        except InputError as error:
            failed += 1
            print(error, file=sys.stderr)
    return sources, failed


def measure_segmented(
    inputs: Sequence[Path | Input],
    arguments: argparse.Namespace,
    segmented: Path | None = None,
    workers: Workers | None = None,
) -> int:
    """Measure the masks that segment made of its inputs.

    Args:
        inputs: of segment; those without a mask are left out.
        arguments: its words, and those of measuring where there are any; ``output`` is where the tables go.
        segmented: where the masks are; in the same folder if None.
        workers: as of :func:`measure_all`.

    Returns:
        0 if every mask was measured or kept, 1 otherwise.
    """
    sources = []
    for given in map(as_source, inputs):
        mask = output_path(segmented or arguments.output, given, "mask", OUTPUT_SUFFIXES[arguments.format])
        if mask.exists():
            beside = _beside(given.name, mask, None)
            if arguments.mode in ("stack", "both"):  # the mask has the stack's slices, the fusion has not
                beside["image"] = given.path
            raw = beside.setdefault("image", given.path) == given.path
            sources.append(Source(given.name, mask, beside, "image" if raw else "neither", given.choices))
    options = {"images": None, "roi": None, "min_length": 0.0, "prune": None, "swc": False, "foreground": None}
    return measure_all(sources, 0, argparse.Namespace(**{**options, **vars(arguments)}), workers)


def masks_of(given: Path) -> list[Path]:
    """The masks of a file, folder or pattern; outputs of segment that are no masks are passed over."""
    paths = list_images([given])
    if given.is_file() or len(paths) == 1:
        return paths
    names = {image_name(path) for path in paths}
    roots = {name.removesuffix("_mask") for name in names}
    others = {f"{root}_{kind}" for root in roots for kind in KINDS if kind != "mask"}
    return [path for path in paths if image_name(path) not in others and f"{image_name(path)}_mask" not in names]


def _beside(name: str, mask: Path, images: Path | None) -> dict[str, Path]:
    found = {}
    for kind in ("probability", "disagreement", "fused"):
        for suffix in OUTPUT_SUFFIXES.values():
            path = mask.with_name(f"{name}_{kind}{suffix}")
            if path.exists():
                found["image" if kind == "fused" else kind] = path
    if images is not None:
        found["image"] = _named(name, images, mask, "image")
    elif "image" not in found:
        same = [path for path in expand(mask.parent) if image_name(path) == name and path.name != mask.name]
        if len(same) == 1:
            found["image"] = same[0]
    return found


def _named(name: str, given: Path, mask: Path, what: str) -> Path:
    """The file of an image's name in a folder, or the one file given."""
    if given.is_file():
        return given
    found = [path for path in expand(given) if image_name(path) == name]
    if len(found) != 1:
        raise InputError(mask, f"has {len(found) or 'no'} {what} in {given}", f"call one of them {name}")
    return found[0]


def _is_kept(source: Source, record: Provenance, arguments: argparse.Namespace) -> bool:
    """Whether the mask was measured before, in the same way; said if so.

    Raises:
        InputError: something else lies where its outputs would.
    """
    outputs = _outputs(source, arguments)
    refuse_others(dict.fromkeys(outputs, record), arguments.overwrite)
    if arguments.overwrite or not all(path.exists() for path in outputs):
        return False
    tqdm.write(f"{source.mask}: kept {outputs[0]} (--overwrite measures it again)")
    return True


def _outputs(source: Source, arguments: argparse.Namespace) -> list[Path]:
    """What is written of a mask; the graph as JSON first."""
    graph = output_path(arguments.output, source.named, "graph")
    forms = [".graphml", ".vtp", *[".swc"] * arguments.swc]
    return [graph, *map(graph.with_suffix, forms), output_path(arguments.output, source.named, "diameters")]


def _provenance(source: Source, arguments: argparse.Namespace) -> Provenance:
    """What the numbers of a mask are made of."""
    files = {"mask": source.mask, **{kind: source.beside[kind] for kind in sorted(source.beside)}}
    if arguments.roi is not None:
        files["region"] = _named(source.name, arguments.roi, source.mask, "region")
    options = {
        **reading_record(reading_options(arguments), source.choices),
        "read": list(files),
        "min_length": arguments.min_length,
        "prune": arguments.prune,
        "foreground": arguments.foreground,
    }
    return Provenance.of("measure", files.values(), options)


def _measure_one(source: Source, record: Provenance, arguments: argparse.Namespace, workers: Workers | None) -> None:
    options = source.reading("mask", arguments)
    opened = open_image(source.mask, **options)
    with ExitStack() as stack:
        blocks: Blocks | None = None
        if opened.axes == "ZYX" and (workers is not None or prod(opened.shape) > IN_MEMORY):
            folder = stack.enter_context(scratch_folder(arguments.output / source.name))
            blocks = Blocks(folder, workers or HERE)
        measurement, ground = _measured(_Parts(source, arguments, opened, blocks))
    for line in measurement.remarks:
        tqdm.write(f"{source.mask}: {line}", file=sys.stderr)
    record.confirm()
    _write(source, arguments, measurement, ground, record)
    tqdm.write(f"{source.mask}: {_summary(measurement)}, {_outputs(source, arguments)[0]}")


def _measured(parts: _Parts) -> tuple[Measurement, np.ndarray]:
    """The numbers of a mask, and the plane on which they are drawn."""
    arguments, blocks = parts.arguments, parts.blocks
    mask, shadow = parts.mask()
    image, ground, image_spacing = parts.image()
    options: dict[str, Any] = {} if arguments.prune is None else {"prune": arguments.prune}
    if blocks is not None:
        options |= {"work": blocks.folder, "workers": blocks.workers}
    measurement = measure(
        mask,
        parts.opened.spacing or image_spacing,
        image=image,
        probability=parts.map("probability"),
        disagreement=parts.map("disagreement"),
        region=parts.region(),
        visible=None if ground is None else _visible(ground),
        min_length=arguments.min_length,
        **options,
    )
    return measurement, shadow if ground is None else ground


Values = np.ndarray | StoredVolume


@dataclass(frozen=True)
class _Parts:
    """What there is of a mask, in memory or in blocks.

    Args:
        source: the mask.
        arguments: the command's words.
        opened: the mask's file.
        blocks: where it is read to; to memory if None.
    """

    source: Source
    arguments: argparse.Namespace
    opened: Image
    blocks: Blocks | None

    def mask(self) -> tuple[Values, np.ndarray]:
        """The mask, and where any of its slices is vessel."""
        path, foreground = self.source.mask, self.arguments.foreground
        try:
            if self.blocks is not None:
                return self.blocks.mask(path, self.source.reading("mask", self.arguments), foreground)
            mask = as_mask(self.opened.array(), foreground)
        except InputError:
            raise
        except ValueError as error:
            raise InputError(path, str(error), "give a mask of vessels") from error
        return mask, _highest(mask)

    def image(self) -> tuple[Values | None, np.ndarray | None, tuple[float, ...] | None]:
        """The grey values of the mask's shape, the highest of its slices, and the pixel size of the image's file.

        No values where they are of another shape.
        """
        path, shape = self.source.beside.get("image"), self.opened.shape
        if path is None:
            return None, None, None
        options = self.source.reading("image", self.arguments)
        image = open_image(path, **options)
        if image.shape != shape:
            if self.arguments.images is not None:
                raise InputError(
                    path,
                    f"is {_by(image.shape)}, its mask {self.source.mask} {_by(shape)} pixels",
                    "give the image that was segmented, a stack's fusion with a mask of one plane",
                )
            return None, None, image.spacing[-len(shape) :] if image.spacing else None
        if self.blocks is not None:
            return *self.blocks.values("image", path, options), image.spacing
        values = image.array()
        return values, _highest(values), image.spacing

    def map(self, kind: str) -> Values | None:
        """The probability or the disagreement."""
        path, shape = self.source.beside.get(kind), self.opened.shape
        if path is None:
            return None
        image = open_image(path)
        if image.shape != shape:
            problem = f"is {_by(image.shape)}, its mask {self.source.mask} {_by(shape)} pixels"
            raise InputError(path, problem, "segment again")
        return image.array() if self.blocks is None else self.blocks.values(kind, path, {})[0]

    def region(self) -> np.ndarray | Volume | None:
        """What is to be measured."""
        if self.arguments.roi is None:
            return None
        path, shape = _named(self.source.name, self.arguments.roi, self.source.mask, "region"), self.opened.shape
        image = open_image(path, axes=None)
        if image.shape not in (shape, shape[-2:]):
            raise InputError(
                path,
                f"is {_by(image.shape)}, the mask {self.source.mask} {_by(shape)} pixels",
                "draw the region on the image that was segmented",
            )
        region: np.ndarray | Volume
        if self.blocks is not None and image.shape == shape:
            region, shadow = self.blocks.region(path, {"axes": None})
        else:
            drawn = image.array() != 0
            shadow = _highest(drawn)
            depth, height, width = (1, *shape)[-3:]
            region = np.broadcast_to(drawn, shape) if self.blocks is None else Within((depth, height, width), [drawn])
        if not shadow.any():
            raise InputError(path, "is empty: nothing lies in the region", "draw it with a value other than 0")
        return region


def _highest(values: np.ndarray) -> np.ndarray:
    """The highest along z, ``[Y, X]``."""
    return values if values.ndim == 2 else values.max(axis=0)


def _visible(plane: np.ndarray) -> np.ndarray | None:
    """All but the margin of a mosaic, ``[Y, X]``."""
    margin = empty_margin(plane)
    return None if margin is None or margin.all() else ~margin


def _write(
    source: Source, arguments: argparse.Namespace, measurement: Measurement, ground: np.ndarray, record: Provenance
) -> None:
    """Write what there is of an image; the graph as JSON last: where it stands everything stands."""
    outputs = _outputs(source, arguments)
    graph = outputs[0]
    graph.unlink(missing_ok=True)
    write_record(record_path(arguments.output, source.named), dict.fromkeys(outputs, record))
    write_graphml(graph.with_suffix(".graphml"), measurement)
    write_vtp(graph.with_suffix(".vtp"), measurement)
    if arguments.swc:
        cut = write_swc(graph.with_suffix(".swc"), measurement)
        if cut:
            tqdm.write(f"{source.mask}: {cut} loops are cut in {graph.with_suffix('.swc')}, which holds trees")
    write_overlay(outputs[-1], measurement, ground)
    rows = rows_of(source.name, measurement)
    write_json(graph, measurement, {"record": record.record, "remarks": list(measurement.remarks), "rows": rows})


def _table_paths(output: Path) -> list[Path]:
    return [output / f"{name}.csv" for name in (*TABLES, "definitions")]


def _write_tables(output: Path) -> None:
    """The tables of all images whose graph lies in OUT."""
    read = [read_rows(path) for path in sorted(output.glob("*_graph.json"))]
    rows = [found for found in read if found is not None]
    for name, table in TABLES.items():
        write_table(output / f"{name}.csv", table, (row for found in rows for row in found[name]))
    kinds = dict.fromkeys((row["unit"], len(row["axes"])) for found in rows for row in found["images"])
    write_definitions(output / "definitions.csv", list(kinds))


def _summary(measurement: Measurement) -> str:
    row, unit = measurement.image, "µm" if measurement.unit == "micrometer" else "pixels"
    return (
        f"{row['segments']} vessels, {row['length']:.4g} {unit} long, "
        f"{row['diameter_length_weighted']:.3g} {unit} wide, {row['branch_points']} branch points, {row['loops']} loops"
    )


def _by(shape: Sequence[int]) -> str:
    return " × ".join(map(str, shape))


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no number of 0 or more")
    return value
