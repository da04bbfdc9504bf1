"""Tables and plots of docs/speed.md: this project beside others, and how time and memory grow."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
from matplotlib.axes import Axes

DOCS = Path(__file__).resolve().parents[2] / "docs"
OURS = "this project"
PAGES = {"page": "page, without the network", "network": "page", "slide": "page, a ninth of it tissue"}
NOT_YET = "The command has not come to its end yet: no table is given."


def rows_of(name: str) -> list[dict[str, str]]:
    """Rows of a CSV of docs/results/speed; none if the command has not been run."""
    path = DOCS / "results" / "speed" / name
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def table(heads: list[str], lines: list[list[str]]) -> str:
    """In Markdown."""
    return "\n".join("| " + " | ".join(line) + " |" for line in [heads, ["---"] * len(heads), *lines])


def measured(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Those of methods that were installed."""
    return [row for row in rows if row["seconds"][:1].isdigit()]


def beside_others() -> str:
    """A row for each method and input: medians over the turns, and the median of the ratios within a turn."""
    rows = rows_of("benchmark.csv")
    if not rows:
        return NOT_YET
    lines = []
    groups: dict[tuple[str, str, str], list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        groups[row["kind"], row["shape"], row["method"]].append(row)
    for (kind, shape, method), own in groups.items():
        if not measured(own):
            continue
        cpu, peak, wall = (
            median(float(row[key]) for row in own) for key in ("processor seconds", "peak MB", "seconds")
        )
        ours = {row["turn"]: float(row["processor seconds"]) for row in groups[kind, shape, OURS]}
        ratio = median(float(row["processor seconds"]) / ours[row["turn"]] for row in own)
        lines.append(
            [
                kind,
                shape,
                method,
                f"{wall:.1f}",
                f"{cpu:.1f}",
                f"{cpu / float(own[0]['megavoxels']):.1f}",
                f"{ratio:.2f} ×",
                f"{peak:.0f}",
            ]
        )
    absent = sorted({f"{row['method']}: {row['seconds']}" for row in rows if not row["seconds"][:1].isdigit()})
    heads = ["Of", "Shape", "Method", "Seconds", "Processor, s", "per megavoxel", "Ratio", "Peak, MB"]
    machine = f"{rows[0]['machine']}, {len({row['turn'] for row in rows})} turns, loads of {loads(rows)} by other work."
    return "\n\n".join([table(heads, lines), "; ".join(absent) + "." if absent else "", machine]).replace(
        "\n\n\n", "\n"
    )


def beside_versions() -> str:
    """A row for each kind of work: medians over the runs, and the ratios of these."""
    rows = rows_of("versions.csv")
    if not rows:
        return NOT_YET
    groups: dict[str, dict[str, list[dict[str, str]]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        groups[row["work"]][row["version"]].append(row)
    lines = []
    for work, versions in groups.items():
        figures = {
            version: [median(float(row[key]) for row in own) for key in ("seconds", "processor_seconds", "megabytes")]
            for version, own in versions.items()
        }
        before, now = figures["than"], figures["here"]
        pairs = [f"{then:.1f} → {here:.1f}" for then, here in zip(before[:2], now[:2], strict=True)]
        memory = f"{before[2]:.0f} → {now[2]:.0f}"
        lines.append([work, str(len(versions["here"])), pairs[0], f"{before[0] / now[0]:.2f} ×", pairs[1], memory])
    return table(["Work", "Runs", "Seconds", "Times as fast", "Processor, s", "Peak, MB"], lines)


def loads(rows: list[dict[str, str]]) -> str:
    """The least and the most load of the machine, in words."""
    found = [float(row["load"]) for row in rows]
    return f"{min(found):g} to {max(found):g}"


def lines_through() -> str:
    """For each method, of images and of stacks: the start, and what each further megavoxel costs; least squares."""
    rows = measured(rows_of("benchmark.csv"))
    if not rows:
        return NOT_YET
    groups: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        groups[row["kind"], row["method"]].append(row)
    lines = []
    for (kind, method), own in groups.items():
        x = np.array([float(row["megavoxels"]) for row in own])
        if len(np.unique(x)) < 2:
            continue
        found = [np.polyfit(x, [float(row[key]) for row in own], 1) for key in ("processor seconds", "peak MB")]
        (each, start), (more, held) = found
        lines.append([kind, method, f"{start:.1f}", f"{each:.1f}", f"{held:.0f}", f"{more:.0f}"])
    heads = ["Of", "Method", "Start, s", "and per megavoxel, s", "Memory, MB", "and per megavoxel, MB"]
    return table(heads, lines)


def growth(kinds: tuple[str, ...]) -> str:
    """A row for each shape and step."""
    rows = [row for row in rows_of("growth.csv") if row["kind"] in kinds]
    if not rows:
        return NOT_YET
    heads = ["Of", "Step", "Shape", "Megavoxels", "Vessel, %", "Processor, s", "per megavoxel", "Peak, MB"]
    lines = []
    for row in rows:
        each = float(row["seconds"]) / float(row["megavoxels"])
        lines.append(
            [
                *(row[key] for key in ("kind", "step", "shape", "megavoxels", "vessel percent", "seconds")),
                f"{each:.3f}" if float(row["seconds"]) >= 1 else "",  # below, a tenth of a second says too little
                row["peak MB"],
            ]
        )
    return table(heads, lines)


def plot_growth(of: str, axes: Axes) -> None:
    """Seconds, on a logarithmic scale, or memory against megavoxels, a curve for each step, and slopes of 1."""
    rows = rows_of("growth.csv")
    groups: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for row in rows:
        name = PAGES.get(row["kind"], row["step"])
        if of == "peak MB" and row["kind"] == "volume":  # one program made all three steps
            name = "steps to a mask"
        if float(row[of]):
            groups[name].append((float(row["megavoxels"]), float(row[of])))
    for name, points in groups.items():
        axes.plot(*np.array(sorted(set(points))).T, "o-", label=name, markersize=4)
    if of == "seconds" and groups:
        x = np.array([1.0, 4000.0])
        for each in (0.02, 10):
            axes.plot(x, each * x, ":", color="0.7", label=f"{each:g} s a megavoxel")
    of_time = of == "seconds"
    axes.set(xscale="log", yscale="log", xlabel="Megavoxels", ylabel="Processor, s" if of_time else "Peak memory, MB")
    if not of_time:
        axes.set(yscale="linear", ylim=(0, None))
    axes.grid(color="0.92")


def plot_others(of: str, axes: Axes) -> None:
    """Seconds or memory against megavoxels, a curve for each method; stacks dashed."""
    rows = measured(rows_of("benchmark.csv"))
    groups: dict[tuple[str, str], dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        groups[row["method"], row["kind"]][float(row["megavoxels"])].append(float(row[of]))
    methods = list(dict.fromkeys(method for method, _ in groups))
    for (method, kind), points in groups.items():
        style = {"color": f"C{methods.index(method)}", "linestyle": "-" if kind == "image" else "--"}
        x = sorted(points)
        y = [median(points[each]) for each in x]
        axes.plot(x, y, marker="o", markersize=4, label=f"{method}, {kind}s", **style)
    of_time = "seconds" in of
    axes.set(xscale="log", yscale="log", xlabel="Megavoxels", ylabel="Processor, s" if of_time else "Peak memory, MB")
    axes.grid(color="0.92")


def networks() -> str:
    """A row for each network and cascade: seconds, and the Dice of its masks."""
    rows = rows_of("networks.csv")
    if not rows:
        return NOT_YET
    lines = [
        [
            row["network"],
            row["part"],
            f"{int(row['parameters']):,}",
            f"{float(row['seconds']):.2f}",
            f"{100 * float(row['dice of images']):.1f}",
            f"{100 * float(row['dice of slices']):.1f}",
        ]
        for row in rows
    ]
    heads = ["Network of", "Cascade", "Parameters", "Seconds", "VessMAP test, Dice", "vesselNN slices, Dice"]
    return table(heads, lines)


def plot_networks(axes: Axes) -> None:
    """Dice against seconds."""
    rows = rows_of("networks.csv")
    of = {"dice of images": "VessMAP, test", "dice of slices": "vesselNN, slices"}
    for place, version in enumerate(dict.fromkeys(row["network"] for row in rows)):
        for key, label in of.items():
            own = sorted((row for row in rows if row["network"] == version), key=lambda row: float(row["seconds"]))
            x, y = [float(row["seconds"]) for row in own], [100 * float(row[key]) for row in own]
            marker = "os"[key == "dice of slices"]
            axes.plot(x, y, linestyle="", marker=marker, color=f"C{place}", label=f"{label}: {version}")
            for row, left, up in zip(own, x, y, strict=True):
                axes.annotate(row["part"], (left, up), xytext=(4, 3), textcoords="offset points", fontsize=8)
    axes.set_xlabel("seconds for 512 × 512 pixels, one thread")
    axes.set_ylabel("Dice, %")
    axes.set_xlim(left=0)
    axes.margins(x=0.15)
    axes.legend(fontsize=8)


def plots_of(name: str) -> str:
    """The pictures of a CSV, if the command has been run."""
    shown = {"seconds": "Seconds", "memory": "Memory"}
    lines = [
        f"![{shown[plot.rpartition('_')[2]]} against megavoxels]({plot}.svg)"
        for plot, (of, _) in PLOTS.items()
        if of == name
    ]
    return "\n".join(lines) if rows_of(name) else ""


TABLES: dict[str, Callable[[], str]] = {
    "speed_others_plots": partial(plots_of, "benchmark.csv"),
    "speed_growth_plots": partial(plots_of, "growth.csv"),
    "speed_networks": networks,
    "speed_networks_plot": lambda: "![Dice against seconds](speed_networks.svg)" if rows_of("networks.csv") else "",
    "speed_versions": beside_versions,
    "speed_others": beside_others,
    "speed_lines": lines_through,
    "speed_steps": partial(growth, ("volume", "graph")),
    "speed_pages": partial(growth, tuple(PAGES)),
}
# of each plot the table that it shows, and what draws it
PLOTS: dict[str, tuple[str, Callable[[Axes], None]]] = {
    "speed_networks": ("networks.csv", plot_networks),
    "speed_growth_seconds": ("growth.csv", partial(plot_growth, "seconds")),
    "speed_growth_memory": ("growth.csv", partial(plot_growth, "peak MB")),
    "speed_others_seconds": ("benchmark.csv", partial(plot_others, "processor seconds")),
    "speed_others_memory": ("benchmark.csv", partial(plot_others, "peak MB")),
}
