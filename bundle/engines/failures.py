"""Errors of input, found under the exceptions that libraries wrap around them."""

from __future__ import annotations

import sys
from types import TracebackType

from ..errors import InputError

__all__ = ["input_error", "show_input_errors"]


def input_error(exception: BaseException | None) -> InputError | None:
    """Find the InputError that an exception was raised from.

    MONAI wraps what a transform or a config's expression raises in a RuntimeError, sometimes in several.
    """
    while exception is not None and not isinstance(exception, InputError):
        exception = exception.__cause__ or exception.__context__
    return exception


def show_input_errors() -> None:
    """Let a program that ends with an InputError end with its one line, without traceback, and exit status 1."""
    previous = sys.excepthook

    def hook(kind: type[BaseException], exception: BaseException, traceback: TracebackType | None) -> None:
        error = input_error(exception)
        if error is None:
            previous(kind, exception, traceback)
        else:
            print(error, file=sys.stderr)

    sys.excepthook = hook
