"""A methods section ready to paste: the passages that apply, every setting in them, references numbered as cited."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from string import Template

__all__ = ["Methods", "describe_methods"]

_PASSAGE = re.compile(r"^\[(\w+)\]\n(.+?)$", re.MULTILINE)
_REFERENCE = re.compile(r"^(\w+): (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Methods:
    """How a report was made.

    Args:
        paragraphs: for a paper's methods section, references as numbers in brackets.
        references: in the order of their numbers.
        settings: each option's name and value, for whoever wants to do it again.
    """

    paragraphs: list[str]
    references: list[str]
    settings: list[tuple[str, str]]


def describe_methods(
    passages: Sequence[Sequence[str]], values: Mapping[str, object], settings: Sequence[tuple[str, str]]
) -> Methods:
    """Write the methods.

    Args:
        passages: names of the passages in ``methods.txt``, one sequence for each paragraph.
        values: what stands in their places.
        settings: passed on.

    Raises:
        KeyError: no such passage, a place without a value, or a reference that is not in the list.
    """
    text = (files(__package__) / "methods.txt").read_text(encoding="utf-8")
    sentences, _, listed = text.partition("# References\n")
    by_name, sources = dict(_PASSAGE.findall(sentences)), dict(_REFERENCE.findall(listed))
    cited: list[str] = []

    def number(found: re.Match) -> str:
        key = found[1]
        if key not in cited:
            cited.append(key)
        return f"[{cited.index(key) + 1}]"

    paragraphs = []
    for names in passages:
        if names:
            # cited before filled in: a file's name may hold braces
            paragraph = " ".join(re.sub(r"(?<!\$)\{(\w+)\}", number, by_name[name]) for name in names)
            paragraphs.append(Template(paragraph).substitute(values))
    return Methods(paragraphs, [sources[key] for key in cited], list(settings))
