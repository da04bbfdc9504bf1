"""How well |L − N| points to wrong pixels and to bad images, beside the plain uncertainty of S."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch

from bundle.metrics import score
from bundle.segmentation import disagreement_on_mask
from platforms.monailabel.lib.ranking import disagreement as on_vessels

from ..tables.result_files import Row
from ..tables.statistics import area_under_curve
from .images import config, labelled, shipped


@torch.inference_mode()
def disagreement(folder: Path, split: str) -> list[Row]:
    """For each image: errors of the mask, mean disagreement and uncertainty, and their areas under the curve.

    And by what ``segment`` and MONAI Label say which images to look at: ``on_mask`` and ``on_vessels``.
    """
    network = shipped()
    rows = []
    binarize = config().get_parsed_content("validate#postprocessing")
    for name, item in labelled(folder, split).items():
        dbac, ddmac = (each[0] for each in network.probabilities(item["image"].as_tensor()[None]))
        s = (dbac + ddmac) / 2
        mask = binarize({"pred": s.clone()})["pred"].numpy() > 0
        truth = item["label"].numpy() > 0
        wrong = (mask != truth).ravel()
        clues = {"disagreement": (dbac - ddmac).abs(), "uncertainty": 1 - (2 * s - 1).abs()}
        row: Row = {"image": name, "dice": score(mask, truth)["dice"], "wrong": float(wrong.mean())}
        for clue, values in clues.items():
            row[clue] = float(values.mean())
            row[f"{clue}_auc"] = area_under_curve(values.numpy().ravel(), wrong)
        row["on_mask"] = disagreement_on_mask((dbac - ddmac).abs().numpy(), mask)
        row["on_vessels"] = on_vessels(dbac.numpy(), ddmac.numpy())
        rows.append(row)
    return rows


ROWS = {split: partial(disagreement, split=split) for split in ("val", "test")}
