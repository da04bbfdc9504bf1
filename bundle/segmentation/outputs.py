"""Where a run's outputs go, under which names, and what makes them: checked before, told with each, confirmed after."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import nn

from ..errors import InputError, foreseen
from ..io import (
    FORMS,
    KINDS,
    OUTPUT_SUFFIXES,
    Provenance,
    Reading,
    Source,
    as_source,
    image_name,
    output_path,
    read_record,
    reading_record,
    record_path,
    refuse_others,
    remove,
    write_record,
)
from ..transforms import Fusing
from .fingerprints import fingerprint_of_network

__all__ = ["Outputs", "unfinished"]

logger = logging.getLogger(__name__)

GIVE_AGAIN = "leave it alone while a run lasts, and give the same command again"
FUSION = ("fused", "depth")
# what each way of segmenting writes of every input, beside the fusion of a stack
ALWAYS = ("mask", "probability", "disagreement", "overlay")
ALSO: dict[str, tuple[str, ...]] = {"both": (*FUSION, "mask_2d", "colour", "rendering")}


class Outputs:
    """The outputs of one run of segmentation.

    Args:
        folder: to write to.
        suffix: of the images, which says in which format they are.
        overwrite: replace what is there, whatever it is.
        reader: says which channel, time point and scene is read.
        network: which finds the vessels.
        fusion: transforms of which one is a :class:`bundle.transforms.FuseFocus` or its dictionary twin.
        options: all else that the results depend on, by name: ``mode``, thresholds, scale. None counts as absent.
    """

    def __init__(
        self,
        folder: str | Path,
        suffix: str = ".tif",
        overwrite: bool = False,
        reader: Reading | None = None,
        network: nn.Module | None = None,
        fusion: Sequence[object] = (),
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.suffix = suffix
        self.overwrite = overwrite
        self.options = {name: value for name, value in (options or {}).items() if value is not None}
        self._reader = reader
        self._network = network
        steps = [getattr(step, "transform", step) for step in fusion]
        self._method = next((step.method for step in steps if isinstance(step, Fusing)), None)
        self._masks: list[Path] = []
        self._made: dict[str, dict[str, Provenance]] = {}
        self._sources: dict[str, Source] = {}

    @cached_property
    def weights(self) -> str | None:
        """What tells the network from others."""
        return None if self._network is None else fingerprint_of_network(self._network)[:16]

    def path(self, source: str | Path | Source, kind: str) -> Path:
        """Where an output lies; see :func:`bundle.io.output_path`."""
        path = output_path(self.folder, source, kind, self.suffix)
        return (
            path.with_suffix(f".{self.options['surface']}") if kind == "surface" and "surface" in self.options else path
        )

    def provenance(self, source: str | Path | Source, kind: str = "mask") -> Provenance:
        """What makes an output of an input; the input is looked at once in a run.

        Raises:
            InputError: it cannot be read.
        """
        source = as_source(source)
        if source.name not in self._made:
            reading = reading_record(self._reader.options if self._reader else {}, source.choices)
            made = Provenance.of("segment", [source.path], {**reading, **self.options}, self.weights)
            fused = Provenance("fuse", made.inputs, {**reading, "method": self._method})
            self._made[source.name] = {kind: fused if kind in FUSION else made for kind in KINDS}
            self._sources[source.name] = source
        return self._made[source.name][kind]

    def made_alike(self, output: Path) -> bool:
        """Tell whether an output, of this run or another, is of the same weights and mode, by its record."""
        record = read_record(output) or {}
        mode = (record.get("options") or {}).get("mode")
        return record.get("weights") == self.weights and mode == self.options.get("mode")

    def source(self, path: str | Path, name: str | None = None) -> Source:
        """The input of a path and a NAME, with what is read of it if it was looked at before."""
        source = Source(Path(path), name or image_name(path))
        return self._sources.get(source.name, source)

    def unfinished(self, sources: Iterable[str | Path | Source]) -> list[Source]:
        """The inputs that have no mask yet; of the others it is said that theirs are kept.

        One of which another's output lies in the way is not finished: :meth:`claim` refuses it.
        """
        inputs = [as_source(source) for source in sources]
        # those of earlier versions do not tell what made them; their names do
        outputs = self._places(inputs)
        todo = []
        for source in inputs:
            if os.path.realpath(source.path) in outputs:
                logger.warning("%s: is left out, its name is that of an output of another input", source)
                continue
            mask = self.path(source, "mask")
            if not self.overwrite and mask.exists():
                try:
                    self.claim(source)
                except InputError:
                    pass
                else:
                    logger.info("%s: kept %s (--overwrite makes it again)", source, mask)
                    continue
            todo.append(source)
        return todo

    def _places(self, inputs: Iterable[Source]) -> set[str]:
        """Where all outputs of all inputs would lie, whatever their format; links followed."""
        names = {
            output_path("", source, kind, form).name
            for source in inputs
            for kind, own in KINDS.items()
            for form in ([own] if own else OUTPUT_SUFFIXES.values())
        }
        # the folder is followed once, and its entries only where they are links: names are dozens for each input
        folder = os.path.realpath(self.folder)
        links: list[str] = []
        with suppress(OSError), os.scandir(folder) as entries:  # it need not be there, nor be readable
            links = [entry.name for entry in entries if entry.is_symlink()]
        linked = {os.path.realpath(os.path.join(folder, name)) for name in names.intersection(links)}
        return linked | {os.path.join(folder, name) for name in names.difference(links)}

    def claim(self, source: str | Path | Source) -> None:
        """Make sure before any work that nothing of another origin lies where an input's outputs will.

        Raises:
            InputError: something does, or the input cannot be read.
        """
        also = ALSO.get(str(self.options.get("mode")), ())
        kinds = [*ALWAYS, *also, *(["surface"] if "surface" in self.options else [])]
        refuse_others({self.path(source, kind): self.provenance(source, kind) for kind in kinds}, self.overwrite)

    def finished(self, sources: Iterable[str | Path | Source]) -> list[Source]:
        """The inputs whose mask is there, and is theirs."""
        found = []
        for source in map(as_source, sources):
            mask = self.path(source, "mask")
            with suppress(InputError):
                refuse_others({mask: self.provenance(source)})
                found += [source] if mask.exists() else []
        return found

    def begin(self, source: str | Path | Source, kinds: Iterable[str]) -> None:
        """Remove what earlier runs found in an input, and note what makes the outputs that follow.

        The fusion and its depth map stay, which are the input's own, and so does what nothing tells of.

        Args:
            source: the input.
            kinds: of all outputs that follow.

        Raises:
            InputError: something of another origin is in the way, or nothing can be written.
        """
        made = {self.path(source, kind): self.provenance(source, kind) for kind in kinds}
        refuse_others(made, self.overwrite)
        for kind in KINDS.keys() - set(FUSION):
            path = output_path(self.folder, source, kind, self.suffix)
            for file in (path, *map(path.with_suffix, FORMS.get(kind, ()))):
                if os.path.lexists(file) and (file in made or read_record(file) is not None):
                    with suppress(OSError):  # what forbids it forbids writing too, which says so
                        remove(file)
        write_record(record_path(self.folder, source), made)

    def confirm(self, source: str | Path | Source) -> None:
        """Make sure that an input is still what it was when it was claimed.

        Raises:
            InputError: it has changed.
        """
        self.provenance(source).confirm()
        self._masks.append(self.path(source, "mask"))

    def check_there(self) -> None:
        """Make sure at the end of a run that nobody has taken its masks away.

        Raises:
            InputError: somebody has.
        """
        gone = [mask.name for mask in self._masks if not mask.exists()]
        self._masks.clear()
        if gone:
            named = ", ".join(gone[:3]) + ", …" * (len(gone) > 3)
            raise InputError(self.folder, f"has lost {named} since they were written", GIVE_AGAIN)

    def say_failed(self, source: Source, exception: Exception) -> None:
        """Log in a line why an input failed, so that the others go on.

        Raises:
            Exception: what was given, if it is no fault of the input, of memory or of the output folder.
        """
        error = foreseen(exception, source) or self.lost(exception)
        if error is None:
            raise exception
        logger.error("%s", error if error.path else InputError(source, error.problem, error.remedy))

    def lost(self, exception: BaseException | None) -> InputError | None:
        """What is said where an exception comes of the output folder having been removed, or its disk; else None."""
        while exception is not None:
            if isinstance(exception, OSError) and isinstance(exception.filename, str | bytes):
                if self.folder.absolute() in Path(os.fsdecode(exception.filename)).absolute().parents:
                    return InputError(self.folder, f"cannot be used any more ({exception.strerror})", GIVE_AGAIN)
            exception = exception.__cause__ or exception.__context__
        return None


def unfinished(
    inputs: Iterable[str | Path], output_dir: str | Path, overwrite: bool = False, suffix: str = ".tif"
) -> list[Source]:
    """:meth:`Outputs.unfinished` where nothing is known of a run but its folder, as configs of version 0.4 have it."""
    return Outputs(output_dir, suffix, overwrite).unfinished(inputs)
