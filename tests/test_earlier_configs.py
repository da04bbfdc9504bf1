"""Configs of version 0.4.0, as users have copied them: they run with today's package, and give what today's give."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser, ConfigWorkflow

from bundle.__main__ import main
from bundle.io import open_image

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {"0.4.0": ROOT / "tests" / "configs_0.4.0", "today": ROOT / "configs"}
CHANNELS = [2, 4]
TINY = {"network_def#channels": CHANNELS, "network_def#dbac_norm": "batch", "network_def#shuffle": 2, "device": "cpu"}
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantoms")
    assert main(["phantom", str(folder), "--count", "4", "--shape", "3", "48", "48"]) == 0
    return folder


@pytest.fixture(scope="module")
def weights(random_ensemble, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "tiny.pt"
    torch.save({"model": random_ensemble(CHANNELS, 3).state_dict()}, path)
    return path


@pytest.mark.parametrize("mode", ["fused", "stack", "both"])
def test_the_inference_config_of_0_4_0_gives_the_masks_of_todays(phantoms, weights, tmp_path, mode):
    (tmp_path / "in").mkdir()
    stack = sorted((phantoms / "images").iterdir())[0]
    shutil.copy(stack, tmp_path / "in")
    found = {}
    for version, folder in FOLDERS.items():
        config = ConfigParser()
        config.read_config(folder / "inference.json")
        config.update(TINY | {"bundle_root": str(ROOT), "mode": mode, "low": 0.5, "high": 0.6})
        config.update({"weights": str(weights), "dataset_dir": str(tmp_path / "in")})
        config["output_dir"] = str(tmp_path / version)
        config.get_parsed_content("segmenter").run()
        files = sorted((tmp_path / version).glob("*.tif"))
        found[version] = {file.name: open_image(file).array() for file in files}
    earlier, today = found["0.4.0"], found["today"]
    assert earlier.keys() <= today.keys() and any(name.endswith("_mask.tif") for name in earlier)
    for name, array in earlier.items():
        np.testing.assert_array_equal(array, today[name], name)
        if name.endswith("_mask.tif"):
            assert 0 < np.count_nonzero(array) < array.size


@pytest.mark.parametrize("blur", [0, 0.5])
def test_the_training_config_of_0_4_0_gives_the_weights_of_todays(phantoms, tmp_path, blur):
    trained = {}
    for version, folder in FOLDERS.items():
        workflow = ConfigWorkflow(
            str(folder / "train.yaml"),
            workflow_type="train",
            logging_file=False,
            run_id="training",
            bundle_root=str(ROOT),
            dataset_dir=str(phantoms),
            output_dir=str(tmp_path / version),
            crop=[32, 32],
            crops_per_image=1,
            max_epochs=1,
            norm_crops=2,
            blur=blur,
            **TINY,
        )
        workflow.initialize()
        workflow.run()
        trained[version] = torch.load(tmp_path / version / "checkpoints" / "last.pt", weights_only=True)["model"]
    earlier, today = trained["0.4.0"], trained["today"]
    assert earlier.keys() == today.keys()
    assert all(torch.equal(earlier[name], today[name]) for name in earlier)


@torch.inference_mode()
def test_the_inference_config_of_0_4_0_as_it_was_takes_the_shipped_weights():
    """Which are of a network of other channels than it names."""
    networks = {}
    for version, folder in FOLDERS.items():
        parser = ConfigParser()
        parser.read_config(folder / "inference.json")
        parser["bundle_root"], parser["device"] = str(ROOT), "cpu"
        networks[version] = parser.get_parsed_content("network").eval()
    image = torch.rand(1, 1, 40, 56, generator=torch.Generator().manual_seed(0))
    given = {version: network(image) for version, network in networks.items()}
    torch.testing.assert_close(given["0.4.0"], given["today"])
