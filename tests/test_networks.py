"""The networks: the paper's equations and topology, parameter counts, any size, export, and what is refused."""

from __future__ import annotations

import copy
import importlib.util
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from bundle.errors import InputError
from bundle.networks import (
    DBAC,
    DDMAC,
    AtScale,
    CascadeEnsemble,
    DeeperUNetPlusPlus,
    ResidualBlock,
    ResidualUNet,
    ResidualUNetPlusPlus,
    UNet,
    UNetPlusPlus,
    count_parameters,
    ensemble_of_weights,
    load_weights,
)
from bundle.networks.blocks import Head, InstanceNorm, pad_to_multiple, to_channels, to_pixels, upsample
from bundle.training import CascadeLoss

torch.set_num_threads(1)

ROOT = Path(__file__).resolve().parents[1]
TINY = (2, 3, 4)
FIVE_LEVELS = (32, 64, 128, 256, 512)
PAPER = {"channels": FIVE_LEVELS, "refine_channels": (*FIVE_LEVELS, 1024), "refine_blocks_per_node": 2}

STAGED: dict[str, Callable[..., nn.Module]] = {
    "UNet": UNet,
    "UNetPlusPlus": UNetPlusPlus,
    "DeeperUNetPlusPlus": DeeperUNetPlusPlus,
    "DBAC": DBAC,
    "DDMAC": DDMAC,
    "CascadeEnsemble": CascadeEnsemble,
}
PUBLIC: dict[str, Callable[..., nn.Module]] = {
    **STAGED,
    "ResidualUNet": lambda in_channels, channels: ResidualUNet(in_channels, 1, channels),
    "ResidualUNetPlusPlus": lambda in_channels, channels: ResidualUNetPlusPlus(in_channels, 1, channels),
    "maximum": lambda in_channels, channels: CascadeEnsemble(
        in_channels, channels, dbac_scale=1.5, ddmac_scale=0.5, fusion="maximum"
    ),
    "deeper second subnetwork": lambda in_channels, channels: DBAC(
        in_channels, channels, (*channels, 5), blocks_per_node=1, refine_blocks_per_node=2
    ),
    "no shortcuts": lambda in_channels, channels: DDMAC(in_channels, channels, shortcut_levels=()),
    "instance normalisation": lambda in_channels, channels: CascadeEnsemble(in_channels, channels, norm="instance"),
    "shuffled pixels": lambda in_channels, channels: CascadeEnsemble(in_channels, channels, dbac_scale=1.0, shuffle=2),
    "DBAC with instance normalisation": lambda in_channels, channels: CascadeEnsemble(
        in_channels, channels, dbac_norm="instance"
    ),
}
each_staged = pytest.mark.parametrize("make", STAGED.values(), ids=STAGED.keys())
each = pytest.mark.parametrize("make", PUBLIC.values(), ids=PUBLIC.keys())
each_cascade = pytest.mark.parametrize("make", [DBAC, DDMAC])


def settled(network: nn.Module) -> nn.Module:
    """The network in evaluation, as if trained: no normalisation is as it was made."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
        if isinstance(module, nn.BatchNorm2d | nn.GroupNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
    return network.eval()


def image(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1))


class Known(nn.Module):
    """Gives one tensor whatever it sees."""

    def __init__(self, output: torch.Tensor) -> None:
        super().__init__()
        self.output = output

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output


def inputs_of(module: nn.Module) -> list[torch.Tensor]:
    """A list that takes up what the module sees; several maps as it joins them."""
    seen: list[torch.Tensor] = []

    def note(_: nn.Module, inputs: tuple[torch.Tensor | list[torch.Tensor]]) -> None:
        maps = inputs[0] if isinstance(inputs[0], list) else [inputs[0]]
        same = [each if each.shape[2:] == maps[0].shape[2:] else upsample(each) for each in maps]
        seen.append(torch.cat(same, 1).detach().clone())

    module.register_forward_pre_hook(note)
    return seen


def outputs_of(module: nn.Module) -> list[torch.Tensor]:
    """A list that takes up what the module gives."""
    given: list[torch.Tensor] = []
    module.register_forward_hook(lambda _module, _inputs, output: given.append(output.detach().clone()))
    return given


# --- equations ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_channels", [1, 3])
def test_second_subnetwork_of_dbac_sees_the_image_where_w_is_positive(in_channels: int):
    """(1), (2): P = max(0, W), M = I × P; W itself is the output that is trained."""
    w = torch.tensor([[-2.0, 0.0], [0.5, 3.0]]).repeat(2, 2)[None, None]
    network = DBAC(in_channels, TINY).train()
    network.coarse.head = Known(w)
    seen = inputs_of(network.refine.encoder[0])
    grey = torch.full((2, in_channels, 4, 4), 0.4)
    grey[:, -1] = 0.8
    stages = network(grey)
    attended = torch.tensor([[0.0, 0.0], [0.5, 3.0]]).repeat(2, 2)
    assert seen[0].shape == grey.shape
    torch.testing.assert_close(seen[0][:, -1], (0.8 * attended).expand(2, 4, 4))
    torch.testing.assert_close(seen[0][:, 0], ((0.4 if in_channels == 3 else 0.8) * attended).expand(2, 4, 4))
    assert torch.equal(stages["attention"], w)


@pytest.mark.parametrize("in_channels", [1, 3])
@pytest.mark.parametrize("cascade", [DBAC, DDMAC])
def test_the_equations_hold_pixel_by_pixel_where_pixels_are_channels(cascade, in_channels: int):
    """(1), (2), (6) to (8): what the second subnetwork sees, put back into pixels, is what the equations say."""
    network = settled(cascade(in_channels, TINY, shuffle=2)).train()
    grey = image(2, in_channels, 16, 24)
    given, attention, seen = (
        outputs_of(network.coarse.head),
        outputs_of(network.attention if cascade is DDMAC else network.coarse.head),
        inputs_of(network.refine.encoder[0]),
    )
    stages = network(grey)
    first, weights = to_pixels(given[0], 2), to_pixels(attention[0], 2)
    expected = grey * torch.relu(first)
    if cascade is DDMAC:
        expected = torch.cat([torch.softmax(weights, 1) * grey, first], 1)
    torch.testing.assert_close(to_pixels(seen[0], 2), expected)
    assert torch.equal(stages["attention" if cascade is DBAC else "distance"], first)


def test_pixels_as_channels_are_the_squares_they_were():
    x = torch.arange(2 * 3 * 4 * 6).reshape(2, 3, 4, 6)
    seen = to_channels(x, 2)
    assert torch.equal(seen[1, 4:8, 1, 2], x[1, 1, 2:4, 4:6].flatten())
    assert torch.equal(to_pixels(seen, 2), x)


@pytest.mark.parametrize("in_channels", [1, 3])
def test_second_subnetwork_of_ddmac_sees_three_attended_channels_and_q(in_channels: int):
    """(6), (7), (8): softmax over channels, W' = W × I, M' = concatenate(W', Q); Q itself is the output."""
    w = torch.tensor([0.0, math.log(2), math.log(5)])[None, :, None, None].repeat(2, 1, 4, 4)  # softmax 1/8, 2/8, 5/8
    q = torch.full((2, 1, 4, 4), -0.3)
    q[..., 1] = 1.2
    network = DDMAC(in_channels, TINY).train()
    network.attention, network.coarse.head = Known(w), Known(q)
    seen = inputs_of(network.refine.encoder[0])
    values = torch.tensor([0.8, 0.4, 0.16])[:in_channels]
    stages = network(values[None, :, None, None].repeat(2, 1, 4, 4))
    expected = torch.tensor([0.1, 0.2, 0.5] if in_channels == 1 else [0.1, 0.1, 0.1])
    assert seen[0].shape == (2, 4, 4, 4)
    torch.testing.assert_close(seen[0][:, :3], expected[None, :, None, None].expand(2, 3, 4, 4))
    assert torch.equal(seen[0][:, 3:], q)
    assert torch.equal(stages["distance"], q)


def test_attention_of_each_pixel_sums_to_one_over_channels():
    """(6) on a real forward pass: the three channels of W' add up to the image."""
    network = settled(DDMAC(1, TINY))
    seen = inputs_of(network.refine.encoder[0])
    network(image(1, 1, 8, 12))
    torch.testing.assert_close(seen[0][:, :3].sum(1, keepdim=True), image(1, 1, 8, 12))


@pytest.mark.parametrize(("fusion", "expected"), [("average", [0.5, 0.8]), ("maximum", [0.75, 0.9])])
def test_decisions_are_fused_by_average_or_maximum_of_the_probabilities(fusion: str, expected: list[float]):
    """(9), (10) on logits ±ln 3 = probabilities 0.75 and 0.25, and ln 9 and ln 7/3 = 0.9 and 0.7."""
    network = settled(CascadeEnsemble(1, TINY, dbac_scale=1.0, fusion=fusion))
    network.dbac.refine.head = Known(torch.tensor([math.log(3), math.log(9)]).repeat(4, 2)[None, None])
    network.ddmac.refine.head = Known(torch.tensor([-math.log(3), math.log(7 / 3)]).repeat(4, 2)[None, None])
    torch.testing.assert_close(network(image(1, 1, 4, 4)), torch.tensor(expected).repeat(4, 2)[None, None])


def test_fused_decision_is_made_of_the_two_cascades_alone():
    average = settled(CascadeEnsemble(1, TINY, dbac_scale=1.0))
    maximum = settled(CascadeEnsemble(1, TINY, dbac_scale=1.0, fusion="maximum"))
    maximum.load_state_dict(average.state_dict())
    given = image(2, 1, 13, 10)
    dbac, ddmac = average.dbac(given), average.ddmac(given)
    torch.testing.assert_close(average(given), (dbac + ddmac) / 2)
    torch.testing.assert_close(maximum(given), torch.maximum(dbac, ddmac))
    for got, expected in zip(average.probabilities(given), (dbac, ddmac), strict=True):
        torch.testing.assert_close(got, expected)


# --- topology ----------------------------------------------------------------------------------------------------


def test_residual_block_adds_its_input_and_keeps_the_sign_if_asked():
    """With identity convolutions: relu(relu(x) + x) = 2x above zero; without the last ReLU x stays below zero."""
    x = torch.tensor([[-2.0, 3.0]])[None, None]
    for last_relu, expected in ((True, [[0.0, 6.0]]), (False, [[-2.0, 6.0]])):
        block = ResidualBlock(1, 1, last_relu).eval()
        for module in block.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.dirac_(module.weight)
            if isinstance(module, nn.BatchNorm2d):
                module.eps = 0.0
        torch.testing.assert_close(block(x), torch.tensor(expected)[None, None])


@each_staged
def test_instance_normalisation_sees_one_image_and_no_contrast(make: Callable[..., nn.Module]):
    """An image's stages do not depend on the others of its batch, nor on its contrast where there is no M."""
    torch.manual_seed(0)
    network = make(1, TINY, norm="instance").double().train()
    assert not list(network.buffers())  # nothing is remembered of the training images
    given = 100 * image(2, 1, 32, 48).double()  # far above what keeps the division from zero
    given[1] += 50
    together, alone, brighter = network(given), network(given[1:]), network(4 * given)
    for stage, output in together.items():
        torch.testing.assert_close(output[1:], alone[stage])
        if len(together) == 1 or stage.endswith(("attention", "distance")):
            torch.testing.assert_close(brighter[stage], output, rtol=1e-3, atol=1e-3)


def test_instance_normalisation_leaves_an_output_its_own_mean_and_spread():
    """Else an image without a vessel had as many bright outputs as one that is full of them."""
    torch.manual_seed(0)
    head = Head(4, 1, "instance")
    ramp = torch.linspace(-1, 1, 64).reshape(1, 1, 8, 8).repeat(1, 4, 1, 1)
    sparse = torch.zeros(1, 4, 8, 8)
    sparse[..., 3, 3] = 1.0
    means = [head(x).mean().item() for x in (ramp, sparse)]
    spreads = [head(x).std().item() for x in (ramp, sparse)]
    assert abs(means[0] - means[1]) > 1e-2
    assert abs(spreads[0] - spreads[1]) > 1e-2


@each_staged
def test_a_norm_of_another_name_is_refused(make: Callable[..., nn.Module]):
    with pytest.raises(ValueError, match="norm must be 'batch' or 'instance'"):
        make(1, TINY, norm="layer")


def test_upsampling_is_bilinear():
    doubled = upsample(torch.tensor([[0.0, 1.0]])[None, None])
    torch.testing.assert_close(doubled, torch.tensor([[0.0, 0.25, 0.75, 1.0]] * 2)[None, None])


@torch.no_grad()
def test_instance_normalisation_of_large_images_is_exact():
    """In channels_last on the CPU, where PyTorch's own sums over many pixels lose digits."""
    torch.manual_seed(0)
    norm = InstanceNorm(8)
    norm.weight.copy_(torch.randn(8))
    norm.bias.copy_(torch.randn(8))
    x = torch.rand(2, 8, 400, 400) + 3 * torch.rand(8)[:, None, None]
    expected = torch.group_norm(x.double(), 8, norm.weight.double(), norm.bias.double(), norm.eps)
    torch.testing.assert_close(norm(x).double(), expected, atol=2e-5, rtol=0)
    in_lines = x.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(norm(in_lines).double(), expected, atol=2e-5, rtol=0)
    assert norm(in_lines).is_contiguous(memory_format=torch.channels_last)


def test_unet_decoder_joins_skip_and_upsampled_map():
    network = settled(ResidualUNet(1, 1, (2, 3, 4, 5)))
    encoded = [outputs_of(node) for node in network.encoder]
    decoded = [outputs_of(node) for node in network.decoder]
    joined = [inputs_of(node) for node in network.decoder]
    pooled = [inputs_of(node) for node in network.encoder]
    network(image(1, 1, 16, 24))
    for level in (1, 2, 3):
        assert torch.equal(pooled[level][0], F.max_pool2d(encoded[level - 1][0], 2))
    below = encoded[3]
    for depth, level in enumerate((2, 1, 0)):
        assert torch.equal(joined[depth][0], torch.cat([encoded[level][0], upsample(below[0])], 1))
        below = decoded[depth]


def test_each_unet_plus_plus_node_sees_all_earlier_nodes_of_its_level_and_the_one_below():
    """X(i, j) of X(i, 0) … X(i, j - 1) and the upsampled X(i + 1, j - 1)."""
    network = settled(ResidualUNetPlusPlus(1, 1, (2, 3, 4, 5)))
    nodes = {(i, 0): node for i, node in enumerate(network.encoder)}
    nodes |= {(i, j): node for j, column in enumerate(network.columns, 1) for i, node in enumerate(column)}
    assert set(nodes) == {(i, j) for i in range(4) for j in range(4 - i)}
    seen = {place: inputs_of(node) for place, node in nodes.items()}
    given = {place: outputs_of(node) for place, node in nodes.items()}
    head = inputs_of(network.head)
    network(image(1, 1, 16, 24))
    for i, j in nodes:
        if j > 0:
            row = [given[i, k][0] for k in range(j)]
            assert torch.equal(seen[i, j][0], torch.cat([*row, upsample(given[i + 1, j - 1][0])], 1))
    assert torch.equal(head[0], given[0, 3][0])


@each_cascade
@pytest.mark.parametrize("levels", [None, (), (0,), (1,), (2, 0)])
@pytest.mark.parametrize("refine_channels", [None, (3, 4, 5, 6, 7)])
def test_shortcuts_carry_the_first_decoder_to_the_second_at_the_same_levels(
    make: type, levels: tuple[int, ...] | None, refine_channels: tuple[int, ...] | None
):
    """The last channels that the last node of a level sees are the first decoder's of that level; by default 0, 1."""
    network = settled(make(1, (2, 3, 4, 5), refine_channels, shortcut_levels=levels))
    first = [outputs_of(node) for node in list(network.coarse.decoder)[::-1]]
    second = {level: inputs_of(network.refine.columns[-1 - level][level]) for level in range(3)}
    network(image(1, 1, 16, 32))
    widths = network.coarse.decoder[-1][0].residual[0].out_channels, refine_channels or (2, 3, 4, 5)
    for level in range(3):
        own = widths[1][level] * (len(widths[1]) - 1 - level) + widths[1][level + 1]
        carried = second[level][0][:, own:]
        if level in ((0, 1) if levels is None else levels):
            assert torch.equal(carried, first[level][0])
        else:
            assert carried.shape[1] == 0


@pytest.mark.parametrize(("levels", "changes"), [((0,), True), ((1,), True), ((), False)])
def test_first_decoder_reaches_the_mask_past_an_attention_that_is_zero(levels: tuple[int, ...], changes: bool):
    network = settled(DBAC(1, (4, 6, 8), shortcut_levels=levels))
    network.coarse.head = Known(torch.full((1, 1, 8, 8), -1.0))
    before = network(image(1, 1, 8, 8))
    for node in network.coarse.decoder:
        node.register_forward_hook(lambda _module, _inputs, output: output + 1)
    assert torch.equal(before, network(image(1, 1, 8, 8))) is not changes


@pytest.mark.parametrize("make", [DBAC, DDMAC, CascadeEnsemble])
@pytest.mark.parametrize("levels", [(-1,), (2,), (0, 7)])
def test_a_shortcut_to_a_level_without_decoder_is_refused(make: type, levels: tuple[int, ...]):
    with pytest.raises(ValueError, match="levels"):
        make(1, TINY, shortcut_levels=levels)
    with pytest.raises(ValueError, match="levels"):
        ResidualUNetPlusPlus(1, 1, TINY, shortcut_channels=dict.fromkeys(levels, 1))


# --- parameters --------------------------------------------------------------------------------------------------


def test_parameter_counts_of_small_networks_worked_out_by_hand():
    """A block has 9io + 9oo weights and 4o of its two BNs, and io + 2o in the shortcut where i differs from o."""
    assert count_parameters(ResidualBlock(4, 4)) == 144 + 144 + 16
    assert count_parameters(ResidualBlock(3, 5)) == 135 + 225 + 20 + 15 + 10
    head = 80 + 35  # blocks 2→2, 2→1
    assert count_parameters(ResidualUNet(1, 1, (2, 3))) == 68 + 159 + 148 + head  # 1→2, 2→3, 2+3→2
    second_blocks = 80 + 174 + 80  # 2→2, 3→3, 2→2
    assert count_parameters(ResidualUNet(1, 1, (2, 3), 2)) == 68 + 159 + 148 + head + second_blocks
    nodes = 68 + 159 + 288 + 148 + 309 + 188  # 1→2, 2→3, 3→4, 2+3→2, 3+4→3, 2+2+3→2
    assert count_parameters(ResidualUNetPlusPlus(1, 1, (2, 3, 4))) == nodes + head
    assert count_parameters(UNet(1, (2, 3))) == 62 + 147 + 134 + 3  # 18+36+8, 54+81+12, 90+36+8, 2+1


@pytest.mark.parametrize("setting", [{"channels": FIVE_LEVELS}, PAPER], ids=["five levels", "paper"])
def test_ddmac_exceeds_dbac_by_as_many_parameters_as_in_table_i(setting: dict):
    """80,210,861 − 80,190,922: the attention head, 18,560 + 1,059, and a fourth input channel, 9 × 32 + 32."""
    with torch.device("meta"):
        assert count_parameters(DDMAC(3, **setting)) - count_parameters(DBAC(3, **setting)) == 19_939


@pytest.mark.parametrize("in_channels", [1, 3])
@pytest.mark.parametrize("channels", [(4, 8), TINY, (5, 10, 20), (8, 16, 32, 64, 128)])
def test_deeper_unet_plus_plus_has_the_size_of_a_cascade(in_channels: int, channels: tuple[int, ...]):
    with torch.device("meta"):
        deeper, cascade, plain = (
            count_parameters(make(in_channels, channels)) for make in (DeeperUNetPlusPlus, DBAC, UNetPlusPlus)
        )
    assert abs(deeper / cascade - 1) < 0.05
    assert plain < 0.8 * cascade


def test_committed_parameter_table_is_what_its_script_makes():
    spec = importlib.util.spec_from_file_location("parameter_table", ROOT / "scripts" / "tables" / "parameter_table.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert (ROOT / "docs" / "parameters.md").read_text(encoding="utf-8") == script.page()


# --- sizes -------------------------------------------------------------------------------------------------------


@each
@pytest.mark.parametrize("in_channels", [1, 3])
def test_result_has_the_size_of_the_image(make: Callable[..., nn.Module], in_channels: int):
    network = settled(make(in_channels, TINY))
    for height, width in ((1, 1), (1, 9), (7, 13), (37, 50), (64, 64)):
        result = network(image(2, in_channels, height, width))
        assert result.shape == (2, 1, height, width)
        assert result.isfinite().all()


@each
@pytest.mark.parametrize("channels", [(4, 3), (1, 1, 1), (3, 2, 5, 2, 4, 3)])
def test_any_depth_and_width(make: Callable[..., nn.Module], channels: tuple[int, ...]):
    assert settled(make(1, channels))(image(1, 1, 20, 11)).shape == (1, 1, 20, 11)


@each
def test_padding_repeats_the_border_and_is_cropped_away(make: Callable[..., nn.Module]):
    """Of an image of any size, the result is that of the padded image, whose size is a multiple of every stride."""
    network = settled(make(1, TINY))
    small = image(1, 1, 13, 22)
    padded = F.pad(small, (0, 10, 0, 19), mode="replicate")
    assert torch.equal(pad_to_multiple(small, 32), padded)
    if isinstance(network, CascadeEnsemble):
        network.dbac_scale = network.ddmac_scale = 1.0
    result = network(small)
    further = network(F.pad(small, (0, 2, 0, 3), mode="replicate"))[..., :13, :22]  # to multiples of 8
    torch.testing.assert_close(result, further)


def test_ddmac_refuses_an_image_that_is_neither_grey_nor_rgb():
    for make in (DDMAC, CascadeEnsemble):
        for in_channels in (2, 4):
            with pytest.raises(ValueError, match="one or three"):
                make(in_channels, TINY)


def test_dbac_takes_any_number_of_channels():
    assert settled(DBAC(5, TINY))(image(1, 5, 8, 8)).shape == (1, 1, 8, 8)


@each
@pytest.mark.parametrize("channels", [(), (4,), (4, 0), (4, -2, 4)])
def test_widths_that_make_no_network_are_refused(make: Callable[..., nn.Module], channels: tuple[int, ...]):
    with pytest.raises(ValueError, match="channels"):
        make(1, channels)


@pytest.mark.parametrize("make", [UNetPlusPlus, DBAC, DDMAC, CascadeEnsemble])
def test_a_node_without_blocks_is_refused(make: type):
    with pytest.raises(ValueError, match="blocks_per_node"):
        make(1, TINY, blocks_per_node=0)


@each_cascade
@pytest.mark.parametrize("shuffle", [0, -2, 1.5])
def test_a_shuffle_that_is_no_number_of_pixels_is_refused(make: type, shuffle: float):
    with pytest.raises(ValueError, match="shuffle"):
        make(1, TINY, shuffle=shuffle)


@pytest.mark.parametrize("norm", ["batch", "instance"])
@torch.inference_mode()
def test_an_ensemble_takes_the_arrangement_of_its_weights(tmp_path: Path, norm: str, caplog):
    """Weights of an earlier version give what they gave; what differs in more is refused, and changes nothing."""
    earlier = settled(CascadeEnsemble(1, (2, 3, 4), dbac_scale=2.0, fusion="maximum", norm="batch", dbac_norm=norm))
    torch.save({"model": earlier.state_dict()}, tmp_path / "earlier.pt")
    today = CascadeEnsemble(1, (4, 5), dbac_scale=2.0, fusion="maximum", dbac_norm=norm, shuffle=2).eval()
    other = CascadeEnsemble(1, (4, 5), dbac_norm="batch" if norm == "instance" else "instance", shuffle=2)
    with pytest.raises(InputError, match="does not fit"):
        ensemble_of_weights(other, tmp_path / "earlier.pt")
    assert other.dbac.shuffle == 2
    with caplog.at_level("INFO"):
        assert ensemble_of_weights(today, tmp_path / "earlier.pt") is today
    assert "channels [2, 3, 4] and shuffle 1" in caplog.text
    torch.testing.assert_close(today(image(1, 1, 20, 24)), earlier(image(1, 1, 20, 24)))
    torch.save({"model": DBAC(1, TINY).state_dict()}, tmp_path / "cascade.pt")
    for network in (today, UNet(1, (2, 3))):
        with pytest.raises(InputError, match="does not fit"):
            ensemble_of_weights(network, tmp_path / "cascade.pt")


# --- scales of the ensemble --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dbac_scale", "ddmac_scale"), [(2.0, 1.0), (1.0, 0.5), (1.5, 2.0)])
def test_each_cascade_sees_the_image_at_its_own_scale(dbac_scale: float, ddmac_scale: float):
    network = settled(CascadeEnsemble(1, TINY, dbac_scale=dbac_scale, ddmac_scale=ddmac_scale))
    seen = inputs_of(network.dbac.coarse.encoder[0]), inputs_of(network.ddmac.coarse.encoder[0])
    given = image(1, 1, 16, 24)
    assert network(given).shape == given.shape
    for (sight,), scale in zip(seen, (dbac_scale, ddmac_scale), strict=True):
        assert sight.shape == (1, 1, 16 * scale, 24 * scale)
        if scale == 1:
            assert torch.equal(sight, given)
    network.train()
    assert {tuple(stage.shape) for stage in network(given).values()} == {(1, 1, 16, 24)}


@pytest.mark.parametrize("scale", [0.5, 1.0, 1.5, 2.0, 3.0])
def test_resampling_there_and_back_shifts_nothing(scale: float):
    """A cascade whose logits are its image: a ramp comes back where it was."""

    class Echo(nn.Module):
        def stages(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"mask": x}

    network = settled(CascadeEnsemble(1, TINY, dbac_scale=scale, ddmac_scale=scale))
    network.dbac = network.ddmac = Echo()
    ramp = torch.linspace(-2, 2, 24).expand(1, 1, 20, 24) + torch.linspace(-1, 1, 20)[:, None]
    torch.testing.assert_close(network(ramp)[..., 3:-3, 3:-3], torch.sigmoid(ramp)[..., 3:-3, 3:-3])


@pytest.mark.parametrize(("name", "scale"), [("dbac", 2.0), ("ddmac", 0.5), ("dbac", 1.0)])
def test_a_cascade_trained_alone_at_a_scale_is_the_one_in_the_ensemble(name: str, scale: float):
    """Same probabilities and stages, so that an ensemble can be put together of cascades trained one by one."""
    ensemble = settled(CascadeEnsemble(1, TINY, **{"dbac_scale": 1.0, f"{name}_scale": scale}))
    alone = AtScale(getattr(ensemble, name), scale).eval()
    given = image(1, 1, 16, 24)
    assert torch.equal(alone(given), ensemble.probabilities(given)[name == "ddmac"])
    for network in (ensemble, alone):
        network.train().requires_grad_(False)
        for module in network.modules():  # both draw the same statistics from the same image
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
    stages = {
        key.removeprefix(f"{name}."): stage for key, stage in ensemble(given).items() if key.startswith(f"{name}.")
    }
    assert stages.keys() == alone(given).keys()
    for key, stage in alone(given).items():
        assert torch.equal(stage, stages[key])


def test_fusion_and_scales_that_mean_nothing_are_refused():
    for options in ({"fusion": "mean"}, {"dbac_scale": 0.0}, {"ddmac_scale": -1.0}):
        with pytest.raises(ValueError, match="must be"):
            CascadeEnsemble(1, TINY, **options)
    with pytest.raises(ValueError, match="must be"):
        AtScale(DBAC(1, TINY), 0.0)


# --- training and evaluation -------------------------------------------------------------------------------------

STAGES = {
    DBAC: {"attention", "mask"},
    DDMAC: {"distance", "mask"},
    CascadeEnsemble: {"dbac.attention", "dbac.mask", "ddmac.distance", "ddmac.mask"},
}


@each_staged
def test_training_gives_every_stage_and_evaluation_a_probability(make: Callable[..., nn.Module]):
    network = settled(make(1, TINY))
    given = image(2, 1, 16, 24)
    network.train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()  # so that both ways see the same statistics
    stages = network(given)
    assert set(stages) == STAGES.get(make, {"mask"})
    assert {tuple(stage.shape) for stage in stages.values()} == {(2, 1, 16, 24)}
    network.eval()
    probability = network(given)
    assert 0 <= probability.min() < probability.max() <= 1
    masks = [torch.sigmoid(stage) for name, stage in stages.items() if name.split(".")[-1] == "mask"]
    torch.testing.assert_close(probability, torch.stack(masks).mean(0))


@each_staged
def test_gradients_reach_every_parameter(make: Callable[..., nn.Module]):
    torch.manual_seed(3)
    network = make(1, (4, 6, 8)).train()
    target = (image(2, 2, 32, 32) > 0.5).float()
    CascadeLoss()(network(image(2, 1, 32, 32)), target).backward()
    still = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert still == []


def test_loss_on_the_mask_alone_trains_the_first_subnetwork_too():
    """Attention and shortcuts are no dead ends: the second subnetwork's loss reaches the first's encoder."""
    for make in (DBAC, DDMAC):
        torch.manual_seed(3)
        network = make(1, (4, 6, 8)).train()
        network(image(2, 1, 32, 32))["mask"].square().sum().backward()
        assert all(p.grad.abs().sum() > 0 for p in network.coarse.encoder.parameters())


@each
def test_an_image_is_segmented_alike_alone_and_in_a_batch(make: Callable[..., nn.Module]):
    network = settled(make(1, TINY))
    batch = image(3, 1, 20, 24)
    alone = torch.cat([network(one[None]) for one in batch])
    torch.testing.assert_close(network(batch), alone, atol=1e-6, rtol=1e-5)


@each
def test_memory_format_changes_nothing(make: Callable[..., nn.Module]):
    network = settled(make(3, TINY)).double()  # sums in another order differ by rounding
    given = image(2, 3, 21, 30).double()
    expected = network(given)
    network.to(memory_format=torch.channels_last)
    result = network(given.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(result, expected, atol=1e-10, rtol=0)


# --- files -------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning", "ignore::torch.jit.TracerWarning")
@each
def test_torchscript_agrees_at_any_size(make: Callable[..., nn.Module], tmp_path: Path):
    """Scripted or traced, saved and loaded; a trace holds for images of other sizes than the one it was made with."""
    network = settled(make(1, TINY))
    with torch.no_grad():
        scripted = torch.jit.script(network)
        traced = torch.jit.trace(network, image(2, 1, 21, 30))
        for name, module in (("scripted", scripted), ("traced", traced)):
            module.save(tmp_path / f"{name}.ts")
            loaded = torch.jit.load(tmp_path / f"{name}.ts")
            for shape in ((2, 1, 21, 30), (1, 1, 17, 8)):
                torch.testing.assert_close(loaded(image(*shape)), network(image(*shape)), atol=1e-5, rtol=0)


@each
def test_saved_and_loaded_weights_give_the_same_result(make: Callable[..., nn.Module], tmp_path: Path):
    network = settled(make(1, TINY))
    torch.save(network.state_dict(), tmp_path / "model.pt")
    other = make(1, TINY).eval()
    assert not torch.equal(other(image(1, 1, 12, 12)), network(image(1, 1, 12, 12)))
    other.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
    assert torch.equal(other(image(1, 1, 12, 12)), network(image(1, 1, 12, 12)))


@each_staged
def test_weights_stored_in_half_precision_are_widened(make: Callable[..., nn.Module]):
    network = settled(make(1, TINY))
    stored = copy.deepcopy(network).half().state_dict()
    widened = make(1, TINY).eval()
    widened.load_state_dict(stored)
    for name, value in widened.state_dict().items():
        assert value.dtype == (torch.int64 if name.endswith("num_batches_tracked") else torch.float32)
        assert torch.equal(value, stored[name].to(value.dtype))
    torch.testing.assert_close(widened(image(1, 1, 12, 12)), network(image(1, 1, 12, 12)), atol=5e-3, rtol=0)


STATE = CascadeEnsemble(channels=TINY).state_dict()
WEIGHT = next(iter(STATE))
VARIANCE = next(name for name in STATE if name.endswith("running_var"))


@pytest.mark.parametrize(
    ("checkpoint", "said"),
    [
        ({"model": {**STATE, WEIGHT: STATE[WEIGHT] * math.nan}}, "not a number"),
        ({"model": {**STATE, WEIGHT: STATE[WEIGHT] * math.inf}}, "infinite"),
        ({"model": {**STATE, WEIGHT: STATE[WEIGHT].double() + 1e200}}, "beyond single precision"),
        ({"model": {**STATE, WEIGHT: (10 * STATE[WEIGHT]).to(torch.int32)}}, "no floating-point numbers"),
        ({"model": {**STATE, WEIGHT: STATE[WEIGHT].to(torch.complex64)}}, "no floating-point numbers"),
        ({"model": {**STATE, WEIGHT: STATE[WEIGHT].to_sparse()}}, "no floating-point numbers"),
        ({"model": {**STATE, VARIANCE: STATE[VARIANCE] - 10}}, "negative variances"),
        ({"model": {**STATE, WEIGHT: STATE[WEIGHT][:1]}}, f"another size for {WEIGHT}"),
        ({"model": {**STATE, WEIGHT: STATE[WEIGHT].tolist()}}, f"another size for {WEIGHT}"),
        ({"model": list(STATE.values())}, "it is list"),
        ({"model": STATE, "scales": {"dbac_scale": "two"}}, "no numbers"),
        ({"model": STATE, "scales": {"dbac_scale": None}}, "no numbers"),
        ({"model": STATE, "scales": {"dbac_scale": math.nan}}, "no numbers"),
        ({"model": STATE, "scales": "text"}, "no numbers"),
        ({"model": STATE, "scales": {"dbac_scale": 1.0}}, "was trained with dbac_scale 1, not 2"),
    ],
)
def test_weights_that_no_training_ends_with_are_refused_in_words_that_are_true(checkpoint, said, tmp_path: Path):
    """Into a network they would go without a word, and every image would come out without vessels."""
    torch.save(checkpoint, tmp_path / "model.pt")
    with pytest.raises(InputError) as refused:
        load_weights(CascadeEnsemble(channels=TINY), tmp_path / "model.pt")
    assert said in refused.value.problem
    assert refused.value.path == str(tmp_path / "model.pt") and refused.value.remedy


@pytest.mark.parametrize("scales", [{}, {"scales": None}, {"scales": {"dbac_scale": 2}}])
def test_weights_that_note_no_scale_or_the_right_one_are_taken(scales, tmp_path: Path):
    torch.save({"model": STATE, **scales}, tmp_path / "model.pt")
    load_weights(CascadeEnsemble(channels=TINY), tmp_path / "model.pt")
