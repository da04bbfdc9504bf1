"""What a user should know of a file that is read all the same."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache

from ..errors import printable

logger = logging.getLogger(__name__)
_quiet: ContextVar[bool] = ContextVar("quiet", default=False)


@cache
def remark(path: str | os.PathLike, text: str) -> None:
    """Log one line about a file, once per process, however often the file is opened."""
    logger.warning("%s", printable(f"{os.fspath(path)}: {text}"))


def hush(library: logging.Logger) -> None:
    """Let a library's log be silent within :py:func:`quiet`."""
    library.addFilter(lambda _record: not _quiet.get())


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the logs of libraries whose files are checked here: a user gets one line of ours, and none of theirs."""
    token = _quiet.set(True)
    try:
        yield
    finally:
        _quiet.reset(token)
