"""Groups of animals: tests against SciPy, worked examples and closed forms, and what the command says of odd tables."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import scipy.stats

from bundle.__main__ import main
from bundle.comparison import (
    Assignment,
    compare,
    hedges_g,
    holm,
    permutation_test,
    place,
    read_groups,
    read_table,
    redrawn,
    smallest_p,
    unit_of,
    welch_difference,
)
from bundle.errors import InputError

NINETY = scipy.stats.norm.ppf(0.95)


def difference_of_means(first, second):
    return np.mean(second) - np.mean(first)


@pytest.mark.parametrize(("first", "second"), [(3, 3), (2, 4), (5, 3), (4, 4), (6, 2)])
def test_permutation_is_that_of_scipy(first, second):
    random = np.random.default_rng(first * 10 + second)
    for shift in (0, 1, 5):
        a, b = random.normal(0, 1, first), random.normal(shift, 2, second)
        found = permutation_test(a, b)
        expected = scipy.stats.permutation_test((a, b), difference_of_means, n_resamples=np.inf)
        assert found.p == pytest.approx(expected.pvalue, rel=1e-12)
        assert found.exact and found.labellings == math.comb(first + second, first)


def test_smallest_p_is_reached_by_groups_that_do_not_overlap_and_by_no_others():
    assert smallest_p(3, 3) == pytest.approx(0.10)
    assert smallest_p(1, 1) == 1
    for first, second in ((3, 3), (4, 4), (2, 5)):
        apart = permutation_test(np.arange(first), 100 + np.arange(second))
        assert apart.p == pytest.approx(smallest_p(first, second)) == apart.smallest
    assert permutation_test(np.array([0, 1, 5.0]), np.array([4, 6, 7.0])).p == pytest.approx(0.2)


def test_permutation_counts_ties_whatever_their_rounding():
    a, b = np.array([0.1, 0.2, 0.3]), np.array([0.3, 0.2, 0.1])
    assert permutation_test(a, b).p == 1
    assert permutation_test(np.ones(3), np.ones(4)).p == 1


def test_drawn_labellings_agree_with_all_of_them_and_say_that_they_are_drawn():
    random = np.random.default_rng(1)
    a, b = random.normal(0, 1, 7), random.normal(1.2, 1, 7)
    exact, drawn = permutation_test(a, b), permutation_test(a, b, most=1000)
    assert not drawn.exact and drawn.labellings == 100_000
    assert drawn.p == pytest.approx(exact.p, abs=4 * math.sqrt(exact.p / 1e5))
    assert permutation_test(a, b + 100, most=1000).p == pytest.approx(2 / 3432, abs=2e-4)


def test_welch_is_that_of_scipy():
    random = np.random.default_rng(0)
    a, b = random.normal(10, 1, 4), random.normal(12, 5, 7)
    expected = scipy.stats.ttest_ind(b, a, equal_var=False).confidence_interval(0.9)
    assert welch_difference(a, b, 0.9) == pytest.approx((b.mean() - a.mean(), expected.low, expected.high))
    assert math.isnan(welch_difference(a[:1], b).low)


def with_moments(mean: float, sd: float, count: int) -> np.ndarray:
    values = np.arange(count, dtype=float)
    return mean + sd * (values - values.mean()) / values.std(ddof=1)


def test_hedges_g_is_that_of_the_textbook():
    """Borenstein et al., Introduction to Meta-Analysis, 2009, chapter 4: d 0.5970, g 0.5924, variance of g 0.0411."""
    second, first = with_moments(103, 5.5, 50), with_moments(100, 4.5, 50)
    value, low, high = hedges_g(first, second)
    assert value == pytest.approx(0.5924, abs=1e-4)
    assert (high - low) / 2 == pytest.approx(1.96 * math.sqrt(0.0411), rel=0.02)  # theirs is the normal approximation
    assert hedges_g(second, first) == pytest.approx((-value, -high, -low))


@pytest.mark.parametrize("shift", [-20.0, -1.0, 0.0, 0.7, 6.0])
def test_ends_of_the_interval_of_g_are_the_effects_that_make_the_data_a_one_in_forty_event(shift):
    first, second = with_moments(0, 1, 3), with_moments(shift, 1.5, 5)
    value, low, high = hedges_g(first, second)
    scale = math.sqrt(1 / 3 + 1 / 5)
    statistic = scipy.stats.ttest_ind(second, first).statistic
    correction = value / (statistic * scale) if shift else 1 - 3 / (4 * 6 - 1)  # Hedges' own approximation
    for end, share in ((low, 0.975), (high, 0.025)):
        found = scipy.stats.nct.cdf(statistic, 6, end / scale / correction)
        assert found == pytest.approx(share, abs=1e-3 if not shift else 1e-6)


def test_holm_is_that_of_the_worked_example():
    """Four tests: 0.01 × 4, 0.02 × 3, 0.03 × 2, and 0.04 not below the one before it."""
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, math.nan, 0.9]) == pytest.approx([1.0, math.nan, 1.0], nan_ok=True)
    assert holm([]) == []


def test_values_drawn_again_have_the_interval_they_were_drawn_from():
    values, low, high = np.array([5.0, 10.0]), np.array([4.0, math.nan]), np.array([8.0, math.nan])
    again = redrawn(values, low, high, 40_000)
    assert np.isnan(again[:, 1]).all()
    assert np.percentile(again[:, 0], (5, 50, 95)) == pytest.approx((4, 5, 8), abs=0.06)


def table(values: dict[str, tuple[str, str, list[float]]], half: float | None = None, quantity="length_density"):
    """Rows and assignments of animals, each with its group and its images' values."""
    rows, assignments = [], []
    for animal, (group, numbers) in values.items():
        for number, value in enumerate(numbers):
            row = {"image": f"{animal}-{number}", "axes": "YX", "unit": "micrometer", quantity: str(value)}
            if half is not None:
                row |= {f"{quantity}_low": str(value - half), f"{quantity}_high": str(value + half)}
            rows.append(row)
            assignments.append(Assignment(row["image"], animal, group))
    return rows, assignments


ANIMALS = {
    "a": ("control", [10.0, 12.0]),
    "b": ("control", [14.0]),
    "c": ("control", [9.0, 9.0, 12.0]),
    "d": ("treated", [20.0]),
    "e": ("treated", [22.0, 26.0]),
}


def test_the_animal_is_the_unit_whatever_the_number_of_its_images():
    rows, assignments = table(ANIMALS)
    (comparison,) = compare(place(rows, assignments, "groups.csv"), ["length_density"])
    assert {one.animal: one.value for one in comparison.animals} == {"a": 11, "b": 14, "c": 10, "d": 20, "e": 24}
    (found,) = comparison.differences
    assert (found.first, found.second, found.counts, found.images) == ("control", "treated", (3, 2), (6, 3))
    expected = welch_difference(np.array([11.0, 14, 10]), np.array([20.0, 24]))
    assert found.difference == pytest.approx(expected)
    assert found.test.p == pytest.approx(2 / 10) and found.p_holm == found.test.p
    more = {**ANIMALS, "d": ("treated", [20.0] * 50)}
    rows, assignments = table(more)
    (again,) = compare(place(rows, assignments, "groups.csv"), ["length_density"])[0].differences
    assert again.difference == pytest.approx(found.difference) and again.test == found.test


def test_share_of_the_variance_that_is_measurement_is_the_closed_form():
    """Of k images with standard deviation s each, a mean varies by s² / k."""
    rows, assignments = table(ANIMALS, half=NINETY * 0.8)
    (found,) = compare(place(rows, assignments, "groups.csv"), ["length_density"])[0].differences
    measured = np.mean([0.64 / k for k in (2, 1, 3, 1, 2)])
    between = (2 * np.var([11, 14, 10], ddof=1) + np.var([20, 24], ddof=1)) / 3
    assert found.measurement_share == pytest.approx(measured / between, rel=0.05)
    error = math.sqrt(0.64 * ((1 / 2 + 1 + 1 / 3) / 9 + (1 + 1 / 2) / 4))
    difference = found.difference.value
    ends = (difference - NINETY * error, difference + NINETY * error)
    assert found.measured_again == pytest.approx(ends, abs=0.15 * error)
    rows, assignments = table(ANIMALS)
    (without,) = compare(place(rows, assignments, "groups.csv"), ["length_density"])[0].differences
    assert math.isnan(without.measurement_share) and math.isnan(without.measured_again[0])


def test_holm_goes_over_all_quantities_and_pairs_and_a_reference_asks_for_fewer():
    rows, assignments = table({**ANIMALS, "f": ("other", [1.0]), "g": ("other", [2.0])})
    for row in rows:
        row["fraction"] = str(hash(row["image"]) % 7)
    placed = place(rows, assignments, "groups.csv")
    found = [one for each in compare(placed, ["length_density", "fraction"]) for one in each.differences]
    assert [(one.first, one.second) for one in found[:3]] == [
        ("control", "treated"),
        ("control", "other"),
        ("treated", "other"),
    ]
    assert [one.p_holm for one in found] == pytest.approx(holm([one.test.p for one in found]))
    against = compare(placed, ["length_density"], reference="other")[0].differences
    assert [(one.first, one.second) for one in against] == [("other", "control"), ("other", "treated")]


def test_mixed_model_of_balanced_animals_has_the_difference_of_their_means():
    pytest.importorskip("statsmodels")
    random = np.random.default_rng(3)
    values = {
        f"{group}{number}": (group, list(random.normal(5 * (group == "b"), 3) + random.normal(0, 1, 4)))
        for group in "ab"
        for number in range(6)
    }
    rows, assignments = table(values)
    (found,) = compare(place(rows, assignments, "groups.csv"), ["length_density"], mixed=True)[0].differences
    assert found.mixed.difference == pytest.approx(found.difference.value, rel=1e-3)
    # balanced: the random effect's standard error is that of a t test of the animals' means with equal variances
    error = math.sqrt((found.sds[0] ** 2 + found.sds[1] ** 2) / 6)
    assert (found.mixed.high - found.mixed.low) / 2 == pytest.approx(1.96 * error, rel=0.01)
    assert found.mixed.p < 0.05 and not found.mixed.remark
    rows, assignments = table(ANIMALS | {name: (of, values[:1]) for name, (of, values) in ANIMALS.items()})
    (single,) = compare(place(rows, assignments, "groups.csv"), ["length_density"], mixed=True)[0].differences
    assert math.isnan(single.mixed.p) and any("one image of each animal" in line for line in single.remarks)


@pytest.mark.parametrize(
    "text",
    [
        "image,animal,group\na.tif,1,x\nb,2,y\n",
        "\ufeffimage;animal;group\r\na.tif;1;x\r\n\r\nb;2;y\r\n",
        "Group\tImage\tAnimal\tremark\nx\ta.tif\t1\tblurred, a little\ny\tb\t2\t\n",
        '"image","animal","group"\n" a.tif ","1","x"\n"b","2","y"\n,,\n',
    ],
)
def test_groups_are_read_as_spreadsheets_write_them(tmp_path, text):
    path = tmp_path / "groups.csv"
    path.write_bytes(text.encode())
    assert read_groups(path) == [Assignment("a.tif", "1", "x"), Assignment("b", "2", "y")]


def test_a_comma_is_a_decimal_point_where_semicolons_part_the_columns(tmp_path):
    path = tmp_path / "images.csv"
    path.write_text("image;length;note\na,1;12,5;1,2e-05\n", encoding="utf-8")
    assert read_table(path) == [{"image": "a,1", "length": "12.5", "note": "1.2e-05"}]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("image,animal\na,1\n", "has no column group, but image, animal"),
        ("image,animal,group\na,1,x\nb,,y\n", "row 3 names no animal"),
        ("image,animal,group\na,1,x\na,2,y\n", "names the image a twice (again in row 3)"),
        ("image,animal,group\na,1,x\nb,1,y\n", "animal 1 is in two groups, x and y"),
        ("image,animal,group\n", "is no table"),
    ],
)
def test_groups_that_leave_something_open_are_refused_in_a_line(tmp_path, text, said):
    path = tmp_path / "groups.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=".") as refused:
        read_groups(path)
    assert str(refused.value).startswith(f"{path}: {said}")


@pytest.mark.parametrize(
    ("quantity", "micrometer", "dimensions", "unit"),
    [
        ("length_density", True, 2, "mm/mm²"),
        ("length_density", True, 3, "mm/mm³"),
        ("length_density", False, 3, "px/px³"),
        ("branch_point_density", True, 3, "1/mm³"),
        ("fraction", True, 2, "%"),
        ("diameter_p95", False, 2, "px"),
        ("volume", True, 3, "µm³"),
        ("curvature_mean", True, 2, "1/µm"),
        ("tortuosity_mean", True, 2, ""),
        ("loops", True, 3, ""),
    ],
)
def test_units_are_those_of_the_contract(quantity, micrometer, dimensions, unit):
    assert unit_of(quantity, micrometer, dimensions) == unit


@pytest.fixture
def files(tmp_path):
    """Writes a table and its groups; gives the words of the command."""

    def write(values, half=0.5, change=lambda rows: None, groups=None) -> list[str]:
        rows, assignments = table(values, half)
        change(rows)
        for name, lines in (
            ("images.csv", [list(rows[0]), *(list(row.values()) for row in rows)]),
            (
                "groups.csv",
                [("image", "animal", "group"), *((one.image, one.animal, one.group) for one in assignments)],
            ),
        ):
            with open(tmp_path / name, "w", newline="", encoding="utf-8") as stream:
                csv.writer(stream).writerows(lines)
        if groups is not None:
            (tmp_path / "groups.csv").write_text(groups, encoding="utf-8")
        words = ["compare", tmp_path / "images.csv", "--groups", tmp_path / "groups.csv", "--output", tmp_path / "out"]
        return [str(word) for word in words]

    return write


def test_command_writes_tables_and_plots_and_says_the_smallest_p(files, tmp_path, capsys):
    assert main(files(ANIMALS)) == 0
    said = capsys.readouterr()
    assert "length density: treated − control = +10.33 mm/mm²" in said.out
    assert "p = 0.2, after Holm 0.2, smallest possible 0.2" in said.out
    assert "3 against 2 animals cannot give a p below 0.2" in said.err
    (row,) = read_table(tmp_path / "out" / "comparison.csv")
    assert (row["group_1"], row["group_2"], row["unit"], row["p_smallest"]) == ("control", "treated", "mm/mm²", "0.2")
    assert float(row["difference"]) == pytest.approx(10 + 1 / 3, rel=1e-5)
    animals = read_table(tmp_path / "out" / "animals.csv")
    assert [(one["animal"], one["images"]) for one in animals] == [
        ("a", "2"),
        ("b", "1"),
        ("c", "3"),
        ("d", "1"),
        ("e", "2"),
    ]
    plots = tmp_path / "out" / "plots"
    assert len(read_table(plots / "length_density.csv")) == 9
    assert "<svg" in (plots / "length_density.svg").read_text(encoding="utf-8")
    picture = np.asarray(PIL.Image.open(plots / "length_density.png").convert("RGB"))
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 50


def test_a_comparison_is_made_again_of_the_same_and_not_taken_for_another(files, tmp_path, capsys):
    words = files(ANIMALS, change=lambda rows: [row.update(loops="3") for row in rows])
    assert main([*words, "--quantities", "length_density,loops"]) == 0
    out = tmp_path / "out"
    before = (out / "comparison.csv").read_bytes()
    assert main([*words, "--quantities", "length_density,loops"]) == 0
    assert (out / "comparison.csv").read_bytes() == before
    capsys.readouterr()
    assert main(words) == 1
    assert "with quantities length_density,loops instead of none; say --overwrite" in capsys.readouterr().err
    assert main([*words, "--overwrite"]) == 0
    assert sorted(path.name for path in (out / "plots").iterdir()) == [
        "length_density.csv",
        "length_density.png",
        "length_density.svg",
        "provenance.json",
    ]


def test_command_says_what_is_missing_and_goes_on(files, tmp_path, capsys):
    values = {"a": ("x", [1.0, 2.0]), "b": ("x", [3.0]), "c": ("y", [7.0])}
    groups = "image,animal,group\na-0,a,x\na-9,a,x\nb-0.tif,b,x\nc-0_mask.tif,c,y\nd-0,d,y\n"
    assert main(files(values, groups=groups)) == 0
    said = capsys.readouterr().err
    for line in (
        "a-1: no row in the table of groups, left out",
        "animal d: none of its images was measured, left out",
        "a-9: in the table of groups, not measured; its animal goes by its other images",
        "one animal only in y (c): no interval and no effect size",
        "2 against 1 animals cannot give a p below 0.67, however large the difference",
    ):
        assert line in said
    (row,) = read_table(tmp_path / "out" / "comparison.csv")
    assert row["difference"] == "5" and row["difference_low"] == "nan" and row["p"] == "0.666667"


def test_images_without_a_value_are_left_out_of_that_quantity_alone(files, tmp_path, capsys):
    def change(rows):
        for row in rows:
            row["fraction"] = "1.5"
        rows[0]["length_density"] = "nan"
        for row in rows[6:]:
            row["fraction"] = "nan"

    assert main([*files(ANIMALS, change=change), "--quantities", "length_density,fraction"]) == 0
    said = capsys.readouterr().err
    assert "length density: a-0: no value, left out" in said
    assert "vessel fraction: no animal of treated has a value" in said
    found = read_table(tmp_path / "out" / "comparison.csv")
    assert [(row["quantity"], row["group_1"]) for row in found] == [("length_density", "control"), ("fraction", "")]
    assert found[1]["remarks"].endswith("no animal of treated has a value")
    assert read_table(tmp_path / "out" / "animals.csv")[0]["length_density"] == "12"


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        (
            "unit",
            "pixel",
            "some of the images have a pixel size and others not (pixel: a-0; micrometer: a-1 and 7 more)",
        ),
        ("axes", "ZYX", "some of the images have slices and others not"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_is_written(files, tmp_path, capsys, column, value, said):
    assert main(files(ANIMALS, change=lambda rows: rows[0].update({column: value}))) == 1
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_single_group_and_an_unknown_quantity_are_refused(files, capsys):
    assert main(files({"a": ("x", [1.0]), "b": ("x", [2.0])})) == 1
    assert "all measured images are of one group, x; there is nothing to compare" in capsys.readouterr().err
    assert main([*files(ANIMALS), "--quantities", "width"]) == 1
    assert "no quantity 'width' in the table" in capsys.readouterr().err
    assert main([*files(ANIMALS), "--reference", "sham"]) == 1
    assert "no group 'sham'; the groups are control, treated" in capsys.readouterr().err


def test_a_name_with_a_full_stop_is_taken_as_it_is_before_it_is_taken_as_a_file():
    rows = [{"image": "day.1"}, {"image": "day"}]
    placed = place(rows, [Assignment("day.1", "1", "x"), Assignment("day", "2", "y")], Path("groups.csv"))
    assert placed.animals == ["1", "2"]
