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
from bundle.io import image_name
from bundle.metrics import score

from .parts import Part, Places, Row, read_rows, write_rows

NAME = "field"
DATASET = 501
# nnU-Net's trainers of fixed length; an epoch is 250 steps of its own batch and patch
TRAINERS = {"nnunet_1_epoch": "nnUNetTrainer_1epoch", "nnunet_5_epochs": "nnUNetTrainer_5epochs"}


def parts() -> list[Part]:
    """One row for each length of the training."""
    return [Part(NAME, row, 0, partial(scores, trainer=trainer)) for row, trainer in TRAINERS.items()]


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


def scores(places: Places, trainer: str) -> list[Row]:
    """Train on the 50 training images, predict the test images with nnU-Net's own predictor, score its masks."""
    folder = places.output.resolve() / "nnunet"
    raw = written(places.data("vessmap").resolve(), folder)
    predicted = folder / f"predicted_{trainer}"
    setting = ["-tr", trainer, "-device", "cpu"]
    finished = folder / "preprocessed" / "finished"
    if not finished.exists():  # the plans alone are there before the images are
        _call(places, "plan_and_preprocess", "-d", str(DATASET), "-c", "2d", "-np", "1")
        finished.touch()
    clock = folder / f"minutes_{trainer}.csv"
    before = read_rows(clock)[0]["minutes"] if clock.exists() else 0.0
    started = time.monotonic()
    try:
        _call(places, "train", str(DATASET), "2d", "all", *setting, "--c")
    finally:
        minutes = before + (time.monotonic() - started) / 60
        write_rows(clock, [{"minutes": minutes}])
    images = ["-i", str(raw / "imagesTs"), "-o", str(predicted)]
    _call(places, "predict", *images, "-d", str(DATASET), "-c", "2d", "-f", "all", *setting, "-npp", "1", "-nps", "1")
    facts = {"training": trainer, "seed": 0, "data": "vessmap", "minutes": round(minutes, 1)}
    write_rows(places.results / "trainings" / f"{trainer}.seed0.csv", [facts])
    return [
        {"image": truth.stem, **score(*(np.asarray(Image.open(path)) for path in (predicted / truth.name, truth)))}
        for truth in sorted((raw / "labelsTs").glob("*.png"))
    ]


def _call(places: Places, program: str, *words: str) -> None:
    folder = places.output.resolve() / "nnunet"
    where = {f"nnUNet_{kind}": str(folder / kind) for kind in ("raw", "preprocessed", "results")}
    threads = {"nnUNet_n_proc_DA": "1", "nnUNet_compile": "f"}
    executable = places.data("nnunet") / f"nnUNetv2_{program}"
    subprocess.run([str(executable), *words], env=os.environ | where | threads, check=True)
