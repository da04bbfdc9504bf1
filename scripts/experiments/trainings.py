"""Trainings, each a run of configs/train.yaml with overrides that goes on where it stopped."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from monai.bundle import ConfigParser

from bundle.data import labelled_images
from bundle.networks import count_parameters

from .datasets import dataset
from .parts import ROOT, Places, read_rows, write_rows

STEPS = 200  # of every training of a table
CROP = 128  # pixels of its crops' sides, in the network's own pixels
BATCH = 4
NEVER = 1000  # epochs between validations


@dataclass(frozen=True)
class Training:
    """One training.

    Args:
        name: what it is called, without its seed.
        network: network_def of configs/train.yaml.
        data: as of :func:`scripts.experiments.datasets.dataset`.
        start: the training whose weights it goes on from (with configs/fine_tune.yaml); from random ones if None.
        seed: of weights and crops.
        overrides: further settings of the config.
        steps: how many, in epochs of some fifty.
        crop: side of its crops; the config's if None.
        schedule: epochs and crops per image instead, as the shipped weights have them.
        validated: whether every epoch is validated.
        checkpoint: "last", so that nothing is chosen, or "best", the epoch that validates best.
    """

    name: str
    network: dict
    data: str
    start: Training | None = None
    seed: int = 0
    overrides: dict = field(default_factory=dict)
    steps: int = STEPS
    crop: int | None = CROP
    schedule: tuple[int, int] | None = None
    validated: bool = False
    checkpoint: str = "last"

    def folder(self, places: Places) -> Path:
        """Where it writes."""
        return places.output.resolve() / "trainings" / f"{self.name}.seed{self.seed}"

    def weights(self, places: Places) -> Path:
        """Its checkpoint; trained now, or further, if it is not finished."""
        checkpoint = self.folder(places) / "checkpoints" / f"{self.checkpoint}.pt"
        report = places.results / "trainings" / f"{self.name}.seed{self.seed}.csv"
        if not (report.exists() and checkpoint.exists()):
            self._run(places, report)
        return checkpoint

    def _run(self, places: Places, report: Path) -> None:
        source, datalist = dataset(self.data, places)
        images = len(labelled_images(source, "train", datalist))
        epochs, crops = self.schedule or schedule(images, self.steps)
        options = {
            "output_dir": str(self.folder(places)),
            "dataset_dir": str(source),
            "datalist": None if datalist is None else str(datalist),
            "network_def": self.network,
            "seed": self.seed,
            "max_epochs": epochs,
            "crops_per_image": crops,
            "val_interval": 1 if self.validated else NEVER,
            "weights": None if self.start is None else str(self.start.weights(places)),
            **({} if self.crop is None else {"crop": [self.crop, self.crop]}),
            **self.overrides,
        }
        configs = ["configs/train.yaml"] + ["configs/fine_tune.yaml"] * (options["weights"] is not None)
        command = [sys.executable, "-m", "monai.bundle", "run", "training", "--config_file", str(configs)]
        command += [word for key, value in options.items() if value is not None for word in (f"--{key}", str(value))]
        self.folder(places).mkdir(parents=True, exist_ok=True)
        clock = self.folder(places) / "minutes.csv"
        before = sum(row["minutes"] for row in read_rows(clock)) if clock.exists() else 0.0
        started = time.monotonic()
        try:
            with open(self.folder(places) / "log.txt", "a", encoding="utf-8") as log:
                subprocess.run(command, cwd=ROOT, check=True, stdout=log, stderr=log)
        finally:
            minutes = before + (time.monotonic() - started) / 60
            write_rows(clock, [{"minutes": minutes}])
        steps = epochs * -(-images * crops // BATCH)
        facts = {"data": self.data, "images": images, "start": self.start.name if self.start else "", "steps": steps}
        facts |= {"parameters": count_parameters(made(self.network)), "minutes": round(minutes, 1)}
        write_rows(report, [{"training": self.name, "seed": self.seed, **facts}])


def schedule(images: int, steps: int) -> tuple[int, int]:
    """Epochs and crops per image that make exactly the given number of steps, in epochs of fifty or close to it.

    Raises:
        ValueError: no whole numbers do.
    """
    fitting = [
        (abs(images * crops / BATCH - 50), steps * BATCH // (images * crops), crops)
        for crops in range(1, steps * BATCH // images + 1)
        if images * crops % BATCH == 0 and steps * BATCH % (images * crops) == 0
    ]
    if not fitting:
        raise ValueError(f"{steps} steps are no whole number of epochs of {images} images")
    return min(fitting)[1:]


def made(network: dict):
    """The network of a definition."""
    return ConfigParser({"network": network}).get_parsed_content("network")
