"""What is trained on: phantoms, VessMAP or a few of its images, retinas, a slice of a stack; as dataset folders."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from bundle.data import labelled_images
from bundle.io import open_image

from .parts import ROOT, Places

# name of each stack of vesselNN, and the beginning of its files' names
SLICES = {
    "bbbDisruption": "burgess2014_bbbDisruption",
    "lowerRes": "burgess2014_lowerRes",
    "BBB_Leakage": "poon2015_BBB_Leakage",
    "BBB_noLeakage": "poon2015_BBB_noLeakage",
    "plaqueVessels": "poon2015_plaqueVessels",
    "lowContrast": "santos2015_lowContrast",
    "mixedSize": "santos2015_mixedSize",
}
PHANTOMS = ("--count", "100", "--shape", "32", "256", "256", "--seed", "1")


def dataset(name: str, places: Places) -> tuple[Path, Path | None]:
    """Dataset folder, and datalist where only some of its images are meant.

    Args:
        name: ``phantoms``, ``vessmap``, ``retina``; ``vessmap-N.drawK``: N of VessMAP's training images, drawn with
            the seed K; ``slice-STACK``: the middle slice of a stack of vesselNN. What has to be made is made, and kept.
        places: where things lie.
    """
    made = places.output / "data"
    if name == "phantoms":
        folder = made / name
        subprocess.run([sys.executable, "-m", "bundle", "phantom", str(folder), *PHANTOMS], cwd=ROOT, check=True)
        return folder, None
    if name == "retina":
        return retina(places.data("retina"), made / name), None
    if name.startswith("slice-"):
        return middle_slice(places.data("vesselnn"), name.removeprefix("slice-"), made / name), None
    vessmap = places.data("vessmap").resolve()
    if name == "vessmap":
        return vessmap, None
    count, draw = (int(number) for number in name.removeprefix("vessmap-").split(".draw"))
    datalist = made / f"{name}.json"
    datalist.parent.mkdir(parents=True, exist_ok=True)
    chosen = random.Random(draw).sample(labelled_images(vessmap, "train"), count)
    sections = {"training": chosen, "validation": labelled_images(vessmap, "val")}
    datalist.write_text(json.dumps(sections, indent=1), encoding="utf-8")
    return vessmap, datalist


def stack_files(source: Path) -> Iterator[tuple[str, Path, Path]]:
    """Name, image and mask of every stack of vesselNN."""
    for name, start in SLICES.items():
        yield name, *(next((source / kind).glob(f"{start}*.tif")) for kind in ("denoised", "labels"))


def middle_slice(source: Path, stack: str, folder: Path) -> Path:
    """A dataset folder of one slice, which trains and, for want of another, validates, which chooses nothing."""
    files = next(files for name, *files in stack_files(source) if name == stack)
    for kind, path in zip(("images", "masks"), files, strict=True):
        planes = open_image(path).array()
        plane = planes[len(planes) // 2]
        plane = plane if kind == "images" else np.uint8(255) * (plane > 0)
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for split in ("train", "val"):
            tifffile.imwrite(folder / kind / f"{stack}_{split}.tif", plane)
    with open(folder / "split.csv", "w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("stem", "split"), *((f"{stack}_{split}", split) for split in ("train", "val"))])
    return folder


def retina(source: Path, folder: Path) -> Path:
    """The three retina sets as one dataset folder: the green channel turned over, so that vessels are bright.

    Outside the field of view, where there is nothing, stands the median of the field. Training images are the
    first sixteen of DRIVE's training set, whose last four validate, every second of STARE and the first seven children
    of CHASE_DB1: forty. The others are for the test. Fields of view lie in ``fov``.
    """
    if (folder / "split.csv").exists():
        return folder
    lines = [("stem", "split")]
    for kind in ("images", "masks", "fov"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for stem, split, image, vessel, field in _retinas(source):
        inverted = 255 - image[..., 1]
        inverted = np.where(field, inverted, np.uint8(np.median(inverted[field])))
        tifffile.imwrite(folder / "images" / f"{stem}.tif", inverted)
        for kind, mask in (("masks", vessel), ("fov", field)):
            Image.fromarray(np.uint8(255) * mask).save(folder / kind / f"{stem}.png")
        lines.append((stem, split))
    with open(folder / "split.csv", "w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(lines)
    return folder


def _retinas(source: Path) -> Iterator[tuple[str, str, np.ndarray, np.ndarray, np.ndarray]]:
    drive = sorted((source / "DRIVE" / "images").iterdir())
    for index, path in enumerate(drive):
        number = path.name[:2]
        mask = next((source / "DRIVE" / "masks").glob(f"{number}_*"))
        field = next((source / "DRIVE" / "fov").glob(f"{number}_*"))
        training = "training" in path.name
        split = ("val" if index >= len(drive) - 4 else "train") if training else "test"
        yield f"drive_{number}", split, _picture(path), _picture(mask) > 0, _picture(field) > 0
    for index, path in enumerate(sorted((source / "STARE" / "images").iterdir())):
        number = path.name.split(".")[0]
        image = _picture(path)
        mask = _picture(source / "STARE" / "masks" / f"{number}.ah.pgm.gz") > 0
        yield f"stare_{number}", "test" if index % 2 else "train", image, mask, _field(image)
    for path in sorted((source / "CHASE_DB1" / "images").iterdir()):
        image = _picture(path)
        mask = _picture(source / "CHASE_DB1" / "masks" / f"{path.stem}_1stHO.png") > 0
        child = int(path.stem.split("_")[1][:2])
        yield f"chase_{path.stem.lower()}", "train" if child <= 7 else "test", image, mask, _field(image)


def _picture(path: Path) -> np.ndarray:
    data = path.read_bytes()
    return np.asarray(Image.open(io.BytesIO(gzip.decompress(data) if path.suffix == ".gz" else data)))


def _field(image: np.ndarray) -> np.ndarray:
    """The lit field of a fundus camera, which is black around it."""
    return image.sum(-1) > 60
