"""Which formats are read, and by which module: a further format is one file and one line here."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError
from . import ome_xml
from .image import Image, Recording, choose, first_line

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
}


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
    if not path.is_dir():
        return False
    return path.suffix.lower() == ".zarr" or any((path / name).is_file() for name in (".zgroup", "zarr.json"))


def parts(path: Path) -> list[Path]:
    """Return the files that are read as parts of this one, and are no images of their own beside it."""
    if not path.name.lower().endswith(".companion.ome"):
        return []
    try:
        images = ome_xml.parse(path.read_text(encoding="utf-8")).images
    except (OSError, ValueError):  # said when the file is opened
        return []
    return [path.with_name(data.file) for image in images for data in image.data if data.file]


def open_recordings(path: str | Path) -> list[Recording]:
    """Open a file and return its scenes; no pixel is read.

    Raises:
        InputError: the file is missing, empty, damaged, or of a format that is not read.
    """
    path = Path(path)
    suffix = _suffix(path)
    if not path.exists():
        raise InputError(path, "no such file", "check the name")
    if path.is_dir() and suffix != ".zarr":
        raise InputError(path, "is a folder", "name a file in it")
    if suffix not in READERS:
        kind = f"files ending in {suffix} are not read" if suffix else "a file without a suffix is not read"
        raise InputError(path, kind, f"readable are {', '.join(READERS)}")
    try:
        if path.stat().st_size == 0:
            raise InputError(path, "is empty (0 bytes)", "get another copy")
        module = importlib.import_module(f".{READERS[suffix]}", __package__)
        recordings = module.recordings(path)
    except InputError:
        raise
    except Exception as error:  # on damaged files the libraries raise whatever they come across
        reason = error.strerror if isinstance(error, OSError) and error.strerror else first_line(error)
        raise InputError(
            path, f"cannot be read ({reason})", "check that it is whole and that you may read it"
        ) from error
    for recording in recordings:
        if recording.dtype.kind not in "buif":
            raise InputError(path, f"holds {recording.dtype} values", "only real numbers are read")
        if 0 in recording.shape:
            raise InputError(path, "holds no pixels", "get another copy")
    return recordings


def open_image(
    path: str | Path,
    *,
    channel: int | str | None = None,
    time: int | str | None = None,
    scene: int | str | None = None,
    axes: str | None = None,
    spacing: Sequence[float] | None = None,
) -> Image:
    """Open one image or stack; its planes are read when asked for.

    Args:
        path: a file of the formats in ``READERS``.
        channel: index from 0, or name; for a colour image 0, 1, 2 or ``red``, ``green``, ``blue``.
        time: index of the time point, from 0.
        scene: index from 0, or name.
        axes: what the stored dimensions are, where the file does not say or is wrong, such as ``"ZYX"``.
        spacing: micrometres along Z, Y, X (of an image: Y, X), instead of the file's.

    Raises:
        InputError: the file cannot be read as one image or stack; the message says why and what to do.
    """
    return choose(open_recordings(path), channel=channel, time=time, scene=scene, axes=axes, spacing=spacing)
