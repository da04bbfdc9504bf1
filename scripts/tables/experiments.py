"""The tables and the plots that docs/results.md and docs/experiments show, made of the scores in docs/results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from bundle.io import atomic
from bundle.metrics import summarize

from .result_files import Row, comparisons, labels, seeds
from .statistics import area_under_curve, averaged, difference, spread

SHOWN = ("sensitivity", "precision", "specificity", "accuracy", "dice", "cldice")
HEADS = ("Sens.", "Prec.", "Spec.", "Acc.", "Dice", "clDice")
COUNTS = ("betti0_error", "betti1_error")
MEASURES = ("dice", "cldice", "sensitivity", "precision", *COUNTS)
RETINA = MEASURES[:4]
FIRST_SOURCE = ("phantoms", "fine_tuned")  # what the networks of the paper's tables have seen
SECOND_SOURCE = ("retina", "retina_fine_tuned")


def markdown(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table."""
    head = "| " + " | ".join(heads) + " |\n" + "| --- " * len(heads) + "|"
    return "\n".join([head, *("| " + " | ".join(line) + " |" for line in lines)])


def scores(experiment: str, row: str) -> list[Row]:
    """The scores of a row that has one seed."""
    (rows,) = seeds(experiment, row).values()
    return rows


def means(experiment: str, heads: Sequence[str], names: Sequence[str] = MEASURES, without: str | None = None) -> str:
    """A row of means for each row of an experiment whose result files hold images.

    Args:
        experiment: its name.
        heads: of the cells that name a row.
        names: the measures to show.
        without: the beginning of rows that are left out, if any.
    """
    lines = []
    for row, label in labels(experiment).items():
        if without and row.startswith(without):
            continue
        summaries = [summarize(each) for each in seeds(experiment, row).values()]
        cells = [spread([100 * each[name].mean for each in summaries], 2) for name in names if name not in COUNTS]
        cells += [spread([each[name].mean for each in summaries], 1) for name in names if name in COUNTS]
        lines.append([*label, *cells])
    return markdown([*heads, *("Dice", "clDice", "Sens.", "Prec.", "Δβ0", "Δβ1")[: len(names)]], lines)


# --- trainings of full length ------------------------------------------------------------------------------------


def release_table() -> str:
    """A row per method: mean ± standard deviation over images, in percent; Dice and clDice with their interval."""
    lines = []
    for row, label in labels("release").items():
        summary = summarize(scores("release", row))
        cells = [f"{100 * summary[name].mean:.1f} ± {100 * summary[name].sd:.1f}" for name in SHOWN]
        for index in (4, 5):
            low, high = summary[SHOWN[index]].low, summary[SHOWN[index]].high
            cells[index] += f" [{100 * low:.1f}, {100 * high:.1f}]"
        lines.append([*label, *cells, *(f"{summary[name].mean:.1f}" for name in COUNTS)])
    heads = ["Method", "Trained on", *HEADS[:4], "Dice [95 %]", "clDice [95 %]", "Δβ0", "Δβ1"]
    return markdown(heads, lines)


def release_paired() -> str:
    """Differences over the same images from the baselines that were trained alike, with Wilcoxon's signed-rank test."""
    lines = [
        [*cells, *difference(scores("release", row), scores("release", other))]
        for row, other, cells in comparisons("release")
    ]
    return markdown(["Network", "trained on", "against, trained alike", "Dice", "p", "clDice", "p"], lines)


def shipped_card() -> str:
    """The shipped weights' scores on the test split, each with its interval, beside the plain U-Net's."""
    lines = []
    for row in ("average-shipped", "unet-fine_tuned"):
        summary = summarize(scores("release", row))
        cells = [
            f"{100 * summary[name].mean:.1f} [{100 * summary[name].low:.1f}, {100 * summary[name].high:.1f}]"
            for name in SHOWN
        ]
        lines.append([", ".join(labels("release")[row]), *cells])
    return markdown(["Network, trained on", *HEADS], lines)


# --- Tables I to III ---------------------------------------------------------------------------------------------


def main_table(states: Sequence[str]) -> str:
    """A row per network: mean over the images, and over seeds where there are more ± the seeds' standard deviation."""
    lines = []
    for row, label in labels("tables").items():
        if row.rpartition("-")[2] in states:
            summaries = [summarize(each) for each in seeds("tables", row).values()]
            cells = [spread([100 * each[name].mean for each in summaries], 1) for name in SHOWN]
            cells += [spread([each[name].mean for each in summaries], 1) for name in COUNTS]
            lines.append([*label, str(len(summaries)), *cells])
    return markdown(["Network", "Trained on", "Seeds", *HEADS, "Δβ0", "Δβ1"], lines)


def main_paired() -> str:
    """The paper's claims, each a paired test over the images, scores averaged over the seeds that both rows have."""
    lines = []
    for row, other, cells in comparisons("tables"):
        ours, theirs = seeds("tables", row), seeds("tables", other)
        both = sorted(ours.keys() & theirs.keys())
        compared = difference(*(averaged([each[seed] for seed in both]) for each in (ours, theirs)))
        lines.append([*cells, str(len(both)), *compared])
    return markdown(["Row", "against", "Seeds", "Dice", "p", "clDice", "p"], lines)


# --- one table each ----------------------------------------------------------------------------------------------


def calibration() -> str:
    """Errors of S before and after the temperature."""
    lines = [
        [f"{row['version']}, T = {row['temperature']:.2f}"]
        + [f"{row[name]:.4f}" for name in ("calibration_error", "brier", "cross_entropy")]
        for row in scores("calibration", "summary")
    ]
    return markdown(["S", "Expected calibration error", "Brier score", "Cross-entropy"], lines)


def disagreement() -> str:
    """Areas under the curve of |L − N| and of S's own uncertainty, for wrong pixels and for bad images."""
    lines = []
    for split, called in (("val", "validation"), ("test", "test")):
        rows = scores("disagreement", split)
        dice = np.array([row["dice"] for row in rows])
        worse = dice < np.median(dice)
        for clue, name in (("disagreement", r"\|L − N\|"), ("uncertainty", r"1 − \|2S − 1\|")):
            summary = summarize(rows)[f"{clue}_auc"]
            level = np.array([row[clue] for row in rows])
            cells = [f"{summary.mean:.3f} ± {summary.sd:.3f}", f"{area_under_curve(level, worse):.2f}"]
            lines.append([called, str(len(rows)), name, *cells, f"{spearmanr(level, dice).statistic:+.2f}"])
        for clue, name in (("on_mask", "mask"), ("on_vessels", "vessels of either")):
            level = np.array([row[clue] for row in rows])
            cells = ["", f"{area_under_curve(level, worse):.2f}", f"{spearmanr(level, dice).statistic:+.2f}"]
            lines.append([called, str(len(rows)), rf"\|L − N\|, {name} alone", *cells])
    heads = ["Images", "n", "Clue", "Area, wrong pixels of an image", "Area, worse half of the images", "ρ with Dice"]
    return markdown(heads, lines)


def pretraining(tuned: bool) -> str:
    """A row for each recipe, on phantoms alone or on VessMAP after them: Dice, clDice on all images."""
    recipes: dict[str, list[str]] = {}
    images: dict[str, str] = {}
    for row, (recipe, seen) in labels("pretraining").items():
        data, _, name = row.partition("-")
        images[data] = seen
        if name.endswith("_tuned") == tuned:
            summary = summarize(scores("pretraining", row))
            cell = " / ".join(f"{100 * summary[measure].mean:.1f}" for measure in ("dice", "cldice"))
            recipes.setdefault(name, [recipe]).append(cell)
    return markdown(
        ["U-Net, phantoms, then VessMAP" if tuned else "U-Net, phantoms", *images.values()], recipes.values()
    )


def one_slice() -> str:
    """What fine-tuning on the middle slice did to the others of the stack."""
    lines = []
    times = ("before", "after")
    for row in labels("microscopes"):
        if row.startswith("one_slice-"):
            rows = scores("microscopes", row)
            summary = {
                time: summarize([each for each in rows if str(each["image"]).startswith(time)]) for time in times
            }
            cells = [f"{100 * summary[time][name].mean:.1f}" for name in MEASURES[:4] for time in times]
            lines.append([row.removeprefix("one_slice-"), *cells])
    heads = [f"{head}, {time}" for head in ("Dice", "clDice", "Sens.", "Prec.") for time in times]
    return markdown(["Stack", *heads], lines)


def binarization() -> str:
    """The settings and their scores, as they are."""
    lines = [
        [f"{row[name]:g}" for name in ("low", "high", "gaps", "fragments")]
        + [f"{100 * row[name]:.2f}" for name in ("dice", "cldice", "sensitivity", "precision")]
        + [f"{row[name]:.1f}" for name in COUNTS]
        for row in scores("binarization", "val")
    ]
    heads = ["Low", "High", "Gaps", "Fragments", "Dice", "clDice", "Sens.", "Prec.", "Δβ0", "Δβ1"]
    return markdown(heads, lines)


TABLES: dict[str, Callable[[], str]] = {
    "release": release_table,
    "shipped_card": shipped_card,
    "pairs": lambda: means("pairs", ["DBAC's norm", "DDMAC's norm"]),
    "losses": lambda: means("losses", ["Loss of the masks"]),
    "release_paired": release_paired,
    "main": lambda: main_table(FIRST_SOURCE),
    "second_source": lambda: main_table(SECOND_SOURCE),
    "main_paired": main_paired,
    "calibration": calibration,
    "disagreement": disagreement,
    "scale": lambda: means("scale", ["Magnification", "Segmented at"]),
    "sharpness": lambda: means("sharpness", ["Weights", "Blurred by"]),
    "test_time": lambda: means("test_time", ["Averaged over"]),
    "stages": lambda: means("stages", ["DBAC's stage"]),
    "annotators": lambda: means("annotators", ["Masks of", "against"]),
    "binarization": binarization,
    "few_labels": lambda: means("few_labels", ["Training", "Labelled images"]),
    "recipe": lambda: means("recipe", ["Recipe"]),
    "pretraining": lambda: pretraining(tuned=False),
    "pretraining_tuned": lambda: pretraining(tuned=True),
    "microscopes": lambda: means("microscopes", ["Stack", "Network", "Scale"], without="one_slice-"),
    "one_slice": one_slice,
    "field": lambda: means("field", ["Method", "Images"]),
    "retina_sets": lambda: means("retina_sets", ["Network", "Set"], RETINA),
}


def reliability(axes: Axes) -> None:
    """How often a pixel of a given S is vessel."""
    axes.set(xlabel="probability S", ylabel="share of pixels that are vessel", aspect="equal")
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    for version, colour in (("before", "tab:blue"), ("after", "tab:orange")):
        rows = scores("calibration", "reliability")
        points = [(row["probability"], row["vessel"]) for row in rows if row["version"] == version]
        axes.plot(
            *np.array(points).reshape(-1, 2).T, "o-", markersize=4, color=colour, label=f"{version} the temperature"
        )


# Dice of published networks by labelled images of VessMAP: least and most
PUBLISHED = ((0, 75.7, 75.7), (4, 74.4, 78.2), (20, 84.3, 84.3))


def labels_needed(axes: Axes) -> None:
    """Dice and clDice by the number of labelled images, beside what was published."""
    called = labels("few_labels")
    place = {count: index for index, count in enumerate(("0", "4", "10", "20", "50"))}
    axes.set(xlabel="labelled images", ylabel="Dice, clDice, %", xticks=list(place.values()))
    axes.set_xticklabels(place)
    curves = {"dice": ("tab:blue", "Dice"), "cldice": ("tab:orange", "clDice")}
    for training, style in (("short", "s--"), ("long", "o-")):
        rows = [row for row in called if row.startswith(training)]
        for name, (colour, curve) in curves.items():
            points = []
            for row in rows:
                draws = [100 * summarize(each)[name].mean for each in seeds("few_labels", row).values()]
                deviation = np.std(draws, ddof=1) if len(draws) > 1 else 0
                points.append((place[called[row][1]], np.mean(draws), deviation))
            x, y, deviation = np.array(points).reshape(-1, 3).T
            label = f"{curve}, {called[rows[0]][0].split(',')[0]}"
            axes.errorbar(x, y, deviation, fmt=style, markersize=4, color=colour, capsize=3, label=label)
    for count, low, high in PUBLISHED:
        label = "Dice, published" if count == 0 else None
        axes.plot([place[str(count)]] * 2, [low, high], "x-", color="0.4", label=label)


PLOTS: dict[str, Callable[[Axes], None]] = {"reliability": reliability, "few_labels": labels_needed}


def plot(folder: Path) -> None:
    """The plots of the experiments."""
    for name, draw in PLOTS.items():
        write_plot(folder / f"{name}.svg", draw)


def write_plot(path: Path, draw: Callable[[Axes], None], size: tuple[float, float] = (4.5, 4)) -> None:
    """Write a plot as SVG, with nothing in it that changes from run to run.

    Args:
        path: of the file.
        draw: puts the curves, with their labels, into axes.
        size: in inches.
    """
    with matplotlib.rc_context({"svg.hashsalt": path.stem, "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.add_subplot()
        draw(axes)
        axes.legend(frameon=False)
        with atomic(path) as partial:
            figure.savefig(partial, format="svg", metadata={"Date": None, "Creator": None})
