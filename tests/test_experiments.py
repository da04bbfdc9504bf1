"""The experiments: parts that are made once, pages that follow from result files, measures worked by hand."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.special import expit

from bundle.errors import InputError
from bundle.networks import UNet
from scripts import results
from scripts.experiments import EXPERIMENTS, pages, shipped, tables
from scripts.experiments.datasets import dataset
from scripts.experiments.parts import Part, Places, read_rows
from scripts.experiments.trainings import STEPS, Training, made, schedule

torch.set_num_threads(1)

EVERY = [part for parts in EXPERIMENTS.values() for part in parts()]
TINY = {"_target_": "bundle.networks.UNet", "channels": [2, 3]}


def test_pages_are_what_the_result_files_make(tmp_path, monkeypatch):
    """`python -m scripts.results` on a clean checkout changes nothing."""
    kept = results.DOCS
    for folder in ("words", "results"):
        shutil.copytree(kept / folder, tmp_path / folder)
    monkeypatch.setattr(results, "DOCS", tmp_path)
    results.main()
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    assert set(made) >= {"results.md", "reliability.svg"}
    for name, content in made.items():
        assert content == (kept / name).read_bytes(), name


def test_no_two_parts_share_a_file_and_every_result_file_is_of_a_part():
    files = [part.file() for part in EVERY]
    assert len(set(files)) == len(files)
    folders = {file.parent for file in files}
    assert {path for folder in folders for path in folder.glob("*")} <= set(files)


def test_a_finished_part_is_not_made_again(tmp_path):
    calls = []
    part = Part("some", "row", 1, lambda places: calls.append(places) or [{"image": "012", "dice": 0.25}])
    places = Places(tmp_path, tmp_path)
    assert part.run(places) and not part.run(places)
    assert len(calls) == 1
    assert read_rows(tmp_path / "some" / "row.seed1.csv") == [{"image": "012", "dice": 0.25}]


def test_a_part_that_fails_leaves_no_file(tmp_path):
    def fail(places: Places) -> list:
        raise InputError(None, "no", "yes")

    part = Part("some", "row", 0, fail)
    with pytest.raises(InputError):
        part.run(Places(tmp_path, tmp_path))
    assert not part.file(tmp_path).exists()


def test_a_folder_that_was_not_named_is_asked_for(tmp_path):
    with pytest.raises(InputError, match="--vessmap"):
        Places(tmp_path).data("vessmap")


@pytest.mark.parametrize("images", [4, 10, 20, 40, 50, 80])
def test_every_training_of_a_table_has_the_same_number_of_steps(images: int):
    epochs, crops = schedule(images, STEPS)
    assert epochs * images * crops == STEPS * 4


def test_a_number_of_images_that_allows_no_whole_epochs_is_refused():
    with pytest.raises(ValueError, match="7 images"):
        schedule(7, STEPS)


def test_few_labels_are_drawn_from_the_training_images_and_validation_is_whole(tmp_path):
    for kind in ("images", "masks"):
        (tmp_path / "set" / kind).mkdir(parents=True)
        for i in range(12):
            (tmp_path / "set" / kind / f"{i:03}.png").touch()
    lines = [("stem", "split"), *((f"{i:03}", "train" if i < 9 else "val") for i in range(12))]
    with open(tmp_path / "set" / "split.csv", "w", newline="") as stream:
        csv.writer(stream).writerows(lines)
    places = Places(tmp_path / "out", vessmap=tmp_path / "set")
    drawn = []
    for draw in (0, 1, 0):
        _, datalist = dataset(f"vessmap-4.draw{draw}", places)
        sections = json.loads(datalist.read_text())
        drawn.append({Path(pair["image"]).stem for pair in sections["training"]})
        assert len(sections["validation"]) == 3
    assert drawn[0] == drawn[2] != drawn[1]
    assert all(len(stems) == 4 and stems <= {f"{i:03}" for i in range(9)} for stems in drawn)


def test_a_training_that_goes_on_has_the_weights_it_was_given_and_reports_once(tmp_path):
    """On two images: from nothing, then from those weights at a learning rate of 0, where only statistics move."""
    generator = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (tmp_path / "set" / kind).mkdir(parents=True)
    for i in range(3):
        mask = generator.random((32, 32)) > 0.8
        for kind, array in (("images", 100 * mask + 50), ("masks", 255 * mask)):
            Image.fromarray(array.astype(np.uint8)).save(tmp_path / "set" / kind / f"{i}.png")
    places = Places(tmp_path / "out", tmp_path / "results", vessmap=tmp_path / "set")
    options = {"schedule": (1, 2), "overrides": {"crop": [16, 16]}}
    first = Training("first", TINY, "vessmap", **options)
    still = {"schedule": (1, 2), "overrides": {"crop": [16, 16], "learning_rate": 1e-12}}
    second = Training("second", TINY, "vessmap", first, **still)
    states = [torch.load(each.weights(places), weights_only=True)["model"] for each in (second, first)]
    for name, parameter in UNet(1, [2, 3]).named_parameters():
        torch.testing.assert_close(states[0][name], states[1][name], atol=1e-6, rtol=0)
        assert not torch.equal(states[0][name], parameter) or parameter.ndim == 1
    report = tmp_path / "results" / "trainings" / "second.seed0.csv"
    (row,) = read_rows(report)
    assert (row["start"], row["images"], row["steps"]) == ("first", 2, 1)
    before = report.read_bytes()
    second.weights(places)
    assert report.read_bytes() == before


def test_every_network_of_the_tables_trains_and_predicts():
    for name, (_, definition, _) in tables.NETWORKS.items():
        network = made(definition)
        image = torch.rand(1, 1, 20, 24)
        assert network.train()(torch.rand(2, 1, 32, 32))["mask"].shape == (2, 1, 32, 32), name
        output = network.eval()(image)
        assert output.shape == image.shape and 0 <= output.min() and output.max() <= 1, name


def test_area_under_the_curve_by_hand():
    """Of the pairs (positive, negative) the share with the greater value first, ties half: 3.5 of 4."""
    value, positive = np.array([0.9, 0.4, 0.4, 0.1]), np.array([True, True, False, False])
    assert shipped.area_under_curve(value, positive) == pytest.approx(3.5 / 4)
    assert np.isnan(shipped.area_under_curve(value, np.ones(4, bool)))


def test_a_temperature_that_was_put_in_is_found():
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 3, 200_000)
    vessel = generator.random(logits.size) < expit(logits)
    sharpened = expit(1.7 * logits)
    temperature = shipped.fitted_temperature(sharpened, vessel)
    assert temperature == pytest.approx(1.7, rel=0.02)
    cooled = shipped.cooled(sharpened, temperature)
    assert shipped.calibration_error(cooled, vessel) < 0.005 < shipped.calibration_error(sharpened, vessel)


def test_calibration_error_by_hand():
    """Four pixels at 0.25, of which one in two is vessel, and four at 0.95, all vessel: (0.25 + 0.05) / 2."""
    probability, vessel = np.repeat([0.25, 0.95], 4), np.array([1, 1, 0, 0, 1, 1, 1, 1], bool)
    assert shipped.calibration_error(probability, vessel) == pytest.approx(0.15)


def test_an_average_over_turns_knows_no_direction():
    """A network that sees edges of one direction only: its average over the eight turns turns with the image."""
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, 1, 6, 6, generator=generator)
    average = shipped.turned(lambda x: x - torch.roll(x, 1, -1), shipped.TURNS["flips_and_turns"])
    for turn in (lambda x: torch.rot90(x, 1, (-2, -1)), lambda x: x.flip(-1)):
        torch.testing.assert_close(average(turn(image)), turn(average(image)))
    assert torch.equal(shipped.turned(torch.sqrt, shipped.TURNS["none"])(image), image.sqrt())


def test_differences_are_of_the_same_images_whatever_their_order():
    ours = [{"image": str(i), "dice": 0.5 + 0.01 * i, "cldice": 0.5} for i in range(8)]
    theirs = [{"image": str(i), "dice": 0.4 + 0.01 * i, "cldice": 0.5} for i in reversed(range(8))]
    points, p, *same = pages.difference(ours, theirs)
    assert points == "+10.00" and float(p) < 0.01 and same == ["+0.00", "1"]


def test_a_row_that_was_not_run_says_so_and_how(tmp_path, monkeypatch):
    """Without any result file every row of the table is named, with its command."""
    monkeypatch.setattr(Part, "file", lambda part: tmp_path / "none.csv")
    lines = pages.main_table(tables.SECOND_SOURCE).splitlines()[2:]
    assert len(lines) == 8 and all("not run" in line for line in lines)
    assert "--vessmap DIR --retina DIR --rows DBAC-retina`" in lines[0]
