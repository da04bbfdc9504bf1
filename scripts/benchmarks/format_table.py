"""Which files of many microscopes are read, and how: docs/results/formats.csv.

python -m scripts.benchmarks.format_table --formats DIR

DIR holds the real files that the tests take, a folder for each kind; `VESSEL_DATA/formats` is theirs.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path

from bundle.errors import InputError
from bundle.io import Recording, choose, is_folder_format, open_recordings

RESULT = Path(__file__).resolve().parents[2] / "docs" / "results" / "formats.csv"
HEADS = ("file", "scene", "axes", "shape", "type", "µm per pixel", "read")
ABOUT = {"SOURCE.md", "README.md"}  # what lies beside the files for people


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--formats", type=Path, required=True, metavar="DIR")
    parser.add_argument("--result", type=Path, default=RESULT)
    arguments = parser.parse_args()
    with arguments.result.open("w", newline="", encoding="utf-8") as stream:
        table = csv.DictWriter(stream, HEADS, lineterminator="\n")
        table.writeheader()
        table.writerows(rows(arguments.formats))


def rows(folder: Path) -> list[dict[str, str]]:
    """A row for every scene of every file; one for a file that cannot be opened."""
    return [row for path in files(folder) for row in rows_of(path, path.relative_to(folder).as_posix())]


def files(folder: Path) -> Iterator[Path]:
    """Every file by its name, and every folder that is one image; what belongs to an image is not listed."""
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        if path.is_dir() and not is_folder_format(path):
            if not path.name.endswith(".oif.files"):
                yield from files(path)
        elif path.name not in ABOUT:
            yield path


def rows_of(path: Path, name: str) -> Iterator[dict[str, str]]:
    """The rows of one file."""
    blank = dict.fromkeys(HEADS, "") | {"file": name}
    try:
        scenes = open_recordings(path)
    except InputError as error:
        yield blank | {"read": line(error)}
        return
    for number, scene in enumerate(scenes):
        shown = [axis for axis in scene.axes if scene.size[axis] > 1 or axis in "YX"]
        steps = {axis: scene.spacing.get(axis) for axis in shown if axis in "ZYX"}
        yield blank | {
            "scene": f"{number} {scene.name}".strip() if len(scenes) > 1 else "",
            "axes": "".join(shown),
            "shape": " × ".join(str(scene.size[axis]) for axis in shown),
            "type": scene.dtype.name,
            "µm per pixel": ", ".join(f"{axis} {step:.4g}" for axis, step in steps.items() if step),
            "read": reading(scene, len(scenes)),
        }


def reading(scene: Recording, scenes: int) -> str:
    """Say whether a scene is read, and what must be chosen, or the line that says why not."""
    size = scene.size
    counts = {"scene": scenes, "channel": max(size.get("C", 1), size.get("S", 1)), "time": size.get("T", 1)}
    options = [f"--{name}" for name, count in counts.items() if count > 1]
    channel = "0 red" if size.get("C", 1) > 1 and size.get("S", 1) > 1 else 0 if counts["channel"] > 1 else None
    try:
        choose([scene], channel=channel, time=0 if counts["time"] > 1 else None).plane()
    except InputError as error:
        return line(error)
    return f"yes, by {' '.join(options)}" if options else "yes"


def line(error: InputError) -> str:
    """The line of a refusal, after the file's name."""
    return f"no: {error.problem}; {error.remedy}"


if __name__ == "__main__":
    main()
