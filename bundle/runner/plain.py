"""configs/inference.json without MONAI, whose import takes longer than to segment a small image."""

from __future__ import annotations

import copy
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from pydoc import locate
from typing import Any

from ..io import Reading
from ..segmentation import ImageSegmenter, StackSegmenter, Windows
from ..transforms import Closing, Equalization, Fusing, Hysteresis, Removal, Stretching

__all__ = ["PlainConfig"]


class _Copied:
    """MONAI's ``CopyItemsd``: what is kept is known here."""

    def __init__(self, **options: object) -> None:
        self.options = options


_Copied.__name__ = "CopyItemsd"


class _Steps:
    """MONAI's ``Compose``."""

    def __init__(self, transforms: list) -> None:
        self.transforms = transforms


# what does the same without MONAI; of transforms the keys are left out
_PLAIN = {
    "Compose": _Steps,
    "CopyItemsd": _Copied,
    "bundle.io.MicroscopyReader": Reading,
    "bundle.segmentation.WholeOrWindowsInferer": Windows,
    "bundle.transforms.AdaptiveHistogramEqualizationd": Equalization,
    "bundle.transforms.CloseGapsd": Closing,
    "bundle.transforms.FuseFocusd": Fusing,
    "bundle.transforms.HysteresisThresholdd": Hysteresis,
    "bundle.transforms.LinearContrastd": Stretching,
    "bundle.transforms.RemoveFragmentsd": Removal,
}
_WITHOUT = (
    "bundle.networks.",
    "bundle.segmentation.Outputs",
    "bundle.segmentation.SecondOpinion",
)  # components that need nothing of MONAI
_REFERENCE = re.compile(r"@(\w+(?:#\w+)*)")


class PlainConfig:
    """A config as :class:`monai.bundle.ConfigParser` reads it, as far as segmenting by the command line needs it.

    References, expressions and components are resolved when they are asked for, once each. The segmenters are made of
    the same sections as the config's own.

    Args:
        path: of the config.
    """

    def __init__(self, path: str | Path) -> None:
        self._config: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
        self._made: dict[str, Any] = {}
        self._names: dict[str, Any] = {}

    def can(self, mode: str) -> bool:
        """Whether the sections of a mode hold nothing but what is known here."""
        sections = ["network_def", "inferer", "postprocessing", "outputs"]
        sections += ["slices"] if mode == "stack" else ["fusion", "second"]
        return mode in ("fused", "stack") and all(map(_is_known, (self._config.get(name) for name in sections)))

    def __getitem__(self, place: str) -> Any:
        part = self._config
        for name in place.split("#"):
            part = part[int(name)] if isinstance(part, list) else part[name]
        return part

    def __setitem__(self, place: str, value: object) -> None:
        above, _, last = place.rpartition("#")
        part: Any = self[above] if above else self._config
        part[int(last) if isinstance(part, list) else last] = value
        self._made.clear()

    def update(self, values: Mapping[str, object]) -> None:
        """Set several places."""
        for place, value in values.items():
            self[place] = value

    def get_parsed_content(self, place: str) -> Any:
        """What a place of the config stands for; ``segmenter`` is that of the mode."""
        if place not in self._made:
            self._made[place] = self._segmenter() if place == "segmenter" else self._resolved(self[place])
        return self._made[place]

    def _segmenter(self) -> ImageSegmenter | StackSegmenter:
        names = ("network", "inferer", "device", "amp", "outputs")
        inputs = self.get_parsed_content("unfinished")  # said before weights are read, as a wrong weight is after
        options = {name: self.get_parsed_content(name) for name in names}
        options["reader"] = self.get_parsed_content("reading#0#reader")
        options["binarization"] = self.get_parsed_content("postprocessing")
        if self["mode"] == "stack":
            folder, suffix = options["outputs"].folder, options["outputs"].suffix
            contrast = self.get_parsed_content("slices")
            return StackSegmenter(inputs, folder, contrast=contrast, suffix=suffix, **options)
        fusion, second = self.get_parsed_content("fusion"), self.get_parsed_content("second")
        return ImageSegmenter(inputs, fusion=fusion, second=second, **options)

    def _resolved(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._resolved(item) for item in value]
        if isinstance(value, dict):
            if "_target_" in value:
                return self._component(value)
            return {name: self._resolved(item) for name, item in value.items()}
        if isinstance(value, str) and value.startswith("$"):
            return self._evaluated(value[1:])
        if isinstance(value, str) and value.startswith("@"):
            return self.get_parsed_content(value[1:])
        return value

    def _component(self, section: dict[str, Any]) -> Any:
        target = section["_target_"]
        options = {name: self._resolved(item) for name, item in section.items() if name != "_target_"}
        kind: Any = _PLAIN.get(target) or locate(target)
        if target in _PLAIN and target.endswith("d"):
            options.pop("keys", None)
            options.pop("depth", None)  # which is always written of a stack
        return kind(**options)

    def _evaluated(self, expression: str) -> Any:
        if not self._names:
            import torch

            import bundle

            self._names = {"bundle": bundle, "copy": copy, "os": os, "torch": torch}
        found = {place: self.get_parsed_content(place) for place in _REFERENCE.findall(expression)}
        return eval(_REFERENCE.sub(r"_found['\1']", expression), {**self._names, "_found": found})


def _is_known(section: Any) -> bool:
    if isinstance(section, dict):
        target = section.get("_target_")
        if target is not None and target not in _PLAIN and not str(target).startswith(_WITHOUT):
            return False
        plain = all(name == "_target_" or not name.startswith("_") for name in section)  # _disabled_ and such
        return plain and all(map(_is_known, section.values()))
    return not isinstance(section, list) or all(map(_is_known, section))
