"""How far numbers of stacks may be off: replicates, what is calibrated of them, and what the tables say."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
import tifffile

from bundle.__main__ import main
from bundle.io import write_ome_tiff
from bundle.measurements import INTERVALS, add_intervals, measure, measuring, replicate, spread
from bundle.measurements.intervals import constants, replicate_masks
from bundle.phantoms import make_phantom
from scripts.benchmarks import calibrate_intervals
from scripts.benchmarks.calibrate_intervals import KINDS, Chain, calibrated, coverage, write_constants

SPACING = (3.0, 1.0, 1.0)
CONSTANT = {"bias": 0.1, "floor": 0.02, "factor": 1.6}
EXISTS = {"bottleneck": [0.0, 1.0], "share": [0.0, 1.0]}
OF = {"image": dict.fromkeys(INTERVALS, CONSTANT), "segments": {"length": CONSTANT}, "exists": EXISTS}


def rod(sure: bool) -> tuple[np.ndarray, np.ndarray]:
    """S and |L - N| of a rod with an arm in 9 slices; the cascades are less sure towards the ends, or sure of all."""
    z, y, x = np.mgrid[:9, :40, :80]
    main_rod = np.hypot(3.0 * (z - 4), y - 16)
    arm = np.where(y >= 16, np.hypot(3.0 * (z - 4), x - 40), math.inf)
    across = 1 / (1 + np.exp(2 * (np.minimum(main_rod, arm) - 4.5)))
    if sure:
        return (across > 0.5).astype(np.float32), np.zeros(across.shape, np.float32)
    doubt = np.abs(x - 40) / 40
    return (across * (1 - 0.6 * doubt)).astype(np.float32), (0.8 * across * doubt).astype(np.float32)


def measured(sure: bool):
    probability, disagreement = rod(sure)
    mask = list(replicate_masks(probability, disagreement))[1]
    found = measure(mask, SPACING)
    return found, replicate(found, mask, probability, disagreement)


def test_replicates_of_a_stack_are_five_and_lie_around_its_mask():
    masks = list(replicate_masks(*rod(sure=False)))
    low, plain, high, more, less = masks
    assert np.count_nonzero(low) > np.count_nonzero(plain) > np.count_nonzero(high) > 0
    assert (high <= plain).all() and (plain <= low).all() and (less <= plain).all() and (plain <= more).all()
    assert np.count_nonzero(more) > np.count_nonzero(less)


def test_a_stack_of_cascades_that_agree_has_intervals_as_wide_as_the_floor():
    found, replicates = measured(sure=True)
    row = add_intervals(found, replicates, {"ZYX": OF}).image
    assert found.image["segments"] == 3 and replicates.agreement == 1
    middle, half = math.exp(-0.1), math.exp(1.6 * 0.02)
    assert row["length_low"] == pytest.approx(row["length"] * middle / half)
    assert row["volume_low"] == pytest.approx(row["volume"] * middle / half)
    assert row["length_high"] == row["length"]  # which is above what the bias makes of it, and belongs to the interval
    assert row["expected_length"] == pytest.approx(row["length"])


def test_a_stack_s_intervals_hold_its_numbers_and_widen_where_cascades_differ():
    found, replicates = measured(sure=False)
    result = add_intervals(found, replicates, {"ZYX": OF})
    row, (sure, _) = result.image, measured(sure=True)
    known = [name for name in INTERVALS if f"{name}_low" in row]
    assert {"length", "volume", "diameter_mean", "branch_points", "distance_mean"} <= set(known)
    assert all(row[f"{name}_low"] <= row[name] <= row[f"{name}_high"] for name in known)
    assert spread(replicates.image["length"]) > 0.02 and sure.image["length"] > row["length"] * 0.5
    assert row["length_low"] == pytest.approx(
        row["length"] * math.exp(-0.1 - 1.6 * (np.log(replicates.image["length"]).std() + 0.02))
    )
    assert row["length_density_low"] / row["length_density"] == pytest.approx(row["length_low"] / row["length"])
    assert all(s["length_low"] <= s["length"] <= s["length_high"] for s in result.segments if "length_low" in s)
    assert 0 < row["expected_length"] < row["length"]


def test_what_is_not_calibrated_has_no_interval_and_is_named():
    found, replicates = measured(sure=True)
    some = {**OF, "image": {name: CONSTANT for name in INTERVALS if name not in ("volume", "loops")}}
    row = add_intervals(found, replicates, {"ZYX": some}).image
    assert "volume_low" not in row and "loops_low" not in row and "length_low" in row
    assert row["interval"].startswith("90 %; none of ") and "volume" in row["interval"] and "loops" in row["interval"]
    assert "not calibrated for ZYX" in add_intervals(found, replicates, {"YX": OF}).image["interval"]


def test_replicates_that_nothing_is_known_of_are_not_measured(monkeypatch):
    probability, disagreement = rod(sure=False)

    def never(*_, **__):
        raise AssertionError("measured in vain")

    monkeypatch.setattr(measuring, "constants", dict)
    monkeypatch.setattr(measuring, "replicate", never)
    row = measure(probability > 0.5, SPACING, probability=probability, disagreement=disagreement).image
    assert row["interval"] == "none: not calibrated for ZYX"


def test_a_number_that_half_of_the_replicates_lack_has_no_spread():
    nan = math.nan
    assert spread(np.array([1.0, 2.0, 4.0, nan, nan])) == pytest.approx(np.log([1, 2, 4]).std())
    assert math.isnan(spread(np.array([1.0, 2.0, nan, nan])))
    assert math.isnan(spread(np.array([1.0, 2.0, nan, nan, nan])))


def simulated(rng: np.random.Generator, count: int, defined: int | None = None) -> list[dict]:
    """Phantoms whose lengths are found twice too long, give or take e^(its spread)."""
    rows = []
    for index in range(count):
        s = float(rng.uniform(0.05, 0.5))
        truth = float(rng.uniform(50, 500))
        number = [truth, 2 * truth * math.exp(s * rng.normal()), s]
        lacking = [math.nan] * 3
        values = {name: number if defined is None or index < defined else lacking for name in INTERVALS}
        rows.append({"family": "first", "quantities": values, "segments": []})
        rows[-1]["segments"] = [
            {"length": number, "diameter_mean": number, "bottleneck": s, "exists": bool(s > 0.2)} for _ in range(2)
        ]
    return rows


def test_calibration_finds_bias_and_holds_nine_of_ten():
    rng = np.random.default_rng(3)
    found = calibrated(simulated(rng, 400), simulated(rng, 400))
    assert found["image"]["length"]["bias"] == pytest.approx(math.log(2), abs=0.05)
    length = next(row for row in coverage(simulated(rng, 1000), found) if row["quantity"] == "length")
    assert 0.86 <= float(length["coverage"]) <= 0.94
    assert found["exists"]["share"][2] < 0.1 and found["exists"]["share"][-1] > 0.9


def test_calibration_of_eight_numbers_is_none():
    rng = np.random.default_rng(4)
    assert not calibrated(simulated(rng, 60, 8), simulated(rng, 60, 8))["image"]
    assert calibrated(simulated(rng, 60, 9), simulated(rng, 60, 9))["image"]


def test_a_count_that_most_phantoms_have_right_gets_no_absurd_interval():
    rng = np.random.default_rng(5)

    def rows() -> list[dict]:
        found = simulated(rng, 60)
        for row in found:  # no loop is true, and one in five images has one or two
            row["quantities"]["loops"] = [0.0, float(max(rng.integers(-7, 3), 0)), 0.0]
        return found

    loops = calibrated(rows(), rows())["image"]["loops"]
    assert loops["bias"] == 0 and math.exp(loops["factor"] * loops["floor"]) <= 3 + 1e-3


def test_constants_of_stacks_leave_those_of_images_as_they_are(tmp_path, monkeypatch):
    monkeypatch.setattr(calibrate_intervals, "CONSTANTS", tmp_path / "constants.json")
    write_constants("YX", {"side": 1})
    write_constants("ZYX", {"side": 2})
    write_constants("ZYX", {"side": 3})
    text = (tmp_path / "constants.json").read_text(encoding="utf-8")
    assert text.count('"side": 1') == 1 and text.count('"side": 3') == 1 and '"side": 2' not in text


def test_saved_constants_are_of_numbers_that_have_intervals():
    for kind in KINDS.values():
        of = constants()[kind.axes]
        assert set(of["image"]) <= set(INTERVALS)
        assert {"length", "fraction", "diameter_mean", "branch_points"} <= set(of["image"])
        for constant in (*of["image"].values(), *of["segments"].values()):
            assert constant["floor"] > 0 and constant["factor"] > 0 and math.isfinite(constant["bias"])
        share = of["exists"]["share"]
        assert share == sorted(share) and 0 <= share[0] <= share[-1] <= 1


def test_what_is_calibrated_is_what_segment_finds_and_measures_slice_by_slice(tmp_path):
    phantom = make_phantom((4, 56, 64), (2.0, 1.0, 1.0), seed=5, index=1)
    write_ome_tiff(tmp_path / "stack.tif", phantom.stack, "ZYX", phantom.spacing)
    out = tmp_path / "out"
    words = ["segment", str(tmp_path / "stack.tif"), "--output", str(out), "--mode", "stack", "--device", "cpu"]
    assert main([*words, "--measure"]) == 0
    grey, mask, probability, disagreement = Chain("stack")(phantom.stack)
    assert np.array_equal(grey, phantom.stack)
    assert np.array_equal(mask, tifffile.imread(out / "stack_mask.tif") > 0) and mask.any()
    for found, kind in ((probability, "probability"), (disagreement, "disagreement")):
        assert np.allclose(found, tifffile.imread(out / f"stack_{kind}.tif"), atol=1e-5)
    row = next(csv.DictReader((Path(out) / "images.csv").read_text(encoding="utf-8").splitlines()))
    ours = measure(mask, phantom.spacing, image=grey, probability=probability, disagreement=disagreement).image
    assert float(row["length"]) == pytest.approx(ours["length"], rel=1e-6) and row["interval"] == ours["interval"]
    assert row["interval"].startswith("90 %")
    assert float(row["length_low"]) <= float(row["length"]) <= float(row["length_high"])
    assert float(row["length_low"]) == pytest.approx(ours["length_low"], rel=1e-6)
