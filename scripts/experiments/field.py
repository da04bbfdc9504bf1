"""nnU-Net v2 on VessMAP: its 2D configuration and its own predictor, from an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
import time
from functools import partial
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from bundle.data import labelled_images
from bundle.errors import InputError
from bundle.io import image_name, open_image
from bundle.metrics import score

from .datasets import stack_files
from .parts import Part, Places, Row, read_rows, write_rows

NAME = "field"
DATASET = 501
# as long as the tables' ensemble, and longer with an epoch of nnU-Net's own 250 steps
TRAINERS = {"nnunet": "nnUNetTrainerShort", "nnunet_5_epochs": "nnUNetTrainer_5epochs"}
SETS = ("vessmap", "vesselnn")


def parts() -> list[Part]:
    """One row for each length of the training and each set of images."""
    return [
        Part(NAME, f"{row}-{images}", 0, partial(scores, trainer=trainer, images=images))
        for row, trainer in TRAINERS.items()
        for images in SETS
    ]


def label(row: str) -> tuple[str, str]:
    """Training and images of a row, in words."""
    trained, images = row.split("-")
    steps = {"nnunet": 240, "nnunet_5_epochs": 1250}[trained]
    return f"nnU-Net, {steps} steps", {"vessmap": "VessMAP", "vesselnn": "vesselNN, fused"}[images]


def written(vessmap: Path, folder: Path) -> Path:
    """VessMAP in nnU-Net's layout: training images and masks of 0 and 1, and the test images apart."""
    raw = folder / "raw" / f"Dataset{DATASET}_VessMAP"
    kinds = {"train": ("imagesTr", "labelsTr"), "test": ("imagesTs", "labelsTs")}
    for split, (images, labels) in kinds.items():
        for kind in (images, labels):
            (raw / kind).mkdir(parents=True, exist_ok=True)
        for pair in labelled_images(vessmap, split):
            name = image_name(pair["image"])
            Image.fromarray(tifffile.imread(pair["image"])).save(raw / images / f"{name}_0000.png")
            mask = np.asarray(Image.open(pair["label"])) > 0
            Image.fromarray(mask.astype(np.uint8)).save(raw / labels / f"{name}.png")
    about = {
        "channel_names": {"0": "fluorescence"},
        "labels": {"background": 0, "vessel": 1},
        "numTraining": len(labelled_images(vessmap, "train")),
        "file_ending": ".png",
    }
    (raw / "dataset.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
    return raw


def fused_stacks(vesselnn: Path, folder: Path) -> tuple[Path, Path]:
    """The stacks of vesselNN by maximum projection, in nnU-Net's layout, and the projections of their masks."""
    images, labels = folder / "raw" / "vesselnn", folder / "raw" / "vesselnn_labels"
    for kind in (images, labels):
        kind.mkdir(parents=True, exist_ok=True)
    for name, image, label in stack_files(vesselnn):
        Image.fromarray(open_image(image).array().max(0)).save(images / f"{name}_0000.png")
        Image.fromarray((open_image(label).array() > 0).any(0).astype(np.uint8)).save(labels / f"{name}.png")
    return images, labels


def scores(places: Places, trainer: str, images: str) -> list[Row]:
    """Train on the 50 training images, predict with nnU-Net's own predictor, score its masks."""
    programs = places.data("nnunet")
    if not any(programs.glob("nnUNetv2_train*")):
        raise InputError(programs, "holds no nnUNetv2_train", "name the bin folder of an environment with nnunetv2")
    folder = places.output.resolve() / "nnunet"
    raw = written(places.data("vessmap").resolve(), folder)
    if images == "vessmap":
        seen, truths = raw / "imagesTs", raw / "labelsTs"
    else:
        seen, truths = fused_stacks(places.data("vesselnn"), folder)
    report = places.results / "trainings" / f"{trainer}.seed0.csv"
    if not (report.exists() and (folder / f"trained_{trainer}").exists()):
        _train(places, folder, trainer, report)
    predicted = folder / f"predicted_{trainer}_{images}"
    where = ["-i", str(seen), "-o", str(predicted), "-d", str(DATASET), "-c", "2d", "-f", "all", "-tr", trainer]
    _call(places, "predict", *where, "-device", "cpu", "-npp", "1", "-nps", "1")
    return [
        {"image": truth.stem, **score(*(np.asarray(Image.open(path)) for path in (predicted / truth.name, truth)))}
        for truth in sorted(truths.glob("*.png"))
    ]


def _train(places: Places, folder: Path, trainer: str, report: Path) -> None:
    finished = folder / "preprocessed" / "finished"
    if not finished.exists():  # the plans alone are there before the images are
        _call(places, "plan_and_preprocess", "-d", str(DATASET), "-c", "2d", "-np", "1")
        finished.touch()
    clock = folder / f"minutes_{trainer}.csv"
    before = read_rows(clock)[0]["minutes"] if clock.exists() else 0.0
    started = time.monotonic()
    try:
        _call(places, "train", str(DATASET), "2d", "all", "-tr", trainer, "-device", "cpu", "--c")
    finally:
        minutes = before + (time.monotonic() - started) / 60
        write_rows(clock, [{"minutes": minutes}])
    write_rows(report, [{"training": trainer, "seed": 0, "data": "vessmap", "minutes": round(minutes, 1)}])
    (folder / f"trained_{trainer}").touch()


def _call(places: Places, program: str, *words: str) -> None:
    folder = places.output.resolve() / "nnunet"
    where = {f"nnUNet_{kind}": str(folder / kind) for kind in ("raw", "preprocessed", "results")}
    threads = {"nnUNet_n_proc_DA": "1", "nnUNet_compile": "f"}
    threads |= {"nnUNet_extTrainer": str(Path(__file__).parent / "nnunet")}
    executable = places.data("nnunet") / f"nnUNetv2_{program}"
    subprocess.run([str(executable), *words], env=os.environ | where | threads, check=True)
