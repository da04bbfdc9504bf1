"""The names of inputs, and the files that a command line means."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from pathlib import Path

from ..errors import InputError
from .content import unread
from .formats import is_folder_format, is_readable, together
from .remarks import remark
from .source import Source

_ABOUT = {".txt", ".md", ".csv", ".json", ".xml", ".log"}  # what lies beside images for people
_NAMED = 5
_DOUBLE = (".ome.tif", ".ome.tiff", ".nii.gz", ".ome.zarr", ".companion.ome")


def image_name(path: str | os.PathLike) -> str:
    """Return the NAME of an input: its file name without suffix.

    ``.ome.tif``, ``.ome.tiff`` and ``.nii.gz`` count as one suffix. One that was given a NAME has that.
    """
    if isinstance(path, Source):
        return path.name
    name = Path(path).name
    double = next((suffix for suffix in _DOUBLE if name.lower().endswith(suffix)), None)
    return name[: -len(double)] if double and len(name) > len(double) else Path(name).stem


def as_source(path: str | Path | Source) -> Source:
    """Return an input with its NAME."""
    return path if isinstance(path, Source) else Source(Path(path), image_name(path))


def list_images(inputs: Iterable[str | Path]) -> list[Path]:
    """Expand files, folders and patterns to the files they mean.

    A path that exists is taken as it is, whatever characters its name holds. Of a folder the readable files are taken,
    hidden ones and subfolders not.

    Args:
        inputs: files, folders and glob patterns.

    Returns:
        The files in the order given, those of a folder or pattern sorted by name, each once.

    Raises:
        InputError: an input is missing, nothing readable is found, or two files have one NAME, but for its case.
    """
    found = dict.fromkeys(path for given in inputs for path in expand(Path(given)))
    if not found:
        raise InputError(None, "no image given", "name files, folders or patterns")
    by_name: dict[str, Path] = {}
    collisions: list[tuple[Path, Path]] = []
    for path in found:
        other = by_name.setdefault(image_name(path).casefold(), path)  # A and a are one file on many disks
        if other.resolve() != path.resolve():
            collisions.append((path, other))
    if collisions:
        (path, other), *more = collisions
        also = "".join(f", {a.name} as {b.name}" for a, b in more[:9]) + ", …" * (len(more) > 9)
        raise InputError(
            path, f"has the same name as {other}{also}, so that their results would collide", "rename one of each"
        )
    return list(by_name.values())


def expand(given: Path) -> list[Path]:
    """Expand one file, folder or pattern to the files it means; see :py:func:`list_images`.

    Of files that are read as one recording the first stands for all. What a folder holds beside is said.
    """
    try:
        if given.is_file() or is_folder_format(given):
            return [given]
        if given.is_dir():
            return _in_folder(given)
        files = sorted(path for path in map(Path, glob.glob(str(given))) if _is_image(path))
    except OSError as error:
        raise InputError(given, f"cannot be looked into ({error.strerror})", "check that you may read it") from error
    if not files:
        raise InputError(given, "no such file or folder", "check the name")
    return files


def _in_folder(folder: Path) -> list[Path]:
    entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    files = [path for path in entries if is_readable(path) and _is_image(path)]
    kept, parts = [], set()
    for path in files:
        if path in parts:
            continue
        recording = sorted(together(path) & set(files) | {path})
        # what describes the others has the name of the whole
        kept.append(next((one for one in recording if one.name.lower().endswith(".companion.ome")), path))
        parts.update(recording)
    if not kept:
        raise InputError(folder, "no image in this folder", _way_out(entries))
    left = [path for path in entries if path not in files and path.suffix.lower() not in _ABOUT]
    if left:
        named = ", ".join(f"{path.name}{_kind(path)}" for path in left[:_NAMED])
        more = f" and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
        remark(folder, f"leaves out what is no image that is read: {named}{more}")
    return kept


def _kind(path: Path) -> str:
    known = unread(path)
    return " (a folder)" if path.is_dir() else f" ({known[0]}: {known[1]})" if known else ""


def _way_out(entries: list[Path]) -> str:
    known = next((unread(path) for path in entries if unread(path)), None)
    if known is not None:
        return f"it holds {known[0]}: {known[1]}"
    return "give a folder of images, or the files themselves"


def _is_image(path: Path) -> bool:
    return not path.name.startswith(".") and (path.is_file() or is_folder_format(path))
