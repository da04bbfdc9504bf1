"""The one error that a user's input can cause, the end that a user asks for, and the sentences they become."""

from __future__ import annotations

import errno
import logging
import os
import signal
import threading
from collections.abc import Iterable
from unicodedata import category

logger = logging.getLogger(__name__)


def printable(text: str) -> str:
    """Return a text in which a character that would steer a terminal, or has no picture, stands as its escape.

    Names of files, channels and scenes hold what others put there: ``ESC`` turns a terminal's colours, a newline fakes
    a line of its own. Spaces and every letter stay.
    """
    return "".join(c if c.isprintable() or category(c) == "Zs" else c.encode("unicode_escape").decode() for c in text)


# in what PyTorch, oneDNN and Python say of it
_OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "could not create a memory",
    "can't start new thread",
    "std::bad_alloc",
    "annot allocate memory",  # a library that does not fit, of the loader
)
_WITHOUT_A_CAUSE = "could not create a primitive"  # all that oneDNN says where its own tables do not fit
# what is said where memory is short, but of a broken installation as well: of a function that found no place for its
# error, and of a library that finds no place, or lies on a disk from which nothing may run (some loaders say which)
_PERHAPS = ("without exception set", "without setting an exception", "failed to map segment from shared object")
_FORBIDDEN = ("peration not permitted", "ermission denied")


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


def unreadable(exception: BaseException) -> InputError:
    """What is said of a file in which no reader foresaw what it met."""
    while exception.__cause__ is not None:  # of MONAI's wrapping
        exception = exception.__cause__
    logger.debug("unexpected", exc_info=exception)
    what = f"cannot be read ({type(exception).__name__}: {exception})"
    return InputError(None, what, "it may be damaged; get another copy")


class Terminated(KeyboardInterrupt):
    """The system asked the program to end (SIGTERM), as a queue does whose time is up."""


def end_on_sigterm() -> None:
    """Let SIGTERM end the program as Ctrl-C does, so that what is half-written is removed.

    A program that does something else on it keeps that.
    """
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        return
    own = os.getpid()

    def end(number: int, _: object) -> None:
        if os.getpid() != own:  # a process that reads images for this one, and knows nothing to tidy up
            os._exit(128 + number)
        raise Terminated

    signal.signal(signal.SIGTERM, end)


def end_of(interrupt: KeyboardInterrupt) -> tuple[str, int]:
    """The line and the exit status with which a program ends that was asked to."""
    if isinstance(interrupt, Terminated):
        return "ended by the system (SIGTERM); what was finished is kept, the same command goes on", 143
    return "interrupted; what was finished is kept, the same command goes on", 130


def is_out_of_memory(exception: BaseException | None) -> bool:
    """Tell whether memory ran out, of the computer or of a GPU, behind what libraries made of it.

    Of some errors it cannot be told: :func:`foreseen` says so.
    """
    return _lack(exception) is not None


def foreseen(exception: BaseException, path: str | os.PathLike | None) -> InputError | None:
    """What is said of an exception: memory ran out, or the InputError that it was raised from; None of any other.

    Args:
        exception: what was raised.
        path: what was worked on, for the line on memory.
    """
    lack = _lack(exception)
    if lack is None:
        return input_error(exception)
    if _says(lack, _OUT_OF_MEMORY) or not _says(lack, _PERHAPS):
        # not even small parts of an image fit
        return InputError(
            path, "does not fit into memory", "close other programs, cut it into smaller ones, or say --scale 0.5"
        )
    problem = f"memory ran out, or the installation is broken ({lack})"
    return InputError(path, problem, "close other programs; if that is of no help, install the program again")


def _says(exception: BaseException, signs: Iterable[str]) -> bool:
    return any(sign in str(exception) for sign in signs)


def _lack(exception: BaseException | None) -> BaseException | None:
    """The exception that tells of a lack of memory, among those behind one."""
    while exception is not None:
        if isinstance(exception, MemoryError) or type(exception).__name__ == "OutOfMemoryError":
            return exception
        if isinstance(exception, RuntimeError | ImportError | OSError | SystemError):
            if str(exception).strip() == _WITHOUT_A_CAUSE or _says(exception, _OUT_OF_MEMORY):
                return exception
            if _says(exception, _PERHAPS) and not _says(exception, _FORBIDDEN):
                return exception
        if isinstance(exception, OSError) and exception.errno == errno.ENOMEM:
            return exception
        exception = exception.__cause__ or exception.__context__
    return None
