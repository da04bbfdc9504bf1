"""Libraries that only some formats need: they come with the extra ``formats``."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

from ..errors import InputError


def library(name: str, path: str | Path, form: str) -> ModuleType:
    """Import the library of a format.

    Args:
        name: the module's name.
        path: the file that needs it, for the message.
        form: the format's name, for the message.

    Raises:
        InputError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(
            path, f"{form} needs the package {name.split('.')[0]}", "pip install 'vessel-cascades[formats]'"
        ) from error
