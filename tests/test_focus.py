"""Multi-focus fusion of stacks in memory."""

from __future__ import annotations

import weakref
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from scipy.ndimage import gaussian_filter

from bundle.transforms import FuseFocus, FuseFocusd
from bundle.transforms.focus import METHODS, along, fuse

METHOD = pytest.mark.parametrize("method", METHODS)


def tilted(slices: int = 9, side: int = 90) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A textured plane that dips along X, seen slice by slice with a blur that grows with the distance from focus.

    Returns:
        The stack `[1, X, Y, Z]`, the sharp image `[X, Y]`, the depth `[X, Y]` in slices.
    """
    sharp = gaussian_filter(np.random.default_rng(2).random((side, side)), 1)
    sharp = 200 * (sharp - sharp.min()) / (sharp.max() - sharp.min())
    depth = np.repeat(np.linspace(0, slices - 1, side)[:, None], side, 1)
    blurred = [gaussian_filter(sharp, 0.6 * distance) for distance in range(slices)]
    stack = np.empty((side, side, slices))
    for z in range(slices):
        distance = np.abs(depth - z)
        for step in range(slices):
            stack[..., z][np.rint(distance) == step] = blurred[step][np.rint(distance) == step]
    return np.rint(stack)[None].astype(np.uint8), sharp, depth


def halves(dtype: type = np.uint8) -> np.ndarray:
    """`[1, 12, 12, 3]`: bright on the left in slice 2, on the right in slice 0; slice 1 darker everywhere."""
    stack = np.full((1, 12, 12, 3), 10, dtype)
    stack[0, :, :6, 2] = 200
    stack[0, :, 6:, 0] = 150
    stack[..., 1] = 50
    return stack


class TestMaximum:
    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
    def test_the_brightest_value_and_its_slice(self, dtype: type):
        fused, depth = FuseFocus().fuse(halves(dtype))
        assert fused.dtype == dtype and depth.dtype == np.float32
        np.testing.assert_array_equal(fused[0, 3], [200] * 6 + [150] * 6)
        np.testing.assert_array_equal(depth[0, 3], [2] * 6 + [0] * 6)

    def test_it_is_the_maximum_projection(self):
        stack = np.random.default_rng(0).integers(0, 65536, (2, 20, 15, 7)).astype(np.uint16)
        np.testing.assert_array_equal(FuseFocus("maximum")(stack), stack.max(-1))

    def test_one_pixel_of_noise_does_not_reach_the_depth_map(self):
        stack = halves()
        stack[0, 6, 2, 0] = 255
        fused, depth = FuseFocus("maximum").fuse(stack)
        assert fused[0, 6, 2] == 255 and depth[0, 6, 2] == 2


class TestLaplacian:
    def test_a_tilted_plane_is_sharp_everywhere_and_its_depth_is_found(self):
        stack, sharp, depth = tilted()
        fused, found = FuseFocus("laplacian").fuse(stack)
        assert np.abs(found[0] - depth).mean() < 0.5

        def error(image: np.ndarray) -> float:
            return float(np.sqrt(np.mean((image - sharp) ** 2)))

        assert error(fused[0]) < 0.2 * min(error(stack[0, ..., z]) for z in range(stack.shape[-1]))
        assert error(fused[0]) < 0.5 * error(stack[0].max(-1))

    def test_every_value_is_one_that_the_stack_holds_at_that_pixel(self):
        stack = np.random.default_rng(0).integers(0, 4096, (1, 30, 25, 6)).astype(np.uint16)
        fused, depth = FuseFocus("laplacian").fuse(stack)
        assert fused.dtype == np.uint16
        np.testing.assert_array_equal(fused, np.take_along_axis(stack, depth[..., None].astype(int), -1)[..., 0])


@METHOD
class TestEveryMethod:
    def test_an_image_passes_unchanged(self, method: str):
        image = MetaTensor(torch.rand(2, 9, 8))
        fused, depth = FuseFocus(method).fuse(image)
        assert fused is image and FuseFocus(method)(image) is image
        assert depth.shape == image.shape and not depth.any()

    def test_one_slice_is_that_slice(self, method: str):
        stack = np.random.default_rng(0).integers(0, 256, (1, 20, 15, 1)).astype(np.uint8)
        fused, depth = FuseFocus(method).fuse(stack)
        np.testing.assert_array_equal(fused, stack[..., 0])
        assert not depth.any()

    def test_equal_slices_give_the_slice_at_the_first_depth(self, method: str):
        image = np.random.default_rng(0).random((1, 20, 15, 1)).astype(np.float32)
        fused, depth = FuseFocus(method).fuse(np.repeat(image, 5, -1))
        np.testing.assert_array_equal(fused, image[..., 0])
        assert not depth.any()

    def test_a_constant_stack_stays_constant(self, method: str):
        fused, depth = FuseFocus(method).fuse(np.full((1, 9, 9, 4), 7, np.uint16))
        assert (fused == 7).all() and not depth.any()

    def test_sixteen_bits_find_the_depth_of_eight_bits(self, method: str):
        stack, _, _ = tilted()
        fused, depth = FuseFocus(method).fuse(stack)
        fused16, depth16 = FuseFocus(method).fuse(stack.astype(np.uint16) * 256)
        np.testing.assert_array_equal(depth16, depth)
        np.testing.assert_array_equal(fused16, fused.astype(np.uint16) * 256)

    def test_the_metadata_become_those_of_an_image(self, method: str):
        affine = torch.diag(torch.tensor([0.5, 0.25, 2.0, 1.0], dtype=torch.float64))
        shape = np.array([12, 12, 3])
        meta = {"filename_or_obj": "a.tif", "axes": "ZYX", "spacing": (2.0, 0.25, 0.5), "spatial_shape": shape}
        stack = MetaTensor(torch.from_numpy(halves()), affine=affine, meta=meta)
        for result in FuseFocus(method).fuse(stack):
            assert result.shape == (1, 12, 12) and result.meta["spacing"] == (0.25, 0.5)
            assert result.meta["axes"] == "YX"
            assert list(result.meta["spatial_shape"]) == [12, 12] and result.meta["filename_or_obj"] == "a.tif"
            assert torch.equal(result.affine, affine)
        assert stack.meta["spacing"] == (2.0, 0.25, 0.5) and len(stack.meta["spatial_shape"]) == 3

    def test_the_twin_puts_the_depth_beside_the_image_when_asked(self, method: str):
        fused, depth = FuseFocus(method).fuse(halves())
        result = FuseFocusd("image", method, depth=True)({"image": halves()})
        np.testing.assert_array_equal(result["image"], fused)
        np.testing.assert_array_equal(result["image_depth"], depth)
        assert set(FuseFocusd("image", method)({"image": halves()})) == {"image"}

    def test_no_more_than_a_few_planes_are_held_however_many_there_are(self, method: str):
        alive, most = set(), 0

        def planes() -> Iterator[np.ndarray]:
            nonlocal most
            for z in range(50):
                plane = np.full((8, 8), z % 7, np.uint8)
                alive.add(z)
                weakref.finalize(plane, alive.discard, z)
                most = max(most, len(alive))
                yield plane

        fuse(planes, method)
        assert most <= 3


def test_another_channel_is_read_along_a_depth_map():
    stack = np.arange(4 * 3 * 3).reshape(4, 3, 3).astype(np.uint16)
    depth = np.array([[0, 1, 2], [3, 2, 1], [0, 0, 3]], np.float32)
    expected = [[0, 10, 20], [30, 22, 14], [6, 7, 35]]
    np.testing.assert_array_equal(along(lambda: stack, depth), expected)


def test_an_unknown_method_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="maximum, laplacian"):
        FuseFocus("sharpest")
