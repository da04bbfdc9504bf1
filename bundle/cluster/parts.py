"""Parts of a volume on the workers of a Dask cluster."""

from __future__ import annotations

import logging
import pickle
import socket
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from tqdm import tqdm

from ..errors import InputError
from ..home import VERSION
from ..volumes import SLAB, Slab

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["Cluster"]

logger = logging.getLogger(__name__)

Part = TypeVar("Part")
Result = TypeVar("Result")

PATIENCE = 30  # seconds for which parts that are under way are waited for, when another has failed

_under_way: list[str] = []  # of this process, what its threads are at
_loaded = threading.local()  # a thread computes one part at a time, with a network of its own


class Cluster:
    """Workers of :class:`bundle.volumes.Workers` that are processes of a Dask cluster.

    Blocks go by the disk, which all of them share, and never by the network. So a worker that is lost takes nothing
    with it but the part it was at, which another does again, and what a killed command has finished is found by the
    next.

    Args:
        client: of the cluster.
        folder: an empty one that all workers see; what they are to do goes there.
        slab: slices of every part; as many as the work asks for if None. It changes no result.
    """

    def __init__(self, client: Client, folder: str | Path, slab: int | None = None) -> None:
        self.client = client
        self.folder = Path(folder).absolute()
        self.slab = slab

    def slabs(self, depth: int, least: int = SLAB) -> list[Slab]:
        """Cut a volume to slabs of the fewest slices that are worth a part."""
        step = self.slab or least
        return [(start, min(start + step, depth)) for start in range(0, depth, step)]

    def each(self, what: str, function: Callable[[Part], Result], parts: Sequence[Part]) -> list[Result]:
        """Call a function with each part, wherever there is a worker for it.

        Raises:
            InputError: what a part raises; or workers die of it, do not see the folder, or the cluster is gone.
        """
        if not parts:
            return []
        from distributed import KilledWorker, as_completed
        from distributed.client import ClosedClientError

        file = self.folder / f"{uuid.uuid4().hex}.pickle"
        file.write_bytes(pickle.dumps(function))
        keys = [f"{what}-{file.stem}-{number}" for number in range(len(parts))]
        logger.debug("%s: %d parts", what, len(parts))
        results: dict[str, Result] = {}
        futures: list[Any] = []
        try:
            words = [str(file)] * len(parts), list(parts), [version()] * len(parts)
            futures = self.client.map(_call, *words, key=keys, pure=False)
            with tqdm(desc=what, total=len(parts), unit="part", ncols=100, leave=False, disable=None) as bar:
                for future, result in as_completed(futures, loop=self.client.loop, with_results=True):
                    results[future.key] = result
                    bar.update()
        except KilledWorker as error:
            problem = f"{what}: several workers were lost at the same part"
            remedy = "give each of them more memory, and the same command again; what was finished is kept"
            raise InputError(self.folder.parent, problem, remedy) from error
        except (CancelledError, ClosedClientError, OSError) as error:
            if isinstance(error, OSError) and self.client.status == "running":
                raise
            problem = "the cluster's scheduler is gone; what was finished is kept"
            raise InputError(self.folder.parent, problem, "start one, and give the same command again") from error
        finally:
            if self.client.status == "running":
                self.client.cancel(futures)
                if len(results) < len(parts):
                    self._let_end(str(file))
            file.unlink(missing_ok=True)
        return [results[key] for key in keys]

    def _let_end(self, file: str) -> None:
        """Wait for parts of a call that has failed: what they write to would be removed, and come back by them."""
        until = time.monotonic() + PATIENCE
        with suppress(Exception):  # a worker that is gone writes nothing
            while any(self.client.run(_at, file, on_error="ignore").values()) and time.monotonic() < until:
                time.sleep(0.1)


def _at(file: str) -> bool:
    """Whether this process is at a part of a call."""
    return file in _under_way


def version() -> str:
    """Of the program that computes here."""
    return f"{VERSION} with PyTorch {torch.__version__}"


def _call(file: str, part: Any, expected: str) -> Any:
    """What a worker does, if it is of the same version as who asks it.

    Sums of floats depend on the number of threads: a part is computed by one, so that its bytes are the same anywhere.
    """
    if version() != expected:
        problem = f"the worker on {socket.gethostname()} has version {version()}, and the command {expected}"
        raise InputError(None, problem, "install the same for all")
    torch.set_num_threads(1)
    if getattr(_loaded, "file", None) != file:
        _loaded.file = None
        try:
            contents = Path(file).read_bytes()
        except FileNotFoundError as error:
            problem = f"is not seen by the worker on {socket.gethostname()}"
            remedy = "choose an output folder on a disk that all machines share"
            raise InputError(Path(file).parent.parent, problem, remedy) from error
        _loaded.function, _loaded.file = pickle.loads(contents), file
    _under_way.append(file)
    try:
        return _loaded.function(part)
    finally:
        _under_way.remove(file)
