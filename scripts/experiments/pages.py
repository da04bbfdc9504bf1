"""The tables and the plots that docs/results.md shows of the experiments, made of their result files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import spearmanr, wilcoxon

from bundle.io import atomic
from bundle.metrics import summarize

from . import EXPERIMENTS, few_labels, field, microscopes, pretraining, recipe, release, sharpness, tables
from .parts import RESULTS, Part, Row, read_rows
from .shipped import ANNOTATORS, area_under_curve
from .trainings import Training

SHOWN = ("sensitivity", "precision", "specificity", "accuracy", "dice", "cldice")
HEADS = ("Sens.", "Prec.", "Spec.", "Acc.", "Dice", "clDice")
COUNTS = ("betti0_error", "betti1_error")
MEASURES = ("dice", "cldice", "sensitivity", "precision", *COUNTS)
RETINA = MEASURES[:4]
NOT_RUN = "not run"
STAGES = {"attention": "first subnetwork, sigmoid(W)", "mask": "second subnetwork, L"}


def markdown(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table."""
    head = "| " + " | ".join(heads) + " |\n" + "| --- " * len(heads) + "|"
    return "\n".join([head, *("| " + " | ".join(line) + " |" for line in lines)])


def command(experiment: str, row: str) -> str:
    """What makes a row that was not run."""
    folders = {"microscopes": ["vesselnn"], "retina_sets": ["retina"]}.get(experiment, ["vessmap"])
    folders += ["retina"] * ("retina" in row and experiment != "retina_sets")
    folders += ["vesselnn"] * row.endswith("-vesselnn")
    if experiment == "microscopes":
        folders += ["vessmap"] * (row.split("-")[1] in microscopes.TABLES | microscopes.LONG)
    options = " ".join(f"--{folder} DIR" for folder in folders) + " --nnunet BIN" * (experiment == "field")
    return f"`python -m scripts.experiments {experiment} {options} --rows {row}`"


def done(experiment: str) -> dict[str, list[Part]]:
    """For every row of an experiment, in order, its finished parts, one per seed."""
    rows: dict[str, list[Part]] = {}
    for part in EXPERIMENTS[experiment]():
        rows.setdefault(part.row, [])
        if part.file().exists():
            rows[part.row].append(part)
    return rows


def scores(part: Part) -> list[Row]:
    """The scores of its images."""
    return read_rows(part.file())


# --- the shipped weights -----------------------------------------------------------------------------------------


def release_table() -> str:
    """A row per method: mean ± standard deviation over images, in percent; Dice and clDice with their interval."""
    lines = []
    for row, parts in done("release").items():
        if not parts:
            lines.append([*release.label(row), NOT_RUN, command("release", row), *[""] * 6])
            continue
        summary = summarize(scores(parts[0]))
        cells = [f"{100 * summary[name].mean:.1f} ± {100 * summary[name].sd:.1f}" for name in SHOWN]
        for index in (4, 5):
            low, high = summary[SHOWN[index]].low, summary[SHOWN[index]].high
            cells[index] += f" [{100 * low:.1f}, {100 * high:.1f}]"
        lines.append([*release.label(row), *cells, *(f"{summary[name].mean:.1f}" for name in COUNTS)])
    heads = ["Method", "Trained on", *HEADS[:4], "Dice [95 %]", "clDice [95 %]", "Δβ0", "Δβ1"]
    return markdown(heads, lines)


def release_paired() -> str:
    """Differences over the same images from the baselines that were trained alike, with Wilcoxon's signed-rank test."""
    rows = {row: scores(parts[0]) for row, parts in done("release").items() if parts}
    lines = []
    for network, (called, _) in release.BASELINES.items():
        for row, each in rows.items():
            method, data = row.split("-")
            for alike in release.ALIKE[data]:
                reference = rows.get(f"{network}-{alike}")
                if reference and method != network:
                    ours, trained_on = release.label(row)
                    theirs = called if alike == data else f"{called}: {release.DATA[alike]}"
                    lines.append([ours, trained_on, theirs, *difference(each, reference)])
    return markdown(["Network", "trained on", "against, trained alike", "Dice", "p", "clDice", "p"], lines)


def difference(ours: list[Row], theirs: list[Row], names: Sequence[str] = ("dice", "cldice")) -> list[str]:
    """Mean difference in points and Wilcoxon's p, of each measure, over the images of both."""
    cells = []
    for name in names:
        values = {row["image"]: row[name] for row in theirs}
        points = np.array([row[name] - values[row["image"]] for row in ours])
        cells += [f"{100 * points.mean():+.2f}", f"{wilcoxon(points).pvalue:.2g}" if points.any() else "1"]
    return cells


def release_minutes() -> str:
    """Minutes of the trainings."""
    lines = []
    baselines = [
        (called, {data: (each,) for data, each in trainings.items()})
        for called, trainings in release.BASELINES.values()
    ]
    for called, trainings in (("ensemble", release.TRAININGS), *baselines):
        for data, parts in trainings.items():
            made_of = [each for part in parts for each in ((part,) if isinstance(part, Training) else part.of)]
            paths = [RESULTS / "trainings" / f"{training.name}.seed0.csv" for training in made_of]
            facts = [read_rows(path)[0] for path in paths if path.exists()]
            cells = [NOT_RUN, ""]
            if len(facts) == len(paths):
                cells = [" + ".join(f"{each[name]:.0f}" for each in facts) for name in ("steps", "minutes")]
            lines.append([called, release.DATA[data], *cells])
    return markdown(["Network", "Trained on", "Steps of the last parts", "Their minutes"], lines)


# --- Tables I to III ---------------------------------------------------------------------------------------------


def main_table(states: Iterable[str]) -> str:
    """A row per network: mean over the images, and over seeds where there are more ± the seeds' standard deviation."""
    lines = []
    for row, parts in done("tables").items():
        if row.rsplit("-", 1)[1] not in states:
            continue
        if not parts:
            lines.append([*tables.label(row), "0", NOT_RUN, command("tables", row), *[""] * 6])
            continue
        means = [summarize(scores(part)) for part in parts]
        cells = [spread([100 * mean[name].mean for mean in means], 1) for name in SHOWN]
        cells += [spread([mean[name].mean for mean in means], 1) for name in COUNTS]
        lines.append([*tables.label(row), str(len(parts)), *cells])
    return markdown(["Network", "Trained on", "Seeds", *HEADS, "Δβ0", "Δβ1"], lines)


def spread(values: Sequence[float], digits: int) -> str:
    """Mean, and ± standard deviation of more than one."""
    mean = f"{np.mean(values):.{digits}f}"
    return mean if len(values) < 2 else f"{mean} ± {np.std(values, ddof=1):.{digits}f}"


def main_paired() -> str:
    """The paper's claims, each a paired test over the images, scores averaged over the seeds that both rows have."""
    rows = done("tables")
    best = "DBAC_x2+DDMAC-average"
    claims = [("DBAC", "UNet"), ("DDMAC", "UNet"), ("DBAC+DDMAC-average", "UNet")]
    claims += [("DBAC+DDMAC-average", "DBAC"), ("DBAC+DDMAC-average", "DDMAC")]
    claims += [("DBAC+DDMAC-average", "DBAC+DDMAC-maximum"), ("DBAC+DDMAC-average", "UNetPlusPlus")]
    claims += [("DBAC+DDMAC-average", "DeeperUNetPlusPlus"), (best, "DBAC+DDMAC-average"), (best, "DBAC_x2")]
    claims += [("DBAC_x2", "DBAC"), ("DDMAC_x2", "DDMAC")]
    instance = "DBAC_in+DDMAC_in-average"
    claims += [(f"{name}_in", name) for name in ("UNet", "UNetPlusPlus", "DBAC", "DDMAC")]
    claims += [(instance, "DBAC+DDMAC-average")]
    claims += [(instance, name) for name in ("UNet_in", "UNetPlusPlus_in", "MonaiUNetPlusPlus")]
    lines = []
    for ours, theirs in claims:
        pair = [rows[f"{name}-fine_tuned"] for name in (ours, theirs)]
        names = [tables.label(f"{name}-fine_tuned")[0] for name in (ours, theirs)]
        lines.append([*names, *compared(*pair)])
    for name in ("UNet", "DBAC", "DDMAC", "DBAC+DDMAC-average"):
        pair = [rows[f"{name}-{state}"] for state in ("fine_tuned", "phantoms")]
        lines.append(
            [f"{tables.label(f'{name}-phantoms')[0]}, fine-tuned", "the same, phantoms alone", *compared(*pair)]
        )
    return markdown(["Row", "against", "Seeds", "Dice", "p", "clDice", "p"], lines)


def compared(ours: list[Part], theirs: list[Part]) -> list[str]:
    """Seeds that both have, and the differences over images."""
    seeds = sorted({part.seed for part in ours} & {part.seed for part in theirs})
    if not seeds:
        return ["0", NOT_RUN, "", "", ""]
    return [str(len(seeds)), *difference(*(_over_seeds(parts, seeds) for parts in (ours, theirs)))]


def _over_seeds(parts: list[Part], seeds: list[int]) -> list[Row]:
    each = [{row["image"]: row for row in scores(part)} for part in parts if part.seed in seeds]
    return [
        {"image": image} | {name: float(np.mean([rows[image][name] for rows in each])) for name in ("dice", "cldice")}
        for image in each[0]
    ]


def sizes() -> str:
    """Table I: parameters and seconds per image, and the minutes of one training of each network."""
    timed = _first("time", "vessmap")
    seconds = {row["network"]: row for row in timed or []}
    lines = []
    for name, (called, _, _) in tables.NETWORKS.items():
        cells = [NOT_RUN] * 2
        if name in seconds:
            cells = [f"{seconds[name]['parameters']:,.0f}", f"{seconds[name]['seconds']:.2f}"]
        for state in tables.STATES:
            paths = sorted((RESULTS / "trainings").glob(f"{name}-{state}.seed*.csv"))
            minutes = [read_rows(path)[0]["minutes"] for path in paths]
            cells.append(f"{np.mean(minutes):.0f}" if minutes else NOT_RUN)
        lines.append([called, *cells])
    return markdown(["Network", "Parameters", "Seconds per image", "Minutes, phantoms", "Minutes, fine-tuning"], lines)


# --- without training --------------------------------------------------------------------------------------------


def _first(experiment: str, row: str) -> list[Row] | None:
    parts = done(experiment)[row]
    return scores(parts[0]) if parts else None


def calibration() -> str:
    """Errors of S before and after the temperature."""
    rows = _first("calibration", "summary")
    if rows is None:
        return f"{NOT_RUN}: {command('calibration', 'summary')}"
    lines = [
        [f"{row['version']}, T = {row['temperature']:.2f}"]
        + [f"{row[name]:.4f}" for name in ("calibration_error", "brier", "cross_entropy")]
        for row in rows
    ]
    return markdown(["S", "Expected calibration error", "Brier score", "Cross-entropy"], lines)


def disagreement() -> str:
    """Areas under the curve of |L − N| and of S's own uncertainty, for wrong pixels and for bad images."""
    lines = []
    for split, called in (("val", "validation"), ("test", "test")):
        rows = _first("disagreement", split)
        if rows is None:
            lines.append([called, NOT_RUN, command("disagreement", split), "", "", ""])
            continue
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


def summarized(
    experiment: str,
    label: Callable[[str], Sequence[str]],
    heads: Sequence[str],
    names: Sequence[str] = MEASURES,
    rows: Sequence[str] | None = None,
) -> str:
    """A row of means for each row of an experiment, or for some, whose result files hold images."""
    lines = []
    for row, parts in done(experiment).items():
        if rows is not None and row not in rows:
            continue
        if not parts:
            lines.append([*label(row), NOT_RUN, command(experiment, row), *[""] * (len(names) - 2)])
            continue
        means = [summarize(scores(part)) for part in parts]
        cells = [spread([100 * mean[name].mean for mean in means], 2) for name in names if name not in COUNTS]
        cells += [spread([mean[name].mean for mean in means], 1) for name in names if name in COUNTS]
        lines.append([*label(row), *cells])
    return markdown([*heads, *("Dice", "clDice", "Sens.", "Prec.", "Δβ0", "Δβ1")[: len(names)]], lines)


def pretraining_table(tuned: bool) -> str:
    """A row for each recipe, on phantoms alone or on VessMAP after them: Dice, clDice on all images."""
    lines = []
    rows = done(pretraining.NAME)
    for name, change in pretraining.CHANGES.items():
        if bool(change.start) != tuned:
            continue
        cells = []
        for data in pretraining.DATA:
            parts = rows[f"{data}-{name}"]
            means = summarize(scores(parts[0])) if parts else None
            cells.append(" / ".join(f"{100 * means[m].mean:.1f}" for m in ("dice", "cldice")) if means else NOT_RUN)
        lines.append([change.called, *cells])
    return markdown(
        ["U-Net, phantoms, then VessMAP" if tuned else "U-Net, phantoms", *pretraining.DATA.values()], lines
    )


def microscopes_table() -> str:
    """The stacks as the weights found them; those of one slice have a table of their own."""
    without = [row for row in done(microscopes.NAME) if not row.startswith("one_slice-")]
    return summarized(microscopes.NAME, microscopes.label, ["Stack", "Network", "Scale"], rows=without)


def one_slice() -> str:
    """What fine-tuning on the middle slice did to the others of the stack."""
    lines = []
    for row, parts in done(microscopes.NAME).items():
        if not row.startswith("one_slice-"):
            continue
        stack = row.removeprefix("one_slice-")
        if not parts:
            lines.append([stack, NOT_RUN, command(microscopes.NAME, row), *[""] * 5])
            continue
        times = {}
        for time in ("before", "after"):
            rows = [each for each in scores(parts[0]) if str(each["image"]).startswith(time)]
            times[time] = summarize(rows)
        cells = [f"{100 * times[time][name].mean:.1f}" for name in MEASURES[:4] for time in times]
        lines.append([stack, *cells])
    heads = [f"{head}, {time}" for head in ("Dice", "clDice", "Sens.", "Prec.") for time in ("before", "after")]
    return markdown(["Stack", *heads], lines)


def binarization() -> str:
    """The settings and their scores, as they are."""
    rows = _first("binarization", "val")
    if rows is None:
        return f"{NOT_RUN}: {command('binarization', 'val')}"
    lines = [
        [f"{row[name]:g}" for name in ("low", "high", "gaps", "fragments")]
        + [f"{100 * row[name]:.2f}" for name in ("dice", "cldice", "sensitivity", "precision")]
        + [f"{row[name]:.1f}" for name in COUNTS]
        for row in rows
    ]
    heads = ["Low", "High", "Gaps", "Fragments", "Dice", "clDice", "Sens.", "Prec.", "Δβ0", "Δβ1"]
    return markdown(heads, lines)


def shipped_card() -> str:
    """The shipped weights' scores on the test split, each with its interval, beside the plain U-Net's."""
    lines = []
    for row in ("average-shipped", "unet-fine_tuned"):
        summary = summarize(scores(done("release")[row][0]))
        cells = [
            f"{100 * summary[name].mean:.1f} [{100 * summary[name].low:.1f}, {100 * summary[name].high:.1f}]"
            for name in SHOWN
        ]
        lines.append([", ".join(release.label(row)), *cells])
    return markdown(["Network, trained on", *HEADS], lines)


TABLES: dict[str, Callable[[], str]] = {
    "release": release_table,
    "shipped_card": shipped_card,
    "pairs": lambda: summarized("pairs", lambda row: release.PAIRS[row], ["DBAC's norm", "DDMAC's norm"]),
    "losses": lambda: summarized("losses", lambda row: release.LOSSES[row][:1], ["Loss of the masks"]),
    "release_paired": release_paired,
    "release_minutes": release_minutes,
    "sizes": sizes,
    "main": lambda: main_table(tables.STATES),
    "second_source": lambda: main_table(tables.SECOND_SOURCE),
    "main_paired": main_paired,
    "calibration": calibration,
    "disagreement": disagreement,
    "scale": lambda: summarized(
        "scale", lambda row: row.replace("_", " ").split("-"), ["Magnification", "Segmented at"]
    ),
    "sharpness": lambda: summarized("sharpness", sharpness.label, ["Weights", "Blurred by"]),
    "test_time": lambda: summarized("test_time", lambda row: [row.replace("_", " ")], ["Averaged over"]),
    "stages": lambda: summarized("stages", lambda row: [STAGES[row]], ["DBAC's stage"]),
    "annotators": lambda: summarized("annotators", lambda row: ANNOTATORS[row], ["Masks of", "against"]),
    "binarization": binarization,
    "few_labels": lambda: summarized("few_labels", few_labels.label, ["Training", "Labelled images"]),
    "recipe": lambda: summarized("recipe", lambda row: [recipe.CHANGES[row].called], ["Recipe"]),
    "pretraining": lambda: pretraining_table(tuned=False),
    "pretraining_tuned": lambda: pretraining_table(tuned=True),
    "microscopes": microscopes_table,
    "one_slice": one_slice,
    "field": lambda: summarized("field", field.label, ["Method", "Images"]),
    "retina_sets": lambda: summarized("retina_sets", lambda row: row.split("-"), ["Network", "Set"], RETINA),
}


def reliability(axes: Axes) -> None:
    """How often a pixel of a given S is vessel."""
    axes.set(xlabel="probability S", ylabel="share of pixels that are vessel", aspect="equal")
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    for version, colour in (("before", "tab:blue"), ("after", "tab:orange")):
        rows = _first("calibration", "reliability") or []
        points = [(row["probability"], row["vessel"]) for row in rows if row["version"] == version]
        axes.plot(
            *np.array(points).reshape(-1, 2).T, "o-", markersize=4, color=colour, label=f"{version} the temperature"
        )


def labels_needed(axes: Axes) -> None:
    """Dice and clDice by the number of labelled images, beside what was published."""
    place = {str(count): index for index, count in enumerate(few_labels.COUNTS["short"])}
    axes.set(xlabel="labelled images", ylabel="Dice, clDice, %", xticks=list(place.values()))
    axes.set_xticklabels(place)
    curves = {"dice": ("tab:blue", "Dice"), "cldice": ("tab:orange", "clDice")}
    for training, style in (("short", "s--"), ("long", "o-")):
        for name, (colour, called) in curves.items():
            points = []
            for row, parts in done("few_labels").items():
                if parts and row.startswith(training):
                    draws = [100 * summarize(scores(part))[name].mean for part in parts]
                    deviation = np.std(draws, ddof=1) if len(draws) > 1 else 0
                    points.append((place[few_labels.label(row)[1]], np.mean(draws), deviation))
            x, y, deviation = np.array(points).reshape(-1, 3).T
            label = f"{called}, {few_labels.CALLED[training].split(',')[0]}"
            axes.errorbar(x, y, deviation, fmt=style, markersize=4, color=colour, capsize=3, label=label)
    for count, low, high in PUBLISHED:
        label = "Dice, published" if count == 0 else None
        axes.plot([place[str(count)]] * 2, [low, high], "x-", color="0.4", label=label)


# Dice of published networks by labelled images of VessMAP: least and most
PUBLISHED = ((0, 75.7, 75.7), (4, 74.4, 78.2), (20, 84.3, 84.3))
PLOTS: dict[str, Callable[[Axes], None]] = {"reliability": reliability, "few_labels": labels_needed}


def plot(folder: Path) -> None:
    """The plots as SVG, with nothing in them that changes from run to run."""
    for name, draw in PLOTS.items():
        with matplotlib.rc_context({"svg.hashsalt": name, "svg.fonttype": "none", "font.family": "sans-serif"}):
            figure = Figure(figsize=(4.5, 4), layout="constrained")
            axes = figure.add_subplot()
            draw(axes)
            axes.legend(frameon=False)
            with atomic(folder / f"{name}.svg") as partial:
                figure.savefig(partial, format="svg", metadata={"Date": None, "Creator": None})
