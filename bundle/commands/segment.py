"""Segment vessels in images and stacks.

A stack is fused into one image that is in focus everywhere, then segmented; with --mode stack every slice is segmented
and the mask has the stack's slices. For each input NAME (its file name without suffix), OUT gets:

  NAME_mask.tif          0 and 255, rows and columns as in the input
  NAME_probability.tif   of a vessel, 0 to 1, before thresholds and clean-up
  NAME_disagreement.tif  of the two cascades, 0 to 1: high means look at this place first
  NAME_overlay.png       the mask's outline on the image
  NAME_fused.tif         of a stack that was fused, the fused image
  NAME_depth.tif         of a stack that was fused, each pixel's slice, counted from 0

With --measure the vessels of each mask are measured in the same run, as by "measure": the tables, graphs and pictures
that its help names lie in OUT too.

With --mode both a stack is segmented both ways and the two are reconciled: NAME_mask.tif has the stack's slices, and
NAME_mask_2d.tif is its projection; NAME_colour.png shows depth by colour, NAME_rendering.png the volume, and with
--surface stl (or ply) NAME_surface.stl is its surface, in micrometres where the voxels' size is known.

Of each mask it is said what Dice to expect of it (how alike to what a person would draw, 0 to 1). Where that is below
0.7 of an image or a fused stack, the weights of slices are asked as well, the mask of which more is expected is kept,
and a line says so; and there is a warning with the likeliest reason and a way out.
expected_dice.csv in OUT has a row for each mask (docs/trust.md).

At the end, if OUT has more than three masks of this command's weights and mode, also of earlier commands, those are
named on whose vessels the two cascades agree least: look at them first (not with --mode stack or both).

An input whose mask is there already is skipped, so that an interrupted command can be given again. With --mode stack a
stack goes on with the slices that are missing; those that are done lie in OUT/.NAME.parts until then. A bad input gives
one line, and the others go on. The steps are those of configs/inference.json.

With --cluster a stack is worked on by many processes: those of this machine (local), jobs of Slurm (slurm),
or the workers of a Dask scheduler (its address). OUT must be on a disk that all of them see (docs/guides/cluster.md).

Examples:
  python -m bundle segment image.tif --output masks
  python -m bundle segment stacks/*.oif --channel 1 --output masks
  python -m bundle segment stack.ome.tif --mode stack --output masks3d --format nifti
  python -m bundle segment stacks --measure --output measured
  python -m bundle segment big.ome.zarr --mode stack --cluster local --format ome-zarr --output masks3d
  python -m bundle segment images --scale 0.5 --output masks     vessels twice as wide as those the weights have seen
"""

from __future__ import annotations

import argparse
import gc
import logging
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError, input_error
from ..home import INFERENCE, ROOT, shipped_weights
from ..io import OUTPUT_SUFFIXES, Reading, check_writable, format_library
from .words import (
    add_cluster_arguments,
    add_reading_arguments,
    add_stack_argument,
    check_cluster,
    listed_sources,
    log_to_terminal,
    reading_options,
    started_workers,
)

if TYPE_CHECKING:
    from monai.bundle import ConfigParser

    from ..io import Source
    from ..runner import PlainConfig
    from ..volumes import Workers

logger = logging.getLogger(__name__)

SCALES = (0.01, 16)  # beyond, it is a slip of the pen


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    add_segmenting_arguments(parser)
    parser.add_argument("--measure", action="store_true", help="measure the vessels of the masks too")
    add_cluster_arguments(parser, "with --mode stack,")


def add_segmenting_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the inputs, and how they are segmented."""
    parser.add_argument("inputs", metavar="INPUT", nargs="*", help="files, folders or patterns")
    add_segmenting_words(parser)
    add_stack_argument(parser)


def add_segmenting_words(parser: argparse.ArgumentParser) -> None:
    """Declare output and how is segmented, the same for every command that segments."""
    parser.add_argument("--output", metavar="OUT", type=Path, required=True, help="folder to write to")
    parser.add_argument(
        "--mode",
        choices=("auto", "fused", "stack", "both"),
        default="auto",
        help="fuse stacks first, segment them slice by slice, or both, each correcting the other (default: auto, which "
        "fuses)",
    )
    parser.add_argument("--surface", choices=("stl", "ply"), help="with --mode both: the vessels' surface as a mesh")
    add_reading_arguments(parser)
    parser.add_argument(
        "--scale",
        metavar="FACTOR",
        type=_scale,
        help="resample by this factor and back, to the widths that the weights have seen; auto finds it (default: 1)",
    )
    parser.add_argument(
        "--contrast",
        choices=("slice", "volume"),
        help="with --mode stack, enhance each slice by its own grey values or by the whole stack's (default: slice)",
    )
    parser.add_argument(
        "--format", choices=tuple(OUTPUT_SUFFIXES), default="ome-tiff", help="format of images (default: %(default)s)"
    )
    parser.add_argument(
        "--weights",
        type=Path,
        help="a checkpoint of a training, or what adapt wrote, instead of the shipped ones: models/model.pt, and for "
        "slices (--mode stack and both) models/stack.pt",
    )
    parser.add_argument("--device", help="cpu, cuda, cuda:1 … (default: cuda where there is one)")
    parser.add_argument("--low", type=_share, help="lower threshold of the hysteresis (default: 0.45)")
    parser.add_argument("--high", type=_share, help="upper threshold of the hysteresis (default: 0.95)")
    parser.add_argument("--overwrite", action="store_true", help="make again what is there")


def run(arguments: argparse.Namespace) -> int:
    """Segment the inputs, one after the other.

    Returns:
        0 if every input was segmented or kept, 1 otherwise.
    """
    log_to_terminal()
    sources, failed = listed_sources(arguments.inputs, reading_options(arguments), arguments.stack_from)
    if not sources:
        return 1
    _check_cluster(arguments)
    if sys.stderr.isatty():  # who waits sees at once that it works; the import of PyTorch takes a second or more
        logger.info("%d input%s to segment, output in %s", len(sources), "s" * (len(sources) > 1), arguments.output)
    parser = configured(arguments, sources)
    with started_workers(arguments) as workers:
        if not arguments.measure:
            segment_files(parser, workers)
            return 1 if failed else 0
        from .measure import measure_segmented

        try:
            segment_files(parser, workers)
        except InputError as error:  # the masks that there are get their numbers all the same
            failed += 1
            print(error, file=sys.stderr)
        finished = parser.get_parsed_content("outputs").finished(sources)
        return 1 if measure_segmented(finished, arguments, workers=workers) or failed else 0


def _check_cluster(arguments: argparse.Namespace) -> None:
    if arguments.cluster and arguments.mode != "stack":
        raise InputError(None, "--cluster is for stacks slice by slice", "say --mode stack, or leave --cluster out")
    check_cluster(arguments)


def segment_files(parser: ConfigParser | PlainConfig, workers: Workers | None = None) -> None:
    """Segment what a config of :func:`configured` names.

    Args:
        parser: the config.
        workers: who works on stacks; this process if None.

    Raises:
        InputError: an input failed; its own line has been logged.
    """
    from ..networks import keep_memory, start_threads

    keep_memory()
    start_threads()
    try:
        segmenter = parser.get_parsed_content("segmenter")
        if workers is not None:
            segmenter.workers = workers
        segmenter.run()
    except Exception as exception:
        error = input_error(exception)
        if error is None:
            raise
        raise error from None


def configured(arguments: argparse.Namespace, sources: list[Source], plain: bool = True) -> ConfigParser | PlainConfig:
    """configs/inference.json with the command's words in their places.

    Args:
        arguments: of :func:`add_segmenting_arguments`.
        sources: the inputs.
        plain: read it without MONAI, if it holds nothing that needs it.
    """
    with _nothing_collected():
        from ..runner import usable_device

    mode = arguments.mode if arguments.mode in ("stack", "both") else "fused"
    parser = _config(mode, plain)
    weights, adapted = _weights(arguments)
    defaults = {name: parser[name] for name in ("scale", "low", "high")} | adapted
    scale, low, high = (
        defaults[name] if getattr(arguments, name) is None else getattr(arguments, name)
        for name in ("scale", "low", "high")
    )
    if low > high:
        raise InputError(None, f"--low {low:g} is above --high {high:g}", "exchange them")
    if arguments.surface and arguments.mode != "both":
        raise InputError(None, "--surface needs --mode both", "say --mode both, or leave --surface out")
    if arguments.contrast and arguments.mode not in ("stack", "both"):
        raise InputError(None, "--contrast is for slices, but stacks are fused here", "say --mode stack or both")
    check_writable(arguments.output)
    if arguments.format == "ome-zarr":
        format_library("zarr", arguments.output, "OME-Zarr")
    # paths and names go in as objects, since a config gives `#`, `$` and `@` in texts a meaning of its own
    parser["inputs"] = sources
    parser["output_folder"] = arguments.output
    parser["reading#0#reader"] = _reader(parser)(**reading_options(arguments))
    parser["bundle_root"] = str(ROOT)
    parser["weights_file"] = weights
    if arguments.weights is not None:
        parser["second_weights"] = None  # those that were asked for, and no others
    parser["mode"] = mode
    parser["surface"] = arguments.surface
    parser.update({"scale": scale, "low": low, "high": high, "overwrite": arguments.overwrite})
    parser["format"] = arguments.format
    if arguments.contrast or "contrast" in adapted:
        parser["contrast"] = arguments.contrast or adapted["contrast"]
    if arguments.device is not None:
        parser["device"] = usable_device(arguments.device)
    return parser


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """Leave what PyTorch and its like make when they are imported alone.

    It stays as long as the process, and to look through hundreds of thousands of its objects for garbage, again and
    again, takes a tenth of a second. In a process that has them already nothing is changed.
    """
    if "torch" in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _config(mode: str, plain: bool) -> ConfigParser | PlainConfig:
    from ..runner import PlainConfig

    config = PlainConfig(INFERENCE)
    if plain and config.can(mode):
        return config
    from monai.bundle import ConfigParser  # takes seconds

    parser = ConfigParser()
    parser.read_config(INFERENCE)
    return parser


def _reader(parser: ConfigParser | PlainConfig) -> type:
    from ..runner import PlainConfig

    if isinstance(parser, PlainConfig):
        return Reading
    from ..io import MicroscopyReader

    return MicroscopyReader


def _weights(arguments: argparse.Namespace) -> tuple[Path, dict[str, float | str]]:
    """The file of weights, and the settings of what ``adapt`` wrote for this mode."""
    if arguments.weights is None:
        return shipped_weights(arguments.mode), {}
    from ..adaptation import adapted_weights

    found = adapted_weights(arguments.weights)
    if found.settings is None or found.mode is None:
        return found.weights, {}
    mode = "stack" if arguments.mode in ("stack", "both") else "fused"
    if found.mode != mode:
        words = {"stack": "slices (--mode stack)", "fused": "single images and fused stacks"}
        logger.warning("%s: was adapted to %s; its settings are left out here", found.weights, words[found.mode])
        return found.weights, {}
    settings = found.settings.as_dict()
    return found.weights, settings if mode == "stack" else {n: v for n, v in settings.items() if n != "contrast"}


def _scale(text: str) -> float | str:
    if text == "auto":
        return text
    value = _number(text)
    if not SCALES[0] <= value <= SCALES[1]:
        raise argparse.ArgumentTypeError(f"{text} is neither auto nor a number from {SCALES[0]} to {SCALES[1]}")
    return value


def _number(text: str) -> float:
    """NaN, which is within no limits, if it is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _share(text: str) -> float:
    value = _number(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value
