"""What a worker of this machine loads when it starts: Ctrl-C, which a terminal sends to all, is for the command."""

from __future__ import annotations

import signal

__all__ = ["dask_setup"]


def dask_setup(worker: object) -> None:
    """Called by Dask in the worker's process. The command, once interrupted, ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
