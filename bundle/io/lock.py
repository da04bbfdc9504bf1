"""Work that one process does at a time."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from ..errors import InputError
from .atomic import plainly

_WITHOUT_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP}  # as some network shares say


@contextmanager
def alone(path: str | Path, source: str | Path) -> Iterator[None]:
    """Keep other processes out while the ``with`` lasts; one that is killed keeps nobody out.

    On a disk that has no locks nobody is kept out.

    Args:
        path: a hidden file that stands for the work; its folder is made if it is missing.
        source: the input that is worked on, for the message.

    Raises:
        InputError: another process is at it, or nothing can be written there.
    """
    path = Path(path)
    lock = FileLock(path)
    with plainly(path, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            problem = f"is being worked on by another process, for {path.parent}"
            raise InputError(source, problem, "wait for it, or choose another output folder") from error
        except OSError as error:
            if error.errno not in _WITHOUT_LOCKS:
                raise
    try:
        yield
    finally:
        with suppress(OSError):  # where an open file cannot be removed
            path.unlink()
        lock.release()
