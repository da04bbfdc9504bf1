"""Words of the command line as they were typed, whatever MONAI's runner made of them."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from itertools import zip_longest

from ..errors import InputError

__all__ = ["as_typed", "chosen", "one_of"]


def as_typed(option: str, value: object) -> str | None:
    """The path that was typed for an option of ``python -m monai.bundle run``.

    python-fire takes ``356`` and ``1e5`` for numbers and ends ``a #6`` at its comment; a config makes ``::`` of ``#``.
    A path that starts with ``$`` or ``@`` stays an expression or a reference to the config: write ``./$path``.

    Args:
        option: its name, without dashes.
        value: what the config has for it.

    Returns:
        The typed word, if the value was made of it; else the value, as text: a default of the config, or one that a
        program set. None stays None.
    """
    if value is None:
        return None
    from fire.parser import DefaultParseValue  # it brings asyncio along

    words = sys.argv[1:]
    for word, following in zip_longest(words, words[1:], fillvalue=""):
        name, equals, rest = word.partition("=")
        if name.startswith("-") and name.lstrip("-").replace("-", "_") == option:
            typed = rest if equals else following
            made = DefaultParseValue(typed)
            if value in (made, str(made).replace("#", "::")):
                return typed
    return str(value)


def one_of(option: str, value: object, words: Iterable[str]) -> str:
    """The value of an option that takes one of a few words.

    Args:
        option: its name, without dashes.
        value: what the config has for it.
        words: what it may be.

    Raises:
        InputError: it is another.
    """
    words = tuple(words)
    if value not in words:
        raise InputError(None, f"{option} {value!r} is not known", f"choose {', '.join(words[:-1])} or {words[-1]}")
    return str(value)


def chosen(option: str, value: object, **choices: object) -> object:
    """What belongs to the word that an option has.

    Args:
        option: its name, without dashes.
        value: what the config has for it.
        choices: by each word that it may have.

    Raises:
        InputError: it is another.
    """
    return choices[one_of(option, value, choices)]
