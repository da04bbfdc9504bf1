"""Whole images, windows and scales give the same mask."""

from __future__ import annotations

import numpy as np
import PIL.Image
import PIL.ImageDraw
import pytest
import torch
from monai.data import MetaTensor
from scipy.ndimage import gaussian_filter
from torch.nn import functional as F

from bundle.errors import InputError
from bundle.metrics import score
from bundle.networks import DBAC
from bundle.segmentation import SliceLikelihood, WholeOrWindowsInferer
from bundle.training import CascadeLoss
from bundle.transforms import FuseFocus

pytestmark = pytest.mark.usefixtures("one_thread")


def lines(seed: int, height: int, width: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Blurred lines in noise, and their mask, both ``[1, 1, X, Y]``."""
    rng = np.random.default_rng(seed)
    picture = PIL.Image.new("L", (height, width))
    pen = PIL.ImageDraw.Draw(picture)
    for start, end in rng.integers(0, min(height, width), (count, 2, 2)):
        pen.line([tuple(start.tolist()), tuple(end.tolist())], fill=1, width=5)
    mask = np.asarray(picture, np.float32).T
    image = 0.6 * gaussian_filter(mask, 1) + rng.normal(0.2, 0.05, mask.shape)
    return torch.tensor(image, dtype=torch.float32)[None, None], torch.tensor(mask)[None, None]


@pytest.fixture(scope="module")
def network():
    """A small cascade that has learnt to find lines."""
    torch.manual_seed(0)
    network = DBAC(channels=[4, 8])
    loss, optimizer = CascadeLoss(), torch.optim.Adam(network.parameters(), 0.02)
    crops, masks = (torch.cat(tensors) for tensors in zip(*(lines(seed, 48, 48, 3) for seed in range(8)), strict=True))
    for _ in range(60):
        optimizer.zero_grad()
        loss(network(crops), torch.cat([masks, masks], 1)).backward()
        optimizer.step()
    return network.eval()


@torch.inference_mode()
def mask_of(inferer: WholeOrWindowsInferer, image: torch.Tensor, network: torch.nn.Module) -> np.ndarray:
    return (inferer(image, network)[0, 0] > 0.5).numpy()


def test_windows_and_whole_image_agree_and_find_the_lines(network):
    image, truth = lines(100, 200, 170, 8)
    whole = mask_of(WholeOrWindowsInferer(), image, network)
    windows = mask_of(WholeOrWindowsInferer(window=64, whole_pixels=0), image, network)
    assert score(whole, truth[0, 0] > 0)["dice"] > 0.9
    assert score(windows, whole)["dice"] >= 0.995


@pytest.mark.parametrize(("limit", "shape"), [(60 * 50, (60, 50)), (60 * 50 - 1, (32, 32))])
def test_images_up_to_the_limit_are_segmented_at_once(limit, shape):
    seen = []
    WholeOrWindowsInferer(window=32, whole_pixels=limit)(
        torch.rand(1, 1, 60, 50), lambda batch: seen.append(tuple(batch.shape[-2:])) or batch.clone()
    )
    assert set(seen) == {shape}


def test_an_image_smaller_than_a_window_is_segmented_whole(network):
    image, _ = lines(102, 40, 33, 3)
    with torch.inference_mode():
        torch.testing.assert_close(WholeOrWindowsInferer(window=64)(image, network), network(image))


@pytest.mark.parametrize("size", [(1, 1), (37, 52)])
@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0, 1.3])
@pytest.mark.parametrize("whole_pixels", [0, 10**6])
def test_any_scale_gives_the_size_of_the_image(network, size, scale, whole_pixels):
    image = lines(103, *size, 0)[0]
    inferer = WholeOrWindowsInferer(window=32, whole_pixels=whole_pixels, scale=scale)
    assert mask_of(inferer, image, network).shape == size


@pytest.mark.parametrize(("scale", "sides"), [(0.5, (32, 26)), (2.0, (126, 104))])
def test_the_network_sees_the_scaled_image(scale, sides):
    seen = []
    WholeOrWindowsInferer(scale=scale)(torch.rand(1, 1, 63, 52), lambda batch: seen.append(batch.shape[-2:]) or batch)
    assert [tuple(shape) for shape in seen] == [sides]


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_a_scaled_ramp_comes_back_where_it_was(scale):
    """A shift by a part of a pixel would move every vessel: away from the borders, a ramp's value is its place."""
    ramp = torch.arange(51.0)[:, None].expand(51, 40)[None, None]
    output = WholeOrWindowsInferer(scale=scale)(ramp, torch.nn.Identity())
    torch.testing.assert_close(output[..., 4:-4, 4:-4], ramp[..., 4:-4, 4:-4], atol=0.02, rtol=0)


def test_an_identity_gives_the_image_back():
    image = torch.rand(2, 1, 150, 131, generator=torch.Generator().manual_seed(0))
    assert torch.equal(WholeOrWindowsInferer()(image, torch.nn.Identity()), image)
    windows = WholeOrWindowsInferer(window=64, whole_pixels=0)(image, torch.clone)
    torch.testing.assert_close(windows, image, atol=1e-5, rtol=0)


def test_slices_of_a_stack_are_segmented_one_by_one_and_metadata_kept(network):
    stack = torch.stack([lines(seed, 40, 33, 3)[0] for seed in (1, 2, 3)], -1)
    with torch.inference_mode():
        output = WholeOrWindowsInferer()(MetaTensor(stack, meta={"filename_or_obj": "stack.tif"}), network)
        torch.testing.assert_close(output[..., 1].as_tensor(), network(stack[..., 1]))
    assert output.shape == (1, 1, 40, 33, 3)
    assert output.meta["filename_or_obj"] == "stack.tif"


@pytest.mark.parametrize("scale", [0.0, -1.0])
def test_a_scale_that_is_not_positive_is_refused(scale):
    with pytest.raises(ValueError, match="scale"):
        WholeOrWindowsInferer(scale=scale)


def test_a_side_shorter_than_the_window_is_not_padded():
    seen = []

    def network(image: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(image.shape[-2:]))
        return image.clone()

    image = torch.rand(1, 1, 40, 200)
    output = WholeOrWindowsInferer(window=64, whole_pixels=0)(image, network)
    assert set(seen) == {(40, 64)}
    assert torch.allclose(output, image, atol=1e-5)


@pytest.mark.parametrize("scale", [1.0, 0.5, 0.37, 2.0, 1.3])
@pytest.mark.parametrize("whole_pixels", [0, 10**6])
@torch.inference_mode()
def test_rows_come_as_the_whole_image_does_to_the_last_bit_and_are_read_a_few_at_a_time(network, scale, whole_pixels):
    image, _ = lines(104, 90, 400, 6)
    inferer = WholeOrWindowsInferer(window=32, whole_pixels=whole_pixels, scale=scale)
    most = []

    def read(start: int, stop: int) -> torch.Tensor:
        assert 0 <= start < stop <= 400
        most.append(stop - start)
        return image[..., start:stop].clone()

    parts = list(inferer.rows(read, (90, 400), network, scale))
    assert torch.equal(torch.cat(parts, -1), inferer(image, network))
    if not whole_pixels:
        assert len(parts) > 4 and max(most) <= 32 / scale + 2 / min(scale, 1) + 2


@pytest.mark.parametrize("scale", [0.4, 0.5, 1.7, 2.0])
def test_scaling_is_pytorch_s(scale):
    image = torch.rand(1, 1, 61, 47, generator=torch.Generator().manual_seed(0))
    seen = []
    output = WholeOrWindowsInferer(scale=scale)(image, lambda batch: seen.append(batch) or batch)
    scaled = [round(side * scale) for side in image.shape[2:]]
    expected = F.interpolate(image, size=scaled, mode="bilinear", antialias=scale < 1)
    torch.testing.assert_close(seen[0], expected, atol=1e-5, rtol=0)
    back = F.interpolate(expected, size=image.shape[2:], mode="bilinear")
    torch.testing.assert_close(output, back, atol=1e-5, rtol=0)


def test_the_likelihood_of_slices_finds_the_slice_where_each_line_is(network):
    """Two slices with a line in each: whatever the unit, the line's slice is what the network picks."""
    stack = np.random.default_rng(0).normal(20, 2, (1, 56, 40, 2))
    stack[0, 14:18, :, 0] += 60
    stack[0, 36:40, :, 1] += 60
    likelihood = SliceLikelihood(network, WholeOrWindowsInferer())
    plane = stack[0, ..., 0].T
    found = likelihood(plane)
    assert found.shape == plane.shape and found.dtype == np.float32 and 0 <= found.min() and found.max() <= 1
    assert found[:, 15:17].mean() > 0.5 > 0.2 > found[:, 36:40].mean()
    np.testing.assert_allclose(likelihood(plane * 100), found, atol=1e-4)
    fused, depth = FuseFocus(likelihood).fuse(stack)
    for rows, slice_of_line in ((slice(15, 17), 0), (slice(37, 39), 1)):
        np.testing.assert_allclose(depth[0, rows], slice_of_line, atol=0.2)
        np.testing.assert_allclose(fused[0, rows], stack[0, rows, :, slice_of_line], atol=5)
    assert fused[0, 22:30].mean() < 30


@pytest.mark.parametrize("value", [0.0, 0.4])
@pytest.mark.parametrize("size", [(20, 30), (1, 1)])
def test_nothing_is_found_where_all_is_of_one_value(value: float, size: tuple[int, int]):
    """However sure a network is that normalises by the image, in which there is nothing to normalise."""
    output = WholeOrWindowsInferer()(torch.full((1, 1, *size), value), torch.ones_like)
    assert output.shape == (1, 1, *size) and not output.any()


def test_a_mosaic_s_margin_is_empty_and_its_tissue_is_not():
    image = torch.zeros(1, 1, 200, 300)
    image[..., 200:] = torch.rand(1, 1, 200, 100, generator=torch.Generator().manual_seed(0))
    output = WholeOrWindowsInferer(window=64, overlap=0.5, whole_pixels=0)(image, torch.ones_like)
    assert not output[..., :136].any() and (output[..., 200:] > 0.99).all()


def test_the_network_is_not_asked_about_the_empty_windows_of_a_mosaic():
    image = torch.zeros(1, 1, 192, 512)
    image[..., 64:128, 192:320] = torch.rand(1, 1, 64, 128, generator=torch.Generator().manual_seed(0))
    asked = []

    def network(part: torch.Tensor) -> torch.Tensor:
        asked.append(part.amax() > part.amin())
        return torch.ones_like(part)

    output = WholeOrWindowsInferer(window=64, overlap=0, whole_pixels=0)(image, network)
    assert len(asked) == 3 and sum(asked) == 2  # beside the tissue's two the first, which tells the number of channels
    assert (output[..., 64:128, 192:320] == 1).all() and output.sum() == 64 * 128


@pytest.mark.parametrize("whole_pixels", [10**6, 100])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_is_not_taken_for_background(value, whole_pixels):
    inferer = WholeOrWindowsInferer(window=32, whole_pixels=whole_pixels)
    image = torch.rand(1, 1, 40, 50)
    image[..., 39, 49] = 2
    with pytest.raises(InputError, match="not a number"):
        inferer(image, lambda part: torch.where(part > 1, value, part))
