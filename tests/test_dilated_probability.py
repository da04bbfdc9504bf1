"""The dilated probability map, equations (3) to (5) of the paper."""

from __future__ import annotations

import numpy as np
import pytest

from bundle.transforms import DilatedProbabilityMap


def test_a_row_worked_by_hand():
    """Distances 0 1 2 3 4 5, clipped at k = 4: 0 1 2 3 4 4, and 1 - D / 4."""
    mask = np.zeros((1, 1, 6), np.uint8)
    mask[0, 0, 0] = 1
    np.testing.assert_array_equal(DilatedProbabilityMap(bound=4)(mask)[0, 0], [1, 0.75, 0.5, 0.25, 0, 0])


def test_the_default_bound_is_the_papers():
    """A vessel along one side of a 30-pixel row: 1 - d / 20, 0 from 20 on."""
    mask = np.zeros((1, 30, 3), np.uint8)
    mask[0, 0] = 1
    expected = np.clip(1 - np.arange(30) / 20, 0, 1).astype(np.float32)
    np.testing.assert_allclose(DilatedProbabilityMap()(mask)[0, :, 1], expected, atol=1e-6)


def test_distances_are_euclidean():
    """From a pixel in the corner of a 2 × 2 image the farthest is the square root of 2 away."""
    result = DilatedProbabilityMap()(np.array([[[1, 0], [0, 0]]]))
    np.testing.assert_allclose(result[0], [[1, 1 - 0.5**0.5], [1 - 0.5**0.5, 0]], atol=1e-6)


def test_where_every_pixel_is_near_the_two_normalizations_differ():
    """Distances 0 1 2 with k = 20: the paper divides by the largest, 2; "bound" by 20."""
    mask = np.array([[[1, 0, 0]]])
    np.testing.assert_allclose(DilatedProbabilityMap()(mask)[0, 0], [1, 0.5, 0])
    np.testing.assert_allclose(DilatedProbabilityMap(normalization="bound")(mask)[0, 0], [1, 0.95, 0.9], rtol=1e-6)


@pytest.mark.parametrize("normalization", ["image", "bound"])
@pytest.mark.parametrize("value", [0, 1])
def test_no_vessel_gives_zero_and_nothing_but_vessel_gives_one(normalization: str, value: int):
    result = DilatedProbabilityMap(normalization=normalization)(np.full((1, 9, 7), value, np.uint8))
    assert result.dtype == np.float32 and (result == value).all()


@pytest.mark.parametrize("vessel", [1, 255, 254, 0.5])
def test_any_positive_label_is_vessel(vessel: float):
    mask = np.zeros((1, 9, 7))
    mask[0, 4, 2] = 1
    np.testing.assert_array_equal(DilatedProbabilityMap()(mask * vessel), DilatedProbabilityMap()(mask))


def test_in_a_stack_distances_cross_slices():
    mask = np.zeros((1, 1, 1, 5), np.uint8)
    mask[..., 1] = 1
    np.testing.assert_allclose(DilatedProbabilityMap(bound=2)(mask)[0, 0, 0], [0.5, 1, 0.5, 0, 0])


@pytest.mark.parametrize("options", [{"bound": 0}, {"bound": float("nan")}, {"normalization": "max"}])
def test_options_out_of_range_are_refused(options: dict):
    with pytest.raises(ValueError, match=next(iter(options))):
        DilatedProbabilityMap(**options)
