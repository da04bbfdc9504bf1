"""Pixel sizes that one file states in several places: which is taken, and what is said if they contradict."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import tifffile

from .remarks import remark
from .spacing import MICROMETRES, is_possible_size, is_usual, to_micrometres

Spacing = Mapping[str, float | None]
TAGS = "its resolution tags"
AGREE = 0.01  # of a length
# of a page that is printed or shown on a screen a pixel is larger: 1270 to the inch
_PRINTED = 20.0
_INCH, _CENTIMETRE = 2, 3


def agreed(
    path: Path, sources: Mapping[str, Spacing], compared: Mapping[str, Spacing] | None = None
) -> dict[str, float | None]:
    """The pixel size that a file states, if need be one of several.

    The first source that states a possible length along an axis is believed. If another differs by more than 1 % this
    is said, with all that are stated.

    Args:
        path: the file, for the message.
        sources: what states it, and micrometres by axis; the most trustworthy first.
        compared: the same of what is never believed alone, as the tags that say how large a page is printed.

    Returns:
        Micrometres by axis; where no source is possible, what the first states, which is for the caller to refuse.
    """
    named = {name: spacing for name, spacing in sources.items() if any(v is not None for v in spacing.values())}
    chosen: dict[str, float | None] = {}
    against: dict[str, None] = {}
    for axis in "ZYX":
        lengths = {name: spacing.get(axis) for name, spacing in named.items()}
        stated = {name: length for name, length in lengths.items() if length is not None}
        possible = {name: length for name, length in stated.items() if is_possible_size(length)}
        chosen[axis] = believed = next(iter((possible or stated).values()), None)
        if possible:
            others = {name: spacing.get(axis) for name, spacing in (compared or {}).items()}
            possible |= {name: length for name, length in others.items() if length is not None}
        if believed is not None and any(not math.isclose(n, believed, rel_tol=AGREE) for n in possible.values()):
            against |= dict.fromkeys(f"{axis} {length:.6g} µm by {name}" for name, length in possible.items())
    if against:
        first = next(iter(against)).rpartition(" by ")[2]
        remark(path, f"states pixel sizes that differ ({', '.join(against)}); {first} is believed, --spacing overrides")
    return chosen


def resolution_tags(page: tifffile.TiffPage) -> dict[str, float]:
    """Micrometres along Y and X by a page's resolution tags, where they say more than how large it is printed."""
    factor = {_INCH: MICROMETRES["in"], _CENTIMETRE: MICROMETRES["cm"]}.get(page.tags.valueof(296, default=_INCH))
    if factor is None:
        return {}
    lengths = {axis: factor * _pixel(page, axis) for axis in "YX"}
    return {axis: length for axis, length in lengths.items() if 0 < length < _PRINTED}


def imagej(path: Path, page: tifffile.TiffPage, about: Mapping) -> dict[str, float | None]:
    """Micrometres by ImageJ's description and the resolution tags, which count pixels in its unit or in centimetres.

    ImageJ writes pixels in its own unit, and no unit of the tags; Micro-Manager writes pixels per centimetre and says
    so in the tag, beside ImageJ's unit, and ImageJ reads it so. If what the tag says is no size of a microscope's pixel
    and ImageJ's unit is, or the other way round, the usual one is taken, and this is said.
    """
    unit = about.get("unit")
    tag = page.tags.valueof(296, default=1)
    by_tag = {_INCH: "in", _CENTIMETRE: "cm"}.get(tag)
    found: dict[str, float | None] = {}
    said: dict[str, None] = {}
    for axis in "YX":
        pixel = _pixel(page, axis)
        named = about.get(f"{axis.lower()}unit", unit)
        by_unit = to_micrometres(pixel, named) if pixel else None
        if by_unit is None or by_tag is None or named == by_tag:
            found[axis] = by_unit
            continue
        both = {"ImageJ's unit": by_unit, "the unit of its tags": pixel * MICROMETRES[by_tag]}
        believed, other = list(both)[:: -1 if tag == _CENTIMETRE else 1]
        if not is_usual(both[believed]) and is_usual(both[other]):
            believed, other = other, believed
            said[f"{axis} {both[other]:.6g} µm by {other}, {both[believed]:.6g} µm by {believed}"] = None
        found[axis] = both[believed]
    if said:
        remark(
            path, f"states a pixel size in two units ({'; '.join(said)}); the latter is believed, --spacing overrides"
        )
    found["Z"] = to_micrometres(about.get("spacing", 1), about.get("zunit", unit))
    return found


def micromanager(summary: Mapping) -> dict[str, float | None]:
    """Micrometres by the summary that Micro-Manager writes; 0 means that it does not know."""

    def length(*names: str) -> float | None:
        value = next((summary[name] for name in names if isinstance(summary.get(name), int | float)), None)
        return abs(float(value)) or None if value is not None else None

    pixel = length("PixelSizeUm", "PixelSize_um")
    return {"Z": length("z-step_um", "zStepUm", "Interval_um"), "Y": pixel, "X": pixel}


def _pixel(page: tifffile.TiffPage, axis: str) -> float:
    """The length of a pixel by its resolution tag, in the unit that belongs to it; 0 where there is none."""
    value = page.tags.valueof(f"{axis}Resolution", default=(0, 0))
    count, length = value if isinstance(value, tuple) and len(value) == 2 else (0, 0)
    return length / count if count and length else 0.0
