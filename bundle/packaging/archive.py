"""Zip files whose bytes depend on their contents alone."""

from __future__ import annotations

import io
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path

from ..io import atomic

__all__ = ["write_archive", "zipped"]

_FIRST_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can tell


def zipped(files: Mapping[str, bytes]) -> bytes:
    """Zip files in the order of their names, all of one date and one set of permissions.

    They are stored and not compressed: the bulk is weights, which do not shrink, and compressed bytes would differ
    between versions of zlib.

    Args:
        files: contents by path within the archive, with forward slashes.

    Returns:
        The archive.
    """
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _FIRST_DATE)
            entry.create_system = 3  # Unix, on every system
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(entry, files[name])
    return stream.getvalue()


def write_archive(path: str | Path, files: Mapping[str, bytes]) -> None:
    """Write :func:`zipped` files.

    Raises:
        InputError: the archive cannot be written.
    """
    with atomic(path) as partial:
        partial.write_bytes(zipped(files))
