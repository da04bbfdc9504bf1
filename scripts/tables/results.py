"""Make the pages of docs/words, with the numbers of docs/results in their tables: docs/words/X.md becomes docs/X.md.

Words name a table by a comment on a line of its own: ``<!-- table: NAME -->``, NAME a key of :data:`TABLES`.

python -m scripts.tables.results
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

import numpy as np
from matplotlib.axes import Axes

from bundle.metrics import summarize
from bundle.trust import TRUSTED, area_under_curve

from . import experiments, speed

DOCS = Path(__file__).resolve().parents[2] / "docs"
NUMBERS = ("psnr", "ssim", "depth_error", "depth_within_1", "background_step", "dice", "cldice")


def main() -> None:
    """Write the pages, and their plots."""
    experiments.plot(DOCS)
    experiments.write_plot(DOCS / "microscopes.svg", plot_microscopes, (7, 7))
    for name, (table, draw) in speed.PLOTS.items():
        if speed.rows_of(table):
            experiments.write_plot(DOCS / f"{name}.svg", draw, (6, 4.5))
    for words in sorted((DOCS / "words").rglob("*.md")):
        text = re.sub(
            r"^<!-- table: (\w+) -->$", lambda match: TABLES[match[1]](), words.read_text(encoding="utf-8"), flags=re.M
        )
        page = words.relative_to(DOCS / "words")
        made_of = f"docs/words/{page.as_posix()} and docs/results"
        note = f"<!-- made by python -m scripts.tables.results of {made_of}; change those -->\n"
        (DOCS / page).parent.mkdir(exist_ok=True)
        (DOCS / page).write_text(note + text, encoding="utf-8", newline="\n")


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


def recorded(name: str) -> str:
    """The table as it is, if the command has been run to its end."""
    return plain(read(name)) if (DOCS / "results" / name).exists() else "Not measured with the present weights."


def coverage(name: str) -> str:
    """How often intervals hold the truth, if it was found out."""
    name = f"measurements/{name}.csv"
    return plain(read(name)) if (DOCS / "results" / name).exists() else "They are not calibrated yet: none is given."


def platforms() -> str:
    """What each platform did with the bundle, of those that were recorded."""
    rows = [row for path in sorted((DOCS / "results").glob("platforms_*.csv")) for row in read(path.name)]
    return plain(rows) if rows else "None is recorded."


def fusion(data: str) -> str:
    """A row per method of fusion over the stacks of a data set; differences are from the maximum, stack by stack."""
    rows = [row for row in read("fusion.csv") if row["data"] == data]
    reference = {row["image"]: row for row in rows if row["method"] == "maximum"}
    truth = data == "phantoms"
    shown = ["PSNR, dB", "SSIM", "Depth error", "Within 1", "Background"] if truth else []
    heads = ["Method", *shown, "Dice", "Difference [95 %]", "ahead in", "clDice", "Difference [95 %]", "Time"]
    lines = ["| " + " | ".join(heads) + " |", "| --- " * len(heads) + "|"]
    for method in dict.fromkeys(row["method"] for row in rows):
        own = [row for row in rows if row["method"] == method]
        mean = {key: summarize([{"v": float(row[key])} for row in own])["v"].mean for key in own[0] if key in NUMBERS}
        cells = [method]
        if truth:
            cells += [f"{mean['psnr']:.1f}", f"{mean['ssim']:.3f}", f"{mean['depth_error']:.2f}"]
            cells += [f"{100 * mean['depth_within_1']:.0f} %", f"{mean['background_step']:.2f}"]
        for key in ("dice", "cldice"):
            gains = [float(row[key]) - float(reference[row["image"]][key]) for row in own]
            gain = summarize([{"v": 100 * value} for value in gains])["v"]
            different = method != "maximum"
            cells.append(f"{100 * mean[key]:.1f}")
            cells.append(f"{gain.mean:+.1f} [{gain.low:+.1f}, {gain.high:+.1f}]" if different else "")
            if key == "dice":
                cells.append(f"{sum(value > 0 for value in gains)} of {len(gains)}" if different else "")
        key = "seconds_per_megavoxel"
        times = np.median([float(row[key]) / float(reference[row["image"]][key]) for row in own])
        cells.append(f"{times:.{0 if times > 10 else 1}f} ×")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def reconciled(rows: list[dict[str, str]]) -> str:
    """2D and 3D together: each vesselNN stack, and the mean of the phantoms, a row for each way."""
    names = [f"{name}_{space}" for space in ("3d", "2d") for name in ("dice", "cldice", "sensitivity", "precision")]
    heads = [
        "Stack",
        "Way",
        *(f"{name} {space}" for space in ("3D", "2D") for name in ("Dice", "clDice", "Sens.", "Prec.")),
    ]
    groups: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        groups[row["group"] if "phantom" in row["group"] else row["image"], row["method"]].append(row)
    for row in rows:
        if "phantom" not in row["group"]:
            groups[row["group"], row["method"]].append(row)
    lines = ["| " + " | ".join(heads) + " |", "| --- " * len(heads) + "|"]
    for (stack, way), found in groups.items():
        name = stack if len(found) == 1 else f"{stack}, mean of {len(found)}"
        cells = [f"{100 * fmean(float(row[key]) for row in found):.1f}" for key in names]
        lines.append("| " + " | ".join([name, way, *cells]) + " |")
    return "\n".join(lines)


VERSIONS = {"otsu": "Otsu's threshold", "0.4.0": "version 0.4.0", "shipped": "shipped"}


def microscope_means() -> tuple[dict[str, dict[str, dict[str, float]]], dict[str, int]]:
    """Mean Dice and clDice, percent, by version and set of images, and how many images a set has."""
    means: dict[str, dict[str, dict[str, float]]] = {}
    counts: dict[str, int] = {}
    for version in VERSIONS:
        rows = defaultdict(list)
        for row in read(f"microscopes_{version}.csv"):
            rows[row["set"]].append({key: 100 * float(row[key]) for key in ("dice", "cldice")})
        means[version] = {
            name: {key: value.mean for key, value in summarize(own).items()} for name, own in rows.items()
        }
        counts |= {name: len(own) for name, own in rows.items()}
    return means, counts


def plot_microscopes(axes: Axes) -> None:
    """Dice on each set of images, the best on top."""
    means, counts = microscope_means()
    sets = sorted(means["shipped"], key=lambda name: means["shipped"][name]["dice"])
    axes.set(xlabel="Dice, %", xlim=(0, 100), yticks=range(len(sets)))
    axes.set_yticklabels([f"{name.replace('_', ', ')} ({counts[name]})" for name in sets])
    axes.grid(axis="y", color="0.92")
    for version, style in zip(VERSIONS, ("x", "o", "o"), strict=True):
        points = [(means[version][name]["dice"], place) for place, name in enumerate(sets) if name in means[version]]
        colours = {"color": "tab:blue" if version == "shipped" else "0.5"}
        fill = {} if version == "shipped" else {"markerfacecolor": "white"}
        axes.plot(*np.array(points).T, style, label=VERSIONS[version], **colours, **fill)


def every_microscope() -> str:
    """A line for each set: Otsu's threshold, version 0.4.0 and the shipped weights, and what was won or lost."""
    means, counts = microscope_means()
    files = {"otsu": "Otsu", "0.4.0": "0.4.0", "shipped": "Shipped"}
    heads = ["Set", "Images", *(f"{called}, Dice / clDice" for called in files.values()), "Won or lost"]
    lines = ["| " + " | ".join(heads) + " |", "| --- " * len(heads) + "|"]
    for name in means["shipped"]:
        cells = [name.replace("_", ", "), str(counts[name])]
        for file in files:
            own = means[file].get(name)
            cells.append(f"{own['dice']:.1f} / {own['cldice']:.1f}" if own else "")
        old, new = means["0.4.0"].get(name), means["shipped"][name]
        cells.append(f"{new['dice'] - old['dice']:+.1f} / {new['cldice'] - old['cldice']:+.1f}" if old else "")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def trust(tests: bool) -> str:
    """How well the expected Dice sorts masks, and how far it is off: families left out, or sets that taught nothing."""
    if not (DOCS / "results" / "trust.csv").exists():
        return "The command has not come to its end with the present weights: no table is given."
    heads = ["Set", "Of", "Masks", "Dice", f"below {TRUSTED:g}", "Area under the curve", "Off by", "In the mean"]
    lines = ["| " + " | ".join(heads) + " |", "| --- " * len(heads) + "|"]
    rows = [row for row in read("trust.csv") if (row["role"] == "test") == tests]
    for kind in ("image", "stack", "slice"):
        own = [row for row in rows if row["kind"] == kind]
        families = sorted({row["family"] for row in own})
        groups = {family: [row for row in own if row["family"] == family] for family in families}
        for family, some in (groups | ({} if tests else {"**all**": own})).items():
            dice, hoped = (np.array([float(row[key]) for row in some]) for key in ("dice", "expected"))
            area = area_under_curve(hoped, dice < TRUSTED)
            cells = [family, kind, str(len(some)), f"{dice.mean():.2f}", str(int((dice < TRUSTED).sum()))]
            cells += ["" if np.isnan(area) else f"{area:.2f}", f"{np.abs(hoped - dice).mean():.2f}"]
            lines.append("| " + " | ".join([*cells, f"{(hoped - dice).mean():+.2f}"]) + " |")
    return "\n".join(lines)


TABLES: dict[str, Callable[[], str]] = {
    "every_microscope": every_microscope,
    "adapt": lambda: recorded("adapt.csv"),
    "next_labels": lambda: recorded("next_labels.csv"),
    "trust_families": lambda: trust(tests=False),
    "trust_tests": lambda: trust(tests=True),
    "reconciled": lambda: reconciled(read("stacks_reconciled.csv")),
    **experiments.TABLES,
    **speed.TABLES,
    "fusion_phantoms": lambda: fusion("phantoms"),
    "fusion_vesselnn": lambda: fusion("vesselNN"),
    "sizes": lambda: plain(read("sizes.csv")),
    "release_minutes": lambda: plain(read("release_minutes.csv")),
    "formats": lambda: plain(read("formats.csv")),
    "platforms": platforms,
    "right_answers": lambda: plain(read("measurements/right_answers.csv")),
    "measure_speed": lambda: plain(read("measurements/measure_speed.csv")),
    "coverage": lambda: coverage("coverage"),
    "coverage_stacks": lambda: coverage("coverage_stacks"),
    "phantoms": lambda: plain([row for row in read("measurements/phantoms.csv") if row["family"] == "all"]),
    "two_people": lambda: plain(
        [{k: v for k, v in row.items() if "holds" not in k} for row in read("measurements/annotators.csv")]
    ),
    "stack_memory": lambda: plain(read("stack_memory.csv")),
}


if __name__ == "__main__":
    main()
