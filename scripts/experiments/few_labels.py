"""How many labelled images fine-tuning needs: the ensemble after phantoms, on none to fifty images of VessMAP.

Once with the short trainings of the tables, and once as long as the first one on VessMAP of the shipped weights.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from . import release, tables
from .parts import Part, Places, Row
from .predictions import fused, labelled, predicted, scored
from .trainings import Training

NAME = "few_labels"
COUNTS = {"short": (0, 4, 10, 20, 50), "long": (0, 4, 20, 50)}
CALLED = {"short": "200 steps, as in the tables", "long": "600 steps, after longer phantoms"}
DRAWS = (0, 1, 2)
CASCADES = ("DBAC", "DDMAC")
CROPS = 200  # in an epoch of the long trainings, whatever the number of images


def parts() -> list[Part]:
    """A row for each recipe and number of images; the seed is the draw. None and all of the fifty need no draw."""
    return [
        Part(NAME, f"{recipe}-{count}", draw, partial(scores, recipe=recipe, count=count, draw=draw))
        for recipe, counts in COUNTS.items()
        for draw in DRAWS
        for count in counts
        if draw == 0 or count not in (0, 50)
    ]


def label(row: str) -> tuple[str, str]:
    """Recipe of a row, in words, and number of images."""
    recipe, count = row.split("-")
    return CALLED[recipe], count


def training(cascade: str, recipe: str, count: int, draw: int) -> Training:
    """The cascade's training on so many images; those on none and on all are the tables' or the release's own.

    The last epoch counts, since few labels leave none to choose one by.
    """
    if recipe == "short":
        phantoms, whole = (tables.training(cascade, state, 0) for state in ("phantoms", "fine_tuned"))
    else:
        phantoms, whole = (replace(each, checkpoint="last") for each in release.magnified_stages(cascade))
    if count in (0, 50):
        return whole if count else phantoms
    data = f"{count}.draw{draw}"
    some = replace(whole, data=f"vessmap-{data}", validated=False)
    if recipe == "short":
        return replace(some, name=f"{cascade}-{data}")
    return replace(some, name=f"{phantoms.name}-{data}", schedule=(whole.schedule[0], CROPS // count))


def scores(places: Places, recipe: str, count: int, draw: int) -> list[Row]:
    """Scores of the averaged ensemble on the test split."""
    folder = places.data("vessmap").resolve()
    maps = [predicted(training(name, recipe, count, draw), places, folder, "test") for name in CASCADES]
    return scored(fused(maps, "average"), labelled(folder, "test"))
