"""What a user should know of a file that is read all the same."""

from __future__ import annotations

import logging
import os
from functools import cache

from ..errors import printable

logger = logging.getLogger(__name__)


@cache
def remark(path: str | os.PathLike, text: str) -> None:
    """Log one line about a file, once per process, however often the file is opened."""
    logger.warning("%s", printable(f"{os.fspath(path)}: {text}"))
