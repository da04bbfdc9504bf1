"""The blocks of code in docs/guides, for the programs that run them: tests/test_guides.py and scripts/platforms."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"(?:^<!-- (?P<note>[^\n]*) -->\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        language: the word behind the fence.
        text: what stands between the fences.
        added: options that a test adds to its command, from a comment ``<!-- the test adds: … -->`` before it.
        run_by: the program that runs it, from a comment ``<!-- run by … -->`` before it.
    """

    language: str
    text: str
    added: str = ""
    run_by: str = ""


def blocks(guide: Path) -> list[Block]:
    """The blocks of a guide, in their order."""
    found = []
    for match in FENCE.finditer(guide.read_text(encoding="utf-8")):
        note = match["note"] or ""
        added, run_by = (
            note.removeprefix(word) if note.startswith(word) else "" for word in ("the test adds: ", "run by ")
        )
        found.append(Block(match["language"], match["text"], added, run_by))
    return found
