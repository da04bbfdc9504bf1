"""Which formats are read, and by which module: a further format is one file and one line here."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError
from . import content, ndtiff, ome_files
from .image import Image, Recording, choose

logger = logging.getLogger(__name__)

# suffix: module of this package with `recordings(path) -> list[Recording]`
READERS = {
    ".tif": "tiff",
    ".tiff": "tiff",
    ".lsm": "tiff",
    ".companion.ome": "tiff",
    ".png": "picture",
    ".jpg": "picture",
    ".jpeg": "picture",
    ".bmp": "picture",
    ".nii": "nifti",
    ".nii.gz": "nifti",
    ".oib": "olympus",
    ".oif": "olympus",
    ".zarr": "ome_zarr",
    ".czi": "czi",
    ".lif": "lif",
    ".nd2": "nd2",
    ".ims": "imaris",
}
SUFFIXES = tuple(READERS)


def _suffix(path: Path) -> str:
    if is_folder_format(path):
        return ".zarr"
    name = path.name.lower()
    return next((double for double in (".nii.gz", ".companion.ome") if name.endswith(double)), path.suffix.lower())


def is_readable(path: Path) -> bool:
    """Tell by the suffix whether a reader exists."""
    return _suffix(path) in READERS


def is_folder_format(path: Path) -> bool:
    """Tell whether a folder is an image, or a collection of images, of a format that is stored as a folder."""
    try:
        if not path.is_dir():
            return False
        return path.suffix.lower() == ".zarr" or any((path / name).is_file() for name in (".zgroup", "zarr.json"))
    except OSError:  # no permission to look into it
        return False


def together(path: Path) -> set[Path]:
    """The files that are read as one recording with this one, and are no images of their own beside it.

    Whatever is amiss is said when the file is opened.
    """
    name = path.name.lower()
    try:
        if name.endswith((".ome.tif", ".ome.tiff", ".companion.ome")):
            return ome_files.members(path)
        if name.endswith((".tif", ".tiff")):
            found = set(ndtiff.members(path.parent))
            return found if path in found else {path}
    except Exception as error:  # libraries raise what they come across
        logger.debug("%s", path, exc_info=error)
    return {path}


def parts(path: Path) -> list[Path]:
    """The other files that are read as one recording with this one."""
    return sorted(together(path) - {path})


def open_recordings(path: str | Path) -> list[Recording]:
    """Open a file and return its scenes; no pixel is read.

    What kind of file it is, its beginning says; only if that says nothing, its name.

    Raises:
        InputError: the file is missing, empty, damaged, or of a format that is not read.
    """
    path = Path(path)
    try:
        recordings = importlib.import_module(f".{_module(path)}", __package__).recordings(path)
        for recording in recordings:
            if recording.dtype.kind not in "buif":
                raise InputError(path, f"holds {recording.dtype} values", "only real numbers are read")
            if 0 in recording.shape:
                raise InputError(path, "holds no pixels", "get another copy")
    except InputError:
        raise
    except MemoryError as error:
        raise InputError(path, "does not fit into memory", "cut it into smaller ones") from error
    except Exception as error:  # on damaged files the libraries raise whatever they come across
        logger.debug("%s", path, exc_info=error)
        if isinstance(error, OSError) and error.errno and error.strerror:
            raise InputError(
                path, f"cannot be read ({error.strerror})", "check that it is there and that you may read it"
            ) from error
        raise InputError(path, "is damaged, or not of the kind that its name says", "get another copy") from error
    return recordings


def _module(path: Path) -> str:
    """The module that reads a file."""
    suffix = _suffix(path)
    if not path.exists():
        raise InputError(path, "no such file", "check the name")
    if path.is_dir():
        return READERS.get(suffix if suffix == ".zarr" else "", "slices")
    if path.stat().st_size == 0:
        raise InputError(path, "is empty (0 bytes)", "get another copy")
    module = content.module_of(path, content.beginning(path))
    foreign = content.unread(path)
    if foreign is not None and (module not in ("tiff", "picture", "nifti") or path.suffix.lower() == ".stk"):
        what, remedy = foreign
        raise InputError(path, f"is {what}, which is not read", remedy)
    if module is None and suffix not in READERS:
        kind = f"files ending in {suffix} are not read" if suffix else "a file without a suffix is not read"
        raise InputError(path, kind, f"readable are {', '.join(READERS)}")
    return module or READERS[suffix]


def open_image(
    path: str | Path,
    *,
    channel: int | str | None = None,
    time: int | str | None = None,
    scene: int | str | None = None,
    position: int | str | None = None,
    axes: str | None = None,
    spacing: Sequence[float] | None = None,
) -> Image:
    """Open one image or stack; its planes are read when asked for.

    Args:
        path: a file of the formats in ``READERS``.
        channel: index from 0, or name; for a colour image 0, 1, 2 or ``red``, ``green``, ``blue``.
        time: index of the time point, from 0.
        scene: index from 0, or name.
        position: of the stage; index from 0, or name.
        axes: what the stored dimensions are, where the file does not say or is wrong, such as ``"ZYX"``.
        spacing: micrometres along Z, Y, X (of an image: Y, X), instead of the file's.

    Raises:
        InputError: the file cannot be read as one image or stack; the message says why and what to do.
    """
    return choose(
        open_recordings(path),
        channel=channel,
        time=time,
        scene=scene,
        position=position,
        axes=axes,
        spacing=spacing,
    )
