"""Adaptive histogram equalisation and linear contrast."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.exposure import equalize_adapthist

from bundle.transforms import AdaptiveHistogramEqualization, LinearContrast


def field(seed: int = 0, shape: tuple[int, int] = (200, 150)) -> np.ndarray:
    """`[1, X, Y]` in [0, 1]: bright lines on a background with a gradient and noise."""
    generator = np.random.default_rng(seed)
    x, y = np.indices(shape)
    lines = (np.sin(x / 9) + np.sin(y / 7 + x / 30) > 1.4).astype(float)
    image = gaussian_filter(lines, 1) + x / shape[0] / 2 + generator.normal(0, 0.02, shape)
    return ((image - image.min()) / (image.max() - image.min()))[None]


def as_integers(image: np.ndarray, top: int, dtype: type) -> np.ndarray:
    return np.round(image * top).astype(dtype)


class TestAdaptiveHistogramEqualization:
    def test_without_clipping_one_tile_is_equalised_to_its_cumulative_histogram(self):
        """A 4 × 4 image of which a quarter each is 0, 1, 2 and 9: the shares at most as bright are 1/4, 2/4, 3/4, 1."""
        image = np.repeat([0, 1, 2, 9], 4).reshape(1, 4, 4)
        image = np.concatenate([np.concatenate([image] * 3, 1)] * 3, 2)  # tiles all alike, so nothing to interpolate
        result = AdaptiveHistogramEqualization(tile_size=4, clip_limit=1)(image)
        # the output runs from 0 to 1, so that the shares 1/4 … 1 become 0, 1/3, 2/3, 1
        for value, share in ((0, 0), (1, 1 / 3), (2, 2 / 3), (9, 1)):
            np.testing.assert_allclose(result[image == value], share, atol=1e-3)

    @pytest.mark.parametrize("offset", [0, 1000])
    def test_the_content_is_scaled_not_the_type(self, offset: int):
        """12 bits in a 16-bit file, with or without an offset, look as 12 bits over the whole of 16 bits."""
        twelve = as_integers(field(), 4095, np.uint16)
        transform = AdaptiveHistogramEqualization()
        np.testing.assert_array_equal(transform(twelve + offset), transform(twelve.astype(np.uint16) * 16))
        np.testing.assert_array_equal(transform(twelve + offset), transform(twelve.astype(np.float32) / 4095))

    def test_eight_and_sixteen_bits_look_alike(self):
        transform = AdaptiveHistogramEqualization()
        eight, sixteen = (transform(as_integers(field(), *kind)) for kind in ((255, np.uint8), (65535, np.uint16)))
        level = 0.01  # one of 256 grey levels, at the largest gain that the clip limit allows
        assert np.abs(eight - sixteen).max() < 3 * level and np.abs(eight - sixteen).mean() < level / 2

    def test_signed_integers_keep_their_negative_values(self):
        image = as_integers(field(), 2000, np.int16)
        transform = AdaptiveHistogramEqualization()
        np.testing.assert_array_equal(transform(image - 1000), transform(image))

    @pytest.mark.parametrize("shape", [(200, 150), (256, 256), (63, 65), (5, 300), (2, 3)])
    def test_the_output_spans_zero_to_one_as_float32_whatever_the_size(self, shape: tuple[int, int]):
        result = AdaptiveHistogramEqualization()(field(shape=shape))
        assert result.dtype == np.float32 and result.shape == (1, *shape)
        assert result.min() == 0 and result.max() == 1

    @pytest.mark.parametrize("value", [0, 7, 65535])
    def test_a_constant_image_becomes_zero(self, value: int):
        result = AdaptiveHistogramEqualization()(np.full((1, 70, 70), value, np.uint16))
        assert result.dtype == np.float32 and not result.any()

    def test_a_lone_bright_pixel_is_the_brightest(self):
        image = np.zeros((1, 70, 70), np.uint8)
        image[0, 20, 30] = 1
        result = AdaptiveHistogramEqualization()(image)
        assert result[0, 20, 30] == 1 and (np.delete(result, 20 * 70 + 30) < 0.1).all()

    def test_a_dim_half_gains_contrast(self):
        """The point of it: the same lines, a fifth as bright in one half, come nearer to those of the other half."""
        image = field(shape=(256, 128))
        image[:, 128:] = 0.2 * image[:, :128]
        result = AdaptiveHistogramEqualization()(image)
        ratio = result[:, 140:].std() / result[:, :116].std()
        assert ratio > 1.5 * image[:, 140:].std() / image[:, :116].std()

    def test_noise_of_an_empty_region_is_not_blown_up(self):
        """The clip limit bounds the gain: noise of 1 % beside vessels stays below three times that."""
        image = field()
        image[:, :, 75:] = np.random.default_rng(1).normal(0.05, 0.01, (1, 200, 75)).clip(0, 1)
        result = AdaptiveHistogramEqualization()(image)
        assert result[:, :, 120:].std() < 0.03 < AdaptiveHistogramEqualization(clip_limit=1)(image)[:, :, 120:].std()

    def test_a_stack_is_equalised_slice_by_slice(self):
        slices = [field(seed) * (1 + seed) for seed in range(3)]
        transform = AdaptiveHistogramEqualization()
        np.testing.assert_array_equal(transform(np.stack(slices, -1)), np.stack([transform(s) for s in slices], -1))

    @pytest.mark.parametrize("options", [{"tile_size": 0}, {"clip_limit": 0}, {"clip_limit": 1.1}])
    def test_options_out_of_range_are_refused(self, options: dict):
        with pytest.raises(ValueError, match=next(iter(options))):
            AdaptiveHistogramEqualization(**options)


class TestLinearContrast:
    def test_percentiles_become_zero_and_one_with_a_line_between(self):
        """Of 0 … 100 the percentiles are the values themselves."""
        image = np.arange(101, dtype=np.uint8).reshape(1, 101, 1)
        result = LinearContrast(lower=10, upper=60)(image)[0, :, 0]
        assert result.dtype == np.float32
        assert not result[:11].any() and (result[60:] == 1).all()
        np.testing.assert_allclose(result[[20, 35, 50]], [0.2, 0.5, 0.8], rtol=1e-6)

    def test_eight_and_sixteen_bits_of_either_order_and_floats_give_the_same(self):
        image = as_integers(field(), 255, np.uint8)
        expected = LinearContrast()(image)
        np.testing.assert_allclose(LinearContrast()((image.astype(np.uint16) * 257).astype(">u2")), expected, atol=1e-6)
        np.testing.assert_allclose(LinearContrast()(image.astype(np.uint16) * 257), expected, atol=1e-6)
        np.testing.assert_allclose(LinearContrast()(image / 100 - 1), expected, atol=1e-6)

    def test_per_slice_brings_a_dim_slice_up_and_per_volume_keeps_it_dim(self):
        stack = np.stack([field()] * 2, -1)
        stack[..., 1] /= 4
        by_slice, by_volume = (LinearContrast(0, 100, per)(stack) for per in ("slice", "volume"))
        np.testing.assert_allclose(by_slice[..., 1], by_slice[..., 0], atol=1e-6)
        np.testing.assert_allclose(by_volume[..., 1], by_volume[..., 0] / 4, atol=1e-6)

    def test_per_slice_equals_slice_by_slice(self):
        stack = np.stack([field(seed) ** (seed + 1) for seed in range(3)], -1)
        for z in range(3):
            np.testing.assert_array_equal(LinearContrast()(stack)[..., z], LinearContrast()(stack[..., z]))

    def test_a_constant_slice_becomes_zero_and_leaves_the_others(self):
        stack = np.stack([np.full((1, 200, 150), 9.0), field()], -1)
        result = LinearContrast()(stack)
        assert not result[..., 0].any()
        np.testing.assert_array_equal(result[..., 1], LinearContrast()(field()))

    @pytest.mark.parametrize("options", [{"lower": 50, "upper": 50}, {"lower": -1}, {"upper": 101}, {"per": "stack"}])
    def test_options_out_of_range_are_refused(self, options: dict):
        with pytest.raises(ValueError, match=next(iter(options))):
            LinearContrast(**options)


@pytest.mark.parametrize("value", [1e10, -1e10, 1e29])
def test_one_broken_pixel_leaves_the_others_their_contrast(value):
    """A float image may hold a marker that is no grey value; 3e38 made all of an image vessel."""
    rng = np.random.default_rng(0)
    image = rng.normal(100, 20, (1, 96, 80)).astype(np.float32)
    broken = image.copy()
    broken[0, 40, 30] = value
    whole, found = (AdaptiveHistogramEqualization()(array) for array in (image, broken))
    others = np.abs(found - whole)
    assert np.median(others) < 0.02 and np.quantile(others, 0.99) < 0.1


def test_a_bright_speck_of_12_bit_data_is_no_broken_pixel():
    image = np.random.default_rng(0).integers(0, 30, (1, 96, 80), np.uint16)
    image[0, 40, 30] = 4095
    expected = equalize_adapthist(image[0] / 4095, kernel_size=64, clip_limit=0.01)
    np.testing.assert_allclose(AdaptiveHistogramEqualization()(image)[0], expected, atol=1e-6)
