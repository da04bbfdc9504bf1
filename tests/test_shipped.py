"""What measures the shipped weights, and what trains them: measures worked by hand, and settings that exist."""

from __future__ import annotations

from ast import literal_eval
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from monai.bundle import ConfigParser
from scipy.special import expit

from bundle.home import INFERENCE
from scripts.release import train_model
from scripts.shipped import MEASURES, appearance, calibration
from scripts.shipped import __main__ as command
from scripts.tables.result_files import ROOT, labels, read_rows, result_file

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def vessmap(tmp_path_factory) -> Path:
    """A dataset folder of three images of noise, one for each split, the test image drawn by two people."""
    folder, rng = tmp_path_factory.mktemp("vessmap"), np.random.default_rng(0)
    for kind, values in (("images", 200), ("masks", 1), ("masks_annotator2", 1)):
        (folder / kind).mkdir()
        for name in "abc":
            image = rng.integers(0, values, (48, 40), endpoint=True).astype(np.uint8)
            tifffile.imwrite(folder / kind / f"{name}.tif", image)
    (folder / "split.csv").write_text("stem,split\na,train\nb,val\nc,test\n")
    return folder


def test_every_measure_of_the_shipped_weights_is_a_row_of_a_table():
    for name, rows in MEASURES.items():
        assert rows.keys() <= labels(name).keys() and all(result_file(name, row).exists() for row in rows), name


@pytest.mark.parametrize("name", MEASURES)
def test_a_measure_is_made_once_and_again_where_asked_for(vessmap, tmp_path, monkeypatch, name: str):
    monkeypatch.setattr(command, "result_file", lambda experiment, row: tmp_path / experiment / f"{row}.csv")
    monkeypatch.setattr("sys.argv", ["shipped", name, "--vessmap", str(vessmap)])
    command.main()
    files = {path.stem: path for path in sorted((tmp_path / name).iterdir())}
    assert files.keys() == MEASURES[name].keys()
    first = next(iter(files.values()))
    made = first.read_bytes()
    assert [list(row) for row in read_rows(first)][0] == list(read_rows(result_file(name, first.stem))[0])
    first.write_text("image,dice\nc,2\n")
    command.main()
    assert read_rows(first) == [{"image": "c", "dice": 2}]
    monkeypatch.setattr("sys.argv", ["shipped", name, "--vessmap", str(vessmap), "--overwrite"])
    command.main()
    assert first.read_bytes() == made


def test_a_measure_that_is_none_is_refused(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["shipped", "stagse", "--vessmap", "x"])
    with pytest.raises(SystemExit):
        command.main()
    assert "stagse" in capsys.readouterr().err


def test_a_temperature_that_was_put_in_is_found():
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 3, 200_000)
    vessel = generator.random(logits.size) < expit(logits)
    sharpened = expit(1.7 * logits)
    temperature = calibration.fitted_temperature(sharpened, vessel)
    assert temperature == pytest.approx(1.7, rel=0.02)
    cooled = calibration.cooled(sharpened, temperature)
    assert calibration.calibration_error(cooled, vessel) < 0.005 < calibration.calibration_error(sharpened, vessel)


def test_calibration_error_by_hand():
    """Four pixels at 0.25, of which one in two is vessel, and four at 0.95, all vessel: (0.25 + 0.05) / 2."""
    probability, vessel = np.repeat([0.25, 0.95], 4), np.array([1, 1, 0, 0, 1, 1, 1, 1], bool)
    assert calibration.calibration_error(probability, vessel) == pytest.approx(0.15)


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_another_lens_shows_the_same_brightness_at_another_size(factor: float):
    image = torch.arange(12.0).repeat_interleave(8).reshape(1, 12, 8)
    seen = appearance.resampled(image, factor)
    assert seen.shape == (1, int(12 * factor), int(8 * factor))
    assert seen.mean().item() == pytest.approx(image.mean().item(), rel=1e-3)


@pytest.mark.parametrize("part", [*train_model.PARTS, *train_model.WITHOUT])
@pytest.mark.parametrize("cascade", train_model.NORM)
def test_the_trainings_of_the_shipped_weights_override_settings_that_the_config_has(tmp_path, cascade, part):
    """A misspelt override would be taken without a word, and do nothing."""
    command = train_model.words(cascade, part, tmp_path / "set", tmp_path / "out", tmp_path / "start.pt")
    options = dict(
        zip(*(iter(word.removeprefix("--") for word in command[command.index("--config_file") :]),) * 2, strict=True)
    )
    parser = ConfigParser()
    parser.read_config([str(ROOT / name) for name in literal_eval(options.pop("config_file"))])
    assert {key for key in options if key not in parser} == set()
    made = ConfigParser({"network": literal_eval(options["network_def"])}).get_parsed_content("network")
    shipped = ConfigParser.load_config_file(INFERENCE)["network_def"]
    ensemble = ConfigParser({"network": shipped}).get_parsed_content("network")
    own = getattr(ensemble, cascade.lower()).state_dict()
    assert {name: value.shape for name, value in made.state_dict().items()} == {
        name: value.shape for name, value in own.items()
    }


def test_what_is_shipped_are_the_means_of_the_parts_of_a_training(tmp_path, monkeypatch):
    """model.pt of the second and the third, stack.pt of the first alone, its logits doubled and shifted."""
    config = ConfigParser.load_config_file(INFERENCE)
    states = {}
    for number, part in enumerate(train_model.PARTS):
        for cascade in train_model.NORM:
            torch.manual_seed(number)
            network = getattr(
                ConfigParser({"network": config["network_def"]}).get_parsed_content("network"), cascade.lower()
            )
            file = train_model.checkpoint(tmp_path, cascade, part)
            file.parent.mkdir(parents=True)
            torch.save({"model": network.state_dict()}, file)
            states[cascade.lower(), part] = network.state_dict()
    train_model.publish(tmp_path, train_model.FILES)
    name = "coarse.encoder.0.0.residual.0.weight"
    for file, parts in train_model.FILES.items():
        published = torch.load(tmp_path / f"{file}.pt", weights_only=True)["model"]
        for cascade in ("dbac", "ddmac"):
            expected = torch.stack([states[cascade, part][name] for part in parts]).mean(0)
            torch.testing.assert_close(published[f"{cascade}.{name}"].float(), expected, atol=1e-3, rtol=1e-3)
            last = "refine.head.1.residual.3.weight" if cascade == "dbac" else "refine.head.1.residual.4.weight"
            expected = torch.stack([states[cascade, part][last] for part in parts]).mean(0)
            factor, shift = train_model.SHARPENED.get(file, (1.0, 0.0))
            torch.testing.assert_close(published[f"{cascade}.{last}"].float(), factor * expected, atol=1e-3, rtol=1e-3)
            last = f"refine.head.1.shortcut.{0 if cascade == 'dbac' else 1}.bias"
            expected = factor * torch.stack([states[cascade, part][last] for part in parts]).mean(0) + shift
            torch.testing.assert_close(published[f"{cascade}.{last}"].float(), expected, atol=1e-3, rtol=1e-3)
    assert sorted(path.name for path in tmp_path.glob("*.pt")) == ["model.pt", "stack.pt"]
