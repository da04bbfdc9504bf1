"""What to read before the numbers: images without a pixel size, masks not to be trusted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..comparison import numbers
from ..segmentation import SEEN_WIDTHS
from ..trust import TRUSTED

__all__ = ["doubts"]

# above that of every labelled image of the validation and test splits, 0.169 (docs/results/disagreement)
DISAGREEMENT = 0.17
_FULL = 60  # per cent: no tissue has so many vessels


def doubts(
    row: Mapping[str, str],
    disagreement: float = math.nan,
    remarks: Sequence[str] = (),
    finding: Mapping[str, Any] | None = None,
    scale: float | None = 1.0,
) -> list[str]:
    """What is doubtful in an image, a line each.

    Args:
        row: its row of ``images.csv``.
        disagreement: mean of |L − N| over the mask's vessels; NaN where it is not known.
        remarks: what was said when it was measured, such as that it has no pixel size; they come first.
        finding: what ``segment`` noted of its mask: ``expected_dice``, and where it is low ``reason``, ``remedy``.
        scale: at which it was segmented; None if it was fitted to the widths of its vessels, which then are not judged.
    """

    def number(column: str) -> float:
        return numbers([row.get(column, "")])[0]

    lines = list(remarks)
    fraction = number("fraction")
    if fraction > _FULL:
        lines.append(f"{fraction:.0f} % of the image is taken for vessel, which no tissue has")
    pixel = number("spacing_x") if row.get("unit") == "micrometer" else 1.0
    width = number("diameter_p50") / pixel
    if scale is not None and (width * scale < SEEN_WIDTHS[0] or width * scale > SEEN_WIDTHS[1]):
        seen = "" if scale == 1 else f", {width * scale:.1f} at scale {scale:.2g}"
        lines.append(
            f"its vessels are about {width:.1f} pixels wide{seen}, the shipped weights are at home from "
            f"{SEEN_WIDTHS[0]:g} to {SEEN_WIDTHS[1]:g}: look at the outline, and try --scale auto"
        )
    expected = (finding or {}).get("expected_dice")
    if finding is not None and isinstance(expected, int | float) and expected < TRUSTED:
        lines.append(
            f"its mask has an expected Dice of {expected:.2f}, masks of {TRUSTED:g} and more can be trusted: "
            f"{finding.get('reason')}; {finding.get('remedy')}"
        )
    # S of slices is sharpened, so that L and N are further apart there: what images had is no measure of it
    if disagreement > DISAGREEMENT and row.get("axes") != "ZYX":
        lines.append(
            f"the two cascades disagree on its vessels ({disagreement:.2f} on average, on labelled images at most "
            f"{DISAGREEMENT:g}): do not trust the mask before you have looked at its outline"
        )
    return lines
