"""What mkdocs.yml has done to each page before it becomes part of the site.

The pages are written for a reader on the repository's own page. There a link may lead to a file outside docs/ or to a
folder, which a site does not have: such a link becomes the file's name. And a list or a table may follow a line of text
at once, which Python's Markdown does not take for one: an empty line comes before it.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[2] / "docs"
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s:#]+)(#[^)\s]*)?\)")
BEGINS = re.compile(r"(?:[-*] |\d+\. |\| )")


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Called by MkDocs for each page with its text; gives the text to render."""
    return separate_blocks(name_outside_files(markdown, page.file.src_uri))


def name_outside_files(text: str, page: str) -> str:
    """Make links to what is no page or file of the site into names.

    Args:
        text: of the page.
        page: its path inside docs/.
    """

    def named(match: re.Match[str]) -> str:
        label, target = match[1], match[2]
        path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), target))
        if path.startswith("docs/") and (DOCS.parent / path).is_file():
            return match[0]
        same = label.strip("`").rstrip("/") in (path, target.rstrip("/"), posixpath.basename(path))
        return f"`{path}`" if same else f"{label} (`{path}`)"

    return LINK.sub(named, text)


def separate_blocks(text: str) -> str:
    """Put an empty line before each list and table that follows a line of text, outside blocks of code."""
    lines: list[str] = []
    code = inside = False  # of a fence; of a list or table, of which a line that goes on is a part
    for line in text.split("\n"):
        code ^= line.lstrip().startswith("```")
        begins = not code and BEGINS.match(line) is not None
        if begins and not inside and lines and lines[-1].strip():
            lines.append("")
        inside = begins or (inside and bool(line.strip()))
        lines.append(line)
    return "\n".join(lines)
