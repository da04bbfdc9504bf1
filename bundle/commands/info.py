"""Tell how files are read: axes, shape, type, pixel size, channels, time points, scenes. No pixel is read.

Examples:
  python -m bundle info stack.oib
  python -m bundle info "images/*.tif"
  python -m bundle info plain.tif --axes ZCYX --channel 1      would it be read like this?
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import InputError, printable
from ..io import Recording, choose, expand, open_recordings, plausible_spacing, relabel
from .words import add_choice_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="files, folders or patterns")
    add_choice_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print a paragraph for each file; a bad one is said and the others go on."""
    options = {name: getattr(arguments, name) for name in ("channel", "time", "scene", "position", "axes")}
    failed = 0
    for given in arguments.files:
        try:
            paths = expand(Path(given))
        except InputError as error:
            print(error, file=sys.stderr)
            failed += 1
            continue
        for path in paths:
            try:
                print("\n".join(map(printable, _describe(path, options))), flush=True)
            except InputError as error:
                print(error, file=sys.stderr)
                failed += 1
    return 1 if failed else 0


def _describe(path: Path, options: dict[str, Any]) -> Iterator[str]:
    scenes = open_recordings(path)
    try:
        image = choose(scenes, **options)
        reading = f"{image.axes} {_by(image.shape)}"
        if any(scene.size.get("S", 1) > 1 for scene in scenes) and options["channel"] is None:
            reading += ", if they are equal; else choose one with --channel"
    except InputError as error:
        if any(options.values()):
            raise
        reading = f"nothing yet: {error.problem}; {error.remedy}"
    yield str(path)
    for number, scene in enumerate(scenes):
        if len(scenes) > 1:
            yield f"  scene {number}: {scene.name}".rstrip(": ")
        axes = f"{scene.axes} (the slices are pages of which the file says nothing)" if scene.undeclared else scene.axes
        if options["axes"] is not None:
            scene = relabel(scene, options["axes"])
            axes = scene.axes
        size = scene.size
        channels = ", ".join(f"{i} {name}" for i, name in enumerate(scene.channels))
        if size.get("S", 1) > 1:
            kind = "colours" if "red" in scene.sample_names else "samples"
            channels = f"{kind}: {', '.join(scene.sample_names)}"
        yield f"    axes      {axes}"
        yield f"    shape     {_by(scene.shape)}"
        yield f"    type      {scene.dtype.name}"
        yield f"    spacing   {_spacing(scene)}"
        yield f"    channels  {size.get('C', 1)}{f' ({channels})' if channels else ''}"
        yield f"    times     {size.get('T', 1)}"
        if size.get("R", 1) > 1:
            positions = ", ".join(f"{i} {name}" for i, name in enumerate(scene.positions))
            yield f"    positions {size['R']}{f' ({positions})' if positions else ''}"
        if scene.problem is not None:
            yield f"    is not read: {'; '.join(scene.problem)}"
    yield f"  scenes      {len(scenes)}"
    yield f"  is read as  {reading}"


def _spacing(scene: Recording) -> str:
    lengths = [axis for axis in "ZYX" if scene.size.get(axis, 1) > 1 or axis in "YX"]
    stated = plausible_spacing(scene.path, {axis: scene.spacing.get(axis) for axis in lengths})
    text = ", ".join(f"{axis} {length:.6g} µm" for axis, length in stated.items())
    missing = [axis for axis in lengths if axis not in stated]
    if not missing:
        return text
    unknown = "not stated: lengths will be in pixels"
    return f"{text}; {', '.join(missing)} {unknown}" if stated else unknown


def _by(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))
