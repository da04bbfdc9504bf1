"""Make the images that the shipped weights are trained on: phantoms of every family, VessMAP, synthetic angiograms.

    python -m scripts.release.training_images DIR OUT [--count 24] [--seed 1] [--visible] [--single]

DIR holds ``vessmap`` and ``octa/synthetic``. OUT becomes a dataset folder whose images are as the network sees them:
their contrast is enhanced already, in one of several ways drawn by chance, so that none of them is what the network
counts on. Of each phantom there are some slices, whose truth is the vessel within half a step of the plane, and the
fused image, whose truth is the projection. Every tenth phantom validates, and VessMAP's validation images do.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import tifffile
import torch
from scipy import ndimage

from bundle.data import labelled_images
from bundle.io import atomic, image_name, open_image
from bundle.phantoms import FAMILIES, make_phantom
from bundle.transforms import AdaptiveHistogramEqualization, FuseFocus

SHAPE = (12, 256, 256)
SLICES = 3  # of each phantom
FUSED = 0.6  # share of the phantoms that are fused as well
VARIANTS = (3, 3, 2, 2)  # of each image of VessMAP: equalised, linear, blurred, noisy
SINGLE_VARIANTS = (6, 3, 3, 2)  # the same where single images are asked for
CAMERA = ("thick-section", "thin-section", "whole-mount")  # families that are also taken as single images
PARTS = 3  # of each angiogram
PART = 128  # pixels of their sides
VALIDATING = 10  # every tenth phantom
CELL = 24  # pixels of the sides of a vessel's pieces
AROUND = 6.0  # pixels, standard deviation of the weights of what is around them
WIDE = 5.0  # µm, the radius from which a vessel out of focus is drawn
REACH = 12.0  # µm out of focus up to which it is
LOWER, UPPER = (0.5, 1.0, 2.0), (99.0, 99.0, 99.5, 99.8)  # percentiles of linear contrast
PLAIN = "plain"  # the phantoms of no family

Item = tuple[str, np.ndarray, np.ndarray, str]  # name, image in 0…1, mask, split


def linear(image: np.ndarray, rng: np.random.Generator, among: np.ndarray | None = None) -> np.ndarray:
    """Linear contrast between percentiles drawn by chance, of the image or of the stack it is from."""
    low, high = np.percentile(image if among is None else among, (rng.choice(LOWER), rng.choice(UPPER)))
    return np.clip((image - low) / max(high - low, 1e-6), 0, 1)


def equalized(image: np.ndarray) -> np.ndarray:
    """Adaptive equalisation, the paper's contrast of fused images."""
    plane = torch.from_numpy(np.ascontiguousarray(image, np.float32))[None]
    return np.asarray(AdaptiveHistogramEqualization()(plane))[0]


def seen(image: np.ndarray, mask: np.ndarray, least: float = 0.02) -> np.ndarray:
    """The part of a mask that stands out in the image, as people draw no vessel that they do not see.

    The mask is cut into pieces of up to 24 × 24 pixels. A piece stands out if it is brighter than what is around it by
    five standard deviations of the mean of its pixels' noise (A. Rose's criterion, J. Opt. Soc. Am. 38:196, 1948,
    doi:10.1364/JOSA.38.000196), and by a share ``least`` of the image's range.
    """
    near = 1.0 - ndimage.binary_dilation(mask, iterations=2)
    weight = ndimage.gaussian_filter(near, AROUND)
    around = ndimage.gaussian_filter(image * near, AROUND) / np.maximum(weight, 1e-6)
    around = np.where(weight > 1e-3, around, np.median(image))
    fine = image - ndimage.gaussian_filter(image, 1.0)
    noise = 1.4826 * np.median(np.abs(fine))
    pieces, count = ndimage.label(mask)
    cells = np.add.outer(np.arange(mask.shape[0]) // CELL, (np.arange(mask.shape[1]) // CELL) * mask.shape[0])
    _, pieces = np.unique(np.where(mask, pieces + (count + 1) * cells, 0), return_inverse=True)
    pieces = pieces.reshape(mask.shape)
    numbers = np.arange(pieces.max() + 1)
    brighter = ndimage.mean(image - around, pieces, numbers)
    pixels = np.bincount(pieces.ravel(), minlength=len(numbers))
    low, high = np.percentile(image, (1, 99.5))
    shown = (brighter * np.sqrt(np.minimum(pixels, CELL**2)) > 5 * noise) & (brighter > least * (high - low))
    return shown[pieces] & mask


def drawn(stack: np.ndarray, slabs: np.ndarray, z: int, spacing: tuple[float, ...]) -> np.ndarray:
    """What people draw in slice ``z``: what is :func:`seen` of the vessels within half a step of its plane, and of wide
    vessels that lie up to 12 µm above or below, since these shine through as shapes with an edge.

    Args:
        stack: grey values `[Z, Y, X]`.
        slabs: the vessels within half a step of each plane, of the same shape.
        z: the slice.
        spacing: of the voxels, µm.
    """
    near = slabs[z] & seen(stack[z], slabs[z])
    steps = int(REACH // spacing[0])
    radius = WIDE / spacing[1]
    wide = np.zeros_like(near)
    for other in range(max(0, z - steps), min(len(slabs), z + steps + 1)):
        core = ndimage.distance_transform_edt(slabs[other]) > radius
        if core.any():
            wide |= ndimage.distance_transform_edt(~core) <= radius
    whole = slabs[z] | wide
    return near | (wide & seen(stack[z], whole, least=0.04))


def of_phantom(job: tuple[str, int], seed: int, visible: bool = False, single: bool = False) -> list[Item]:
    """Slices of a phantom, and its fused image.

    Args:
        job: family and number.
        seed: of the series.
        visible: whether the truth is what is :func:`drawn` of a slice and :func:`seen` of a fused image.
        single: whether all is as single images are: always a fused one, equalised more often, and slices only of the
            families that a camera takes.
    """
    family, index = job
    phantom = make_phantom(SHAPE, seed=seed, index=index, family=None if family == PLAIN else family)
    rng = np.random.default_rng([seed, index, len(family)])
    stack = phantom.stack.astype(np.float32)
    split = "train" if (index + 1) % VALIDATING else "val"
    items = []
    adaptive = 0.7 if single else 0.4 if family in CAMERA else 0.08
    for z in rng.choice(len(stack), SLICES if family in CAMERA or not single else 0, replace=False):
        way = rng.random()
        image = equalized(stack[z]) if way < adaptive else linear(stack[z], rng, stack if way < 0.75 else None)
        truth = drawn(stack, phantom.slab_mask, z, phantom.spacing) if visible else phantom.slab_mask[z]
        items.append((f"{family}-{index}-{z}", image, truth, split))
    if rng.random() < FUSED or single:
        fused = np.asarray(FuseFocus()(torch.from_numpy(np.ascontiguousarray(stack.T))[None]))[0].T
        image = equalized(fused) if rng.random() < max(adaptive, 0.4) else linear(fused, rng)
        truth = seen(fused, phantom.projected_mask) if visible else phantom.projected_mask
        items.append((f"{family}-{index}-fused", image, truth, split))
    return items


def of_vessmap(folder: Path, rng: np.random.Generator, variants: tuple[int, ...] = VARIANTS) -> Iterator[Item]:
    """Its images in several contrasts, some of them blurred or noisy first."""
    for split in ("train", "val"):
        for pair in labelled_images(folder, split):
            image = open_image(pair["image"]).array().astype(np.float32)
            mask = open_image(pair["label"]).array() > 0
            ways: list[Callable[[], np.ndarray]] = [partial(equalized, image), partial(linear, image, rng)]
            if split == "train":
                ways += [partial(_blurred, image, rng), partial(_noisy, image, rng)]
                ways = [way for way, count in zip(ways, variants, strict=True) for _ in range(count)]
            for number, way in enumerate(ways):
                yield f"vessmap-{image_name(pair['image'])}-{number}", way(), mask, split


def _blurred(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return linear(ndimage.gaussian_filter(image, rng.uniform(0.4, 1.6)), rng)


def _noisy(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    noise = np.exp(rng.uniform(np.log(0.04), np.log(0.5))) * image.std()
    noisy = ndimage.gaussian_filter(image, rng.uniform(0.3, 1)) + rng.normal(0, noise, image.shape)
    return linear(noisy, rng) if rng.random() < 0.6 else equalized(noisy)


def of_angiograms(folder: Path, rng: np.random.Generator) -> Iterator[Item]:
    """Parts of them, most magnified: their capillaries are a pixel wide."""
    for path in sorted((folder / "images").iterdir()):
        image = open_image(path).array().astype(np.float32)
        mask = open_image(next((folder / "masks").glob(f"{path.stem}.*"))).array() > 0
        for number in range(PARTS):
            zoom = int(rng.choice((1, 2, 2, 3)))
            side = PART if zoom > 1 else 2 * PART
            y, x = rng.integers(0, np.array(image.shape) - side)
            part = np.s_[y : y + side, x : x + side]
            larger = ndimage.zoom(image[part], zoom, order=1)
            truth = ndimage.zoom(mask[part].astype(np.float32), zoom, order=1) >= 0.5
            shown = equalized(larger) if rng.random() < 0.3 else linear(larger, rng)
            yield f"angiogram-{path.stem}-{number}", shown, truth, "train"


def write_dataset(items: Sequence[Item], folder: Path, rng: np.random.Generator) -> None:
    """Write a dataset folder, ``split.csv`` last and as a whole, so that where it stands everything stands.

    In no order, since a training takes the statistics of batch normalisation from the first images.
    """
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    lines = [("stem", "split")]
    for number, item in enumerate(rng.permutation(len(items))):
        name, image, mask, split = items[item]
        stem = f"{number:05d}-{name}"
        tifffile.imwrite(folder / "images" / f"{stem}.tif", np.rint(image * 255).astype(np.uint8))
        tifffile.imwrite(folder / "masks" / f"{stem}.tif", np.uint8(255) * mask)
        lines.append((stem, split))
    with atomic(folder / "split.csv") as partial_file, open(partial_file, "w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(lines)


def main() -> None:
    """Make the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--count", type=int, default=24, help="phantoms of each family")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--visible", action="store_true", help="leave vessels that nobody sees out of the truth")
    parser.add_argument("--single", action="store_true", help="as single images are, and VessMAP's more often")
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    jobs = [(family, index) for index in range(arguments.count) for family in (PLAIN, *FAMILIES)]
    items: list[Item] = []
    make = partial(of_phantom, seed=arguments.seed, visible=arguments.visible, single=arguments.single)
    with ProcessPoolExecutor(arguments.processes) as pool:
        for made in pool.map(make, jobs, chunksize=4):
            items += made
    variants = SINGLE_VARIANTS if arguments.single else VARIANTS
    items += [
        *of_vessmap(arguments.data / "vessmap", rng, variants),
        *of_angiograms(arguments.data / "octa" / "synthetic", rng),
    ]
    write_dataset(items, arguments.output, rng)
    print(f"{arguments.output}: {len(items)} images")


if __name__ == "__main__":
    main()
