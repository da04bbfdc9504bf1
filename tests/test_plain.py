"""Segmenting by the command line without MONAI gives what the config gives with it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from monai.bundle import ConfigParser
from monai.data.utils import compute_importance_map

from bundle.home import INFERENCE, ROOT
from bundle.io import open_image
from bundle.runner import PlainConfig
from bundle.segmentation import windows

CHANNELS = [2, 4]
RUN = """
import sys
from pathlib import Path
from bundle.commands import segment
segment.INFERENCE = Path(sys.argv.pop(1))
from bundle.__main__ import main
status = main(["segment", *sys.argv[1:]])
loaded = sorted({"monai", "ignite", "matplotlib"} & set(sys.modules))
sys.exit(f"{loaded} were imported" if loaded else status)
"""


@pytest.fixture(scope="module")
def config(random_ensemble, tmp_path_factory) -> Path:
    """The shipped config with a tiny network, low thresholds, and weights beside it."""
    folder = tmp_path_factory.mktemp("bundle")
    torch.save({"model": random_ensemble(CHANNELS, 3).state_dict()}, folder / "tiny.pt")
    content = json.loads(INFERENCE.read_text(encoding="utf-8"))
    content["network_def"] |= {"channels": CHANNELS, "dbac_norm": "batch"}
    content |= {"weights": str(folder / "tiny.pt"), "low": 0.5, "high": 0.55, "device": "cpu", "bundle_root": str(ROOT)}
    (folder / "inference.json").write_text(json.dumps(content), encoding="utf-8")
    return folder / "inference.json"


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Path:
    """An image and a stack, in 16 bits and with a pixel size, of soft blobs."""
    folder = tmp_path_factory.mktemp("inputs")
    grey = np.random.default_rng(0).integers(0, 4096, (3, 44, 60), np.uint16)
    sizes = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
    tifffile.imwrite(folder / "image.ome.tif", grey[0], metadata={"axes": "YX", **sizes})
    tifffile.imwrite(folder / "stack.tif", grey, imagej=True, metadata={"axes": "ZYX", "spacing": 2.0, "unit": "um"})
    return folder


@pytest.mark.parametrize("mode", ["fused", "stack"])
def test_the_command_writes_what_the_config_writes_and_imports_no_monai(config, inputs, tmp_path, mode):
    words = [inputs, "--mode", mode, "--output", tmp_path / "plain", "--weights", config.with_name("tiny.pt")]
    run = [sys.executable, "-c", RUN, config, *words]
    subprocess.run([str(word) for word in run], check=True, capture_output=True, text=True, cwd=ROOT)
    parser = ConfigParser()
    parser.read_config(config)
    parser.update({"mode": mode, "dataset_dir": str(inputs), "output_dir": str(tmp_path / "monai")})
    parser.get_parsed_content("segmenter").run()
    found, expected = (sorted((tmp_path / name).glob("*.*")) for name in ("plain", "monai"))
    assert [file.name for file in found] == [file.name for file in expected] != []
    for one, other in zip(found, expected, strict=True):
        if one.suffix == ".tif":
            one, other = open_image(one), open_image(other)
            assert one.spacing == other.spacing and one.dtype == other.dtype
            np.testing.assert_allclose(one.array(), other.array(), atol=1e-6)
        elif one.suffix == ".png":
            assert one.read_bytes() == other.read_bytes()


def test_a_config_with_steps_of_the_user_s_is_left_to_monai(config, tmp_path):
    content = json.loads(config.read_text(encoding="utf-8"))
    assert PlainConfig(config).can("fused") and PlainConfig(config).can("stack")
    assert not PlainConfig(config).can("both")
    content["fusion"].insert(2, {"_target_": "GaussianSmoothd", "keys": "image"})
    (tmp_path / "own.json").write_text(json.dumps(content), encoding="utf-8")
    assert not PlainConfig(tmp_path / "own.json").can("fused") and PlainConfig(tmp_path / "own.json").can("stack")


def test_windows_are_weighted_as_monai_weights_them():
    expected = compute_importance_map((48, 33), mode="gaussian", sigma_scale=0.125)
    torch.testing.assert_close(windows._importance((48, 33)), expected, atol=0, rtol=1e-6)
