"""The page: one file with its style, its programs, its pictures and its data, which asks nobody for anything."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

__all__ = ["render_page"]

_SCRIPTS = ("charts.js", "tables.js", "viewer.js", "network.js", "page.js")


def render_page(report: Mapping[str, Any]) -> str:
    """Put a report into the page.

    Args:
        report: what the page shows, as :func:`bundle.reporting.report_content` gives it; NaN becomes null.

    Returns:
        HTML.
    """
    parts = {
        "style": _file("page.css"),
        "script": "\n".join(_file(name) for name in _SCRIPTS),
        # no name of a file can end the element that holds the data
        "report": json.dumps(_plain(report), ensure_ascii=False, allow_nan=False).replace("<", "\\u003c"),
    }
    page = _file("page.html")
    for name, text in parts.items():
        before, after = page.split("{{" + name + "}}")
        page = before + text + after
    return page


def _file(name: str) -> str:
    return (files(__package__) / "page" / name).read_text(encoding="utf-8")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
