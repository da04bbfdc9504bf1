"""A slip of the pen is said in one line before any work begins, whichever program is run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from monai.bundle import create_workflow

from bundle.__main__ import main
from bundle.errors import InputError, input_error
from bundle.runner import check_settings, check_words, usable_device

ROOT = Path(__file__).resolve().parents[1]
TRAIN, INFERENCE = (str(ROOT / "configs" / name) for name in ("train.yaml", "inference.json"))
EVALUATE = f"['{TRAIN}','{ROOT / 'configs' / 'evaluate.yaml'}']"
without_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")


def run(*words: str, cwd: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "monai.bundle", "run", *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["training", "--config_file", TRAIN, "--max_epoch", "3"], "--max_epoch is no setting"),
        (["training", "--config_file", TRAIN, "--max_epoch", "3"], "did you mean max_epochs?"),
        (["training", f"--config_file={TRAIN}", "--learning-rates=3"], "did you mean learning_rate?"),
        (["--config_file", INFERENCE, "--chanel", "2"], "did you mean channel?"),
        (["evaluating", "--config_file", EVALUATE, "--checkpont", "x"], "did you mean checkpoint?"),
        (["training", "--config_file", TRAIN, "--network_def#fusio", "x"], "did you mean network_def#fusion?"),
        (["training", "--config_file", TRAIN, "--network_def::fusio", "x"], "did you mean network_def#fusion?"),
        (["training", "--config_file", TRAIN, "--network_def#blocks_per_nod", "2"], "network_def#blocks_per_node?"),
        (
            ["training", "--config_file", TRAIN, "--train#trainr#max_epochs", "1"],
            "did you mean train#trainer#max_epochs",
        ),
        (["training", "--config_file", TRAIN, "--network_def#qqq", "x"], "network_def holds"),
        (["training", "--config_file", TRAIN, "--train#handlers#33#interval", "2"], "train holds"),
        (["training", "--config_file", TRAIN, "--qqq", "3"], "look into the config"),
    ],
)
def test_a_word_that_names_no_setting_is_refused_and_the_likely_one_named(words, said):
    with pytest.raises(InputError, match="is no setting of ") as refused:
        check_words(words)
    assert said in str(refused.value)


def test_a_slip_deep_in_a_name_is_said_before_monai_is_asked(capsys):
    assert main(["run", "training", "--config_file", TRAIN, "--train#trainr#max_epochs", "1"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("did you mean train#trainer#max_epochs?")


@pytest.mark.parametrize(
    "words",
    [
        ["training", "--config_file", TRAIN, "--max_epochs", "3", "--dataset-dir", "x", "--bundle_root=y"],
        ["training", "--config_file", TRAIN, "--network_def#blocks_per_node", "2", "--validate#inferer#window", "512"],
        ["training", "--config_file", TRAIN, "--train::trainer::max_epochs", "3", "--tracking", "mlflow"],
        ["training", "--config_file", TRAIN, "--loss#mask_loss", "$@mine", "--mine", "$torch.nn.BCEWithLogitsLoss()"],
        ["--config_file", INFERENCE, "--low", "-1", "--reading#0#reader#channel", "1", "--logging_file", "False"],
        ["evaluating", "--config_file", EVALUATE, "--checkpoint", "x", "--split", "val"],
    ],
)
def test_settings_of_the_config_of_its_components_and_of_the_runner_are_taken(words):
    check_words(words)


def test_a_name_of_a_user_s_file_to_which_nothing_refers_gets_a_remark(tmp_path, caplog):
    own = tmp_path / "own.yaml"
    own.write_text("max_epoch: 3\nmine: 2.0e-3\nlearning_rate: '@mine'\npost_transforms: []\n")
    check_words(["training", "--config_file", f"['{TRAIN}','{own}']"])
    assert [record.getMessage() for record in caplog.records] == [
        f"{own}: nothing refers to 'max_epoch'; did you mean max_epochs?"
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("batch_size", "abc"),
        ("batch_size", 0),
        ("batch_size", 2.5),
        ("max_epochs", -1),
        ("max_epochs", True),
        ("crop", 192),
        ("crop", [192, "x"]),
        ("learning_rate", float("nan")),
        ("learning_rate", "1e-3"),
        ("averaging", 1),
        ("blur", 1.5),
    ],
)
def test_a_training_with_a_setting_that_means_nothing_does_not_begin(name, value, tmp_path):
    with pytest.raises(RuntimeError) as wrapped:
        create_workflow(
            config_file=TRAIN,
            bundle_root=str(ROOT),
            output_dir=str(tmp_path / "out"),
            logging_file=False,
            **{name: value},
        )
    error = input_error(wrapped.value)
    assert str(error).startswith(f"{name} {value!r} is not possible; give ")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [("spacing", [1e-9, 1, 1]), ("spacing", "2"), ("scale", 0), ("scale", 17), ("low", 2), ("overwrite", "yes")],
)
def test_an_inference_with_a_setting_that_means_nothing_does_not_begin(name, value, tmp_path):
    with pytest.raises(RuntimeError) as wrapped:
        create_workflow(
            config_file=INFERENCE, workflow_type="infer", bundle_root=str(ROOT), logging_file=False, **{name: value}
        )
    assert str(input_error(wrapped.value)).startswith(f"{name} {value!r} is not possible; give ")


def test_what_the_configs_themselves_say_is_possible():
    check_settings(crop=[192, 192], learning_rate=3e-3, averaging=0, spacing=None, scale="auto", close_gaps=2, seed=0)
    check_settings(spacing=(2, 0.5, 0.5), scale=0.01, blur=1, num_workers=0)


@pytest.mark.parametrize("name", ["xpu9", "gpu", "cuda:99", 3.5])
def test_a_device_that_is_not_here_is_said_with_those_that_are(name):
    with pytest.raises(InputError, match="no device .* on this machine; choose cpu"):
        usable_device(name)
    assert usable_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("length", ["1e-9", "0", "-1", "nan", "1e9", "x"])
@pytest.mark.parametrize("command", ["segment", "fuse"])
def test_an_impossible_pixel_size_is_refused_before_anything_is_read(command, length, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, "nowhere.tif", "--output", str(tmp_path / "out"), "--spacing", length, "1", "1"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "no possible length of a pixel" in said or (length == "x" and "give micrometres along Z, Y and X" in said)
    assert not (tmp_path / "out").exists()


def test_a_program_of_the_runner_ends_in_one_line_and_status_1(tmp_path):
    """Of words that are none, of a device that is not here, and of weights that lie in another folder."""
    finished = run("training", "--config_file", TRAIN, "--bundle_root", str(ROOT), "--max_epoch", "3", cwd=tmp_path)
    assert finished.returncode == 1 and "Traceback" not in finished.stderr
    assert finished.stderr.splitlines()[-1] == f"--max_epoch is no setting of {TRAIN}; did you mean max_epochs?"
    (tmp_path / "in").mkdir()
    finished = run("--config_file", INFERENCE, "--dataset_dir", str(ROOT / "docs"), "--output_dir", "out", cwd=tmp_path)
    assert finished.returncode == 1 and "Traceback" not in finished.stderr
    assert finished.stderr.splitlines()[-1].startswith("models/model.pt: no such file of weights; ")
    assert "--bundle_root FOLDER" in finished.stderr
    assert not (tmp_path / "out").exists()


@without_cuda
def test_cuda_where_there_is_none_is_one_line(tmp_path):
    finished = run("--config_file", INFERENCE, "--bundle_root", str(ROOT), "--device", "cuda", cwd=tmp_path)
    assert finished.returncode == 1 and "Traceback" not in finished.stderr
    assert finished.stderr.splitlines()[-1].startswith("no device 'cuda' on this machine; choose cpu")
