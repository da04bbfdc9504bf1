"""What is written of an input, and under which name: the one list of outputs."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from .atomic import remove
from .inputs import image_name

# kind: the suffix of its file, or None for the format of images that was chosen. The mask is written last: where it
# stands, everything stands. What is listed here is no input of a later run, and no prediction to be scored.
KINDS: dict[str, str | None] = {
    "mask": None,
    "probability": None,
    "disagreement": None,
    "fused": None,
    "depth": None,
    "overlay": ".png",
    "mask_2d": None,
    "colour": ".png",
    "rendering": ".png",
    "surface": ".stl",
    "graph": ".json",
    "diameters": ".png",
}
# other forms of the same, under the same name
FORMS = {"surface": (".ply",), "graph": (".graphml", ".vtp", ".swc")}


def output_path(output_dir: str | Path, source: str | Path, kind: str, suffix: str = ".tif") -> Path:
    """Where an output of an input lies: ``OUT/NAME_kind.suffix``.

    Args:
        output_dir: OUT.
        source: the input, whose file name without suffix is NAME.
        kind: a key of :data:`KINDS`.
        suffix: of images; a kind with a suffix of its own has that one.
    """
    return Path(output_dir) / f"{image_name(source)}_{kind}{KINDS[kind] or suffix}"


def record_path(output_dir: str | Path, source: str | Path) -> Path:
    """Where it is told what made the outputs of an input: ``OUT/NAME_provenance.json``."""
    return Path(output_dir) / f"{image_name(source)}_provenance.json"


def remove_found(output_dir: str | Path, source: str | Path, suffix: str = ".tif") -> None:
    """Remove what an earlier run found in an input: it does not belong to what is written now.

    The fusion and its depth map stay, which are the input's own. What cannot be removed is left: what forbids it
    forbids writing too, which says so.

    Args:
        output_dir: as of :func:`output_path`.
        source: the same.
        suffix: the same; results in another format stay.
    """
    for kind in KINDS.keys() - {"fused", "depth"}:
        path = output_path(output_dir, source, kind, suffix)
        for file in (path, *(path.with_suffix(form) for form in FORMS.get(kind, ()))):
            with suppress(OSError):
                remove(file)
