"""Pixel sizes: from the units that files use to micrometres."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from .remarks import remark

MICROMETRES = {
    "m": 1e6,
    "cm": 1e4,
    "mm": 1e3,
    "µm": 1.0,
    "nm": 1e-3,
    "pm": 1e-6,
    "Å": 1e-4,
    "in": 25400.0,
}
_ALIASES = {
    "μm": "µm",  # Greek letter mu beside the micro sign
    "\\u00b5m": "µm",  # as ImageJ escapes it
    "um": "µm",
    "micron": "µm",
    "microns": "µm",
    "micrometer": "µm",
    "micrometers": "µm",
    "micrometre": "µm",
    "micrometres": "µm",
    "nanometer": "nm",
    "nanometre": "nm",
    "millimeter": "mm",
    "millimetre": "mm",
    "centimeter": "cm",
    "meter": "m",
}
# from a tenth of an ångström to a centimetre per pixel
_SMALLEST, _LARGEST = 1e-5, 1e4
# of a light microscope, from an expanded specimen to a whole slide's overview
_USUAL = 0.01, 100.0


def to_micrometres(value: float | str | None, unit: str | None) -> float | None:
    """Return a length in micrometres, or None where the unit is no length or the value no number.

    Args:
        value: the length; text is read as a number.
        unit: the unit's sign or name, in any of the spellings that microscopes and ImageJ use.
    """
    factor = MICROMETRES.get(_ALIASES.get((unit or "").strip().lower(), (unit or "").strip()))
    try:
        return None if value is None or factor is None else float(value) * factor
    except ValueError:
        return math.nan


def is_possible_size(length: float) -> bool:
    """Tell whether a length in micrometres can be a pixel's at all."""
    return _SMALLEST <= length <= _LARGEST


def is_usual(length: float) -> bool:
    """Tell whether a length in micrometres can be a pixel's of a light microscope."""
    return _USUAL[0] <= length <= _USUAL[1]


def plausible_spacing(path: str | Path, spacing: Mapping[str, float | None]) -> dict[str, float]:
    """Return the stated pixel sizes; if one of them is no possible length, none, with one warning.

    A length that is possible, but of no light microscope, is returned and warned of.

    Args:
        path: the file, named in the warning.
        spacing: axis letter to micrometres, None where the file does not say.
    """
    stated = {axis: length for axis, length in spacing.items() if length is not None}
    wrong = {axis: length for axis, length in stated.items() if not is_possible_size(length)}
    if wrong:
        remark(path, f"impossible pixel size ({_listed(wrong)}), ignored; --spacing states the right one")
        return {}
    check_usual(path, stated)
    return stated


def check_usual(path: str | Path, spacing: Mapping[str, float]) -> None:
    """Warn of a pixel size that no light microscope has.

    Args:
        path: the file, named in the warning.
        spacing: axis letter to micrometres.
    """
    odd = {axis: length for axis, length in spacing.items() if not is_usual(length)}
    if odd:
        remark(
            path,
            f"PIXEL SIZE of no light microscope ({_listed(odd)}; {_USUAL[0]:g} to {_USUAL[1]:g} µm are usual): "
            "lengths, scale bars and --scale auto are wrong unless it is right; --spacing states another",
        )


def _listed(lengths: Mapping[str, float]) -> str:
    return ", ".join(f"{axis} {length:.6g} µm" for axis, length in lengths.items())
