"""Families of phantoms beside real images of their kind, in numbers: docs/phantoms.md.

    python -m scripts.benchmarks.phantom_families [--count 12] [--family NAME] [--data DIR]
    python -m scripts.benchmarks.phantom_families --sheet docs/phantoms.png

A row for the phantoms without a family and one for each family, over phantoms of 12 × 256 × 256 voxels (seed 7), and
one for each set of real images that lies under DIR (default: $VESSEL_DATA). Given are the median and, in brackets, the
tenth and the ninetieth percentile over the stacks or images of:

- vessel light: the median grey value inside vessels, relative to the 99.5th percentile of the stack;
- spread: the ninetieth percentile of the grey values inside vessels over the tenth, both above the background's median;
- background: the median grey value outside of vessels, relative to the 99.5th percentile;
- cover: vessels' share of the pixels, in per cent;
- radius: half the width of the vessels in pixels, from the mask's distance map along its ridges;
- noise: standard deviation of the differences of neighbouring background pixels, over √2, relative to the 99.5th
  percentile, in per cent;
- fine noise: share of the background's power at wavelengths below 4 pixels; white noise has 0.80.

With ``--sheet`` it draws a slice of six phantoms of every family, contrast stretched, and prints no table.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image
from scipy import ndimage

from bundle.phantoms import FAMILIES, make_phantom

from ..tables.parameter_table import markdown

SEED = 7
SHAPE = (12, 256, 256)
NO_FAMILY = "no family"
COLUMNS = ("vessel light", "spread", "background", "cover, %", "radius, px", "noise, %", "fine noise")
DIGITS = (2, 1, 2, 1, 1, 1, 2)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=12, help="phantoms of each family (default: %(default)s)")
    parser.add_argument("--data", type=Path, default=os.environ.get("VESSEL_DATA"), help="real images")
    parser.add_argument("--sheet", type=Path, help="picture of the families to write")
    parser.add_argument("--family", choices=[NO_FAMILY, *FAMILIES], action="append", help="only these")
    arguments = parser.parse_args()
    if arguments.sheet:
        Image.fromarray(contact_sheet(list(FAMILIES))).save(arguments.sheet, optimize=True)
        return
    rows = []
    for name in arguments.family or [NO_FAMILY, *FAMILIES]:
        family = None if name == NO_FAMILY else name
        made = (make_phantom(SHAPE, family=family, seed=SEED, index=n) for n in range(arguments.count))
        rows.append([f"phantoms: {name}", *_summary([measures(p.stack, p.slab_mask) for p in made])])
    if arguments.data:
        for name, pairs in real_sets(arguments.data):
            rows.append([f"real: {name}", *_summary([measures(image, mask) for image, mask in pairs])])
    print(markdown(["images", *COLUMNS], rows))


def real_sets(data: Path) -> Iterator[tuple[str, list[tuple[np.ndarray, np.ndarray]]]]:
    """Name, and images with their masks as stacks, of each set that is there."""
    for name, images, masks in (
        ("two-photon, denoised (vesselNN)", "vesselnn/denoised", "vesselnn/labels"),
        ("confocal projections (VessMAP)", "vessmap/images", "vessmap/masks"),
        ("OCT-A stack (TubeNet)", "octa/tubenet/images", "octa/tubenet/masks"),
        ("OCT-A projections, synthetic", "octa/synthetic/images", "octa/synthetic/masks"),
    ):
        pairs = list(zip(*(sorted((data / part).glob("*.[tp][in][fg]*")) for part in (images, masks)), strict=True))
        if pairs:
            yield name, [tuple(_read(path) for path in pair) for pair in pairs]


def _read(path: Path) -> np.ndarray:
    array = tifffile.imread(path) if path.suffix in (".tif", ".tiff") else np.asarray(Image.open(path).convert("L"))
    return array if array.ndim == 3 else array[None]


def measures(stack: np.ndarray, mask: np.ndarray) -> list[float]:
    """The numbers of one stack, in the order of COLUMNS; NaN where there is no vessel."""
    mask, stack = mask > 0, stack.astype(np.float32)
    top = max(float(np.percentile(stack, 99.5)), 1e-6)
    dark = float(np.median(stack[~mask]))
    light = stack[mask] if mask.any() else np.array([np.nan])
    low, high = np.percentile(light, (10, 90))
    away = ~ndimage.binary_dilation(mask, np.ones((1, 9, 9)))
    steps = (stack[:, :, 1:] - stack[:, :, :-1])[away[:, :, 1:] & away[:, :, :-1]]
    noise = float(np.median(np.abs(steps - np.median(steps)))) * 1.4826 / np.sqrt(2) if len(steps) else np.nan
    return [
        float(np.median(light)) / top,
        (high - dark) / max(low - dark, 0.02 * top),
        dark / top,
        100 * float(mask.mean()),
        _radius(mask),
        100 * noise / top,
        _fine(stack, away),
    ]


def _radius(mask: np.ndarray) -> float:
    """The median distance to the border on the ridges of the distance map of every slice."""
    found = []
    for plane in mask:
        distance = ndimage.distance_transform_edt(np.pad(plane, 1, mode="edge"))[1:-1, 1:-1]
        ridge = plane & (distance == ndimage.maximum_filter(distance, 3))
        found.append(distance[ridge])
    ridge = np.concatenate(found)
    return float(np.median(ridge)) if len(ridge) else np.nan


def _fine(stack: np.ndarray, away: np.ndarray) -> float:
    """The share of power at short waves in tiles of 32 × 32 pixels of which most are background."""
    shares = []
    frequency = np.fft.fftfreq(32)
    short = np.maximum(np.abs(frequency[:, None]), np.abs(frequency)) > 0.25
    window = np.outer(np.hanning(32), np.hanning(32))
    for plane, free in zip(stack, away, strict=True):
        for y in range(0, plane.shape[0] - 31, 32):
            for x in range(0, plane.shape[1] - 31, 32):
                tile, seen = plane[y : y + 32, x : x + 32], free[y : y + 32, x : x + 32]
                if seen.mean() > 0.8:
                    tile = np.where(seen, tile, tile[seen].mean())
                    power = np.abs(np.fft.fft2((tile - tile.mean()) * window)) ** 2
                    if power.sum() > 0:
                        shares.append(power[short].sum() / power.sum())
    return float(np.median(shares)) if shares else np.nan


def _summary(measured: list[list[float]]) -> list[str]:
    """The median of each column and its tenth and ninetieth percentile, as text."""
    cells = []
    for column, digits in zip(np.array(measured).T, DIGITS, strict=True):
        low, middle, high = np.nanpercentile(column, (10, 50, 90))
        cells.append(f"{middle:.{digits}f}" + (f" [{low:.{digits}f}, {high:.{digits}f}]" if len(column) > 1 else ""))
    return cells


def contact_sheet(names: list[str], count: int = 6, side: int = 192) -> np.ndarray:
    """A row for each family: a slice of phantoms at half size, contrast stretched, in 64 greys, `[H, W]`, uint8."""
    rows = []
    for name in names:
        cells = []
        for n in range(count):
            image = make_phantom((5, side, side), family=name, seed=SEED, index=n).stack[2].astype(float)
            image = image.reshape(side // 2, 2, side // 2, 2).mean(axis=(1, 3))
            low, high = np.percentile(image, (1, 99.7))
            cells.append(np.clip((image - low) / max(high - low, 1), 0, 1) * 63)
        rows.append(np.concatenate(cells, axis=1))
    return 4 * np.concatenate(rows).astype(np.uint8)


if __name__ == "__main__":
    main()
