"""What to read before the numbers: images without a pixel size, masks not to be trusted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ..comparison import numbers
from ..segmentation import SEEN_WIDTHS

__all__ = ["doubts"]

# above that of every labelled image of the validation and test splits, 0.107 (docs/results/disagreement)
DISAGREEMENT = 0.11
_FULL = 60  # per cent: no tissue has so many vessels


def doubts(row: Mapping[str, str], disagreement: float = math.nan, remarks: Sequence[str] = ()) -> list[str]:
    """What is doubtful in an image, a line each.

    Args:
        row: its row of ``images.csv``.
        disagreement: mean of |L − N| over the mask's vessels; NaN where it is not known.
        remarks: what was said when it was measured, such as that it has no pixel size; they come first.
    """

    def number(column: str) -> float:
        return numbers([row.get(column, "")])[0]

    lines = list(remarks)
    fraction = number("fraction")
    if fraction > _FULL:
        lines.append(f"{fraction:.0f} % of the image is taken for vessel, which no tissue has")
    pixel = number("spacing_x") if row.get("unit") == "micrometer" else 1.0
    width = number("diameter_p50") / pixel
    if width < SEEN_WIDTHS[0] or width > SEEN_WIDTHS[1]:
        lines.append(
            f"its vessels are about {width:.1f} pixels wide, the shipped weights are at home from "
            f"{SEEN_WIDTHS[0]:g} to {SEEN_WIDTHS[1]:g}: look at the outline, and try --scale auto"
        )
    if disagreement > DISAGREEMENT:
        lines.append(
            f"the two cascades disagree on its vessels ({disagreement:.2f} on average, on labelled images at most "
            f"{DISAGREEMENT:g}): do not trust the mask before you have looked at its outline"
        )
    return lines
