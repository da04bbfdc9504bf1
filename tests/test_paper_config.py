"""configs/paper.yaml over configs/train.yaml: the paper's size, losses, optimiser and crop, and that they train."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from monai.bundle import ConfigParser, ConfigWorkflow
from monai.utils import set_determinism
from torch import nn

from bundle.networks import CascadeEnsemble, count_parameters

torch.set_num_threads(1)

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = [str(ROOT / "configs" / name) for name in ("train.yaml", "paper.yaml")]
SHRUNKEN = {
    "network_def#channels": [4, 6],
    "network_def#refine_channels": [4, 6, 8],
    "crop": [32, 32],
    "crops_per_image": 1,
    "max_epochs": 1,
    "device": "$torch.device('cpu')",
}


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> ConfigWorkflow:
    """One epoch of two crops, a single step, at a width of four."""
    folder = tmp_path_factory.mktemp("paper")
    stripes = np.zeros((40, 40), np.uint8)
    stripes[:, ::8] = stripes[:, 1::8] = 255
    for kind in ("images", "masks"):
        (folder / kind).mkdir()
        for stem in ("a", "b", "c"):
            PIL.Image.fromarray(stripes).save(folder / kind / f"{stem}.png")
    (folder / "split.csv").write_text("stem,split\na,train\nb,train\nc,val\n")
    workflow = ConfigWorkflow(
        CONFIGS, workflow_type="train", dataset_dir=str(folder), output_dir=str(folder / "out"), **SHRUNKEN
    )
    workflow.initialize()
    workflow.run()
    set_determinism(None)
    return workflow


def test_network_is_of_the_papers_size():
    config = ConfigParser.load_config_files(CONFIGS)["network_def"]
    with torch.device("meta"):
        network = ConfigParser({"network_def": config}).get_parsed_content("network_def")
    assert isinstance(network, CascadeEnsemble)
    assert (network.dbac_scale, network.ddmac_scale, network.fusion) == (2.0, 1.0, "average")
    assert f"| {count_parameters(network):,} |" in (ROOT / "docs" / "parameters.md").read_text(encoding="utf-8")
    assert network.ddmac.coarse.encoder[0][0].residual[0].in_channels == 1
    assert [node[0].residual[0].out_channels for node in network.dbac.coarse.encoder] == [32, 64, 128, 256, 512]
    assert [node[0].residual[0].out_channels for node in network.dbac.refine.encoder] == [32, 64, 128, 256, 512, 1024]
    assert {len(node) for node in network.dbac.coarse.encoder} == {1}
    assert {len(node) for node in network.dbac.refine.encoder} == {2}


def test_crop_is_the_papers():
    assert ConfigParser.load_config_files(CONFIGS)["crop"] == [448, 448]


def test_losses_and_optimiser_are_the_papers_and_nothing_of_the_default_recipe_is_left(training: ConfigWorkflow):
    loss = training.parser.get_parsed_content("loss")
    assert (type(loss.mask_loss), type(loss.distance_loss)) == (nn.BCEWithLogitsLoss, nn.MSELoss)
    optimizer = training.parser.get_parsed_content("optimizer")
    assert type(optimizer) is torch.optim.SGD
    group = optimizer.param_groups[0]
    assert (group["momentum"], group["weight_decay"], group["initial_lr"]) == (0.9, 0, 0.01)
    assert "max_momentum" not in group  # a one-cycle schedule would change the momentum, too


def test_one_step_reaches_every_parameter_of_all_four_subnetworks(training: ConfigWorkflow):
    """After a first step the momentum is the gradient."""
    network, optimizer = (training.parser.get_parsed_content(name) for name in ("network_def", "optimizer"))
    assert training.parser.get_parsed_content("lr_scheduler").last_epoch == 1
    still = [
        name for name, p in network.named_parameters() if not optimizer.state[p]["momentum_buffer"].abs().sum() > 0
    ]
    assert still == []
    saved = torch.load(Path(training.parser["output_dir"]) / "checkpoints" / "last.pt", weights_only=True)["model"]
    assert all(torch.equal(value, saved[name]) for name, value in network.state_dict().items())
