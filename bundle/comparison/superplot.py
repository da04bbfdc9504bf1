"""Superplots: every image as a dot, every animal as a disc, and the difference on an axis of its own."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import t

from .compare import Animal, Comparison, Difference
from .effects import welch_error
from .quantities import title

__all__ = ["draw_superplot", "svg_text"]

# Okabe and Ito's colours, told apart by the colour-blind, and a shape for each, told apart without colour
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999")
_SHAPES = "osD^vP*"
_INK = "#1b2733"  # no data have this colour, so that a page can give the ink of its own theme in its place


def draw_superplot(comparison: Comparison, order: Sequence[str], confidence: float = 0.95) -> Figure:
    """Draw the images and animals of each group, and the differences.

    Small dots are images, discs their animals' means, in the animal's shape and colour; a line is the mean of a group's
    animals. Of two groups the difference hangs on an axis at the side whose zero is the first group's mean (Gardner
    and Altman 1986, https://doi.org/10.1136/bmj.292.6522.746), with its interval and the distribution that it comes
    from. Of more groups the differences stand on an axis of their own.

    Args:
        comparison: one quantity.
        order: the groups, in order.
        confidence: of the interval that is drawn.

    Source: Lord et al., SuperPlots, J. Cell Biol. 2020, https://doi.org/10.1083/jcb.202001064
    """
    style = {"text.color": _INK, "axes.labelcolor": _INK, "axes.edgecolor": _INK, "xtick.color": _INK}
    with rc_context({**style, "ytick.color": _INK, "font.size": 9, "axes.spines.top": False}):
        differences = comparison.differences
        widths = [max(len(order), 2), max(len(differences), 1)]
        figure = Figure(figsize=(1.6 + 1.05 * sum(widths), 3.4), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=widths)
        _groups(left, comparison, order)
        if differences:
            _differences(left, right, comparison, order, confidence)
        else:
            right.set_axis_off()
    return figure


def svg_text(figure: Figure, name: str) -> str:
    """A figure as SVG whose texts are texts and whose ink is the colour of the page around it (``currentColor``).

    Args:
        figure: of :func:`draw_superplot`.
        name: makes its identifiers its own among the figures of a page.
    """
    stream = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    return text[text.index("<svg") :].replace(_INK, "currentColor")


def _groups(axes: Axes, comparison: Comparison, order: Sequence[str]) -> None:
    for place, group in enumerate(order):
        members = [one for one in comparison.animals if one.group == group]
        for number, one in enumerate(members):
            colour, shape = _COLOURS[number % len(_COLOURS)], _SHAPES[number % len(_SHAPES)]
            middle = place + 0.5 * ((number + 0.5) / len(members) - 0.5)
            _images(axes, one, middle, min(0.3 / len(members), 0.08), colour, shape)
            edge = {"edgecolor": "white", "linewidth": 0.8}
            axes.scatter(middle, one.value, s=64, color=colour, marker=shape, zorder=3, **edge)
        if members:
            mean = np.mean([one.value for one in members])
            axes.plot([place - 0.34, place + 0.34], [mean, mean], color=_INK, linewidth=1.4, zorder=4)
    counts = [sum(one.group == group for one in comparison.animals) for group in order]
    labels = [f"{group}\n{count} animal{'s' * (count != 1)}" for group, count in zip(order, counts, strict=True)]
    axes.set_xticks(range(len(order)), labels)
    axes.set_xlim(-0.6, len(order) - 0.4)
    axes.set_ylabel(
        f"{title(comparison.quantity)} ({comparison.unit})" if comparison.unit else title(comparison.quantity)
    )
    axes.spines["right"].set_visible(False)


def _images(axes: Axes, one: Animal, middle: float, width: float, colour: str, shape: str) -> None:
    places = middle + width * (np.linspace(-1, 1, len(one.values)) if len(one.values) > 1 else np.zeros(1))
    has = np.isfinite(one.low) & np.isfinite(one.high)
    # whiskers of the measurement, faint: what is compared are the animals
    axes.vlines(places[has], one.low[has], one.high[has], color=colour, alpha=0.35, linewidth=0.9, zorder=1)
    axes.scatter(places, one.values, s=12, color=colour, marker=shape, alpha=0.55, linewidth=0, zorder=2)


def _differences(left: Axes, right: Axes, comparison: Comparison, order: Sequence[str], confidence: float) -> None:
    values = {group: np.array([one.value for one in comparison.animals if one.group == group]) for group in order}
    floating = len(order) == 2
    offset = comparison.differences[0].means[0] if floating else 0.0
    reach = [0.0]
    for place, one in enumerate(comparison.differences):
        reach += _difference(right, place, one, values)
    right.axhline(0, color=_INK, linewidth=0.8, linestyle=(0, (3, 3)))
    right.set_xlim(-0.55, len(comparison.differences) - 0.2)
    labels = [f"{one.second}\n− {one.first}" for one in comparison.differences]
    right.set_xticks(range(len(labels)), labels)
    right.yaxis.tick_right()
    right.yaxis.set_label_position("right")
    right.spines["left"].set_visible(False)
    unit = f" ({comparison.unit})" if comparison.unit else ""
    right.set_ylabel(f"difference{unit}, {100 * confidence:g} % interval")
    if floating:
        low, high = left.get_ylim()
        low, high = min(low, offset + min(reach)), max(high, offset + max(reach))
        margin = 0.03 * (high - low)
        left.set_ylim(low - margin, high + margin)
        right.set_ylim(low - margin - offset, high + margin - offset)
        for level in comparison.differences[0].means:
            left.axhline(level, color=_INK, linewidth=0.5, alpha=0.5, linestyle=(0, (3, 3)), zorder=0)


def _difference(axes: Axes, place: int, one: Difference, values: Mapping[str, np.ndarray]) -> list[float]:
    """Draw one difference; returns what it spans."""
    value, low, high = one.difference
    axes.scatter(place, value, s=40, color=_INK, zorder=3)
    if not np.isfinite(low):
        return [value]
    axes.vlines(place, low, high, color=_INK, linewidth=1.6, zorder=3)
    error, freedom = welch_error(values[one.first], values[one.second])
    if error == 0:
        return [low, high]
    span = np.linspace(low - 0.15 * (high - low), high + 0.15 * (high - low), 121)
    density = t.pdf((span - value) / error, freedom)
    axes.fill_betweenx(span, place + 0.06, place + 0.06 + 0.32 * density / density.max(), color=_INK, alpha=0.18, lw=0)
    return [span[0], span[-1]]
