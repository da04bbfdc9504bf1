"""The experiments of docs/results.md: what is compared, how it is trained, and how it is scored."""

from __future__ import annotations

from collections.abc import Callable

from . import few_labels, field, microscopes, pretraining, recipe, release, retina_sets, sharpness, shipped, tables
from .parts import Part

EXPERIMENTS: dict[str, Callable[[], list[Part]]] = {
    "calibration": shipped.calibration_parts,
    "disagreement": shipped.disagreement_parts,
    "scale": shipped.scale_parts,
    "test_time": shipped.test_time_parts,
    "stages": shipped.stages_parts,
    "annotators": shipped.annotators_parts,
    "binarization": shipped.binarization_parts,
    "time": shipped.time_parts,
    "tables": tables.parts,
    "few_labels": few_labels.parts,
    "recipe": recipe.parts,
    "pretraining": pretraining.parts,
    "microscopes": microscopes.parts,
    "field": field.parts,
    "retina_sets": retina_sets.parts,
    "release": release.parts,
    "pairs": release.pair_parts,
    "losses": release.loss_parts,
    "sharpness": sharpness.parts,
}
