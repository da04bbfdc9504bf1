"""Make weights and settings for your own images, from one annotated slice or a few scribbles.

Give one image and its label, or several pairs. A label is

  a mask        0 and one other value, of the image's size: every pixel of it was looked at; of labels, such as those
                of ilastik (1 and 2), --foreground says which is vessel
  scribbles     with --scribbles: 1 on vessels, 2 on background, 0 where nothing was drawn; strokes of both kinds

Of a stack that will be segmented slice by slice, give the stack, a label of one slice, and --slice with its number. A
label with all the stack's slices does as well: only slices on which something is drawn count.

What is best is tried on thirds of the annotation that are held back in turn; those of a slice also as bright and as
noisy as two other slices of its stack. Tried are: to leave everything as it is, other settings (contrast, scale,
thresholds), and weights that are trained further, of which some of the old is kept. A change must be worth a point of
Dice, and more than chance. OUT gets

  adapted.pt     weights and settings; give OUT to segment --weights
  adapted.json   what was tried, and its Dice on what was held back
  adapted.png    the mask before and after, on the first annotated image
  provenance.json  of which files and words all that was made

Keep an annotated slice aside to check by, if you can.

Examples:
  vessels adapt slice.tif slice_mask.tif --output mine
  vessels adapt stack.ome.tif slice12.tif --slice 12 --output mine
  vessels adapt a.tif a_strokes.png b.tif b_strokes.png --scribbles --output mine
  vessels segment stacks --mode stack --weights mine --output masks
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from ..errors import InputError
from ..home import INFERENCE, shipped_weights
from ..io import (
    Image,
    Provenance,
    check_writable,
    open_image,
    reading_record,
    record_path,
    refuse_others,
    vessels_of,
    why_no_mask,
    write_record,
)
from .words import add_foreground_argument, add_reading_arguments, reading_options

if TYPE_CHECKING:
    import torch

    from ..adaptation import Annotation

NAME = "adapted"  # of the files; the weights are bundle.adaptation.FILE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    parser.add_argument("files", metavar="IMAGE LABEL", nargs="+", type=Path, help="pairs of an image and its label")
    parser.add_argument("--output", metavar="OUT", type=Path, required=True, help="folder to write to")
    parser.add_argument(
        "--scribbles", action="store_true", help="labels are strokes: 1 vessel, 2 background, 0 nothing"
    )
    parser.add_argument("--slice", metavar="N", type=int, help="the slice that a flat label belongs to, counted from 0")
    parser.add_argument(
        "--mode",
        choices=("fused", "stack"),
        help="how images of this kind will be segmented (default: stack where a slice is annotated, else fused)",
    )
    add_foreground_argument(parser)
    add_reading_arguments(parser)
    parser.add_argument("--weights", type=Path, help="weights to begin from, instead of the shipped ones")
    parser.add_argument(
        "--steps",
        type=int,
        default=60,
        help="length of each of three trainings; 0: settings alone (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the trainings (default: %(default)s)")
    parser.add_argument("--device", help="cpu, cuda, cuda:1 … (default: cuda where there is one)")
    parser.add_argument("--overwrite", action="store_true", help="make again what is there")


def run(arguments: argparse.Namespace) -> int:
    """Adapt.

    Returns:
        0.
    """
    target = arguments.output / f"{NAME}.pt"
    if len(arguments.files) % 2:
        raise InputError(None, f"{len(arguments.files)} files are no pairs", "give IMAGE LABEL, IMAGE LABEL …")
    if arguments.scribbles and arguments.foreground is not None:
        raise InputError(None, "--foreground is of masks, and strokes are 1 and 2", "leave one of both words out")
    if arguments.steps < 0:
        raise InputError(None, f"--steps {arguments.steps} is below 0", "give 0 for settings alone, or leave it out")
    check_writable(arguments.output)
    start = time.perf_counter()
    # PyTorch takes a while, and what is above should be said at once
    from ..adaptation import Settings, adapt, best_start, write_adapted

    pairs = list(zip(arguments.files[::2], arguments.files[1::2], strict=True))
    annotations, mode = _annotations(pairs, arguments)
    network, weights = _network(arguments, mode)
    record = _provenance(arguments, mode, network)
    outputs = {arguments.output / f"{NAME}{suffix}": record for suffix in (".pt", ".json", ".png")}
    refuse_others(outputs, arguments.overwrite)
    if target.exists() and not arguments.overwrite:
        print(f"{target}: kept (--overwrite makes it again)")
        return 0
    settings = Settings("equalized" if mode == "fused" else "slice")
    if mode == "fused" and arguments.weights is None:  # segment asks the weights of slices too where it doubts
        other, file = _network(arguments, "stack")
        if best_start([network, other], annotations, settings):
            network, weights = other, file
            print(f"begins from {file.name}, which is better on what is labelled than the weights for images")
    with _Bars() as bars:
        adapted = adapt(
            network, annotations, settings, steps=arguments.steps, seed=arguments.seed, progress=bars.progress
        )
    record.confirm()
    target.unlink(missing_ok=True)  # it says that the others are there
    write_record(record_path(arguments.output), outputs)
    write_adapted(arguments.output, adapted, annotations[0], network, settings, mode, weights)
    print(f"Dice on what was held back: {', '.join(f'{name} {dice:.3f}' for name, dice in adapted.tried.items())}")
    words = {
        "unchanged": "nothing tried is surely better than the weights as they are",
        "settings": "other settings are best",
        "weights": "weights trained further are best",
    }
    values = ", ".join(f"{name} {value}" for name, value in adapted.settings.as_dict().items())
    print(f"{words[adapted.kind]}; settings: {values}; {time.perf_counter() - start:.0f} s")
    mode_words = " --mode stack" if mode == "stack" else ""
    print(f"{target}: look at {NAME}.png beside it, then: vessels segment …{mode_words} --weights {arguments.output}")
    return 0


def _provenance(arguments: argparse.Namespace, mode: str, network: torch.nn.Module) -> Provenance:
    """What the weights are made of."""
    from ..segmentation import fingerprint_of_network

    own = {name: getattr(arguments, name) for name in ("scribbles", "slice", "steps", "seed", "foreground")}
    options = {**reading_record(reading_options(arguments), {}), **own, "mode": mode}
    return Provenance.of("adapt", arguments.files, options, fingerprint_of_network(network)[:16])


def _annotations(pairs: list[tuple[Path, Path]], arguments: argparse.Namespace) -> tuple[list[Annotation], str]:
    """What the files say, and the mode that they are of."""
    options = reading_options(arguments)
    images = [open_image(image, **options) for image, _ in pairs]
    labels = [_label(label, arguments) for _, label in pairs]
    stacks = [len(image) > 1 for image in images]
    mode = arguments.mode or ("stack" if any(stacks) else "fused")
    if arguments.slice is not None and not any(stacks):
        raise InputError(pairs[0][0], "is no stack, --slice has no meaning", "leave --slice out")
    annotations = []
    for (path, label_path), image, label in zip(pairs, images, labels, strict=True):
        if mode == "fused":
            annotations.append(_of_image(path, label_path, image, label, arguments.scribbles))
        else:
            annotations += _of_slices(path, label_path, image, label, arguments)
    if len({tuple(annotation.images) for annotation in annotations}) > 1:
        raise InputError(None, "slices of stacks and single images are of two kinds", "adapt to each by itself")
    return annotations, mode


def _label(path: Path, arguments: argparse.Namespace) -> np.ndarray:
    """Strokes as they are drawn; of masks and labels where vessel is."""
    array = open_image(path).array()
    if arguments.scribbles:
        return array
    wrong = why_no_mask(array, arguments.foreground)
    if wrong is not None:
        raise InputError(path, wrong[0], f"{wrong[1]}; say --scribbles if they are strokes 1 and 2")
    return vessels_of(array, arguments.foreground).astype(np.uint8)


def _of_image(path: Path, label_path: Path, image: Image, label: np.ndarray, scribbles: bool) -> Annotation:
    from ..adaptation import annotated_image

    try:
        return annotated_image(str(path), image.array(), label, scribbles=scribbles)
    except ValueError as error:
        raise InputError(label_path, str(error)) from error


def _of_slices(
    path: Path, label_path: Path, image: Image, label: np.ndarray, arguments: argparse.Namespace
) -> list[Annotation]:
    from ..adaptation import annotated_slices

    stack = image.array().reshape(-1, *image.shape[-2:])
    if label.ndim == 3 and len(label) != len(stack):
        raise InputError(label_path, f"has {len(label)} slices, {path} {len(stack)}", "give a label of one slice")
    if label.ndim == 3:
        drawn = {z: label[z] for z in range(len(label)) if label[z].any()}
        if not drawn:
            raise InputError(label_path, "is empty", "give a label on which something is drawn")
    elif len(stack) == 1:
        drawn = {0: label}
    elif arguments.slice is None:
        raise InputError(label_path, f"is of one slice, {path} has {len(stack)}", "say with --slice N which, from 0")
    elif not 0 <= arguments.slice < len(stack):
        raise InputError(path, f"has no slice {arguments.slice}", f"give --slice from 0 to {len(stack) - 1}")
    else:
        drawn = {arguments.slice: label}
    try:
        return annotated_slices(str(path), stack, drawn, scribbles=arguments.scribbles)
    except ValueError as error:
        raise InputError(label_path, str(error)) from error


def _network(arguments: argparse.Namespace, mode: str) -> tuple[torch.nn.Module, Path]:
    from monai.bundle import ConfigParser

    from ..runner import usable_device

    config = ConfigParser()
    config.read_config(INFERENCE)
    weights = arguments.weights or shipped_weights(mode)
    config["weights_file"] = weights
    if arguments.device is not None:
        config["device"] = usable_device(arguments.device)
    return config.get_parsed_content("network").eval(), weights


class _Bars:
    """A progress bar for each stage."""

    def __enter__(self) -> _Bars:
        self.bar: tqdm | None = None
        self.stage = ""
        return self

    def progress(self, stage: str, step: int, of: int) -> None:
        if self.bar is None or stage != self.stage:
            self.__exit__()
            self.bar, self.stage = tqdm(total=of, desc=stage, disable=None), stage
        self.bar.update()

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()
