"""How a program run by MONAI ends when an input is bad."""

from __future__ import annotations

import os
import sys
from types import TracebackType

from ..errors import input_error

__all__ = ["show_input_errors"]


def show_input_errors() -> None:
    """Let a program that ends with an InputError end with its one line, without traceback, and exit status 1."""
    previous = sys.excepthook

    def hook(kind: type[BaseException], exception: BaseException, traceback: TracebackType | None) -> None:
        error = input_error(exception)
        if error is None:
            previous(kind, exception, traceback)
        else:
            print(error, file=sys.stderr)
            # at once: a thread that is still reading images when the interpreter winds up would abort the program
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(1)

    sys.excepthook = hook
