"""The experiments: parts that are made once, pages that follow from result files, measures worked by hand."""

from __future__ import annotations

import csv
import gzip
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from monai.bundle import ConfigParser
from PIL import Image
from scipy.special import expit

from bundle.data import labelled_images
from bundle.errors import InputError
from bundle.networks import UNet
from scripts.experiments import (
    EXPERIMENTS,
    few_labels,
    field,
    microscopes,
    pages,
    recipe,
    release,
    shipped,
    tables,
    trainings,
)
from scripts.experiments import __main__ as experiments_command
from scripts.experiments.averages import Average
from scripts.experiments.datasets import SLICES, dataset
from scripts.experiments.parts import ROOT, Part, Places, read_rows, write_rows
from scripts.experiments.trainings import STEPS, Training, made, schedule
from scripts.tables import paired, results

torch.set_num_threads(1)

EVERY = [part for parts in EXPERIMENTS.values() for part in parts()]
TINY = {"_target_": "bundle.networks.UNet", "channels": [2, 3]}


def test_pages_are_what_the_result_files_make(tmp_path, monkeypatch):
    """`python -m scripts.tables.results` on a clean checkout changes nothing."""
    kept = results.DOCS
    for folder in ("words", "results"):
        shutil.copytree(kept / folder, tmp_path / folder)
    monkeypatch.setattr(results, "DOCS", tmp_path)
    results.main()
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    assert set(made) >= {"README.md", "results.md", "reliability.svg", "few_labels.svg"}
    for name, content in made.items():
        assert content == (kept / name).read_bytes(), name


def test_an_average_holds_the_mean_of_the_weights_and_statistics_of_its_own(tmp_path):
    """Of the images that it is used on: running means of other networks say nothing of it."""
    rng = np.random.default_rng(0)
    for kind, values in (("images", 200), ("masks", 1)):
        (tmp_path / "vessmap" / kind).mkdir(parents=True)
        for number in range(3):
            image = rng.integers(0, values, (40, 40), endpoint=True).astype(np.uint8)
            tifffile.imwrite(tmp_path / "vessmap" / kind / f"{number}.tif", image)
    places = Places(tmp_path / "runs", tmp_path / "results", vessmap=tmp_path / "vessmap")
    parents, states = [Training(name, TINY, "vessmap") for name in ("one", "other")], []
    for seed, training in enumerate(parents):
        torch.manual_seed(seed)
        states.append(made(TINY).state_dict())
        write_rows(places.results / "trainings" / f"{training.name}.seed0.csv", [{"training": training.name}])
        (training.folder(places) / "checkpoints").mkdir(parents=True)
        torch.save({"model": states[-1]}, training.folder(places) / "checkpoints" / "last.pt")
    found = torch.load(Average("mean", tuple(parents)).weights(places), weights_only=True)["model"]
    own = [name for name in found if "running" in name]
    assert own and not any(torch.equal(found[name], states[0][name]) for name in own)
    for name in found.keys() - own - {name for name in found if name.endswith("num_batches_tracked")}:
        torch.testing.assert_close(found[name], (states[0][name] + states[1][name]) / 2)


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


def test_a_row_that_is_none_is_refused(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["experiments", "recipe", "--rows", "default", "defualt"])
    with pytest.raises(SystemExit):
        experiments_command.main()
    assert "defualt" in capsys.readouterr().err


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


def draw_stacks(source: Path) -> Path:
    """Stacks like vesselNN's, of five slices: slice z is z + 1 everywhere, its mask 254 in the first 4 z columns."""
    for kind in ("denoised", "labels"):
        (source / kind).mkdir(parents=True)
    label = np.zeros((5, 24, 32), np.uint16)
    for z in range(5):
        label[z, :, : 4 * z] = 254
    for start in SLICES.values():
        stack = np.repeat(np.arange(1, 6, dtype=np.uint8), 24 * 32).reshape(5, 24, 32)
        tifffile.imwrite(source / "denoised" / f"{start}_x.tif", stack)
        tifffile.imwrite(source / "labels" / f"{start}_y.tif", label)
    return source


def test_one_slice_of_a_stack_is_its_middle_one_with_its_mask(tmp_path):
    source = draw_stacks(tmp_path / "stacks")
    folder, _ = dataset("slice-mixedSize", Places(tmp_path / "out", vesselnn=source))
    (pair,) = labelled_images(folder, "train")
    assert (tifffile.imread(pair["image"]) == 3).all()
    mask = tifffile.imread(pair["label"])
    assert (mask[:, :8] == 255).all() and not mask[:, 8:].any()
    assert len(labelled_images(folder, "val")) == 1


@pytest.mark.parametrize("mode", microscopes.MODES)
def test_a_stack_is_scored_against_its_own_mask_or_its_projection(mode: str):
    """A network that takes what is brighter than the mean for a vessel, on one bright band in one slice."""
    volume = torch.zeros(1, 32, 24, 4)
    volume[:, 8:16, :, 1] = 200
    truth = volume[0].numpy() > 0

    def network(image: torch.Tensor) -> torch.Tensor:
        return (image > image.mean()).float()

    assert microscopes.segmented(volume, truth, network, mode, "1")["dice"] == pytest.approx(1, abs=0.02)
    assert microscopes.segmented(volume, truth, torch.zeros_like, mode, "1")["sensitivity"] == 0


def test_retinas_become_bright_vessels_inside_their_field(tmp_path):
    """Of three tiny sets: what is dark in green is bright, the outside is the median, and each image has its split."""
    source = tmp_path / "retina"
    picture = np.zeros((20, 20, 3), np.uint8)
    picture[2:18, 2:18] = (200, 150, 50)
    picture[9:11, 2:18] = (150, 60, 40)
    vessel, field = picture[..., 1] == 60, picture[..., 0] > 0
    for name in ("DRIVE", "STARE", "CHASE_DB1"):
        for kind in ("images", "masks", "fov"):
            (source / name / kind).mkdir(parents=True)
    save = {"images": picture, "masks": np.uint8(255) * vessel, "fov": np.uint8(255) * field}
    endings = {"images": "{}.tif", "masks": "{}_manual.png", "fov": "{}_mask.png"}
    for number in ("01_test", *(f"{i}_training" for i in range(21, 27))):
        for kind, array in save.items():
            Image.fromarray(array).save(source / "DRIVE" / kind / endings[kind].format(number))
    for kind, name in (("images", "im1.ppm"), ("masks", "im1.ah.pgm")):
        data = io.BytesIO()
        Image.fromarray(save[kind]).save(data, "PPM")
        (source / "STARE" / kind / f"{name}.gz").write_bytes(gzip.compress(data.getvalue()))
    for child in (1, 12):
        Image.fromarray(picture).save(source / "CHASE_DB1" / "images" / f"Image_{child:02}L.jpg", quality=100)
        Image.fromarray(save["masks"]).save(source / "CHASE_DB1" / "masks" / f"Image_{child:02}L_1stHO.png")
    folder, _ = dataset("retina", Places(tmp_path / "out", retina=source))
    counts = {split: len(labelled_images(folder, split)) for split in ("train", "val", "test")}
    assert counts == {"train": 4, "val": 4, "test": 2}
    image = tifffile.imread(folder / "images" / "drive_01.tif")
    assert (image[vessel] == 195).all() and (image[field & ~vessel] == 105).all() and (image[~field] == 105).all()
    assert (np.asarray(Image.open(folder / "fov" / "drive_01.png")) > 0).sum() == field.sum()


@pytest.mark.parametrize("name", recipe.CHANGES)
def test_every_change_of_the_recipe_is_one_that_the_config_knows(name: str):
    """Network, loss, optimiser and transforms of its trainings can be made."""
    for cascade in recipe.CHANGES[name].cascades:
        training = recipe.training(cascade, name)
        parser = ConfigParser()
        parser.read_config(ROOT / "configs" / "train.yaml")
        for key, value in {**training.overrides, "network_def": training.network}.items():
            parser[key.replace("#", "::")] = value
        for key in ("network_def", "loss", "train::targets", "reading"):
            parser.get_parsed_content(key)
        assert parser.get_parsed_content("optimizer").param_groups[0]["lr"] > 0


def test_nnunet_sees_stacks_by_their_maximum_and_is_scored_on_the_projected_masks(tmp_path):
    images, labels = field.fused_stacks(draw_stacks(tmp_path / "stacks"), tmp_path / "out")
    assert len(list(images.iterdir())) == len(list(labels.iterdir())) == len(SLICES)
    assert (np.asarray(Image.open(images / "lowerRes_0000.png")) == 5).all()
    mask = np.asarray(Image.open(labels / "lowerRes.png"))
    assert mask[:, :16].all() and not mask[:, 16:].any() and mask.max() == 1


@pytest.mark.parametrize("validated", [True, False])
def test_a_training_overrides_settings_that_the_config_has(tmp_path, monkeypatch, validated: bool):
    """A misspelt override would be taken without a word, and do nothing."""
    commands = []
    monkeypatch.setattr(trainings.subprocess, "run", lambda command, **_: commands.append(command))
    for kind in ("images", "masks"):
        (tmp_path / "set" / kind).mkdir(parents=True)
        for i in range(8):
            (tmp_path / "set" / kind / f"{i}.png").touch()
    (tmp_path / "set" / "split.csv").write_text("stem,split\n" + "".join(f"{i},train\n" for i in range(8)))
    Training("some", TINY, "vessmap", validated=validated).weights(Places(tmp_path, tmp_path, tmp_path / "set"))
    keys = [word.removeprefix("--") for word in commands[0] if word.startswith("--")]
    parser = ConfigParser()
    parser.read_config(ROOT / "configs" / "train.yaml")
    assert {key for key in keys if key not in parser} == {"config_file"}
    assert commands[0][commands[0].index("--val_interval") + 1] == ("1" if validated else "1000")


def test_nnunet_gets_the_training_images_and_its_masks_of_one(tmp_path):
    for kind in ("images", "masks"):
        (tmp_path / "set" / kind).mkdir(parents=True)
    for stem in "abc":
        tifffile.imwrite(tmp_path / "set" / "images" / f"{stem}.tiff", np.full((8, 9), ord(stem), np.uint8))
        Image.fromarray(np.uint8([[0, 255]])).save(tmp_path / "set" / "masks" / f"{stem}.png")
    (tmp_path / "set" / "split.csv").write_text("stem,split\na,train\nb,val\nc,test\n")
    raw = field.written(tmp_path / "set", tmp_path / "out")
    found = {path.relative_to(raw).as_posix(): np.asarray(Image.open(path)) for path in raw.rglob("*.png")}
    assert set(found) == {"imagesTr/a_0000.png", "labelsTr/a.png", "imagesTs/c_0000.png", "labelsTs/c.png"}
    assert (found["imagesTr/a_0000.png"] == ord("a")).all() and found["labelsTr/a.png"].tolist() == [[0, 1]]
    assert json.loads((raw / "dataset.json").read_text())["numTraining"] == 1


def test_few_labels_use_the_tables_own_trainings_at_both_ends():
    assert few_labels.training("DBAC", "short", 50, 0) == tables.training("DBAC", "fine_tuned", 0)
    assert few_labels.training("DBAC", "short", 0, 0) == tables.training("DBAC", "phantoms", 0)
    some = few_labels.training("DDMAC", "short", 4, 2)
    assert some.start == tables.training("DDMAC", "phantoms", 0) and some.data == "vessmap-4.draw2"


@pytest.mark.parametrize("count", [4, 20])
def test_long_trainings_on_few_labels_are_as_long_as_on_all_and_choose_no_epoch(count: int):
    whole = few_labels.training("DDMAC", "long", 50, 0)
    some = few_labels.training("DDMAC", "long", count, 1)
    assert count * some.schedule[1] == 50 * whole.schedule[1] and some.schedule[0] == whole.schedule[0]
    assert some.start == whole.start and not some.validated
    assert {each.checkpoint for each in (some, whole, whole.start)} == {"last"}
    assert whole.name == release.MAGNIFIED_FINE_TUNED[1].name != some.name


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


def test_rows_are_compared_over_the_images_of_both_and_the_means_of_their_seeds(tmp_path, monkeypatch, capsys):
    """Over two seeds every image is a point better: six differences of one sign have p = 2 / 2^6 = 0.031."""
    for file, gain in (("a.seed0", 0.0), ("a.seed1", 0.02), ("b.seed0", 0.0)):
        rows = [
            {"image": f"i{i}", **{name: 0.5 + i / 100 + gain * (1 + i / 10) for name in paired.MEASURES}}
            for i in range(6)
        ]
        write_rows(tmp_path / "some" / f"{file}.csv", rows)
    monkeypatch.setattr(paired, "RESULTS", tmp_path)
    monkeypatch.setattr("sys.argv", ["paired", "some/a", "some/b"])
    paired.main()
    assert capsys.readouterr().out.splitlines()[0] == "dice         +1.25 points, p = 0.031, 6 images"
    monkeypatch.setattr("sys.argv", ["paired", "some/a", "some/none"])
    with pytest.raises(SystemExit, match="some/none: no result file"):
        paired.main()


def test_a_row_that_was_not_run_says_so_and_how(tmp_path, monkeypatch):
    """Without any result file every row of the table is named, with its command."""
    monkeypatch.setattr(Part, "file", lambda part: tmp_path / "none.csv")
    lines = pages.main_table(tables.SECOND_SOURCE).splitlines()[2:]
    assert len(lines) == 8 and all("not run" in line for line in lines)
    assert "--vessmap DIR --retina DIR --rows DBAC-retina`" in lines[0]
