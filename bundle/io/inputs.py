"""The names of inputs, and the files that a command line means."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from pathlib import Path

from ..errors import InputError
from .formats import is_folder_format, is_readable, parts

_DOUBLE = (".ome.tif", ".ome.tiff", ".nii.gz", ".ome.zarr", ".companion.ome")


def image_name(path: str | Path) -> str:
    """Return the NAME of an input: its file name without suffix.

    ``.ome.tif``, ``.ome.tiff`` and ``.nii.gz`` count as one suffix.
    """
    name = Path(path).name
    double = next((suffix for suffix in _DOUBLE if name.lower().endswith(suffix)), None)
    return name[: -len(double)] if double and len(name) > len(double) else Path(name).stem


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
    """Expand one file, folder or pattern to the files it means; see :py:func:`list_images`."""
    if given.is_file() or is_folder_format(given):
        return [given]
    if given.is_dir():
        files = sorted(path for path in given.iterdir() if is_readable(path) and _is_image(path))
        described = {part for path in files for part in parts(path)}
        files = [path for path in files if path not in described]
        if not files:
            raise InputError(given, "no image in this folder", "give a folder of images, or the files themselves")
        return files
    pattern = str(given)
    files = sorted(path for path in map(Path, glob.glob(pattern)) if _is_image(path))
    if not files:
        raise InputError(given, "no such file or folder", "check the name")
    return files


def _is_image(path: Path) -> bool:
    return not path.name.startswith(".") and (path.is_file() or is_folder_format(path))
