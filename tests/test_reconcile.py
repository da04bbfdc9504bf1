"""2D and 3D reconciled, on stacks whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from bundle.phantoms import make_phantom
from bundle.volumes.reconciliation import _in_focus, half_thickness, reconcile


def together(mask, probability, depth, stack, masks, probabilities, spacing=None):
    flat, planes = reconcile(
        mask, probability, depth, lambda: stack, lambda: masks, lambda: iter(probabilities), spacing
    )
    return flat, np.stack(list(planes))


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def test_half_thickness_is_that_of_a_round_tube():
    mask = np.zeros((30, 40), bool)
    mask[10:21] = True  # 11 pixels wide: radius 5.5
    across = half_thickness(mask)[:, 20]
    offset = np.arange(10, 21) - 15
    np.testing.assert_allclose(across[10:21], np.sqrt(5.5**2 - offset**2))
    assert not across[:10].any() and not across[21:].any()


@pytest.mark.parametrize(("spacing", "slices"), [(None, 9), ((3.0, 1.0, 1.0), 3), ((1.0, 2.0, 2.0), 19)])
def test_a_vessel_of_the_fused_image_alone_becomes_a_tube_at_its_depth(spacing, slices):
    shape = (31, 30, 40)
    mask = np.zeros(shape[1:], bool)
    mask[10:19] = True  # radius 4.5
    weak = np.full(shape, 0.6)  # below any threshold of a mask, and yet a support
    flat, volume = together(
        mask, mask.astype(float), np.full(mask.shape, 15.0), np.ones(shape), np.zeros(shape, bool), weak, spacing
    )
    np.testing.assert_array_equal(flat, mask)
    middle = np.flatnonzero(volume[:, 14, 20])
    assert middle.tolist() == list(range(15 - slices // 2, 15 + slices // 2 + 1))
    assert volume[:, 10, 20].sum() < len(middle), "thinner at its side"


def test_a_vessel_of_the_slices_is_recovered_where_the_fused_image_has_a_notion_of_it_and_else_dropped():
    stack, masks = np.zeros((2, 9, 20, 20))
    stack[4, 3:6], stack[4, 13:16] = 100, 100
    masks = stack > 0
    notion = np.zeros((20, 20))
    notion[3:6] = 0.7
    flat, volume = together(np.zeros((20, 20), bool), notion, np.zeros((20, 20)), stack, masks, masks * 1.0)
    assert flat[3:6].all() and not flat[6:].any()
    np.testing.assert_array_equal(volume, masks & flat)


def test_what_no_slice_supports_is_dropped_from_the_2d_mask():
    mask = np.zeros((20, 20), bool)
    mask[3:6], mask[13:16] = True, True
    probabilities = np.zeros((9, 20, 20))
    probabilities[4, 3:6] = 0.9
    nothing = np.zeros((9, 20, 20), bool)
    flat, volume = together(mask, mask * 1.0, np.full(mask.shape, 4), nothing * 1.0, nothing, probabilities)
    assert flat[3:6].all() and not flat[13:16].any()
    assert volume[4, 3:6].all()


def test_blur_above_and_below_a_vessel_is_not_the_vessel_and_a_second_vessel_below_is_kept():
    z = np.arange(40)[:, None, None]
    stack = 100 * np.exp(-((z - 8) ** 2) / 18) + 60 * np.exp(-((z - 30) ** 2) / 18)
    stack = np.broadcast_to(stack, (40, 20, 20)).copy()
    stack[:, :8] = stack[:, 13:] = 0
    masks = stack > 5
    mask = masks.any(0)
    flat, volume = together(mask, mask * 1.0, np.full(mask.shape, 8), stack, masks, masks * 1.0)
    column = volume[:, 10, 10]
    assert column[8] and column[30]
    assert not column[13:25].any() and masks[13, 10, 10], "which the slices' mask had filled"
    np.testing.assert_array_equal(volume.any(0), flat)


def test_focus_in_a_window_of_planes_equals_that_of_the_whole():
    stack = np.random.default_rng(0).random((13, 6, 7))
    for reach in (1, 4, 20):
        found = np.stack(list(_in_focus(iter(stack), reach)))
        assert found.shape == stack.shape
        widest = np.stack(list(_in_focus(stack, 100)))
        if reach == 20:
            np.testing.assert_array_equal(found, widest)
        for z in range(13):
            part = stack[max(0, z - reach) : z + reach + 1]
            alone = np.stack(list(_in_focus(part, 100)))
            np.testing.assert_array_equal(found[z], alone[min(z, reach)])


def test_projection_equals_the_2d_mask_and_volume_beats_either_way_alone_on_a_phantom():
    phantom = make_phantom((32, 96, 96), seed=5, density="medium")
    truth, flat_truth = phantom.mask, phantom.projected_mask
    rng = np.random.default_rng(0)
    # the fused image misses a part; the slices see every vessel in the slices around it as well
    mask = flat_truth.copy()
    mask[:, 40:56] = False
    masks = truth | np.roll(truth, 2, 0) | np.roll(truth, -2, 0) | np.roll(truth, 4, 0) | np.roll(truth, -4, 0)
    depth = np.nan_to_num(phantom.depth / phantom.spacing[0]) + rng.normal(0, 0.2, mask.shape)
    flat, volume = together(mask, 0.8 * flat_truth, depth, phantom.stack, masks, masks * 0.9, phantom.spacing)
    np.testing.assert_array_equal(volume.any(axis=0), flat)
    lifted = together(mask, 0.0 * mask, depth, phantom.stack, masks, masks * 0.9, phantom.spacing)[1]
    assert dice(flat, flat_truth) > dice(mask, flat_truth)
    assert dice(volume, truth) > max(dice(masks, truth), dice(lifted, truth))


@pytest.mark.parametrize("fill", [False, True])
def test_nothing_and_everything_are_reconciled(fill):
    full = np.full((3, 5, 6), fill)
    flat, volume = together(full[0], full[0] * 1.0, np.zeros((5, 6)), full * 1.0, full, full * 1.0)
    assert (flat == fill).all()
    np.testing.assert_array_equal(volume.any(0), flat)
