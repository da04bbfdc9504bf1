"""The one error that a user's input can cause, and the sentence it becomes."""

from __future__ import annotations

import os
from unicodedata import category


def printable(text: str) -> str:
    """Return a text in which a character that would steer a terminal, or has no picture, stands as its escape.

    Names of files, channels and scenes hold what others put there: ``ESC`` turns a terminal's colours, a newline fakes
    a line of its own. Spaces and every letter stay.
    """
    return "".join(c if c.isprintable() or category(c) == "Zs" else c.encode("unicode_escape").decode() for c in text)


class InputError(ValueError):
    """A bad input: which file, what is wrong with it, and what to do.

    Its text is one line, so that a command prints it as it is and goes on with the next file.

    Args:
        path: the file or folder at fault, or None where there is none.
        problem: what is wrong, without a full stop.
        remedy: what the user can do, without a full stop.
    """

    def __init__(self, path: str | os.PathLike | None, problem: str, remedy: str = "") -> None:
        self.path = None if path is None else os.fspath(path)
        self.problem = problem
        self.remedy = remedy
        text = problem if path is None else f"{self.path}: {problem}"
        super().__init__(" ".join(printable(f"{text}; {remedy}" if remedy else text).split()))

    def __reduce__(self) -> tuple[type[InputError], tuple[str | None, str, str]]:
        return type(self), (self.path, self.problem, self.remedy)


def input_error(exception: BaseException | None) -> InputError | None:
    """Find the InputError that an exception was raised from.

    MONAI wraps what a transform or a config's expression raises in a RuntimeError, sometimes in several.
    """
    while exception is not None and not isinstance(exception, InputError):
        exception = exception.__cause__ or exception.__context__
    return exception
