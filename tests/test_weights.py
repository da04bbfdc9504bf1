"""Which weights a mode takes: slices have their own, and what the user names is for all."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser

from bundle.home import INFERENCE, STACK_WEIGHTS, WEIGHTS, shipped_weights
from bundle.networks import DBAC, DDMAC, CascadeEnsemble, load_weights
from scripts.release.publish_weights import blend, sharpen


@pytest.mark.parametrize(
    "mode, slices, fused", [("fused", "model", "model"), ("stack", "stack", "model"), ("both", "stack", "model")]
)
def test_the_config_and_the_commands_take_the_same_weights(mode, slices, fused):
    parser = ConfigParser()
    parser.read_config(INFERENCE)
    parser["bundle_root"] = str(WEIGHTS.parents[1])
    parser["mode"] = mode
    assert Path(parser.get_parsed_content("weights_file")) == shipped_weights(mode) == WEIGHTS.parent / f"{slices}.pt"
    assert Path(parser.get_parsed_content("fused_weights")) == WEIGHTS.parent / f"{fused}.pt"


@pytest.mark.parametrize("mode", ["fused", "stack", "both"])
def test_weights_of_the_user_are_for_slices_and_fused_images(mode, tmp_path):
    parser = ConfigParser()
    parser.read_config(INFERENCE)
    parser["mode"] = mode
    parser["weights"] = str(tmp_path / "mine.pt")
    assert parser.get_parsed_content("weights_file") == parser.get_parsed_content("fused_weights")
    assert parser.get_parsed_content("weights_file") == str(tmp_path / "mine.pt")


def test_both_files_fit_the_network_and_are_small():
    parser = ConfigParser()
    parser.read_config(INFERENCE)
    for file in (WEIGHTS, STACK_WEIGHTS):
        load_weights(parser.get_parsed_content("network_def"), file)
    assert sum(file.stat().st_size for file in (WEIGHTS, STACK_WEIGHTS)) < 25 * 2**20


def test_a_blend_holds_of_each_its_share():
    torch.manual_seed(0)
    first, second, third = (CascadeEnsemble(1, [2, 3]) for _ in range(3))
    name = "dbac.coarse.head"
    for share, rest in ((0.0, 0.0), (0.25, 0.0), (1.0, 0.0), (0.35, 0.3), (0.0, 1.0)):
        mixed = CascadeEnsemble(1, [2, 3])
        mixed.load_state_dict(first.state_dict())
        blend(mixed, [second.state_dict(), third.state_dict()], [share, rest])
        for key, value in mixed.state_dict().items():
            if key.startswith(name):
                expected = (1 - share - rest) * first.state_dict()[key] + share * second.state_dict()[key]
                expected = expected + rest * third.state_dict()[key]
                assert torch.allclose(value.float(), expected.float())


@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize("cascade", [DBAC, DDMAC])
@torch.inference_mode()
def test_sharpening_scales_and_shifts_the_logits_of_the_mask_and_nothing_else(cascade, norm):
    network, image = cascade(1, (2, 3), norm=norm, shuffle=2).eval(), torch.rand(1, 1, 12, 20)
    before = network.stages(image)
    sharpen(network, 1.5, 0.25)
    after = network.stages(image)
    for stage, output in before.items():
        torch.testing.assert_close(after[stage], output * 1.5 + 0.25 if stage == "mask" else output)
