"""The pages of results: they follow from the result files, and compare the same images."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from scripts.tables import paired, result_files, results
from scripts.tables.result_files import RESULTS, labels, read_rows, seeds, write_rows
from scripts.tables.statistics import area_under_curve, difference

EXPERIMENTS = sorted({line["experiment"] for line in results.read("rows.csv")})


def test_pages_are_what_the_result_files_make(tmp_path, monkeypatch):
    """`python -m scripts.tables.results` on a clean checkout changes nothing."""
    kept = results.DOCS
    for folder in ("words", "results"):
        shutil.copytree(kept / folder, tmp_path / folder)
    monkeypatch.setattr(results, "DOCS", tmp_path)
    results.main()
    sources = {"words", "results"}
    pages = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
    made = {page.as_posix(): (tmp_path / page).read_bytes() for page in pages if page.parts[0] not in sources}
    assert set(made) >= {"README.md", "results.md", "experiments/vessmap.md", "reliability.svg", "few_labels.svg"}
    for name, content in made.items():
        assert content == (kept / name).read_bytes(), name


def test_every_result_file_is_of_a_row_that_has_a_name_and_every_row_has_its_files():
    for experiment in EXPERIMENTS:
        files = {path.name.rpartition(".seed")[0] for path in (RESULTS / experiment).iterdir()}
        assert files == set(labels(experiment)), experiment


def test_every_comparison_is_of_two_rows_over_the_same_images():
    for experiment in EXPERIMENTS:
        for row, other, _ in result_files.comparisons(experiment):
            images = [
                {line["image"] for each in seeds(experiment, name).values() for line in each} for name in (row, other)
            ]
            assert images[0] == images[1], (row, other)


def test_rows_are_read_as_they_were_written_and_names_of_digits_stay_names(tmp_path):
    write_rows(tmp_path / "row.csv", [{"image": "012", "dice": 0.25, "called": "a, b"}])
    assert read_rows(tmp_path / "row.csv") == [{"image": "012", "dice": 0.25, "called": "a, b"}]


def test_area_under_the_curve_by_hand():
    """Of the pairs (positive, negative) the share with the greater value first, ties half: 3.5 of 4."""
    value, positive = np.array([0.9, 0.4, 0.4, 0.1]), np.array([True, True, False, False])
    assert area_under_curve(value, positive) == pytest.approx(3.5 / 4)
    assert np.isnan(area_under_curve(value, np.ones(4, bool)))


def test_differences_are_of_the_same_images_whatever_their_order():
    ours = [{"image": str(i), "dice": 0.5 + 0.01 * i, "cldice": 0.5} for i in range(8)]
    theirs = [{"image": str(i), "dice": 0.4 + 0.01 * i, "cldice": 0.5} for i in reversed(range(8))]
    points, p, *same = difference(ours, theirs)
    assert points == "+10.00" and float(p) < 0.01 and same == ["+0.00", "1"]


def test_rows_are_compared_over_the_images_of_both_and_the_means_of_their_seeds(tmp_path, monkeypatch, capsys):
    """Over two seeds every image is a point better: six differences of one sign have p = 2 / 2^6 = 0.031."""
    for file, gain in (("a.seed0", 0.0), ("a.seed1", 0.02), ("b.seed0", 0.0)):
        rows = [
            {"image": f"i{i}", **{name: 0.5 + i / 100 + gain * (1 + i / 10) for name in paired.MEASURES}}
            for i in range(6)
        ]
        write_rows(tmp_path / "some" / f"{file}.csv", rows)
    monkeypatch.setattr(result_files, "RESULTS", tmp_path)
    monkeypatch.setattr("sys.argv", ["paired", "some/a", "some/b"])
    paired.main()
    assert capsys.readouterr().out.splitlines()[0] == "dice         +1.25 points, p = 0.031, 6 images"
    monkeypatch.setattr("sys.argv", ["paired", "some/a", "some/none"])
    with pytest.raises(SystemExit, match="some/none: no result file"):
        paired.main()
