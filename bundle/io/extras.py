"""Libraries that only some formats need: they come with extras of this package."""

from __future__ import annotations

import importlib
import weakref
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import InputError


def format_library(name: str, path: str | Path | None, form: str, extra: str = "formats") -> ModuleType:
    """Import the library of a format.

    Args:
        name: the module's name.
        path: the file that needs it, for the message; None if it is no file.
        form: the format's name, for the message.
        extra: with which it comes.

    Raises:
        InputError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(
            path,
            f"{form} needs the package {name.split('.')[0]}",
            f"pip install -c constraints.txt -e '.[{extra}]' in the folder that was cloned",
        ) from error


class Kept:
    """An open file that the scenes of a recording share, closed when the last of their readers is gone.

    For formats whose directory takes too long to parse for every plane.

    Args:
        file: the file, with a method ``close``.
    """

    def __init__(self, file: Any) -> None:
        self.file = file
        weakref.finalize(self, file.close)
