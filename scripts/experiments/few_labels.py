"""How many labelled images fine-tuning needs: the ensemble after phantoms, on none to fifty images of VessMAP."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from . import tables
from .parts import Part, Places, Row
from .predictions import fused, labelled, predicted, scored
from .trainings import Training

NAME = "few_labels"
COUNTS = (0, 4, 10, 20, 50)
DRAWS = (0, 1, 2)
CASCADES = ("DBAC", "DDMAC")


def parts() -> list[Part]:
    """A row for each number of images; the seed is the draw. None and all of the fifty need no draw."""
    return [
        Part(NAME, f"{count}", draw, partial(scores, count=count, draw=draw))
        for draw in DRAWS
        for count in COUNTS
        if draw == 0 or count not in (0, 50)
    ]


def training(cascade: str, count: int, draw: int) -> Training:
    """The cascade's training on so many images; those on none and on all are the tables' own."""
    if count in (0, 50):
        return tables.training(cascade, "fine_tuned" if count else "phantoms", 0)
    whole = tables.training(cascade, "fine_tuned", 0)
    return replace(whole, name=f"{cascade}-{count}.draw{draw}", data=f"vessmap-{count}.draw{draw}")


def scores(places: Places, count: int, draw: int) -> list[Row]:
    """Scores of the averaged ensemble on the test split."""
    folder = places.data("vessmap").resolve()
    maps = [predicted(training(name, count, draw), places, folder, "test") for name in CASCADES]
    return scored(fused(maps, "average"), labelled(folder, "test"))
