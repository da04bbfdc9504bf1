"""What joins the configs to MONAI's runner: words as they were typed, slips of them, and one line for a bad input."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from .arguments import as_typed, chosen, one_of
from .failures import show_input_errors
from .plain import PlainConfig
from .settings import check_settings, usable_device

if TYPE_CHECKING:
    from .retraining import is_on_platform, run_folder
    from .words import check_words

__all__ = [
    "PlainConfig",
    "as_typed",
    "check_settings",
    "check_words",
    "chosen",
    "is_on_platform",
    "one_of",
    "run_folder",
    "show_input_errors",
    "usable_device",
]

_OF_MONAI = {"check_words": "words", "is_on_platform": "retraining", "run_folder": "retraining"}


def __getattr__(name: str) -> object:
    # MONAI takes seconds to import, and a command that segments needs nothing of it
    if name in _OF_MONAI:
        return getattr(importlib.import_module(f".{_OF_MONAI[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
