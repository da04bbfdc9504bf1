"""The network as the processor computes it fastest gives what the network gives."""

from __future__ import annotations

import copy
import json

import pytest
import torch
from torch import nn

from bundle.home import INFERENCE, STACK_WEIGHTS, WEIGHTS
from bundle.networks import CascadeEnsemble, ResidualUNet, ResidualUNetPlusPlus, faster, faster_copy, load_weights
from bundle.segmentation import WithDisagreement
from bundle.transforms import HysteresisThreshold

NETWORKS = {
    "batch": lambda: CascadeEnsemble(1, (2, 3, 4), dbac_scale=1.0),
    "instance in DBAC": lambda: CascadeEnsemble(1, (8, 16, 4), dbac_scale=1.0, dbac_norm="instance"),
    "three channels, maximum, scales": lambda: CascadeEnsemble(3, (2, 3), dbac_scale=2.0, fusion="maximum"),
    "blocks and widths": lambda: CascadeEnsemble(1, (3, 2, 5), (4, 2, 5, 3), 2, 1, dbac_scale=1.0, norm="instance"),
    "shuffled pixels": lambda: CascadeEnsemble(1, (8, 16, 4), dbac_scale=1.0, dbac_norm="instance", shuffle=2),
    "U-Net": lambda: ResidualUNet(1, 2, (2, 4, 8)),
    "U-Net++": lambda: ResidualUNetPlusPlus(4, 1, (2, 3, 20)),
}


def trained(network: nn.Module) -> nn.Module:
    """With statistics and gains as a training leaves them: of its own for each channel."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.GroupNorm):
            nn.init.normal_(module.weight, 1, 0.5, generator)  # negative ones among them
            nn.init.normal_(module.bias, 0, 0.5, generator)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, 0, 0.5, generator)
            nn.init.uniform_(module.running_var, 0.2, 2, generator)
    return network.eval()


def channels_of(name: str, network: nn.Module) -> int:
    if isinstance(network, CascadeEnsemble):
        return 3 if "three" in name else 1
    return network.encoder[0][0].residual[0].in_channels


@pytest.mark.parametrize("lanes", [1, 8, 16])
@pytest.mark.parametrize("name", NETWORKS)
@torch.inference_mode()
def test_it_gives_what_the_network_gives(name, lanes, monkeypatch):
    """In double precision it is the same function; in single what is left is rounding."""
    monkeypatch.setattr(faster, "_lanes", lambda: lanes)  # of other processors than this one
    torch.manual_seed(0)
    network = trained(NETWORKS[name]())
    exact = copy.deepcopy(network).double()
    for batch, height, width in ((1, 40, 48), (2, 33, 18), (1, 16, 8), (1, 8, 16)):
        image = torch.rand(batch, channels_of(name, network), height, width)
        expected = exact(image.double())
        found = faster_copy(network)(image.contiguous(memory_format=torch.channels_last))
        torch.testing.assert_close(found.double(), expected, atol=2e-4, rtol=0)
        with monkeypatch.context() as patch:
            patch.setattr(faster, "_one_pass", lambda: False)  # which is of single precision alone
            # what it has folded is single, and its weights are made double after
            torch.testing.assert_close(faster_copy(network).double()(image.double()), expected, atol=2e-7, rtol=0)


@pytest.mark.parametrize("side", [1, 3])
def test_a_kernel_sees_a_map_as_if_it_were_doubled(side, monkeypatch):
    monkeypatch.setattr(faster, "_one_pass", lambda: False)  # which is of single precision alone
    generator = torch.Generator().manual_seed(side)
    for width in (1, 2, 5):
        low = torch.rand(2, 4, 6, width, generator=generator, dtype=torch.float64)
        weight = torch.rand(3, 4, side, side, generator=generator, dtype=torch.float64)
        bias = torch.rand(3, generator=generator, dtype=torch.float64)
        doubled = nn.functional.interpolate(low, scale_factor=(1.0, 2.0), mode="bilinear")
        expected = nn.functional.conv2d(doubled, weight, bias, padding=side // 2)
        found = faster._convolved_doubled(
            low.contiguous(memory_format=torch.channels_last), faster._doubling(weight), bias, side // 2, None
        )
        torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)


@torch.inference_mode()
def test_without_the_library_s_own_steps_it_gives_the_same(monkeypatch):
    network = trained(NETWORKS["instance in DBAC"]())
    image = torch.rand(1, 1, 40, 48)
    expected = faster_copy(network)(image)
    monkeypatch.setattr(faster, "_one_pass", lambda: False)
    torch.testing.assert_close(faster_copy(network)(image), expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("weights", [WEIGHTS, STACK_WEIGHTS], ids=lambda path: path.stem)
@torch.inference_mode()
def test_the_shipped_masks_are_those_of_the_network(weights):
    """S within 2e-3, and Dice at least 0.999, as promised."""
    definition = json.loads(INFERENCE.read_text(encoding="utf-8"))["network_def"]
    definition.pop("_target_")
    network = load_weights(CascadeEnsemble(**definition), weights).eval()
    rows, columns = torch.meshgrid(torch.arange(200.0), torch.arange(168.0), indexing="ij")
    waves = torch.sin(rows / 9 + 2 * torch.sin(columns / 17)) + torch.sin(columns / 7)
    image = (waves.clamp(0, 2) / 2 + 0.1 * torch.rand(200, 168, generator=torch.Generator().manual_seed(1)))[None, None]
    found = WithDisagreement(network)(image)
    dbac, ddmac = network.probabilities(image)
    assert (found - torch.cat([(dbac + ddmac) / 2, (dbac - ddmac).abs()], 1)).abs().max() <= 2e-3
    mask, expected = (HysteresisThreshold()(each[0].numpy()) for each in (found[:, :1], (dbac + ddmac) / 2))
    assert expected.any() and 2 * (mask & expected).sum() >= 0.999 * (mask.sum() + expected.sum())


def test_training_and_gradients_see_the_network_itself():
    network = trained(NETWORKS["batch"]())
    image = torch.rand(1, 1, 16, 16)
    both = WithDisagreement(network)
    both(image).sum().backward()
    assert all(parameter.grad is not None for parameter in network.ddmac.refine.head.parameters())
    assert set(both.state_dict()) == {f"network.{name}" for name in network.state_dict()}
