"""What made an output: its inputs, options, weights and version, written with it and compared before it is kept.

A record lies beside the outputs in ``NAME_provenance.json``, and within each image (OME-TIFF: a map annotation,
OME-Zarr: an attribute, NIfTI: a comment), so that an image that was moved alone still tells. A command says what it
would write and of what, before it begins::

    record = Provenance.of("measure", [mask], {"scale": 1.0})
    outputs = {path: record for path in paths}
    refuse_others(outputs, overwrite)  # InputError where something else lies under such a name
    write_record(sidecar, outputs)  # before the first of them, so that a killed run's are known
    …
    record.confirm()  # InputError if an input changed meanwhile
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..home import VERSION
from .atomic import atomic
from .embedded import read_embedded
from .formats import parts

__all__ = [
    "Provenance",
    "is_output",
    "note_finding",
    "read_findings",
    "read_record",
    "reading_record",
    "refuse_others",
    "size_and_time",
    "write_record",
]

# files up to this size are read whole; of larger ones as much, in pieces over their length
HASHED = 16 << 20
PIECES = 16
REMEDY = "say --overwrite to replace it, or choose another --output"


@dataclass(frozen=True)
class Provenance:
    """What makes an output.

    Args:
        made_by: the step, such as ``segment``.
        inputs: what was read, as of :func:`about`.
        options: all that the output depends on beside inputs, weights and version; values that JSON holds.
        weights: of a network, by which it is told from others; none without one.
        version: of this package.
    """

    made_by: str
    inputs: tuple[dict[str, Any], ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    weights: str | None = None
    version: str = VERSION

    @classmethod
    def of(
        cls,
        made_by: str,
        inputs: Iterable[str | os.PathLike],
        options: Mapping[str, Any] | None = None,
        weights: str | None = None,
    ) -> Provenance:
        """Describe what is about to be made.

        Raises:
            InputError: an input cannot be read.
        """
        # as a file gives them back
        return cls(made_by, tuple(map(about, inputs)), json.loads(json.dumps(options or {}, default=str)), weights)

    @cached_property
    def record(self) -> dict[str, Any]:
        """The same as JSON has it."""
        weights = {} if self.weights is None else {"weights": self.weights}
        return {
            "made_by": self.made_by,
            "version": self.version,
            "inputs": list(self.inputs),
            "options": dict(self.options),
            **weights,
        }

    def confirm(self) -> None:
        """Make sure that the inputs are what they were when this was made.

        Raises:
            InputError: one has changed, or is gone.
        """
        for before in self.inputs:
            path = Path(before["path"])
            if size_and_time(path) != (before["bytes"], before["modified"]):
                raise InputError(path, "changed while it was being read", "wait until it is complete, and run again")


def about(path: str | os.PathLike) -> dict[str, Any]:
    """What tells an input from others: place, size, time, and a hash of its contents.

    Up to 16 MiB are hashed whole, of more 16 pieces from start to end. What belongs to the file, as the planes of a
    folder, counts.

    Raises:
        InputError: it cannot be read.
    """
    path = Path(os.fspath(path))
    try:
        size, modified = size_and_time(path)
        digest = hashlib.sha256()
        files = _files(path)
        share = HASHED if size <= HASHED else max(HASHED // len(files), 1 << 10)
        for file in files:
            digest.update(file.name.encode("utf-8", "surrogateescape"))
            _hash(file, share, digest)
    except OSError as error:
        raise InputError(
            path, f"cannot be read ({error.strerror or error})", "check the name and its permissions"
        ) from error
    return {"path": str(path.resolve()), "bytes": size, "modified": modified, "sha256": digest.hexdigest()}


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.is_file()) or [path]
    beside = path.with_name(f"{path.name}.files")  # an OIF's planes
    more = sorted(beside.iterdir()) if beside.is_dir() else parts(path)
    return [path, *(file for file in more if file.is_file())]


def size_and_time(path: Path) -> tuple[int, str]:
    """Bytes of a file and of all that belongs to it, and the time of the latest change; 0 and "gone" of none."""
    try:
        found = [file.stat() for file in _files(path)]
    except FileNotFoundError:
        return 0, "gone"
    latest = max(one.st_mtime_ns for one in found)
    seconds = datetime.fromtimestamp(latest // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return sum(one.st_size for one in found), f"{seconds}.{latest % 10**9:09d}Z"


def _hash(file: Path, share: int, digest: Any) -> None:
    if not file.is_file():
        return
    size = file.stat().st_size
    with file.open("rb") as stream:
        if size <= share:
            digest.update(stream.read())
            return
        length = share // PIECES
        for piece in range(PIECES):
            stream.seek((size - length) * piece // (PIECES - 1))
            digest.update(stream.read(length))


def differences(before: Mapping[str, Any], now: Provenance) -> list[str]:
    """In what an output's record differs from what would be made now, in words; nothing if it is the same."""
    found = []
    if before.get("made_by") != now.made_by:
        found.append(f"made by {before.get('made_by')}")
    earlier = before.get("inputs") or []
    for number, one in enumerate(now.inputs):
        other = earlier[number] if number < len(earlier) else {"path": "nothing"}
        if not _same_input(other, one):
            same_place = other.get("path") == one["path"]
            found.append(f"of {'an earlier state of the input' if same_place else other.get('path')}")
    if len(earlier) > len(now.inputs):
        found.append(f"of {len(earlier)} inputs")
    options = before.get("options") or {}
    for name in [*now.options, *(name for name in options if name not in now.options)]:
        if options.get(name) != now.options.get(name):
            found.append(f"with {name} {_shown(options.get(name))} instead of {_shown(now.options.get(name))}")
    if before.get("weights") != now.weights:
        found.append("with other weights")
    if before.get("version") != now.version:
        found.append(f"by version {before.get('version')}")
    return found


def _same_input(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Contents decide, and beside them the place or the time: files of one microscope may begin alike."""
    if (before.get("bytes"), before.get("sha256")) != (now["bytes"], now["sha256"]):
        return False
    same_time = before.get("modified") == now["modified"]
    return same_time or (before.get("path") == now["path"] and now["bytes"] <= HASHED)


def _shown(value: Any) -> str:
    return "none" if value is None else value if isinstance(value, str) else json.dumps(value)


def refuse_others(outputs: Mapping[Path, Provenance], overwrite: bool = False) -> None:
    """Refuse to write where something else lies, and to keep it for what would be made.

    Args:
        outputs: what is about to be written, and what makes it.
        overwrite: everything may be replaced.

    Raises:
        InputError: a file of such a name is an output of other inputs, options, weights or of another version, or
            nothing tells what it is.
    """
    for path, now in outputs.items():
        if overwrite or not path.exists():
            continue
        before = read_record(path)
        if before is None:
            raise InputError(path, "exists, and nothing tells what made it", REMEDY)
        other = differences(before, now)
        if other:
            raise InputError(path, f"exists, {', '.join(other)}", REMEDY)


def read_record(output: str | os.PathLike) -> dict[str, Any] | None:
    """What made a file, by the records beside it or by what it holds itself; None if nothing tells."""
    output = Path(output)
    for sidecar in _sidecars(output):
        for record in _records(sidecar):
            if output.name in record.get("outputs", ()):
                return record
    return read_embedded(output)


def _sidecars(output: Path) -> list[Path]:
    """The files whose name says that they may tell of an output, the likeliest first."""
    name, candidates = output.name, []
    while "_" in name:
        name = name.rpartition("_")[0]
        candidates.append(output.with_name(f"{name}_provenance.json"))
    return [*candidates, output.with_name("provenance.json")]


def _records(sidecar: Path) -> list[dict[str, Any]]:
    return _written(sidecar) or []


def _written(sidecar: Path) -> list[dict[str, Any]] | None:
    """The records of a file; None if it is none of this program's."""
    try:
        records = json.loads(sidecar.read_text(encoding="utf-8"))["records"]
        return [record for record in records if isinstance(record, dict)]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def write_record(sidecar: str | os.PathLike, outputs: Mapping[Path, Provenance]) -> None:
    """Write beside outputs what makes them; of outputs that are not named what was written before stays.

    Args:
        sidecar: ``NAME_provenance.json`` for outputs whose names begin with ``NAME_``, ``provenance.json`` for others,
            in their folder.
        outputs: each output, and what makes it.

    Raises:
        InputError: it cannot be written, or a file of this name is no such record.
    """
    sidecar = Path(sidecar)
    if sidecar.exists() and _written(sidecar) is None:
        raise InputError(sidecar, "is no record of this program", "move it elsewhere, or choose another --output")
    names = {path.name for path in outputs}
    kept = []
    for record in _records(sidecar):
        still = [name for name in record.get("outputs", ()) if name not in names and (sidecar.parent / name).exists()]
        if still:
            kept.append({**record, "outputs": still})
    made: list[tuple[Provenance, list[str]]] = []
    for path, provenance in outputs.items():
        group = next((files for one, files in made if one == provenance), None)
        if group is None:
            made.append((provenance, [path.name]))
        else:
            group.append(path.name)
    records = [*kept, *({**provenance.record, "outputs": sorted(files)} for provenance, files in made)]
    with atomic(sidecar) as partial:
        partial.write_text(json.dumps({"records": records}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def note_finding(sidecar: str | os.PathLike, output: str | os.PathLike, finding: Mapping[str, Any]) -> None:
    """Note with an output's record what was found out about it; written anew, the record has it no more.

    Args:
        sidecar: of :func:`write_record`, which names the output already.
        output: the file.
        finding: what JSON holds, by name.

    Raises:
        InputError: it cannot be written.
    """
    sidecar, name = Path(sidecar), Path(output).name
    records = _records(sidecar)
    for record in records:
        if name in record.get("outputs", ()):
            record["findings"] = {**record.get("findings", {}), name: dict(finding)}
    with atomic(sidecar) as partial:
        partial.write_text(json.dumps({"records": records}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_findings(output: str | os.PathLike) -> dict[str, Any]:
    """What :func:`note_finding` noted of an output; nothing if nothing was."""
    output = Path(output)
    found = (read_record(output) or {}).get("findings")
    finding = found.get(output.name) if isinstance(found, dict) else None
    return finding if isinstance(finding, dict) else {}


def is_output(path: str | os.PathLike) -> bool:
    """Tell whether a file is known as an output of this package."""
    return read_record(path) is not None


def reading_record(options: Mapping[str, Any], choices: Mapping[str, Any]) -> dict[str, Any]:
    """How a file is read, alike from the command line and from a config."""
    chosen = {name: value for name, value in {**options, **choices}.items() if value is not None}
    return {
        name: [float(length) for length in value] if name == "spacing" else str(value) for name, value in chosen.items()
    }
