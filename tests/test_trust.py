"""What Dice to expect of a mask: how it is learned, what it says, and where it is written."""

from __future__ import annotations

import csv
import json
import math
from functools import reduce
from operator import add

import numpy as np
import pytest
import tifffile
import torch
from scipy.ndimage import gaussian_filter

import bundle
from bundle.__main__ import main
from bundle.home import STACK_WEIGHTS, WEIGHTS
from bundle.io import Source, note_finding, read_findings
from bundle.phantoms import make_phantom
from bundle.segmentation import Outputs
from bundle.segmentation.expecting import note_expectation
from bundle.segmentation.remarks import say_found
from bundle.segmentation.writing import FoundWriter
from bundle.trust import (
    TRUSTED,
    Evidence,
    Expectation,
    Learned,
    Light,
    area_under_curve,
    boxes,
    choose,
    fit,
    learned,
    look_into_boxes,
)

shipped = pytest.mark.skipif(
    not (WEIGHTS.exists() and STACK_WEIGHTS.exists()), reason="the shipped weights are not here (models/)"
)


SIGNS = {"doubt on vessels": -1, "doubt beside": -1, "disagreement on vessels": -1, "expected overlap": 1}


def bars(width: int, size: int = 96) -> np.ndarray:
    """Vertical vessels of one width, as far from each other."""
    return np.broadcast_to(np.arange(size) // width % 2 == 1, (size, size)).copy()


def seen(mask: np.ndarray, seed: int = 0, noise: float = 4.0, doubt: float = 0.02) -> tuple[np.ndarray, ...]:
    """Grey values, S, |L − N| and the mask as they might have been, the less sure the larger ``doubt``."""
    rng = np.random.default_rng(seed)
    grey = 20 + 60 * gaussian_filter(mask.astype(float), 0.7) + rng.normal(0, noise, mask.shape)
    s = np.clip(gaussian_filter(mask.astype(float), 0.5 + 20 * doubt), 0.01, 0.99)
    return grey, s.astype(np.float32), rng.uniform(0, doubt, mask.shape).astype(np.float32), mask


def test_no_unit_of_the_grey_values_and_no_turn_of_the_image_changes_a_feature():
    grey, s, d, mask = seen(bars(5))
    as_it_is = Evidence.of(grey, s, d, mask).features()
    for changed in (
        Evidence.of(1000 + 37 * grey, s, d, mask),
        Evidence.of(grey.T, s.T, d.T, mask.T),
        Evidence.of(grey[::-1], s[::-1], d[::-1], mask[::-1]),
    ):
        assert changed.features() == pytest.approx(as_it_is, rel=1e-3, abs=1e-3)


def test_slices_that_are_alike_give_a_stack_like_each_of_them():
    slices = [Evidence.of(*seen(bars(5))) for _ in range(3)]
    together = reduce(add, slices)
    assert together.sums["found"] == 3 * slices[0].sums["found"]
    # three slices have three times the pixels that steepness is counted beside
    assert together.features() == pytest.approx(slices[0].features(), rel=1e-3)


def test_a_margin_that_shows_nothing_counts_for_nothing():
    grey, s, d, mask = seen(bars(5))
    grey[:, :20] = np.nan
    evidence = Evidence.of(grey, s, d, mask)
    assert evidence.sums["pixels"] == 96 * 76
    assert evidence.sums["found"] == np.count_nonzero(mask[:, 20:])
    assert all(map(math.isfinite, evidence.features().values()))


def test_a_vessel_that_is_brighter_in_the_next_slice_is_not_in_focus():
    grey, s, d, mask = seen(bars(5), noise=0.1)
    dim = 20 + (grey - 20) / 3
    assert Evidence.of(grey, s, d, mask, [dim]).features()["in focus"] == pytest.approx(1, abs=0.01)
    assert Evidence.of(dim, s, d, mask, [grey]).features()["in focus"] == pytest.approx(1 / 3, abs=0.05)


@pytest.mark.parametrize(
    "mask", [np.zeros((40, 40), bool), np.ones((40, 40), bool), np.eye(40, dtype=bool)], ids=["none", "all", "line"]
)
@pytest.mark.parametrize("light", [0.0, 1e6])
def test_features_are_numbers_whatever_the_image(mask, light):
    flat = np.full(mask.shape, light)
    features = Evidence.of(flat, mask * 1.0, mask * 0.1, mask).features()
    assert all(map(math.isfinite, features.values()))


def test_the_coefficients_that_made_the_shares_are_found_again():
    rng = np.random.default_rng(1)
    features = rng.normal(size=(4000, 3))
    true = np.array([0.4, -1.2, 0.7, 0.0])
    shares = 1 / (1 + np.exp(-(true[0] + features @ true[1:])))
    assert fit(features, shares, 1e-6) == pytest.approx(true, abs=1e-3)
    strict = fit(features, shares, 1e5)
    assert np.abs(strict[1:]).max() < 0.05 and strict[0] == pytest.approx(
        math.log(shares.mean() / (1 - shares.mean())), abs=0.02
    )


def test_a_coefficient_that_may_only_raise_or_lower_does_not_do_the_other():
    rng = np.random.default_rng(1)
    features = rng.normal(size=(2000, 3))
    shares = 1 / (1 + np.exp(-(features @ [1.0, 0.5, -0.5])))
    assert fit(features, shares, 1e-6, [1, -1, 0]) == pytest.approx([0, 0.95, 0, -0.47], abs=0.05)


def test_the_area_under_the_curve_is_the_share_of_pairs_in_the_right_order():
    rng = np.random.default_rng(2)
    expected, bad = rng.integers(0, 6, 60) / 6, rng.random(60) < 0.4
    pairs = [(a < b) + (a == b) / 2 for a in expected[bad] for b in expected[~bad]]
    assert area_under_curve(expected, bad) == pytest.approx(np.mean(pairs))
    assert math.isnan(area_under_curve(expected, np.zeros(60, bool)))


def test_what_is_learned_orders_new_masks_and_comes_back_from_its_file():
    """Of masks whose Dice falls with the doubt of the network."""
    doubts = np.linspace(0.01, 0.4, 40)
    cases = [Evidence.of(*seen(bars(5), seed, doubt=doubt)) for seed, doubt in enumerate(doubts)]
    taught = Learned.of(cases, 1 - 2 * doubts, SIGNS, 1.0)
    again = Learned.from_dict(json.loads(json.dumps(taught.as_dict())))
    new = [Evidence.of(*seen(bars(5), 100, doubt=doubt)) for doubt in (0.05, 0.15, 0.3)]
    expected = [again.expect(evidence).dice for evidence in new]
    assert expected == [taught.expect(evidence).dice for evidence in new]
    assert expected == pytest.approx([0.9, 0.7, 0.4], abs=0.06)
    assert again.expect(new[0]).reason == "" and "cascades" in again.expect(new[2]).reason


@pytest.mark.parametrize("doubt", [0.0, 0.3])
def test_how_a_mask_looks_is_asked_only_where_little_is_to_be_expected(doubt):
    """And what is then said is what is said of all at once."""
    grey, s, d, mask = seen(bars(8), doubt=doubt)
    grey[:, :8] = np.nan
    beside = [0.5 * grey, 0.9 * grey]
    asked = []

    def looks() -> Evidence:
        asked.append(doubt)
        return Evidence.of_looks(Light(grey), mask, [Light(plane) for plane in beside])

    answer = learned("stack").expect(Evidence.of_networks(grey, s, d, mask), "stack", looks)
    assert answer == learned("stack").expect(Evidence.of(grey, s, d, mask, beside), "stack")
    assert len(asked) == (not answer.trusted)
    assert answer.trusted == (doubt < 0.1)


@pytest.mark.parametrize(
    ("width", "said", "way_out"), [(32, "wider", "--scale"), (1, "thinner", "--scale 2")], ids=["wide", "thin"]
)
def test_vessels_of_strange_widths_are_the_reason_where_all_else_is_well(width, said, way_out):
    usual = Evidence.of(*seen(bars(5))).features()
    alike = {name: 1e6 for name in usual} | {"depth": 0.3, "thin": 0.2, "wide": 0.2}
    ones, zeros = (1.0,) * len(usual), (0.0,) * len(usual)
    poor = Learned(tuple(usual), tuple(usual.values()), tuple(alike.values()), (-1.0, *zeros), zeros, ones)
    answer = poor.expect(Evidence.of(*seen(bars(width))))
    assert answer.dice == pytest.approx(1 / (1 + math.e))
    assert not answer.trusted and said in answer.reason and way_out in answer.remedy


def test_an_empty_mask_has_no_dice_but_a_way_out():
    grey, s, d, mask = seen(np.zeros((30, 30), bool))
    answer = learned("image").expect(Evidence.of(grey, s, d, mask))
    assert math.isnan(answer.dice) and not answer.trusted and "--high" in answer.remedy
    nothing = Evidence.of(np.full_like(grey, 7), s, d, mask)
    answer = learned("image").expect(nothing)  # where no threshold is of help
    assert math.isnan(answer.dice) and "channel" in answer.remedy and "--high" not in answer.remedy
    stack = learned("stack").expect(nothing + Evidence.of(grey, s, d, mask))
    assert "--high" in stack.remedy


@pytest.mark.parametrize(
    ("typed", "scale", "too_wide"),
    [(1.0, 1.0, "auto"), (0.25, 0.25, ""), (2.0, 2.0, "auto"), ("auto", 0.22, ""), ("auto", 1.0, "0.22")],
)
def test_what_was_found_is_said_before_what_speaks_against_it(tmp_path, caplog, typed, scale, too_wide):
    """Vessels of 24 pixels, which the weights do not know; at a quarter of the size they do."""
    caplog.set_level("INFO", "bundle")
    outputs, source = Outputs(tmp_path, options={"scale": typed}), Source(tmp_path / "a.png", "a")
    mask = bars(24)
    say_found(outputs, source, ["50 % vessel"], Expectation(0.3, "it is dim", "light it"), mask, mask, scale)
    first, *width, last = caplog.messages
    assert first == f"{source}: 50 % vessel, expected Dice 0.30, {tmp_path / 'a_mask.tif'}"
    assert last.startswith(f"{source}: expected Dice 0.30, look at") and last.endswith(": it is dim; light it")
    assert len(width) == bool(too_wide)
    assert all("23.0 pixels wide" in line and line.endswith(f"try --scale {too_wide}") for line in width)


def test_masks_of_other_weights_and_modes_are_not_compared_with_those_of_a_run(tmp_path, caplog):
    """Twelve masks in a folder, of two networks and two modes; each run looks at its own four."""
    caplog.set_level("INFO", "bundle")
    runs = {
        mode + letter: Outputs(tmp_path / "out", network=torch.nn.Linear(1, size), options={"mode": mode})
        for mode, letter, size in (("fused", "a", 1), ("fused", "b", 2), ("stack", "a", 1))
    }
    for number, (name, outputs) in enumerate(runs.items()):
        for each in range(4):
            path = tmp_path / f"{name}{each}.tif"
            tifffile.imwrite(path, np.zeros((4, 4), np.uint8))
            outputs.begin(Source(path, path.stem), ["mask"])
            tifffile.imwrite(outputs.path(path, "mask"), np.zeros((4, 4), np.uint8))
            doubt = Expectation(0.9, disagreement=0.1 * (number + 1) + 0.01 * each)
            note_expectation(outputs, Source(path, path.stem), doubt)
    FoundWriter(runs["fuseda"]).say_where_to_look()
    (line,) = caplog.messages
    assert line.startswith("of the 4 masks of this kind")
    assert line.endswith("fuseda3 (0.130), fuseda2 (0.120), fuseda1 (0.110)")
    assert len((tmp_path / "out" / "expected_dice.csv").read_text().splitlines()) == 13


@shipped
@pytest.mark.parametrize("mode", ["fused", "stack"])
def test_the_record_the_table_the_line_and_python_say_the_same(mode, tmp_path, capsys):
    phantom = make_phantom((3, 64, 64), seed=4)
    tifffile.imwrite(tmp_path / "a.tif", phantom.stack, photometric="minisblack", metadata={"axes": "ZYX"})
    out = tmp_path / "out"
    assert main(["segment", str(tmp_path / "a.tif"), "--output", str(out), "--mode", mode, "--device", "cpu"]) == 0
    said = capsys.readouterr()
    result = bundle.segment(tmp_path / "a.tif", mode=mode, device="cpu")
    assert 0 < result.expected_dice < 1
    noted = read_findings(out / "a_mask.tif")
    assert noted["expected_dice"] == pytest.approx(result.expected_dice, abs=1e-3)
    (row,) = csv.DictReader((out / "expected_dice.csv").open(encoding="utf-8"))
    assert row["image"] == "a" and float(row["expected_dice"]) == noted["expected_dice"]
    assert row["reason"] == noted["reason"] == result.expectation.reason
    assert f"expected Dice {noted['expected_dice']:.2f}" in said.out
    assert ("before you trust" in said.err) == (result.expected_dice < TRUSTED)


@shipped
@pytest.mark.parametrize("mode", ["fused", "stack"])
@pytest.mark.parametrize("kind", ["constant", "noise", "photons", "mottle"])
def test_an_image_of_nothing_gives_nothing_or_a_mask_that_is_warned_of(kind, mode):
    rng = np.random.default_rng(5)
    shape = (2, 128, 128)
    image = {
        "constant": np.full(shape, 7),
        "noise": rng.normal(100, 10, shape),
        "photons": rng.poisson(2, shape),
        "mottle": 100 + 200 * gaussian_filter(rng.normal(0, 1, shape), (0, 3, 3)) + rng.normal(0, 2, shape),
    }[kind].astype(np.float32)
    result = bundle.segment(image if mode == "stack" else image[0], mode=mode, device="cpu")
    assert not result.mask.any() or result.expected_dice < TRUSTED


def test_a_table_of_the_user_s_own_is_left_as_it_is(tmp_path, capsys):
    tifffile.imwrite(tmp_path / "a.tif", make_phantom((1, 64, 64), seed=4).stack[0])
    own = tmp_path / "out" / "expected_dice.csv"
    own.parent.mkdir()
    own.write_text("mine")
    assert main(["segment", str(tmp_path / "a.tif"), "--output", str(own.parent), "--device", "cpu"]) == 1
    assert own.read_text() == "mine" and "nothing tells what made it" in capsys.readouterr().err


def test_a_finding_stays_with_its_output_alone(tmp_path):
    sidecar = tmp_path / "a_provenance.json"
    sidecar.write_text(json.dumps({"records": [{"outputs": ["a_mask.tif", "a_overlay.png"]}]}), encoding="utf-8")
    note_finding(sidecar, tmp_path / "a_mask.tif", {"expected_dice": 0.5})
    assert read_findings(tmp_path / "a_mask.tif") == {"expected_dice": 0.5}
    assert read_findings(tmp_path / "a_overlay.png") == {}


@pytest.mark.parametrize(("shape", "count"), [((256, 256), 1), ((257, 256), 2), ((600, 520), 9), ((40, 300), 2)])
def test_boxes_cover_an_image_and_are_no_more_than_needed(shape, count):
    found = boxes(shape, 256)
    covered = np.zeros(shape, int)
    for box in found:
        covered[box] += 1
        assert covered[box].shape == tuple(min(side, 256) for side in shape)
    assert len(found) == count and covered.min() == 1


def test_places_are_chosen_where_most_is_wrong_and_no_two_that_are_alike():
    """Thirty good places, ten poor ones of one kind, five of another, all of one size."""
    taught = Learned.of(
        [Evidence.of(*seen(bars(5), n, doubt=doubt)) for n, doubt in enumerate(np.linspace(0.01, 0.4, 40))],
        1 - 2 * np.linspace(0.01, 0.4, 40),
        SIGNS,
        1.0,
    )
    good = [Evidence.of(*seen(bars(5), n, doubt=0.02)) for n in range(30)]
    poor = [Evidence.of(*seen(bars(5), n, doubt=0.3)) for n in range(10)]
    other = [Evidence.of(*seen(bars(12), n, noise=30, doubt=0.3)) for n in range(5)]
    choice = choose([*good, *poor, *other], taught, "image", 4)
    kinds = ["good" if n < 30 else "poor" if n < 40 else "other" for n in choice.order]
    assert set(kinds[:2]) == {"poor", "other"}
    assert len(set(choice.order)) == 4
    assert choice.covered[0] == 0 and np.all(np.diff(choice.covered) > 0) and choice.covered[-1] <= 1
    assert np.all(np.diff(choice.covered, 2) <= 1e-9)  # each label brings less than the one before
    assert choice.covered[2] > 0.5  # two of 45 stand for most of what is wrong
    assert choice.expected[0] == pytest.approx(np.mean(choice.dice)) and np.all(np.diff(choice.expected) > 0)


@shipped
def test_what_is_labelled_already_stands_for_what_is_like_it_and_is_not_chosen_again():
    rng = np.random.default_rng(0)
    mask = np.zeros((64, 192), bool)
    mask[28:36] = True
    share = np.where(mask, 0.9, 0.05).astype(np.float32)
    share[:, 64:128] = np.where(mask[:, 64:128], 0.6, 0.4)  # the middle is in doubt
    image = share + rng.normal(0, 0.02, share.shape)
    places = list(look_into_boxes(image, share, abs(share - mask), mask, 64))
    assert [str(place) for place in places][1] == "rows 0 to 63, columns 64 to 127"
    evidence = [place.evidence for place in places]
    first = choose(evidence, learned("image"), "image", 1)
    assert first.order == (1,)
    rest = choose(evidence, learned("image"), "image", 5, labelled=[1])
    assert set(rest.order) == {0, 2} and rest.covered[0] == pytest.approx(first.covered[1])
    assert choose(evidence, learned("image"), "image", 5, labelled=[0, 1, 2]).order == ()


def test_next_ranks_boxes_of_images_and_writes_what_it_says(tmp_path, capsys):
    rng = np.random.default_rng(0)
    for number in range(2):
        stack = make_phantom((1, 128, 96), seed=4, index=number).stack[0]
        tifffile.imwrite(tmp_path / f"{number}.tif", stack)
    (tmp_path / "bad.tif").write_bytes(rng.bytes(100))
    words = ["next", str(tmp_path), "--count", "3", "--box", "64", "--device", "cpu"]
    out = tmp_path / "out"
    assert main([*words, "--output", str(out), "--pictures"]) == 1
    said = capsys.readouterr()
    assert "bad.tif" in said.err and "labels" in said.out
    rows = list(csv.DictReader((out / "next.csv").open(encoding="utf-8")))
    assert [row["rank"] for row in rows] == ["1", "2", "3"]
    assert {row["image"] for row in rows} <= {"0", "1"} and {row["height"] for row in rows} == {"64"}
    assert len({(row["image"], row["top"], row["left"]) for row in rows}) == 3
    assert sorted(path.name for path in out.glob("*.png")) == ["next_1.png", "next_2.png", "next_3.png"]
    assert main([*words, "--output", str(out), "--box", "96"]) == 1
    assert "with box 64 instead of 96" in capsys.readouterr().err
