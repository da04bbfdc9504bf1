"""Make the pages of docs/words, with the numbers of docs/results in their tables: docs/words/X.md becomes docs/X.md.

Words name a table by a comment on a line of its own: ``<!-- table: NAME -->``, NAME a key of :data:`TABLES`.

python -m scripts.results
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.stats import wilcoxon

from bundle.metrics import summarize

DOCS = Path(__file__).resolve().parents[1] / "docs"
SHOWN = ("sensitivity", "precision", "specificity", "accuracy", "dice", "cldice")
COUNTS = ("betti0_error", "betti1_error")


def main() -> None:
    """Write the pages."""
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


def by_method(rows: list[dict[str, str]]) -> dict[tuple[str, str], list[dict[str, str | float]]]:
    """Rows of each method and its training data, numbers as numbers, in the table's order."""
    groups = defaultdict(list)
    for row in rows:
        scores = {name: float(row[name]) for name in (*SHOWN, *COUNTS)}
        groups[row["method"], row["trained on"]].append({"image": row["image"], **scores})
    return groups


def table(rows: list[dict[str, str]]) -> str:
    """A row per method: mean ± standard deviation over images, in percent; Dice and clDice with their interval."""
    heads = ["Method", "Trained on", "Sens.", "Prec.", "Spec.", "Acc.", "Dice [95 %]", "clDice [95 %]", "Δβ0", "Δβ1"]
    lines = ["| " + " | ".join(heads) + " |", "| --- " * len(heads) + "|"]
    for (method, data), scores in by_method(rows).items():
        summary = summarize(scores)
        cells = [f"{100 * summary[name].mean:.1f} ± {100 * summary[name].sd:.1f}" for name in SHOWN]
        for index, name in ((4, "dice"), (5, "cldice")):
            cells[index] += f" [{100 * summary[name].low:.1f}, {100 * summary[name].high:.1f}]"
        cells += [f"{summary[name].mean:.1f}" for name in COUNTS]
        lines.append("| " + " | ".join([method, data, *cells]) + " |")
    return "\n".join(lines)


def paired(rows: list[dict[str, str]]) -> str:
    """Differences over the same images from the plain U-Net, with Wilcoxon's signed-rank test."""
    groups = by_method(rows)
    reference = next(iter(groups))
    lines = [f"| Against {reference[0]} | Trained on | Dice | p | clDice | p |", "| --- " * 6 + "|"]
    for key, scores in groups.items():
        if key == reference:
            continue
        cells = []
        for name in ("dice", "cldice"):
            difference = np.array([a[name] - b[name] for a, b in zip(scores, groups[reference], strict=True)])
            cells += [f"{100 * difference.mean():+.2f}", f"{wilcoxon(difference).pvalue:.2g}"]
        lines.append("| " + " | ".join([*key, *cells]) + " |")
    return "\n".join(lines)


def plain(rows: list[dict[str, str]]) -> str:
    """The table as it is."""
    lines = ["| " + " | ".join(rows[0]) + " |", "| --- " * len(rows[0]) + "|"]
    return "\n".join(
        lines + ["| " + " | ".join(cell.replace("|", "\\|") for cell in row.values()) + " |" for row in rows]
    )


def minutes(rows: list[dict[str, str]]) -> str:
    """Minutes of each training."""
    lines = ["| Training | Minutes |", "| --- | --- |"]
    return "\n".join(lines + [f"| {row['training']} | {float(row['minutes']):.0f} |" for row in rows])


def platforms() -> str:
    """What each platform did with the bundle, of those that were recorded."""
    rows = [row for path in sorted((DOCS / "results").glob("platforms_*.csv")) for row in read(path.name)]
    return plain(rows) if rows else "None is recorded."


TABLES: dict[str, Callable[[], str]] = {
    "vessmap": lambda: table(read("vessmap_test.csv")),
    "paired": lambda: paired(read("vessmap_test.csv")),
    "minutes": lambda: minutes(read("minutes.csv")),
    "binarization": lambda: plain(read("binarization_val.csv")),
    "platforms": platforms,
}


if __name__ == "__main__":
    main()
