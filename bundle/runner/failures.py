"""How a program run by MONAI ends when an input is bad."""

from __future__ import annotations

import os
import sys
import threading
from traceback import walk_tb
from types import TracebackType

from ..errors import end_of, end_on_sigterm, input_error

__all__ = ["show_input_errors"]

PACKAGE = __name__.split(".")[0]


def show_input_errors() -> None:
    """Let a program that ends with an InputError end with its one line, without traceback, and exit status 1.

    So does one whose config gives a component of this package a setting that it refuses. One that is interrupted ends
    with a line and status 130, one that the system ends (SIGTERM) with 143.
    """
    previous = sys.excepthook

    def hook(kind: type[BaseException], exception: BaseException, traceback: TracebackType | None) -> None:
        line, status = input_error(exception) or refused_setting(exception), 1
        if isinstance(exception, KeyboardInterrupt):
            line, status = end_of(exception)
        if line is None:
            previous(kind, exception, traceback)
        else:
            print(line, file=sys.stderr)
            # at once: a thread that is still reading images when the interpreter winds up would abort the program
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    sys.excepthook = hook
    of_threads = threading.excepthook

    def thread_hook(failure: threading.ExceptHookArgs) -> None:
        # TensorBoard's thread tells the one that adds events, which says it
        if not (isinstance(failure.exc_value, OSError) and type(failure.thread).__module__.startswith("tensorboard.")):
            of_threads(failure)

    threading.excepthook = thread_hook
    end_on_sigterm()


def refused_setting(exception: BaseException | None) -> str | None:
    """What a component of this package said of an argument that it was made with, among the causes of an exception."""
    while exception is not None:
        if isinstance(exception, ValueError):
            for frame, _ in walk_tb(exception.__traceback__):
                if frame.f_code.co_name == "__init__" and frame.f_globals["__name__"].split(".")[0] == PACKAGE:
                    name = type(frame.f_locals["self"]).__name__
                    return f"{name}: {exception}; change this setting of the config or of the command line"
        exception = exception.__cause__ or (None if exception.__suppress_context__ else exception.__context__)
    return None
