"""Paths arrive as they were typed, whatever python-fire and the configs make of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bundle.runner import as_typed

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    ("typed", "arrived"),
    [("356", 356), ("1e5", 1e5), ("a #6", "a"), ("/data/a#6", "/data/a::6"), ("plain", "plain"), ("True", True)],
)
@pytest.mark.parametrize("form", [["--dataset_dir={}"], ["--dataset_dir", "{}"], ["--dataset-dir", "{}"]])
def test_a_word_is_what_was_typed(monkeypatch, typed, arrived, form):
    monkeypatch.setattr(sys, "argv", ["run", "--seed", "3", *(part.format(typed) for part in form)])
    assert as_typed("dataset_dir", arrived) == typed


def test_a_default_and_a_value_that_a_program_set_stay(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["run", "--output_dir", "356"])
    assert as_typed("dataset_dir", "./demo") == "./demo"
    assert as_typed("output_dir", "elsewhere") == "elsewhere"
    monkeypatch.setattr(sys, "argv", ["program"])
    assert as_typed("output_dir", 356) == "356"


def test_inference_reads_and_writes_folders_with_such_names(tmp_path):
    (tmp_path / "356").mkdir()
    Image.fromarray(np.zeros((20, 30), np.uint8)).save(tmp_path / "356" / "1e5.png")
    words = ["--config_file", str(ROOT / "configs" / "inference.json"), "--bundle_root", str(ROOT)]
    words += ["--dataset_dir", "356", "--output_dir", "a #6"]
    run = [sys.executable, "-m", "monai.bundle", "run", *words]
    finished = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert (tmp_path / "a #6" / "1e5_mask.tif").exists()


@pytest.mark.parametrize("command", ["segment", "info", "phantom", "package", "doctor"])
def test_the_help_of_a_command_waits_for_neither_pytorch_nor_monai(command):
    program = (
        "import sys; from bundle.__main__ import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as ended: assert ended.code == 0\n"
        "assert not {'torch', 'monai'} & set(sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", program, command, "--help"], capture_output=True, text=True, cwd=ROOT)
    assert told.returncode == 0, told.stderr
    assert "usage: " in told.stdout and "Examples:" in told.stdout
