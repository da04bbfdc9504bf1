"""Make the pages of docs/words, with the numbers of docs/results in their tables: docs/words/X.md becomes docs/X.md.

Words name a table by a comment on a line of its own: ``<!-- table: NAME -->``, NAME a key of :data:`TABLES`.

python -m scripts.results
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path

from .experiments import pages

DOCS = Path(__file__).resolve().parents[1] / "docs"


def main() -> None:
    """Write the pages, and their plot."""
    pages.plot_reliability(DOCS / "reliability.svg")
    for words in sorted((DOCS / "words").glob("*.md")):
        text = re.sub(
            r"^<!-- table: (\w+) -->$", lambda match: TABLES[match[1]](), words.read_text(encoding="utf-8"), flags=re.M
        )
        note = f"<!-- made by python -m scripts.results of docs/words/{words.name} and docs/results; change those -->\n"
        (DOCS / words.name).write_text(note + text, encoding="utf-8", newline="\n")


def read(name: str) -> list[dict[str, str]]:
    """Rows of a CSV of docs/results."""
    with open(DOCS / "results" / name, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def plain(rows: list[dict[str, str]]) -> str:
    """The table as it is."""
    lines = ["| " + " | ".join(rows[0]) + " |", "| --- " * len(rows[0]) + "|"]
    return "\n".join(
        lines + ["| " + " | ".join(cell.replace("|", "\\|") for cell in row.values()) + " |" for row in rows]
    )


def platforms() -> str:
    """What each platform did with the bundle, of those that were recorded."""
    rows = [row for path in sorted((DOCS / "results").glob("platforms_*.csv")) for row in read(path.name)]
    return plain(rows) if rows else "None is recorded."


TABLES: dict[str, Callable[[], str]] = {
    **pages.TABLES,
    "platforms": platforms,
}


if __name__ == "__main__":
    main()
