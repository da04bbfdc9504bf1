"""Multi-focus fusion of stacks in memory."""

from __future__ import annotations

import tracemalloc
import weakref
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from scipy.ndimage import gaussian_filter, median_filter
from skimage.feature import hessian_matrix, hessian_matrix_eigvals

from bundle.errors import InputError
from bundle.transforms import FuseFocus, FuseFocusd
from bundle.transforms.focus import METHODS, along, fuse
from bundle.transforms.focus.depth import noise_of
from bundle.transforms.focus.measures import SCALES, brightness, hessian, laplacian, variance
from bundle.transforms.focus.wavelet import compose, decompose


def bright_is_likely(plane: np.ndarray) -> np.ndarray:
    """A stand-in for a network: the likelihood grows with the brightness, which is that of `halves` or of bytes."""
    return np.clip(plane.astype(np.float32) / 255, 0, 1)


METHOD = pytest.mark.parametrize("method", [*METHODS, bright_is_likely])
SELECTING = pytest.mark.parametrize("method", METHODS)


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


def sheet(slices: int = 12, side: int = 96) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A sheet of parallel vessels that dips along X, seen with an axial blur of 1.5 slices, without noise.

    Returns:
        The stack `[1, X, Y, Z]`, float32; the depth `[X, Y]` in slices, from 1 to 1 before the last; where the vessels'
        centre lines are, a slice of Y.
    """
    y = np.arange(side) % 16 - 8
    texture = np.repeat(10 + 200 * np.exp(-((y / 2.0) ** 2) / 2)[None], side, 0)
    depth = np.repeat(np.linspace(1, slices - 2, side)[:, None], side, 1)
    light = np.exp(-(((np.arange(slices) - depth[..., None]) / 1.5) ** 2) / 2)
    return (texture[..., None] * light)[None].astype(np.float32), depth, slice(8, None, 16)


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
        np.testing.assert_allclose(depth[0, 3], [2] * 6 + [0] * 6, atol=0.01)

    def test_it_is_the_maximum_projection(self):
        stack = np.random.default_rng(0).integers(0, 65536, (2, 20, 15, 7)).astype(np.uint16)
        np.testing.assert_array_equal(FuseFocus("maximum")(stack), stack.max(-1))

    def test_one_pixel_of_noise_does_not_reach_the_depth_map(self):
        stack = halves()
        stack[0, 6, 2, 0] = 255
        fused, depth = FuseFocus("maximum").fuse(stack)
        assert fused[0, 6, 2] == 255 and depth[0, 6, 2] == pytest.approx(2, abs=0.01)


class TestLaplacian:
    def test_a_tilted_plane_is_sharp_everywhere_and_its_depth_is_found(self):
        stack, sharp, depth = tilted()
        fused, found = FuseFocus("laplacian").fuse(stack)
        assert np.abs(found[0] - depth).mean() < 0.5

        def error(image: np.ndarray) -> float:
            return float(np.sqrt(np.mean((image - sharp) ** 2)))

        assert error(fused[0]) < 0.2 * min(error(stack[0, ..., z]) for z in range(stack.shape[-1]))
        assert error(fused[0]) < 0.5 * error(stack[0].max(-1))


class TestMeasures:
    def test_the_hessian_is_that_of_scikit_image(self):
        plane = gaussian_filter(np.random.default_rng(0).random((80, 90)).astype(np.float32), 2)

        def ridge(scale: float) -> np.ndarray:
            elements = hessian_matrix(plane, sigma=scale, mode="reflect", use_gaussian_derivatives=True)
            return np.maximum(-(scale**2) * hessian_matrix_eigvals(elements)[1], 0)

        expected = np.max([ridge(scale) for scale in SCALES], axis=0)
        inside = slice(20, -20)  # scikit-image differentiates twice, which shows at the border
        np.testing.assert_allclose(
            hessian(plane)[inside, inside], expected[inside, inside], atol=0.02 * expected[inside, inside].max()
        )

    def test_the_hessian_sees_bright_vessels_of_its_scales_and_no_dark_ones(self):
        x = np.arange(-40, 41)
        for radius in (1, 2, 4):
            vessel = np.repeat(np.exp(-((x / radius) ** 2) / 2)[None], 30, 0)
            # of a Gaussian ridge of deviation r, scale s gives s² / r² (1 + s² / r²)^(-3/2); here s = r is largest
            most = max(s**2 / radius**2 * (1 + s**2 / radius**2) ** -1.5 for s in SCALES)
            assert hessian(vessel)[15, 40] == pytest.approx(most, rel=0.02)
            assert hessian(-vessel)[15, 40] == pytest.approx(0, abs=0.01)

    @pytest.mark.parametrize("measure", [hessian, laplacian, variance])
    def test_a_slice_twice_as_contrasty_is_twice_as_sharp_and_a_blurred_one_less(self, measure: Callable):
        plane = gaussian_filter(np.random.default_rng(0).random((60, 60)).astype(np.float32), 1)
        np.testing.assert_allclose(measure(2 * plane + 5), 2 * measure(plane), rtol=1e-2, atol=1e-4)
        assert measure(gaussian_filter(plane, 2)).mean() < 0.5 * measure(plane).mean()

    def test_noise_is_measured_through_structure(self):
        rng = np.random.default_rng(0)
        sharp = 3000 * gaussian_filter(rng.random((90, 90)), 6)
        for deviation in (2.0, 10.0):
            assert noise_of(sharp + rng.normal(0, deviation, sharp.shape)) == pytest.approx(deviation, rel=0.15)
        assert noise_of(np.full((9, 9), 7)) == 0 and noise_of(np.zeros((1, 5))) == 0


class TestWavelet:
    @pytest.mark.parametrize("shape", [(48, 64), (45, 70), (5, 3), (1, 1)])
    def test_what_is_decomposed_is_composed_again(self, shape: tuple[int, int]):
        plane = np.random.default_rng(0).random(shape).astype(np.float32)
        np.testing.assert_allclose(compose(decompose(plane), shape), plane, atol=2e-6)

    def test_the_basis_is_orthonormal(self):
        plane = np.random.default_rng(0).random((48, 64)).astype(np.float32)
        energy = sum(float((np.abs(band) ** 2).sum()) for band in decompose(plane))
        assert energy == pytest.approx(float((plane**2).sum()), rel=1e-5)

    def test_of_blurred_and_sharp_slices_the_sharp_one_is_taken(self):
        sharp = np.random.default_rng(0).random((64, 64)).astype(np.float32)
        stack = np.stack([gaussian_filter(sharp, 3), gaussian_filter(sharp, 1), sharp, gaussian_filter(sharp, 2)])
        fused, _ = fuse(lambda: stack, "wavelet")
        assert np.abs(fused - sharp).mean() < 0.1 * np.abs(stack[1] - sharp).mean()


class TestLikelihood:
    def test_a_slice_far_likelier_than_the_others_is_selected(self):
        fused, depth = FuseFocus(lambda plane: (plane == 200).astype(np.float32)).fuse(halves())
        assert np.abs(fused[0, :, :6].astype(int) - 200).max() <= 1
        np.testing.assert_allclose(depth[0, :, :6], 2, atol=0.05)

    def test_where_all_slices_are_alike_they_are_averaged(self):
        fused = FuseFocus(lambda plane: np.zeros(plane.shape)).fuse(halves())[0]
        np.testing.assert_array_equal(fused[0, 3], [round(260 / 3)] * 6 + [round(210 / 3)] * 6)

    def test_the_mean_is_that_computed_in_memory(self):
        stack = np.random.default_rng(0).random((7, 20, 15)).astype(np.float32)
        weights = (stack.astype(np.float64) / 255 + 0.02) ** 2
        fused, _ = fuse(lambda: stack, bright_is_likely)
        np.testing.assert_allclose(fused, (weights * stack).sum(0) / weights.sum(0), rtol=1e-6)


class TestDepth:
    @SELECTING
    def test_vessels_that_dip_are_found_between_the_slices(self, method: str):
        stack, depth, lines = sheet()
        found = FuseFocus(method).fuse(stack)[1][0]
        error = np.abs(found - depth)[8:-8, lines]
        # a wavelet's place is as coarse as its scale, the others are exact but for the sheet's own curvature in a slice
        assert error.max() < (0.6 if method == "wavelet" else 0.2) and error.mean() < (
            0.5 if method == "wavelet" else 0.1
        )

    @pytest.mark.parametrize(
        ("method", "measure"),
        [("maximum", brightness), ("hessian", hessian), ("laplacian", laplacian), ("variance", variance)],
    )
    def test_flat_background_carries_no_noise(self, method: str, measure: Callable):
        """A bright line at slice 10 on noise: around it the depth is the line's, far less noisy than the raw one."""
        rng = np.random.default_rng(0)
        stack = rng.normal(20, 3, (24, 96, 96)).astype(np.float32)
        stack[10, 46:50] += 80
        raw = median_filter(np.argmax([measure(plane) for plane in stack], 0).astype(float), 3)
        depth = fuse(lambda: stack, method)[1]
        np.testing.assert_allclose(depth[46:50], 10, atol=0.3)
        for rows in (slice(0, 36), slice(60, 96)):
            assert depth[rows].std() < 0.5 * raw[rows].std()
            assert np.abs(np.diff(depth[rows])).mean() < 0.35 * np.abs(np.diff(raw[rows])).mean()

    @pytest.mark.parametrize("method", ["hessian", "laplacian", "variance"])
    def test_the_fused_image_is_the_stack_read_along_it(self, method: str):
        stack = np.random.default_rng(0).integers(0, 4096, (1, 30, 25, 6)).astype(np.uint16)
        fused, depth = FuseFocus(method).fuse(stack)
        nearest = np.rint(depth[..., None]).astype(int)
        np.testing.assert_array_equal(fused, np.take_along_axis(stack, nearest, -1)[..., 0])


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

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
    def test_no_value_is_beyond_those_of_its_column_and_the_type_is_kept(self, method: str, dtype: type):
        for low in (0, -100) if np.issubdtype(dtype, np.signedinteger) else (0,):
            stack = np.random.default_rng(0).integers(low, 255, (1, 30, 25, 6)).astype(dtype)
            fused, depth = FuseFocus(method).fuse(stack)
            assert fused.dtype == dtype and depth.dtype == np.float32
            assert (fused >= stack.min(-1)).all() and (fused <= stack.max(-1)).all()
            assert depth.min() >= 0 and depth.max() <= 5
            if method in METHODS:
                assert (fused[..., None] == stack).any(-1).all()

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

    def test_memory_does_not_grow_with_depth(self, method: str):
        def peak(slices: int) -> int:
            def planes() -> Iterator[np.ndarray]:
                rng = np.random.default_rng(0)
                for _ in range(slices):
                    yield rng.integers(0, 255, (64, 64)).astype(np.uint8)

            tracemalloc.start()
            fuse(planes, method)
            most = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            return most

        peak(3)  # what is made once
        few, many = peak(5), peak(60)
        plane = 64 * 64 * 4
        assert many < few + 3 * plane and many < 30 * plane


@SELECTING
def test_sixteen_bits_find_the_depth_of_eight_bits(method: str):
    stack, _, _ = tilted()
    fused, depth = FuseFocus(method).fuse(stack)
    fused16, depth16 = FuseFocus(method).fuse(stack.astype(np.uint16) * 256)
    np.testing.assert_array_equal(depth16, depth)
    np.testing.assert_array_equal(fused16, fused.astype(np.uint16) * 256)


def test_another_channel_is_read_along_a_depth_map():
    stack = np.arange(4 * 3 * 3).reshape(4, 3, 3).astype(np.uint16)
    depth = np.array([[0, 1, 2], [3, 2, 1], [0, 0, 3]], np.float32)
    expected = [[0, 10, 20], [30, 22, 14], [6, 7, 35]]
    np.testing.assert_array_equal(along(lambda: stack, depth), expected)
    np.testing.assert_array_equal(along(lambda: stack, np.clip(depth + 0.4, 0, 3)), expected)
    result = FuseFocus.along(stack.T[None], depth.T[None])
    np.testing.assert_array_equal(result, np.transpose(expected)[None])
    items = FuseFocusd("green", along="red_depth")({"green": stack.T[None], "red_depth": depth.T[None]})
    np.testing.assert_array_equal(items["green"], result)


def test_its_own_depth_map_gives_the_fused_image_again():
    stack = np.random.default_rng(0).integers(0, 255, (2, 30, 25, 6)).astype(np.uint8)
    fused, depth = FuseFocus("hessian").fuse(stack)
    np.testing.assert_array_equal(FuseFocus.along(stack, depth), fused)


@pytest.mark.parametrize(
    ("depth", "problem"),
    [
        (np.zeros((1, 4, 3)), "4 × 3|3 × 4"),
        (np.zeros((2, 3, 3)), "shape"),
        (np.zeros((3, 3)), "shape"),
        (np.full((1, 3, 3), 4.0), "ends at 3"),
        (np.full((1, 3, 3), -1.0), "no slice's index"),
        (np.full((1, 3, 3), np.nan), "NaN"),
    ],
)
def test_a_depth_map_that_does_not_fit_is_refused(depth: np.ndarray, problem: str):
    with pytest.raises(InputError, match=problem):
        FuseFocus.along(np.zeros((1, 3, 3, 4), np.uint8), depth)
    with pytest.raises(ValueError, match="of their own"):
        FuseFocusd("green", depth=True, along="red_depth")


def test_an_unknown_method_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="maximum, hessian, laplacian, variance, wavelet"):
        FuseFocus("sharpest")
