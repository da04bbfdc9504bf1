"""Hysteresis threshold, closing of gaps, removal of fragments."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from scipy.ndimage import gaussian_filter, label

from bundle.errors import InputError
from bundle.transforms import CloseGaps, HysteresisThreshold, RemoveFragments


def blobs(*shape: int, seed: int = 0) -> np.ndarray:
    """`[1, …]` in [0, 1], smooth."""
    noise = gaussian_filter(np.random.default_rng(seed).random(shape), 2)
    return ((noise - noise.min()) / (noise.max() - noise.min()))[None]


def mask(*rows: str) -> np.ndarray:
    """`[1, X, Y]` from a drawing in which # is vessel."""
    return np.array([[c == "#" for c in row] for row in rows], np.uint8)[None]


def micrometres(array: np.ndarray, *spacing: float) -> MetaTensor:
    """With pixels of the given lengths along the array's spatial axes."""
    affine = torch.diag(torch.tensor([*spacing, 1.0, 1.0][:3] + [1.0], dtype=torch.float64))
    return MetaTensor(torch.from_numpy(array), affine=affine, meta={"spacing": tuple(reversed(spacing))})


class TestHysteresisThreshold:
    def test_a_row_worked_by_hand(self):
        """The weak stretch beside a strong pixel stays, the one without goes; equal to a threshold is not above it."""
        row = [0.1, 0.5, 0.96, 0.46, 0.45, 0.5, 0.95, 0.5, 0.0, 1.0]
        result = HysteresisThreshold()(np.array([[row]]))
        assert result.dtype == np.uint8
        np.testing.assert_array_equal(result[0, 0], [0, 1, 1, 1, 0, 0, 0, 0, 0, 1])

    def test_a_thin_diagonal_vessel_is_one_piece(self):
        image = 0.5 * np.eye(9)[None]
        image[0, 0, 0] = 1
        np.testing.assert_array_equal(HysteresisThreshold()(image)[0], np.eye(9))

    def test_in_a_stack_a_weak_slice_is_kept_by_a_strong_one_across_a_corner(self):
        stack = np.zeros((1, 3, 3, 2))
        stack[0, 0, 0, 0], stack[0, 1, 1, 1], stack[0, 2, 2, 0] = 0.99, 0.6, 0.6
        np.testing.assert_array_equal(HysteresisThreshold()(stack), stack > 0)
        assert not HysteresisThreshold()(stack[..., 1]).any()

    @pytest.mark.parametrize("shape", [(60, 50), (30, 25, 12)])
    def test_it_lies_between_the_two_plain_thresholds_and_touches_the_upper_in_every_piece(self, shape):
        image = blobs(*shape)
        result = HysteresisThreshold(0.5, 0.7)(image)[0].astype(bool)
        assert (result >= (image[0] > 0.7)).all() and (result <= (image[0] > 0.5)).all()
        assert (image[0] > 0.7).any() and (result < (image[0] > 0.5)).any(), "the example tells nothing"
        pieces, count = label(result, np.ones((3,) * result.ndim))
        assert set(np.unique(pieces[image[0] > 0.7])) == set(range(1, count + 1))

    def test_equal_thresholds_are_a_plain_threshold(self):
        image = blobs(60, 50)
        np.testing.assert_array_equal(HysteresisThreshold(0.6, 0.6)(image), image > 0.6)

    @pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
    def test_a_constant_image_is_all_or_nothing(self, value: float):
        assert (HysteresisThreshold()(np.full((1, 8, 8), value)) == (value == 1)).all()

    @pytest.mark.parametrize("low, high", [(0.6, 0.5), (-0.1, 0.5), (0.5, 1.1), (float("nan"), 0.5)])
    def test_thresholds_out_of_order_are_refused(self, low: float, high: float):
        with pytest.raises(ValueError, match="low <= high"):
            HysteresisThreshold(low, high)


class TestCloseGaps:
    def test_a_gap_in_a_thin_vessel_is_closed(self):
        np.testing.assert_array_equal(
            CloseGaps(3)(mask(".........", "####.####", ".........")),
            mask(".........", "#########", "........."),
        )

    @pytest.mark.parametrize("size", [2, 3, 4, 5, 6, 9])
    def test_a_gap_narrower_than_the_size_is_closed_and_a_wider_one_stays_as_it_is(self, size: int):
        for gap, closed in ((size - 1, True), (size + 1, False)):
            wall = np.zeros((1, 40, 40), np.uint8)
            wall[:, 15:25, :18] = wall[:, 15:25, 18 + gap :] = 1
            result = CloseGaps(size)(wall)
            if closed:
                assert result[0, 20].all()
            else:
                np.testing.assert_array_equal(result, wall)

    @pytest.mark.parametrize("shape", [(60, 50), (25, 20, 15)])
    @pytest.mark.parametrize("size", [2, 3, 7])
    def test_foreground_is_never_removed_and_a_second_time_changes_nothing(self, shape, size: int):
        given = (blobs(*shape) > 0.6).astype(np.uint8)
        once = CloseGaps(size)(given)
        assert (once >= given).all() and once.sum() > given.sum()
        np.testing.assert_array_equal(CloseGaps(size)(once), once)

    @pytest.mark.parametrize("size", [3, 8])
    def test_the_border_is_neither_foreground_nor_an_obstacle(self, size: int):
        """A vessel two pixels from the border does not grow to it, and one at the border is not worn off."""
        given = np.zeros((1, 30, 30), np.uint8)
        given[0, 2], given[0, :, 29] = 1, 1
        np.testing.assert_array_equal(CloseGaps(size)(given)[0, :2, :20], 0)
        assert (CloseGaps(size)(given) >= given).all()

    @pytest.mark.parametrize("value", [0, 1])
    @pytest.mark.parametrize("shape", [(1, 12, 9), (1, 12, 9, 3)])
    def test_empty_and_full_masks_stay(self, value: int, shape: tuple[int, ...]):
        assert (CloseGaps(5)(np.full(shape, value, np.uint8)) == value).all()

    def test_one_pixel_stays_one_pixel(self):
        given = np.zeros((1, 9, 9), np.uint8)
        given[0, 4, 4] = 1
        np.testing.assert_array_equal(CloseGaps(6)(given), given)

    def test_size_zero_is_off_and_masks_come_out_as_zero_and_one(self):
        given = 255 * mask("##.##")
        result = CloseGaps(0)(given)
        assert result.dtype == np.uint8
        np.testing.assert_array_equal(result, mask("##.##"))

    def test_in_a_stack_a_missing_slice_is_filled(self):
        given = np.ones((1, 9, 9, 5), np.uint8)
        given[..., 2] = 0
        assert CloseGaps(3)(given)[0, 2:7, 2:7].all()

    def test_micrometres_follow_the_spacing_of_each_axis(self):
        """Two walls with two pixels between: 0.2 µm along Y, 2 µm along X; a disk of 0.6 µm spans the first."""
        along_y, along_x = np.ones((1, 8, 8), np.uint8), np.ones((1, 8, 8), np.uint8)
        along_y[:, :, 3:5] = 0
        along_x[:, 3:5, :] = 0
        close = CloseGaps(0.6, unit="micrometer")
        assert close(micrometres(along_y, 1.0, 0.1))[0, 4].all()
        np.testing.assert_array_equal(close(micrometres(along_x, 1.0, 0.1)), along_x)

    def test_micrometres_at_one_micrometre_are_pixels(self):
        given = (blobs(30, 25, 8) > 0.6).astype(np.uint8)
        for size in (2, 3, 5):
            close = CloseGaps(size, unit="micrometer")
            np.testing.assert_array_equal(close(micrometres(given, 1, 1, 1)), CloseGaps(size)(given))
            tenth = CloseGaps(size / 10, unit="micrometer")
            np.testing.assert_array_equal(tenth(micrometres(given, 0.1, 0.1, 0.1)), CloseGaps(size)(given))


class TestRemoveFragments:
    @pytest.mark.parametrize("size, kept", [(0, "###..#"), (1, "###..#"), (2, "###..."), (3, "###..."), (4, "......")])
    def test_a_fragment_of_exactly_the_size_stays(self, size: int, kept: str):
        result = RemoveFragments(size)(mask("###..#"))
        assert result.dtype == np.uint8
        np.testing.assert_array_equal(result, mask(kept))

    def test_corners_connect(self):
        given = mask("#...#", ".#...", "..#..")
        np.testing.assert_array_equal(RemoveFragments(3)(given), mask("#....", ".#...", "..#.."))

    def test_in_a_stack_a_vessel_that_crosses_slices_is_one_piece(self):
        stack = np.zeros((1, 5, 5, 6), np.uint8)
        for z in range(5):
            stack[0, z, z, z] = 1
        stack[0, 0, 4, 5] = 1
        result = RemoveFragments(5)(stack)
        assert result.sum() == 5 and not result[0, 0, 4, 5]

    @pytest.mark.parametrize("value", [0, 1])
    def test_empty_and_full_masks_stay(self, value: int):
        assert (RemoveFragments(30)(np.full((1, 12, 9), value, np.uint8)) == value).all()

    def test_an_image_smaller_than_the_size_is_emptied(self):
        assert not RemoveFragments(30)(np.ones((1, 5, 5), np.uint8)).any()

    @pytest.mark.parametrize("pixels", range(1, 40))
    def test_areas_in_square_micrometres_count_the_pixels_area(self, pixels: int):
        """The component of exactly that area stays, whatever the rounding of 0.1 × 0.3; one pixel less goes."""
        given = np.zeros((1, 3, 45), np.uint8)
        given[0, 1, :pixels] = 1
        remove = RemoveFragments(pixels * 0.03, unit="micrometer")
        assert remove(micrometres(given, 0.1, 0.3)).sum() == pixels
        given[0, 1, 0] = 0
        assert not remove(micrometres(given, 0.1, 0.3)).any()

    def test_volumes_in_cubic_micrometres_count_the_voxels_volume(self):
        given = np.zeros((1, 4, 4, 4), np.uint8)
        given[0, 1:3, 1:3, 1:3] = 1
        voxels = micrometres(given, 0.5, 0.5, 2.0)  # 8 of 0.5 µm³
        assert RemoveFragments(4, unit="micrometer")(voxels).sum() == 8
        assert not RemoveFragments(4.1, unit="micrometer")(voxels).any()


@pytest.mark.parametrize("transform", [CloseGaps, RemoveFragments])
class TestSizes:
    def test_micrometres_without_spacing_are_refused_with_the_name_of_the_file(self, transform: type):
        given = MetaTensor(torch.ones(1, 5, 5), meta={"filename_or_obj": "a.tif", "spacing": None})
        with pytest.raises(InputError, match="^a.tif: .*no pixel spacing; .*--spacing"):
            transform(3, unit="micrometer")(given)
        with pytest.raises(InputError, match="no pixel spacing"):
            transform(3, unit="micrometer")(np.ones((1, 5, 5)))

    @pytest.mark.parametrize("options", [{"size": -1}, {"size": float("nan")}, {"unit": "mm"}])
    def test_options_out_of_range_are_refused(self, transform: type, options: dict):
        with pytest.raises(ValueError, match=next(iter(options))):
            transform(**options)
