"""Where the bundle's configs and shipped weights lie, and which version this is."""

from __future__ import annotations

from pathlib import Path

__all__ = ["INFERENCE", "PACKAGE", "ROOT", "STACK_WEIGHTS", "VERSION", "WEIGHTS", "shipped_weights"]

VERSION = "0.10.0"
PACKAGE = Path(__file__).resolve().parent
_INSTALLED = PACKAGE / "resources"  # a wheel carries the same folders there: pyproject.toml maps them
ROOT = _INSTALLED if _INSTALLED.is_dir() else PACKAGE.parent
INFERENCE = ROOT / "configs" / "inference.json"
WEIGHTS = ROOT / "models" / "model.pt"
STACK_WEIGHTS = ROOT / "models" / "stack.pt"


def shipped_weights(mode: str) -> Path:
    """The shipped weights of a mode: slices, of "stack" and "both", have weights of their own."""
    return STACK_WEIGHTS if mode in ("stack", "both") else WEIGHTS
