"""What `export --to fiji` writes, opened by the real ImageJ, on which Fiji is built, by a macro.

bash scripts/check_platforms.sh fiji [--record]
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
import tifffile
from claims import Claims

ROOT = Path(__file__).resolve().parents[2]
JAR = "/usr/share/java/ij.jar"
MACRO = Path(__file__).with_name("fiji.ijm")
SPACING = (2.0, 0.8, 0.8)


def bundle(*words: object) -> None:
    """Run a command of the bundle."""
    subprocess.run(
        [sys.executable, "-m", "bundle", *map(str, words)], check=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )


def imagej(folder: Path, name: str) -> dict[str, list[list[str]]]:
    """Run the macro; the lines that it wrote, by their first word."""
    exported = folder / "exported"
    report, table = folder / f"{name}.txt", folder / f"{name}_results.csv"
    files = (exported / f"{name}_fiji.tif", exported / f"{name}_rois.zip", folder / "found" / f"{name}_mask.tif")
    words = ["java", "-cp", JAR, "ij.ImageJ", "-batch", str(MACRO), "|".join(map(str, (*files, report, table)))]
    subprocess.run(["xvfb-run", "-a", *words], check=True, timeout=300)
    said = defaultdict(list)
    for line in report.read_text(encoding="utf-8").splitlines():
        kind, *cells = line.split("\t")
        said[kind].append(cells)
    return said


def check(claims: Claims, folder: Path, name: str, called: str) -> None:
    """Claims about one image or stack."""
    said = imagej(folder, name)
    mask = np.atleast_3d(tifffile.imread(folder / "found" / f"{name}_mask.tif") > 0)
    mask = mask if mask.shape[-1] > 1 else mask[None, ..., 0]
    ((unit, *sizes),) = said["image"]
    width, height, depth, columns, rows, slices = map(float, sizes)
    as_made = (width, height) == SPACING[:0:-1] and (len(mask) == 1 or depth == SPACING[0])
    shape = (slices, rows, columns) == mask.shape
    claims.claim(
        f"{called}: open",
        as_made and shape and unit in ("µm", "micron"),
        f"{width} × {height} {unit}, {slices:.0f} slices",
    )

    areas, lines = said["area"], said["line"]
    counts = int(said["overlay"][0][0]), int(said["manager"][0][0]), len(areas) + len(lines)
    claims.claim(f"{called}: overlay, To ROI Manager, More > Open", len(set(counts)) == 1, f"{counts[0]} ROIs each")
    per_slice = defaultdict(float)
    for _, z, area, _, _ in areas:
        per_slice[int(z) - 1] += float(area) / (width * height)
    right = all(round(per_slice[z], 2) == plane.sum() for z, plane in enumerate(mask))
    claims.claim(f"{called}: area of the outlines", right, f"{sum(per_slice.values()):.0f} pixels, those of the mask")
    inside = all(float(low) == float(high) == 255 for *_, low, high in areas)
    claims.claim(f"{called}: what the outlines hold", inside, "vessel alone, holes left out")

    with open(folder / "measured" / "segments.csv", newline="", encoding="utf-8") as stream:
        rows_of = [row for row in csv.DictReader(stream) if row["image"] == name]
    numbered = [f"line-{int(row['segment']):04d}" for row in rows_of] == [line[0] for line in lines]
    claims.claim(f"{called}: centre lines", numbered, f"{len(lines)}, numbered as in segments.csv")
    if len(mask) == 1:  # of a stack a line in the plane is shorter than the vessel
        off = max(abs(float(line[2]) - float(row["length"])) for line, row in zip(lines, rows_of, strict=True))
        claims.claim(f"{called}: their lengths", off < 1, f"within {off:.2f} µm of segments.csv")
    with open(folder / f"{name}_results.csv", newline="", encoding="utf-8") as stream:
        measured = list(csv.DictReader(stream))
    claims.claim(f"{called}: a table of results, Save As", len(measured) == counts[2], f"{len(measured)} rows")


def main() -> None:
    """Run all of it."""
    found = subprocess.run(["dpkg-query", "-W", "-f=${Version}", "imagej"], capture_output=True, text=True)
    with Claims("ImageJ", found.stdout or "unknown") as claims, tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        bundle("phantom", folder / "phantoms", "--seed", "3", "--shape", "6", "128", "160", "--spacing", *SPACING)
        (stack,) = (folder / "phantoms" / "images").iterdir()
        name = stack.name.split(".")[0]
        for mode, called in (("fused", "a fused image"), ("stack", "a stack")):
            place = folder / mode
            place.mkdir()
            bundle("segment", stack, "--mode", mode, "--output", place / "found")
            bundle("measure", place / "found", "--output", place / "measured")
            bundle(
                "export",
                place / "found",
                "--measured",
                place / "measured",
                "--to",
                "fiji",
                "--output",
                place / "exported",
            )
            with claims.attempt(called):
                check(claims, place, name, called)


if __name__ == "__main__":
    main()
