"""An input together with the NAME that its outputs get, and with what is read of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Source"]


@dataclass(frozen=True, eq=False)
class Source(os.PathLike):
    """A file of which one image or stack is read; where a path is wanted it stands for its path.

    Args:
        path: the file.
        name: NAME of its outputs.
        choices: what is read of it, such as ``{"channel": 1}``, where all inputs do not have that in common.
    """

    path: Path
    name: str
    choices: Mapping[str, Any] = field(default_factory=dict)

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        chosen = ", ".join(f"{option} {value}" for option, value in self.choices.items())
        return f"{self.path} ({chosen})" if chosen else str(self.path)
