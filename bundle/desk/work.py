"""Long work in a thread of its own: the window stays alive, work can be cancelled, and an error is a line."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from napari.qt.threading import create_worker
from qtpy.QtCore import QObject, Signal

from ..errors import foreseen

__all__ = ["Work"]

logger = logging.getLogger(__name__)


class _Cancelled(Exception):
    """The user does not want it any more."""


class Work(QObject):
    """One piece of work at a time.

    Attributes:
        progressed: signal with a text, how much is done, and of how much; of 0 if that is not known.
        ended: signal with a line for the user, and whether it tells of an error.
    """

    progressed = Signal(str, int, int)
    ended = Signal(str, bool)

    def __init__(self) -> None:
        super().__init__()
        self._cancel = threading.Event()
        self._worker: Any = None

    @property
    def busy(self) -> bool:
        """Whether something is being done."""
        return self._worker is not None

    def start(self, function: Callable[[], Any], done: Callable[[Any], str]) -> None:
        """Begin.

        Args:
            function: runs in a thread; it calls :meth:`tell` or :meth:`tell_stage` now and then.
            done: runs in the window's thread with what ``function`` gave, and returns the line for the user.
        """
        self._cancel.clear()

        def finished(result: Any) -> None:
            self._worker = None
            try:
                self.ended.emit(done(result), False)
            except Exception as error:  # Qt would end the program
                self._failed(error)

        worker = create_worker(function, _start_thread=False, _ignore_errors=True)
        worker.returned.connect(finished)
        worker.errored.connect(self._failed)
        self._worker = worker
        worker.start()

    def cancel(self) -> None:
        """End what is being done, at its next step."""
        self._cancel.set()

    def tell(self, done: int, of: int) -> None:
        """Say how far the work is; from its thread.

        Raises:
            _Cancelled: it is to end.
        """
        self.tell_stage("", done, of)

    def tell_stage(self, stage: str, done: int, of: int) -> None:
        """The same of one of several stages."""
        if self._cancel.is_set():
            raise _Cancelled
        self.progressed.emit(stage, done, of)

    def _failed(self, error: Exception) -> None:
        self._worker = None
        if isinstance(error, _Cancelled):
            self.ended.emit("cancelled", False)
            return
        known = foreseen(error, None)
        if known is None:
            logger.error("unexpected", exc_info=error)
        line = str(known) if known else f"{type(error).__name__}: {' '.join(str(error).split())}"
        self.ended.emit(line, True)
