"""The losses: worked by hand for every kind of network, at their extremes, and as a source of gradients."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

from bundle.networks import DBAC, DDMAC, CascadeEnsemble, UNet
from bundle.training import BCEDiceLoss, CascadeLoss

torch.set_num_threads(1)

# two pixels: a vessel and, five pixels away at k = 20, background
V = [1.0, 0.0]
D = [1.0, 0.75]
TARGET = torch.tensor([V, D])[None, :, None]

LN3 = math.log(3)  # the logit of 3/4
CERTAIN = [LN3, -LN3]  # of V, right with 3/4 at both pixels
WRONG = [-LN3, -LN3]  # right with 1/4 and 3/4
BCE_CERTAIN = math.log(4 / 3)
BCE_WRONG = (math.log(4) + math.log(4 / 3)) / 2
Q = [0.5, 1.0]
MSE_Q = (0.5**2 + 0.25**2) / 2

STAGES = {
    "DBAC": {"attention": WRONG, "mask": CERTAIN},
    "DDMAC": {"distance": Q, "mask": CERTAIN},
    "ensemble": {"dbac.attention": WRONG, "dbac.mask": CERTAIN, "ddmac.distance": Q, "ddmac.mask": WRONG},
    "baseline": {"mask": WRONG},
}
LOSSES = {
    "DBAC": {"attention": BCE_WRONG, "mask": BCE_CERTAIN},
    "DDMAC": {"distance": MSE_Q, "mask": BCE_CERTAIN},
    "ensemble": {
        "dbac.attention": BCE_WRONG,
        "dbac.mask": BCE_CERTAIN,
        "ddmac.distance": MSE_Q,
        "ddmac.mask": BCE_WRONG,
    },
    "baseline": {"mask": BCE_WRONG},
}


def maps(values: list[float]) -> torch.Tensor:
    return torch.tensor(values)[None, None, None]


@pytest.mark.parametrize("kind", STAGES)
def test_each_stage_is_scored_as_in_the_paper_and_the_scores_are_summed(kind: str):
    """Cross-entropy against V for DBAC's two outputs and DDMAC's mask, mean square error against D for Q."""
    stages = {name: maps(values) for name, values in STAGES[kind].items()}
    losses = {name: float(loss) for name, loss in CascadeLoss().stage_losses(stages, TARGET).items()}
    assert losses == pytest.approx(LOSSES[kind], rel=1e-6)
    assert float(CascadeLoss()(stages, TARGET)) == pytest.approx(sum(LOSSES[kind].values()), rel=1e-6)


def test_the_losses_of_masks_and_of_q_can_be_replaced():
    class Mean(nn.Module):
        def __init__(self, factor: float) -> None:
            super().__init__()
            self.factor = factor

        def forward(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            return self.factor * (output - target).mean()

    stages = {name: maps(values) for name, values in STAGES["ensemble"].items()}
    losses = CascadeLoss(Mean(1.0), Mean(10.0)).stage_losses(stages, TARGET)
    assert float(losses["ddmac.distance"]) == pytest.approx(10 * (0.75 - 0.875))
    assert float(losses["dbac.mask"]) == pytest.approx(-0.5)
    assert float(losses["ddmac.mask"]) == pytest.approx(-LN3 - 0.5)


def test_cross_entropy_and_dice_worked_by_hand():
    """Probability 3/4 on one vessel and one background pixel, 1/2 on another: overlap 3/4 of sums 2 and 1."""
    logits, target = maps([LN3, LN3, 0.0]), maps([1.0, 0.0, 0.0])
    cross_entropy = (math.log(4 / 3) + math.log(4) + math.log(2)) / 3
    dice = 1 - (2 * 0.75 + 1e-5) / (2 + 1 + 1e-5)
    assert float(BCEDiceLoss()(logits, target)) == pytest.approx(cross_entropy + dice, rel=1e-6)


def test_dice_is_over_the_batch():
    """An image without vessels beside one with: the overlaps and sums of both are added before they are divided."""
    logits = torch.cat([maps([LN3, LN3]), maps([LN3, LN3])])
    target = torch.cat([maps([1.0, 1.0]), maps([0.0, 0.0])])
    cross_entropy = (math.log(4 / 3) + math.log(4)) / 2
    assert float(BCEDiceLoss()(logits, target)) == pytest.approx(cross_entropy + 1 - 2 * 1.5 / 5, rel=1e-5)


def bar(width: int) -> torch.Tensor:
    """A vessel from the left edge to the right."""
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 16 - width // 2 : 16 - width // 2 + width, :] = 1
    return mask


def test_recall_of_the_skeleton_counts_a_thick_and_a_thin_vessel_alike():
    """A quarter of the length is missed with certainty: ¼ more than cross-entropy and Dice, whatever the width."""
    for width in (1, 3, 7):
        target = bar(width)
        found = target.clone()
        found[..., 8:16] = 0
        logits = 60 * found - 30
        term = BCEDiceLoss("skeleton_recall")(logits, target) - BCEDiceLoss()(logits, target)
        assert float(term) == pytest.approx(0.25, abs=0.02)


def test_too_thick_a_mask_costs_no_centreline_and_a_gap_does():
    """The skeleton of the thicker mask lies in the thin one; of a mask with a gap half the length is missing."""
    target, gap = bar(3), bar(3)
    gap[..., 8:24] = 0
    terms = []
    for mask in (target, bar(5), gap):
        logits = 60 * mask - 30
        terms.append(float(BCEDiceLoss("cldice")(logits, target) - BCEDiceLoss()(logits, target)))
    assert terms[0] == pytest.approx(0, abs=1e-3) and terms[1] == pytest.approx(0, abs=0.05)
    assert terms[2] == pytest.approx(1 - 2 * 0.5 / 1.5, abs=0.05)  # precision 1, sensitivity ½


@pytest.mark.parametrize("centerline", ["cldice", "skeleton_recall"])
def test_the_centreline_terms_pull_vessels_up_and_stay_finite_without_any(centerline: str):
    logits = torch.zeros(1, 1, 32, 32, requires_grad=True)
    BCEDiceLoss(centerline)(logits, bar(3)).backward()
    assert (logits.grad[bar(3) > 0] < 0).all() and logits.grad.isfinite().all()
    assert math.isfinite(BCEDiceLoss(centerline)(logits, torch.zeros(1, 1, 32, 32)))


def test_a_centreline_term_of_another_name_is_refused():
    with pytest.raises(ValueError, match="cldice"):
        BCEDiceLoss("clDice")


@pytest.mark.parametrize("truth", [[1.0, 0.0, 1.0], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
def test_a_perfect_prediction_costs_nothing_and_the_opposite_most(truth: list[float]):
    """With logits ±20: next to 0; 20 of cross-entropy for each pixel and a whole Dice."""
    target = maps(truth)
    logits = 40 * target - 20
    assert float(BCEDiceLoss()(logits, target)) == pytest.approx(0, abs=1e-3)
    assert float(BCEDiceLoss()(-logits, target)) == pytest.approx(21, abs=1e-3)


def test_perfect_stages_cost_nothing():
    certain = 40 * maps(V) - 20
    stages = {"dbac.attention": certain, "dbac.mask": certain, "ddmac.distance": maps(D), "ddmac.mask": certain}
    assert float(CascadeLoss()(stages, TARGET)) == pytest.approx(0, abs=1e-7)


def test_logits_of_any_size_cost_a_finite_amount():
    for loss in (CascadeLoss(), CascadeLoss(BCEDiceLoss())):
        stage = torch.tensor([1e4, 1e4])[None, None, None].requires_grad_()
        value = loss({"mask": stage}, TARGET)
        value.backward()
        assert math.isfinite(value.detach()) and stage.grad.isfinite().all()


@pytest.mark.parametrize("mask_loss", [None, BCEDiceLoss()], ids=["cross-entropy", "with Dice"])
def test_each_stage_is_pulled_towards_its_own_target(mask_loss: nn.Module | None):
    """Descent on the sum lowers a mask's logit on background and raises it on vessels, and moves Q towards D."""
    stages = {name: maps([0.0, 0.9]).requires_grad_() for name in STAGES["ensemble"]}
    CascadeLoss(mask_loss)(stages, TARGET).backward()
    for name, stage in stages.items():
        vessel, background = stage.grad.flatten().tolist()
        assert vessel < 0 < background, name


@pytest.mark.parametrize("make", [DBAC, DDMAC, CascadeEnsemble, UNet])
def test_the_loss_of_every_network_falls_when_it_is_trained(make: Callable[..., nn.Module]):
    """Ten steps of SGD, the paper's optimiser, on one crop."""
    torch.manual_seed(0)
    network, loss = make(1, (4, 6, 8)).train(), CascadeLoss()
    image = torch.rand(2, 1, 16, 16)
    target = (image > 0.7).float().repeat(1, 2, 1, 1)
    optimizer = torch.optim.SGD(network.parameters(), 0.05, momentum=0.9)
    values = []
    for _ in range(10):
        optimizer.zero_grad()
        value = loss(network(image), target)
        value.backward()
        optimizer.step()
        values.append(float(value))
    assert values[-1] < 0.8 * values[0]
