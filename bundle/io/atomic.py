"""Files and folders that appear under their final name only when they are whole."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from ..errors import InputError

_PLAIN = {
    errno.ENOSPC: ("no room left on the disk", "free some space or choose another output folder"),
    errno.EDQUOT: ("no room left on the disk (quota)", "free some space or choose another output folder"),
    errno.EFBIG: ("the file is too large for this disk", "choose another output folder"),
    errno.ENAMETOOLONG: ("the name is too long for this disk", "choose a shorter name"),
}
_CLOSED = ("cannot write there", "choose an output folder that exists or can be made, and that you may write to")
for _number in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOENT):
    _PLAIN[_number] = _CLOSED

# what NumPy and Pillow say of a write that ended early, without its cause
_SHORT = re.compile(r"requested and \d+ written|encoder error -2")

# machine, process, chance: a name of _hidden
_LEFT = re.compile(r"\.([0-9a-f]{8})([0-9a-f]{8})[0-9a-f]{8}-")


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Write a file beside its destination and move it there when it is whole.

    Missing folders are made. The temporary name is hidden and ends like ``path``, since many writers choose the
    format by the suffix.

    Args:
        path: where the file shall stand.

    Yields:
        The temporary path to write to.

    Raises:
        InputError: no room on the disk, no permission, a file where a folder should be.
    """
    path = Path(path)
    partial = _hidden(path)
    with plainly(path, partial):
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path.parent)
        try:
            yield partial
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Write a folder that is one image beside its destination and move it there when it is whole.

    Args:
        path: where the folder shall stand. One of that name is replaced if its suffix is the same, as a file would
            be; its old contents stay until the new ones are whole.

    Yields:
        The temporary folder to write to; it is there and empty.

    Raises:
        InputError: as for :py:func:`atomic`; or a file of the name is there.
    """
    path = Path(path)
    partial, old = _hidden(path), _hidden(path)
    with plainly(path, partial):
        if path.exists() and not path.is_dir():
            raise InputError(path, *_CLOSED)
        partial.mkdir(parents=True)
        _sweep(path.parent)
        try:
            yield partial
            if path.is_dir():
                path.replace(old)
            partial.replace(path)
        finally:
            if old.is_dir() and not path.exists():
                old.replace(path)
            for left in (partial, old):
                shutil.rmtree(left, ignore_errors=True)


@contextmanager
def scratch_folder(path: str | Path) -> Iterator[Path]:
    """A hidden folder that only this user may open, and that is gone afterwards.

    That of a killed process goes when the next one writes beside it.

    Args:
        path: what it stands for; it lies beside that.

    Raises:
        InputError: it cannot be made.
    """
    path = Path(path)
    folder = _hidden(path)
    with plainly(path.parent, folder):
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path.parent)
        folder.mkdir(0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_writable(folder: str | Path) -> None:
    """Make sure, before any work, that files can be written to a folder, which need not be there yet.

    Where it is not, the folder that it would be made in is tried. Nothing stays of the trial.

    Args:
        folder: to write to.

    Raises:
        InputError: nothing can be written there.
    """
    folder = Path(folder)
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if os.path.lexists(path))
    trial = _hidden(there / "trial")
    with plainly(folder, trial):
        with suppress(FileNotFoundError):
            folder.stat()  # a name may be too long
        try:
            trial.touch()
        finally:
            with suppress(OSError):
                trial.unlink()


def _hidden(path: Path) -> Path:
    """A name that tells which process of which machine writes there."""
    return path.with_name(f".{_machine()}{os.getpid():08x}{uuid.uuid4().hex[:8]}-{path.name[-40:]}")


@cache
def _machine() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


@cache
def _sweep(folder: Path) -> None:
    """Remove, once in a process, what killed processes of this machine left half-written in a folder."""
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        owner = _LEFT.match(entry.name)
        if owner and owner[1] == _machine() and not _runs(int(owner[2], 16)):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                with suppress(OSError):
                    os.unlink(entry.path)


def _runs(process: int) -> bool:
    if os.name == "nt":
        return True  # where asking would end it
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


@contextmanager
def plainly(path: Path, partial: Path) -> Iterator[None]:
    """Say in plain words why an output cannot be written.

    Args:
        path: where the output shall stand.
        partial: where it is written.

    Raises:
        InputError: it cannot.
    """
    try:
        yield
    except OSError as error:
        # an input that cannot be read while an output is being written is not the output's fault
        partial, path = partial.absolute(), path.absolute()  # as some libraries name them
        own = (partial, path, *path.parents)
        named = None if error.filename is None else Path(error.filename).absolute()
        if named is not None and named not in own and partial not in named.parents:
            raise
        raise _plain(path, error) from error


def _plain(path: Path, error: OSError) -> InputError:
    number = error.errno
    if number is None and (
        _SHORT.search(str(error)) or (path.parent.is_dir() and shutil.disk_usage(path.parent).free < 1 << 20)
    ):
        number = errno.ENOSPC
    unknown = f"cannot be written ({error.strerror or error})"
    return InputError(path, *(_PLAIN.get(number or 0) or (unknown,)))


def remove(path: Path) -> None:
    """Remove an output, a file or a folder that is one image; none is nothing amiss.

    Raises:
        OSError: it cannot be removed.
    """
    if path.suffix == ".zarr" and path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
