"""Measure shapes whose numbers are known: docs/results/measurements/right_answers.csv.

    python -m scripts.benchmarks.right_answers

Each shape is drawn as a mask and measured by this bundle, by skan 0.13 on scikit-image's skeleton (lengths are sums of
steps between pixels, diameters twice the distance to the background, branch points its pixels of three neighbours or
more) and by a count of the skeleton's pixels. Micrometres; a mask's voxel is 1 µm unless a row says otherwise.
"""

from __future__ import annotations

import argparse
import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import distance_transform_edt
from skan import Skeleton
from skimage.morphology import skeletonize

from bundle.io import atomic
from bundle.measurements import censored_mean, measure, tissue_distances
from tests import shapes

RESULT = Path(__file__).resolve().parents[2] / "docs" / "results" / "measurements" / "right_answers.csv"


@dataclass(frozen=True)
class Case:
    """A shape and what is right of it, by the columns of images.csv."""

    name: str
    mask: np.ndarray
    right: dict[str, float]
    spacing: tuple[float, ...] | None = None
    options: tuple[tuple[str, float], ...] = ()


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--result", type=Path, default=RESULT)
    result = parser.parse_args().result
    with atomic(result) as partial, open(partial, "w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(("shape", "quantity", "right", "ours", "skan", "pixel count"))
        for row in (*measured(), *distances(), broken_lines()):
            table.writerow(row)
            print(*row, sep="\t")


def cases() -> Iterator[Case]:
    """The shapes of the contract, each with its right answers."""
    unit = (1.0, 1.0, 1.0)
    tube = {"length": 223.607, "tortuosity_mean": 1, "diameter_mean": 8}
    yield Case("tube along (100, 200)", shapes.tube((25, 130, 230), (12.3, 15, 15), (12.3, 115, 215), 4), tube, unit)
    coarse = shapes.tube((12, 130, 230), (22, 15, 15), (22, 115, 215), 4, (4, 1, 1))
    yield Case("the same, slices 4 µm apart", coarse, tube, (4.0, 1.0, 1.0))
    half = shapes.semicircle((10.3, 8, 60), 50)
    right = {"length": 157.080, "tortuosity_mean": 1.5708}
    yield Case("semicircle, R 50", shapes.curve((22, 70, 120), half, 3), right, unit)
    wave = shapes.sine((10.3, 25, 15), 10, 100, 3)
    right = {"length": 327.715, "tortuosity_mean": 1.0924}
    yield Case("sine, three periods", shapes.curve((22, 50, 330), wave, 3), right, unit)
    coil = shapes.helix((10.3, 30, 30), 20, 40, 2)
    right = {"length": 263.753, "tortuosity_mean": 3.2969, "curvature_mean": 0.0454}
    yield Case("helix, two turns", shapes.curve((101, 60, 60), coil, 3.5), right, unit)
    torus = shapes.curve((24, 84, 84), shapes.circle((11.3, 41.4, 41.7), 30), 4, closed=True)
    right = {"length": 188.496, "volume": 9474.8, "surface": 4737.4, "loops": 1, "end_points": 0}
    yield Case("torus, R 30, r 4", torus, right, unit)
    right = {"volume": 5445.4, "diameter_mean": 8}
    yield Case("cone, 4 to 12", shapes.tube((25, 25, 120), (12.3, 12.4, 10), (12.3, 12.4, 110), (2, 6)), right, unit)
    arms = [(0, math.sin(angle), math.cos(angle)) for angle in np.radians((10, 130, 250))]
    right = {"branch_points": 1, "end_points": 3, "length": 150, "branching_angle_mean": 120}
    yield Case("Y of three arms of 50", shapes.star((20, 120, 120), (10, 60, 60), arms, 50, 4), right, unit)
    right = {"segments": 20, "branch_points": 12, "loops": 9}
    yield Case("grid of 4 × 4", shapes.lattice(4, 20, 5, 2), right, (1.0, 1.0))
    yield Case("cube of 3 × 3 × 3 nodes", shapes.lattice(3, 14, 3, 3), {"segments": 54, "loops": 28}, unit)
    bar = np.zeros((30, 30, 100), dtype=bool)
    bar[10:14, 10:14] = True
    yield Case("voxel bar 4 × 4 × 100", bar, {"length": 100, "diameter_mean": 4.51})
    line = shapes.line((130, 230), (10, 10), (110, 210))
    yield Case("line one pixel wide", line, {"length": 223.6})
    y, x = np.mgrid[:80, :80] - 40
    ring = np.abs(np.hypot(y, x) - 30) <= 2.5
    yield Case("ring, R 30, width 5", ring, {"segments": 1, "length": 188.5, "loops": 1, "branch_points": 0})
    eight = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 1]], dtype=bool)
    yield Case("[[0,1,0],[1,0,1],[0,1,1]]", eight, {"loops": 1, "branch_points": 0}, None, (("pinholes", 0),))
    pair = np.zeros((30, 100), dtype=bool)
    pair[8:13, 10:90] = pair[14:19, 10:90] = True
    yield Case("two bars, one pixel apart", pair, {"segments": 2, "length": 160})
    wide = np.zeros((60, 100), dtype=bool)
    wide[20:41] = True
    yield Case("bar of 21 across 100", wide, {"length": 100, "diameter_mean": 21})


def measured() -> Iterator[tuple]:
    """A row for each shape and quantity."""
    for case in cases():
        ours = measure(case.mask, case.spacing, **dict(case.options)).image
        theirs, counted = by_skan(case.mask, case.spacing)
        for name, right in case.right.items():
            cells = (right, ours[name], theirs.get(name), counted.get(name))
            yield (case.name, name.removesuffix("_mean").replace("_", " "), *map(shown, cells))


def distances() -> Iterator[tuple]:
    """Distances of tissue, which neither of the others measures."""
    y, x = np.mgrid[:600, :600] + 0.25
    found = tissue_distances(np.hypot(y % 60 - 30, x % 60 - 30) <= 5, (1, 1))
    for name, right, ours in (
        ("mean", 18.39, found.mean),
        ("p95", 31.01, found.p95),
        ("maximum", 37.43, found.maximum),
    ):
        yield ("parallel cylinders, pitch 60", f"distance, {name}", shown(right), shown(ours), "", "")
    y, x = np.mgrid[-100:101, -100:101] + 0.25
    krogh = tissue_distances(np.hypot(y, x) <= 5, (1, 1), region=np.hypot(y, x) <= 50)
    yield ("Krogh cylinder, R 50", "distance, mean", shown(28.636), shown(krogh.mean), "", "")


def broken_lines() -> tuple:
    """Lines broken every 20, at every phase of a window of 100."""
    first = np.arange(0.5, 20)
    lengths = np.concatenate([np.stack([f, 20, 20, 20, 20, 20 - f]) for f in first])
    cut = np.tile([True, False, False, False, False, True], len(first))
    ours = censored_mean(lengths, cut)
    return ("lines broken every 20", "segment length", shown(20), shown(ours), shown(lengths.mean()), "")


def by_skan(mask: np.ndarray, spacing: tuple[float, ...] | None) -> tuple[dict[str, float], dict[str, float]]:
    """What skan gives, and a count of pixels; nothing where the skeleton is too small for it."""
    spacing = spacing or (1.0,) * mask.ndim
    thin = skeletonize(mask)
    counted = {"length": float(np.count_nonzero(thin)) * min(spacing)}
    distance = distance_transform_edt(np.pad(mask, 1, mode="edge"), sampling=spacing)
    distance = distance[(slice(1, -1),) * mask.ndim]
    if thin.any():
        counted["diameter_mean"] = float(2 * distance[thin].mean() + min(spacing))
    try:
        graph = Skeleton(thin, spacing=spacing)
    except (ValueError, IndexError):
        return {}, counted
    lengths = graph.path_lengths()
    ends = [
        tuple(
            map(
                int,
                (
                    graph.path_coordinates(n)[0] @ [1e8, 1e4, 1][-mask.ndim :],
                    graph.path_coordinates(n)[-1] @ [1e8, 1e4, 1][-mask.ndim :],
                ),
            )
        )
        for n in range(graph.n_paths)
    ]
    chords = np.array(
        [
            np.linalg.norm((graph.path_coordinates(n)[0] - graph.path_coordinates(n)[-1]) * spacing)
            for n in range(graph.n_paths)
        ]
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        tortuosity = np.where(chords > 0, lengths / chords, 0)
    radii = distance[thin]
    nodes = len({end for pair in ends for end in pair})
    found = {
        "length": float(lengths.sum()),
        "tortuosity_mean": float(tortuosity.mean()),
        "diameter_mean": float(2 * radii.mean()),
        "volume": float(np.pi * radii.mean() ** 2 * lengths.sum()),
        "segments": graph.n_paths,
        "branch_points": int((graph.degrees > 2).sum()),
        "end_points": int((graph.degrees == 1).sum()),
        "loops": graph.n_paths - nodes + _parts(ends),
    }
    return found, counted


def _parts(edges: list[tuple[int, int]]) -> int:
    group: dict[int, int] = {}

    def root(node: int) -> int:
        while group.setdefault(node, node) != node:
            node = group[node]
        return node

    for a, b in edges:
        group[root(a)] = root(b)
    return sum(root(node) == node for node in list(group))


def shown(value: float | None) -> str:
    """A number of at most six digits; nothing for none."""
    return "" if value is None or value != value else f"{value:.6g}"


if __name__ == "__main__":
    main()
