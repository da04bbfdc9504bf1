"""What the shipped weights can and cannot do, on VessMAP's images: each measure, and what makes each of its rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..tables.result_files import Row
from . import appearance, calibration, disagreement, masks

MEASURES: dict[str, dict[str, Callable[[Path], list[Row]]]] = {
    "release": masks.RELEASE,
    "annotators": masks.ANNOTATORS,
    "stages": masks.STAGES,
    "binarization": masks.BINARIZATION,
    "calibration": calibration.ROWS,
    "disagreement": disagreement.ROWS,
    "scale": appearance.SCALE,
    "sharpness": appearance.SHARPNESS,
}
