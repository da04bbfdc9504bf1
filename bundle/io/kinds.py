"""What is written of an input, and under which name: the one list of outputs."""

from __future__ import annotations

import os
from pathlib import Path

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


def output_path(output_dir: str | Path, source: str | os.PathLike, kind: str, suffix: str = ".tif") -> Path:
    """Where an output of an input lies: ``OUT/NAME_kind.suffix``.

    Args:
        output_dir: OUT.
        source: the input, whose file name without suffix is NAME.
        kind: a key of :data:`KINDS`.
        suffix: of images; a kind with a suffix of its own has that one.
    """
    return Path(output_dir) / f"{image_name(source)}_{kind}{KINDS[kind] or suffix}"


def record_path(output_dir: str | Path, source: str | os.PathLike | None = None) -> Path:
    """Where it is told what made the outputs of an input, or of a command that writes one of each.

    Args:
        output_dir: OUT.
        source: the input, for ``OUT/NAME_provenance.json``; ``OUT/provenance.json`` without one.
    """
    return Path(output_dir) / ("provenance.json" if source is None else f"{image_name(source)}_provenance.json")
