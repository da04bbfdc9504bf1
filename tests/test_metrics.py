"""Scores against counts and topology known by hand, and their table."""

from __future__ import annotations

import csv
import math

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.metrics import compute_hausdorff_distance
from skimage.draw import disk
from skimage.morphology import skeletonize

from bundle.errors import InputError
from bundle.metrics import (
    Confusion,
    betti_numbers,
    centerline_dice,
    format_summary,
    hausdorff_distance_95,
    score,
    skeleton,
    summarize,
    write_scores,
    write_summary,
)

METRICS = [
    "dice",
    "sensitivity",
    "precision",
    "specificity",
    "accuracy",
    "cldice",
    "betti0_error",
    "betti1_error",
    "hd95",
]


def drawn(*rows: str) -> np.ndarray:
    """A mask drawn with # on dots."""
    return np.array([[character == "#" for character in row] for row in rows])


def bar(first_row: int, last_row: int) -> np.ndarray:
    mask = np.zeros((16, 40), bool)
    mask[first_row : last_row + 1, 5:35] = True
    return mask


def blobs(seed: int, shape: tuple[int, ...] = (64, 64)) -> np.ndarray:
    """Discs (or boxes) at random places: many pieces and some holes."""
    generator = np.random.default_rng(seed)
    mask = np.zeros(shape, bool)
    for _ in range(25):
        low = generator.integers(0, np.array(shape) - 3)
        mask[tuple(slice(a, a + n) for a, n in zip(low, generator.integers(2, 12, len(shape)), strict=True))] ^= True
    return mask


def ball(radius: float, centre: tuple[float, ...] = (10, 10, 10), size: int = 21) -> np.ndarray:
    distance = sum((axis - c) ** 2 for axis, c in zip(np.indices((size,) * 3), centre, strict=True))
    return distance <= radius**2


def torus() -> np.ndarray:
    z, y, x = np.indices((21, 41, 41)) - np.array([10, 20, 20]).reshape(3, 1, 1, 1)
    return (np.hypot(x, y) - 12) ** 2 + z**2 <= 4**2


class TestConfusion:
    def test_equations_11_to_15_on_a_worked_example(self):
        prediction = np.array([[1, 1, 1, 0, 0], [1, 1, 0, 0, 0]])
        truth = np.array([[1, 1, 0, 1, 0], [1, 0, 0, 0, 0]])
        assert Confusion.between(prediction > 0, truth > 0) == (3, 2, 1, 4)
        scores = score(prediction, truth)
        assert scores["sensitivity"] == 3 / 4
        assert scores["precision"] == 3 / 5
        assert scores["specificity"] == 4 / 6
        assert scores["accuracy"] == 7 / 10
        assert scores["dice"] == 6 / 9

    def test_a_share_of_nothing_is_undefined(self):
        nothing, everything = np.zeros((4, 4)), np.ones((4, 4))
        both_empty = score(nothing, nothing)
        assert [name for name, value in both_empty.items() if math.isnan(value)] == [
            "dice",
            "sensitivity",
            "precision",
            "cldice",
            "hd95",
        ]
        assert (both_empty["specificity"], both_empty["accuracy"]) == (1, 1)
        both_full = score(everything, everything)
        assert math.isnan(both_full["specificity"])
        assert both_full["sensitivity"] == both_full["precision"] == both_full["dice"] == 1

    def test_missing_everything_scores_zero_and_not_undefined(self):
        scores = score(np.zeros((5, 5)), np.eye(5))
        assert (scores["dice"], scores["sensitivity"], scores["cldice"]) == (0, 0, 0)
        assert math.isnan(scores["precision"])

    def test_one_pixel(self):
        scores = score(np.ones((1, 1)), np.ones((1, 1)))
        assert (scores["dice"], scores["cldice"], scores["hd95"], scores["betti0_error"]) == (1, 1, 0, 0)


class TestBetti:
    @pytest.mark.parametrize(
        ("mask", "expected"),
        [
            (drawn("...", "...", "..."), (0, 0)),
            (drawn("###", "###", "###"), (1, 0)),
            (drawn("#"), (1, 0)),
            (drawn("###", "#.#", "###"), (1, 1)),
            (drawn("###.###", "#.#.#.#", "###.###"), (2, 2)),
            (drawn("###", "#.#", "###", "#.#", "###"), (1, 2)),
            (drawn("#..", ".#.", "..#"), (1, 0)),
            (drawn(".#.", "#.#", ".#."), (1, 1)),
            (drawn("###", "#.#", "#.#"), (1, 0)),
            (drawn("#####", "#...#", "#.#.#", "#...#", "#####"), (2, 1)),
        ],
        ids=[
            "empty",
            "full",
            "one pixel",
            "ring",
            "two rings",
            "figure eight",
            "touching corners",
            "ring of touching corners",
            "a bay at the image's edge is no loop",
            "a dot in a ring",
        ],
    )
    def test_pieces_and_loops_of_drawings(self, mask, expected):
        assert betti_numbers(mask) == expected

    def test_pieces_tunnels_and_cavities_of_solids(self):
        assert betti_numbers(ball(6)) == (1, 0, 0)
        assert betti_numbers(torus()) == (1, 1, 0)
        assert betti_numbers(ball(8) & ~ball(4)) == (1, 0, 1)
        assert betti_numbers(~ball(4)) == (1, 0, 1)
        assert betti_numbers(np.stack([np.eye(3, dtype=bool)] * 2)) == (1, 0, 0)
        assert betti_numbers(np.ones((3, 4, 5), bool)) == (1, 0, 0)
        assert betti_numbers(np.zeros((3, 4, 5), bool)) == (0, 0, 0)

    def test_two_links_of_a_chain_are_two_pieces_and_two_tunnels(self):
        flat, upright = np.zeros((60, 60, 60), bool), np.zeros((60, 60, 60), bool)
        flat[20:41, 10:51, 0:41] = torus()
        upright[10:51, 20:41, 14:55] = torus().transpose(1, 0, 2)
        assert not (upright & flat).any()
        assert betti_numbers(upright | flat) == (2, 2, 0)

    def test_every_hole_through_a_plate_is_a_tunnel(self):
        plate = np.ones((3, 21, 31), bool)
        plate[:, 2:-2:4, 2:-2:4] = False
        assert betti_numbers(plate) == (1, 5 * 7, 0)

    def test_errors_are_absolute_differences(self):
        ring, two = drawn("###....", "#.#....", "###...."), drawn("###.###", "#.#.#.#", "###.###")
        for prediction, truth in ((ring, two), (two, ring)):
            scores = score(prediction, truth)
            assert (scores["betti0_error"], scores["betti1_error"]) == (1, 1)


class TestCenterlineDice:
    def test_a_bar_shifted_by_less_than_its_half_width_keeps_its_centreline(self):
        scores = score(bar(6, 10), bar(5, 9))
        assert scores["cldice"] == 1
        assert scores["dice"] == pytest.approx(4 / 5)

    def test_a_bar_shifted_by_more_than_its_half_width_loses_it(self):
        scores = score(bar(8, 12), bar(5, 9))
        assert scores["cldice"] == 0
        assert scores["dice"] == pytest.approx(2 / 5)

    def test_half_a_line_found_is_two_thirds(self):
        line = np.zeros((9, 24), bool)
        line[4, 2:22] = True
        half = line.copy()
        half[4, 12:] = False
        assert centerline_dice(half, line) == pytest.approx(2 * 1 * 0.5 / 1.5)

    def test_one_empty_mask_is_zero_and_two_are_undefined(self):
        line, nothing = bar(7, 7), np.zeros((16, 40), bool)
        assert centerline_dice(nothing, line) == centerline_dice(line, nothing) == 0
        assert math.isnan(centerline_dice(nothing, nothing))

    def test_a_straight_tube_of_even_width_keeps_a_skeleton(self):
        tube = np.zeros((12, 12, 30), bool)
        tube[4:8, 4:8, 3:27] = True
        assert not skeletonize(tube).any(), "scikit-image mended its issue 3757: the repair can go"
        assert skeleton(tube).sum() == 1
        assert skeleton(tube)[5:7, 5:7, :].any()
        assert centerline_dice(tube, tube) == 1

    def test_every_piece_of_a_volume_has_a_skeleton_of_its_own(self):
        mask = blobs(3, (20, 40, 40))
        lines = skeleton(mask)
        assert not (lines & ~mask).any()
        assert betti_numbers(lines)[0] == betti_numbers(mask)[0]


class TestHausdorff:
    def test_two_points(self):
        first, second = np.zeros((9, 9), bool), np.zeros((9, 9), bool)
        first[1, 1], second[4, 5] = True, True
        assert hausdorff_distance_95(first, second) == 5
        assert hausdorff_distance_95(first, second, (2.0, 0.5)) == pytest.approx(math.hypot(6, 2))

    @pytest.mark.parametrize("shape", [(64, 64), (12, 40, 40)])
    def test_agrees_with_monai(self, shape):
        prediction, truth, spacing = blobs(1, shape), blobs(2, shape), [2.0, 0.7, 0.7][-len(shape) :]
        theirs = compute_hausdorff_distance(
            torch.from_numpy(prediction)[None, None],
            torch.from_numpy(truth)[None, None],
            include_background=True,
            percentile=95,
            spacing=spacing,
        )
        assert hausdorff_distance_95(prediction, truth, spacing) == pytest.approx(theirs.item(), rel=1e-6)

    def test_the_distance_to_nothing_is_undefined_and_not_infinite(self):
        assert math.isnan(hausdorff_distance_95(np.zeros((4, 4), bool), np.eye(4, dtype=bool)))
        assert math.isnan(hausdorff_distance_95(np.eye(4, dtype=bool), np.zeros((4, 4), bool)))


class TestScore:
    def test_metrics_come_in_this_order_as_floats(self):
        scores = score(blobs(1), blobs(2))
        assert list(scores) == METRICS
        assert {type(value) for value in scores.values()} == {float}

    @pytest.mark.parametrize("shape", [(64, 64), (10, 32, 32)])
    def test_a_mask_against_itself_is_perfect(self, shape):
        assert score(blobs(1, shape), blobs(1, shape)) == dict(zip(METRICS, [1] * 6 + [0] * 3, strict=True))

    @pytest.mark.parametrize("shape", [(64, 64), (10, 32, 32)])
    def test_changing_sides_changes_only_sensitivity_precision_and_specificity(self, shape):
        forth, back = score(blobs(1, shape), blobs(2, shape)), score(blobs(2, shape), blobs(1, shape))
        assert forth["sensitivity"] == back["precision"]
        assert forth["precision"] == back["sensitivity"]
        for metric in set(METRICS) - {"sensitivity", "precision", "specificity"}:
            assert forth[metric] == pytest.approx(back[metric], rel=1e-12), metric

    def test_vessel_is_whatever_is_not_zero(self):
        prediction, truth = blobs(1), blobs(2)
        expected = score(prediction, truth)
        assert score(prediction.astype(np.uint8) * 255, truth.astype(np.uint16) * 254) == expected
        assert score(prediction.astype(np.float32), truth.astype(int)) == expected

    def test_channel_and_tensors_do_not_matter(self):
        prediction, truth = blobs(1), blobs(2)
        expected = score(prediction, truth)
        assert score(MetaTensor(prediction[None]), torch.from_numpy(truth)) == expected
        volume = score(blobs(1, (8, 32, 32)), blobs(2, (8, 32, 32)))
        assert score(blobs(1, (8, 32, 32))[None], blobs(2, (8, 32, 32))) == volume

    @pytest.mark.parametrize("axis", [0, 2])
    def test_a_stack_of_one_slice_is_an_image(self, axis):
        prediction, truth = (np.expand_dims(blobs(seed), axis) for seed in (1, 2))
        assert score(prediction, truth) == score(blobs(1), blobs(2))
        spacing = (5.0, 0.5, 0.5) if axis == 0 else (0.5, 0.5, 5.0)
        assert score(prediction, truth, spacing) == score(blobs(1), blobs(2), (0.5, 0.5))

    def test_spacing_changes_the_distance_alone(self):
        pixels, micrometres = score(blobs(1), blobs(2)), score(blobs(1), blobs(2), (0.5, 0.5))
        assert micrometres.pop("hd95") == pytest.approx(pixels.pop("hd95") / 2)
        assert micrometres == pixels

    def test_what_is_no_mask_is_refused(self):
        truth = np.eye(4)
        with pytest.raises(ValueError, match="it holds 0, 0.25, 0.5, 1; "):
            score(np.diag([0.25, 0.5, 1, 1]), truth)
        with pytest.raises(ValueError, match="it holds 1, 2; "):
            score(truth + 1, truth)
        with pytest.raises(ValueError, match="nan"):
            score(np.where(truth > 0, np.nan, 0), truth)
        with pytest.raises(ValueError, match="4 × 5"):
            score(np.zeros((4, 5)), truth)
        with pytest.raises(ValueError, match="neither an image nor a stack"):
            score(np.zeros((2, 3, 4, 4)), np.zeros((2, 3, 4, 4)))
        with pytest.raises(ValueError, match="3 pixel sizes for 2 axes"):
            score(truth, truth, (1, 1, 1))


class TestSummary:
    def test_mean_and_sample_deviation_by_hand(self):
        summary = summarize([{"image": name, "dice": value} for name, value in zip("abcd", (2, 4, 4, 6), strict=True)])
        assert list(summary) == ["dice"]
        assert summary["dice"].mean == 4
        assert summary["dice"].sd == pytest.approx(math.sqrt(8 / 3))
        assert (summary["dice"].n, summary["dice"].n_undefined) == (4, 0)

    def test_interval_of_many_normal_values_is_the_normal_interval(self):
        values = np.random.default_rng(7).normal(0.8, 0.1, 1000)
        summary = summarize([{"dice": value} for value in values])["dice"]
        error = values.std() / math.sqrt(values.size)
        assert summary.low == pytest.approx(values.mean() - 1.959964 * error, abs=0.1 * error)
        assert summary.high == pytest.approx(values.mean() + 1.959964 * error, abs=0.1 * error)

    def test_the_same_scores_give_the_same_interval(self):
        rows = [{"dice": value} for value in (0.2, 0.5, 0.9)]
        assert summarize(rows) == summarize(rows)
        assert 0.2 <= summarize(rows)["dice"].low < summarize(rows)["dice"].high <= 0.9

    def test_equal_scores_have_an_interval_of_no_width(self):
        assert summarize([{"dice": 0.75}] * 5)["dice"] == (0.75, 0, 0.75, 0.75, 5, 0)

    def test_undefined_images_are_left_out_and_counted(self):
        defined = [{"dice": value} for value in (0.2, 0.5, 0.9)]
        summary = summarize([*defined, {"dice": math.nan}, {"dice": math.nan}])["dice"]
        assert summary[:5] == summarize(defined)["dice"][:5]
        assert summary.n_undefined == 2

    def test_one_image_has_a_mean_and_no_spread(self):
        summary = summarize([{"dice": 0.5}])["dice"]
        assert (summary.mean, summary.n) == (0.5, 1)
        assert np.isnan([summary.sd, summary.low, summary.high]).all()

    def test_a_metric_that_is_never_defined(self):
        summary = summarize([{"dice": math.nan}] * 2)["dice"]
        assert np.isnan(summary[:4]).all()
        assert summary[4:] == (0, 2)
        assert summarize([]) == {}


class TestTable:
    ROWS = [
        {"image": "a #6, left", "dice": 1 / 3, "betti0_error": 2.0, "hd95": math.nan},
        {"image": "1e5", "dice": 0.5, "betti0_error": 0.0, "hd95": 12.25},
    ]

    def test_what_is_read_back_is_what_was_written(self, tmp_path):
        write_scores(tmp_path / "scores.csv", self.ROWS)
        with open(tmp_path / "scores.csv", newline="", encoding="utf-8") as stream:
            back = list(csv.DictReader(stream))
        assert list(back[0]) == ["image", "dice", "betti0_error", "hd95"]
        for read, written in zip(back, self.ROWS, strict=True):
            assert read.pop("image") == written["image"]
            for metric, text in read.items():
                assert float(text) == pytest.approx(written[metric], abs=5e-7, nan_ok=True)

    def test_image_is_the_first_column_wherever_it_stands_in_the_row(self, tmp_path):
        write_scores(tmp_path / "scores.csv", [{"dice": 1.0, "image": "a"}])
        assert (tmp_path / "scores.csv").read_bytes() == b"image,dice\na,1.000000\n"

    def test_summary_has_a_row_per_metric(self, tmp_path):
        write_summary(tmp_path / "summary.csv", self.ROWS)
        with open(tmp_path / "summary.csv", newline="") as stream:
            dice, betti, hd95 = csv.DictReader(stream)
        assert list(dice) == ["metric", "mean", "sd", "low", "high", "images", "undefined"]
        assert (dice["metric"], dice["mean"], dice["images"], dice["undefined"]) == ("dice", "0.416667", "2", "0")
        assert betti["mean"] == "1.000000"
        assert (hd95["mean"], hd95["sd"], hd95["images"], hd95["undefined"]) == ("12.250000", "nan", "1", "1")

    def test_terminal_table_names_every_metric_with_its_mean(self):
        heading, *lines = format_summary(self.ROWS).splitlines()
        assert [line.split()[:2] for line in lines] == [
            ["dice", "0.417"],
            ["betti0_error", "1.000"],
            ["hd95", "12.250"],
        ]
        assert {len(line) for line in (heading, *lines)} == {len(heading)}

    def test_a_table_that_cannot_be_written_leaves_nothing_and_names_the_file(self, tmp_path):
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(InputError, match="scores.csv"):
            write_scores(tmp_path / "file" / "scores.csv", self.ROWS)
        assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_discs_of_known_radii_lie_their_difference_apart():
    """All of both outlines of concentric discs is as far apart as the radii are, to within a pixel."""
    small, large = np.zeros((101, 101), bool), np.zeros((101, 101), bool)
    small[disk((50, 50), 20.5)], large[disk((50, 50), 30.5)] = True, True
    scores = score(small, large)
    assert scores["hd95"] == pytest.approx(10, abs=0.75)
    assert scores["dice"] == 2 * small.sum() / (small.sum() + large.sum())
    assert (scores["precision"], scores["specificity"]) == (1, 1)
