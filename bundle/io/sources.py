"""Which images a run is of, each with a NAME of its own: what its words mean, or all that the files hold."""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import InputError
from .formats import open_recordings
from .image import Recording, relabel
from .inputs import expand, image_name
from .provenance import read_record
from .source import Source

__all__ = ["raw_images", "sources"]

logger = logging.getLogger(__name__)

ALL = "all"
# option: the axis that it chooses along
AXES = {"channel": "C", "time": "T", "position": "R"}
PART = "scene"


def sources(
    inputs: Iterable[str | Path], options: Mapping[str, Any] | None = None, stacks: Iterable[str | Path] = ()
) -> list[Source]:
    """Expand files, folders and patterns to the images that they mean.

    Of folders and patterns what earlier runs wrote is left out, and said; a fused image is one like others, unless its
    mask lies beside it. Where an option is ``all``, each channel, time point, position or scene of a file is an input
    of its own, ``NAME_channel-1``; all scenes of a plate are its fields, ``A-1-0``. Files of one name are told apart by
    their folders, ``mouse1-stack``.

    Args:
        inputs: files, folders and glob patterns.
        options: how files are read, as of :func:`bundle.io.open_image`; its values may be ``all``.
        stacks: folders of single images, each of which is one stack.

    Raises:
        InputError: an input is missing, nothing is meant, or two images would have one NAME.
    """
    options = options or {}
    paths = dict.fromkeys(path for given in inputs for path in raw_images(given))
    for folder in map(Path, stacks):
        if not folder.is_dir():
            raise InputError(folder, "is no folder of slices", "name the folder that holds them")
        paths[folder] = None
    if not paths:
        raise InputError(None, "no image given", "name files, folders or patterns")
    wanted = [option for option in (PART, *AXES) if _is_all(options.get(option))]
    found = []
    for path in paths:
        fields = _fields(path) if PART in wanted else [path]
        for field in fields:
            if field == path:
                folders, name = path.resolve().parts[1:-1], image_name(path)
            else:
                folders, name = (*path.resolve().parts[1:-1], image_name(path)), "-".join(field.relative_to(path).parts)
            found += [_Found(source, folders) for source in _each(field, name, wanted, options)]
    return _named_apart(found)


class _Found(NamedTuple):
    """An input, and the folders whose names may tell it from others."""

    source: Source
    folders: tuple[str, ...]


def raw_images(given: str | Path) -> list[Path]:
    """Expand one file, folder or pattern to the files it means, without those of a folder that earlier runs wrote.

    Raises:
        InputError: it means none.
    """
    given = Path(given)
    files = expand(given)
    return files if files == [given] else _raw(files, given)


def _is_all(value: object) -> bool:
    return isinstance(value, str) and value.casefold() == ALL


def _raw(files: list[Path], given: Path) -> list[Path]:
    """The files that no earlier run wrote."""
    records = {path: read_record(path) for path in files}
    segmented = {
        path.name.rpartition("_")[0] for path, record in records.items() if record and path.stem.endswith("_mask")
    }
    left = {
        path
        for path, record in records.items()
        if record
        and not (record.get("made_by") == "fuse" and "_fused" in path.name and _before_kind(path) not in segmented)
    }
    if left:
        named = ", ".join(sorted(path.name for path in left)[:3]) + ", …" * (len(left) > 3)
        logger.warning("%s: %d outputs of earlier runs are left out (%s)", given, len(left), named)
    kept = [path for path in files if path not in left]
    if not kept:
        raise InputError(given, "holds nothing but outputs of earlier runs", "give the folder of the images themselves")
    return kept


def _before_kind(path: Path) -> str:
    return path.name.rpartition("_")[0]


def _fields(path: Path) -> list[Path]:
    """The folders of a plate's fields, or of a well's; the path itself of everything else."""
    for note in (path / ".zattrs", path / "zarr.json"):
        try:
            about = json.loads(note.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        about = about.get("attributes", about)
        about = about.get("ome", about)
        try:
            if "plate" in about:
                wells = [path / well["path"] for well in about["plate"]["wells"]]
                return [field for well in wells for field in _fields(well)]
            if "well" in about:
                return [path / field["path"] for field in about["well"]["images"]]
        except (KeyError, TypeError) as error:
            raise InputError(
                path, "is a plate whose description is damaged", "name the folders of its images"
            ) from error
    return [path]


def _each(path: Path, name: str, wanted: list[str], options: Mapping[str, Any]) -> list[Source]:
    """One input for each of the things of which all are wanted, if there is more than one."""
    if not wanted:
        return [Source(path, name)]
    try:
        recordings = open_recordings(path)
    except InputError:
        return [Source(path, name)]  # said when it is opened, and the others go on
    scenes = list(enumerate(recordings))
    if PART not in wanted and options.get(PART) is not None:
        scenes = [pair for pair in scenes if str(options[PART]).casefold() in (str(pair[0]), pair[1].name.casefold())]
    elif PART not in wanted:
        scenes = scenes[:1]  # if there are more, it is said when the file is opened
    found: list = []
    for number, recording in scenes or list(enumerate(recordings))[:1]:
        if options.get("axes") is not None:
            recording = relabel(recording, options["axes"])
        places = [("scene", number, len(recordings))] if PART in wanted else []
        found += _combined(Source(path, name), places, [option for option in wanted if option != PART], recording)
    return found


def _combined(
    source: Source, chosen: list[tuple[str, int, int]], wanted: list[str], recording: Recording
) -> Iterator[Source]:
    if wanted:
        option, *rest = wanted
        size = recording.size
        count = size.get(AXES[option], 1)
        if option == "channel" and count == 1:
            count = min(size.get("S", 1), 3)  # the colours of a coloured image
        for number in range(count):
            yield from _combined(source, [*chosen, (option, number, count)], rest, recording)
        return
    told = "".join(f"_{option}-{number}" for option, number, count in chosen if count > 1)
    yield Source(source.path, source.name + told, {option: number for option, number, _ in chosen})


def _named_apart(found: list[_Found]) -> list[Source]:
    """Tell images of one NAME apart by the folders in which they lie."""
    once: dict[tuple, _Found] = {}
    for one in found:  # a file that was named twice is one
        once.setdefault((one.source.path.resolve(), *sorted(one.source.choices.items())), one)
    alike: dict[str, list[_Found]] = defaultdict(list)
    for one in once.values():
        alike[one.source.name.casefold()].append(one)  # A and a are one file on many disks
    result = [
        Source(one.source.path, _longer(one, _depth(alike[one.source.name.casefold()])), one.source.choices)
        for one in once.values()
    ]
    taken: dict[str, Source] = {}
    collisions = []
    for source in result:
        other = taken.setdefault(source.name.casefold(), source)
        if other is not source:
            collisions.append((source, other))
    if collisions:
        (source, other), *more = collisions
        also = "".join(f", {a.path.name} as {b.path.name}" for a, b in more[:9]) + ", …" * (len(more) > 9)
        raise InputError(
            source.path,
            f"has the same name as {other.path}{also}, so that their results would collide",
            "rename one of each",
        )
    return result


def _depth(group: list[_Found]) -> int:
    """How many folders tell a group of one NAME apart; none if no number does."""
    for depth in range(min(len(one.folders) for one in group) + 1):
        if len({_longer(one, depth).casefold() for one in group}) == len(group):
            return depth
    return 0


def _longer(one: _Found, depth: int) -> str:
    return "-".join([*one.folders[len(one.folders) - depth :], one.source.name])
