"""Taking up what an earlier run of the same input left behind.

What is computed of a stack lies by blocks in a hidden folder beside the outputs. A killed run leaves it there, and the
next run goes on with it, if the input, the network and all else that the probability depends on are the same.

These name the folder within, in which the blocks lie: on a scheduler of the user's own, a worker may still be at a part
of a command that was killed when another with other settings has begun. What it writes then lies where nobody looks.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ...errors import InputError
from ...io import alone, atomic

__all__ = ["work_folder"]

logger = logging.getLogger(__name__)


@contextmanager
def work_folder(folder: Path, source: Path, settings: Callable[[], dict]) -> Iterator[Path]:
    """Hold a stack's folder alone, and give the one in it for the blocks, with an earlier run's that would be the same.

    It is gone after a ``with`` that ends well. After another one it stays for the next run, unless the input is at
    fault.

    Args:
        folder: of the stack.
        source: the input, for messages.
        settings: gives all that the probability depends on, as JSON gives it back; called when the folder is held.

    Raises:
        InputError: another process holds the folder.
    """
    with alone(folder.with_suffix(".lock"), source):
        blocks = folder / _take_up(folder, source, settings())
        try:
            yield blocks
        except InputError as error:
            if error.path is None or Path(error.path) == source:
                shutil.rmtree(folder, ignore_errors=True)
            raise
        shutil.rmtree(folder, ignore_errors=True)


def _take_up(folder: Path, source: Path, settings: dict) -> str:
    """Keep blocks of the same settings; drop others, and say which settings changed.

    Returns:
        What tells the settings from others.
    """
    fingerprint = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
    note = folder / "settings.json"
    try:
        before = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        before = None
    if before == settings:
        return fingerprint
    if isinstance(before, dict):
        other = [name for name in settings if before.get(name) != settings[name]]
        logger.info("%s: begins anew, since %s changed", source, " and ".join(other))
    shutil.rmtree(folder, ignore_errors=True)
    with atomic(note) as partial:
        partial.write_text(json.dumps(settings, indent=1), encoding="utf-8")
    return fingerprint
