"""Where the bundle's configs and shipped weights lie."""

from __future__ import annotations

from pathlib import Path

__all__ = ["INFERENCE", "PACKAGE", "ROOT", "WEIGHTS"]

PACKAGE = Path(__file__).resolve().parent
_INSTALLED = PACKAGE / "resources"  # a wheel carries the same folders there: pyproject.toml maps them
ROOT = _INSTALLED if _INSTALLED.is_dir() else PACKAGE.parent
INFERENCE = ROOT / "configs" / "inference.json"
WEIGHTS = ROOT / "models" / "model.pt"
