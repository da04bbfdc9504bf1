"""What holds for every transform: kinds of array, metadata, dictionary twins, inversion, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Invertd, Spacingd, Transform
from scipy.ndimage import gaussian_filter

import bundle.transforms as transforms
from bundle.errors import InputError
from bundle.transforms import (
    AdaptiveHistogramEqualization,
    CloseGaps,
    DilatedProbabilityMap,
    EnhanceContrast,
    FuseFocus,
    HysteresisThreshold,
    LinearContrast,
    RandBlur,
    RandBlurd,
    RandMargin,
    RandMargind,
    RemoveFragments,
)

ALL = [
    EnhanceContrast(),
    AdaptiveHistogramEqualization(tile_size=8),
    LinearContrast(),
    FuseFocus("maximum"),
    FuseFocus("hessian"),
    FuseFocus("wavelet"),
    DilatedProbabilityMap(),
    HysteresisThreshold(),
    CloseGaps(),
    RemoveFragments(),
]
AFFINE = torch.diag(torch.tensor([0.5, 0.25, 2.0, 1.0], dtype=torch.float64))

each = pytest.mark.parametrize("transform", ALL, ids=lambda t: type(t).__name__ + getattr(t, "method", ""))


def image(*shape: int) -> np.ndarray:
    """A smooth random image in [0, 1], so that thresholds and components have something to find."""
    noise = np.random.default_rng(5).random(shape)
    smooth = gaussian_filter(noise, (0,) + (1,) * (len(shape) - 1))
    return ((smooth - smooth.min()) / (smooth.max() - smooth.min())).astype(np.float32)


def meta_tensor(array: np.ndarray) -> MetaTensor:
    spacing = (2.0, 0.25, 0.5) if array.ndim == 4 else (0.25, 0.5)
    meta = {"filename_or_obj": "fields/a.tif", "spacing": spacing, "spatial_shape": np.array(array.shape[1:])}
    return MetaTensor(torch.from_numpy(array), affine=AFFINE, meta=meta)


@each
@pytest.mark.parametrize("shape", [(2, 20, 30), (2, 20, 30, 4)])
def test_every_kind_of_array_gives_the_same_values_in_the_same_kind(transform: Transform, shape: tuple[int, ...]):
    array = image(*shape)
    before = array.copy()
    expected = transform(array)
    assert type(expected) is np.ndarray
    for given in (torch.from_numpy(array), meta_tensor(array)):
        result = transform(given)
        assert type(result) is type(given)
        np.testing.assert_array_equal(np.asarray(result), expected)
    np.testing.assert_array_equal(array, before, "the input was changed")


@each
def test_metadata_and_affine_stay(transform: Transform):
    given = meta_tensor(image(1, 20, 30))
    result = transform(given)
    assert result.meta["filename_or_obj"] == "fields/a.tif"
    assert result.meta["spacing"] == (0.25, 0.5)
    assert torch.equal(result.affine, AFFINE)
    assert result.shape == given.shape


@each
@pytest.mark.parametrize("shape", [(2, 20, 30), (2, 20, 30, 4)])
def test_channels_do_not_influence_each_other(transform: Transform, shape: tuple[int, ...]):
    array = image(*shape)
    array[1] *= 0.5
    both = transform(array)
    for channel in (0, 1):
        np.testing.assert_array_equal(both[channel], transform(array[channel : channel + 1])[0])


@each
def test_the_dictionary_twin_does_the_same_to_its_keys_and_leaves_the_rest(transform: Transform):
    twin = getattr(transforms, type(transform).__name__ + "d")
    options = {k: v for k, v in vars(transform).items() if k in ("tile_size", "method")}
    array = image(1, 20, 30, 4)
    given = {"image": array, "other": array}
    result = Compose([twin(["image", "absent"], allow_missing_keys=True, **options)])(given)
    np.testing.assert_array_equal(result["image"], transform(array))
    assert result["other"] is array and given["image"] is array and set(result) == {"image", "other"}
    with pytest.raises(KeyError, match="absent"):
        twin("absent", **options)(given)


@each
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("shape", [(1, 6, 5), (1, 6, 5, 2)])
def test_a_value_that_is_not_finite_is_refused_with_the_name_of_the_file(
    transform: Transform, bad: float, shape: tuple[int, ...]
):
    array = image(*shape)
    array.flat[7] = bad
    with pytest.raises(InputError, match="^fields/a.tif: .*NaN or infinite"):
        transform(meta_tensor(array))
    with pytest.raises(InputError, match="^the image holds NaN or infinite"):
        transform(array)


@each
@pytest.mark.parametrize("shape", [(8, 8), (1, 2, 8, 8, 8), (1, 0, 8)])
def test_a_shape_without_meaning_is_refused(transform: Transform, shape: tuple[int, ...]):
    with pytest.raises(InputError, match="shape"):
        transform(np.zeros(shape, np.float32))


@each
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 7), (1, 1, 1, 1), (1, 5, 1, 3)])
@pytest.mark.parametrize("value", [0, 1])
def test_the_smallest_images_pass(transform: Transform, shape: tuple[int, ...], value: int):
    result = transform(np.full(shape, value, np.uint8))
    expected = shape[:3] if isinstance(transform, FuseFocus) else shape
    assert result.shape == expected and np.isfinite(result).all()


@each
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.uint8, torch.int16])
def test_types_of_tensors_pass(transform: Transform, dtype: torch.dtype):
    """A network under mixed precision gives half-precision floats, of which NumPy knows one kind only."""
    array = torch.from_numpy(image(1, 20, 30)).mul(255 if not dtype.is_floating_point else 1).to(dtype)
    result = transform(array)
    assert result.shape == array.shape
    if not isinstance(transform, FuseFocus):
        np.testing.assert_array_equal(result, transform(array.double()), "the type changed the values")


@each
def test_what_was_resampled_before_can_still_be_inverted(transform: Transform):
    name = type(transform).__name__ + "d"
    pipeline = Compose([Spacingd("image", (1.0, 1.0, 2.0)), getattr(transforms, name)("image")])
    result = pipeline({"image": meta_tensor(image(1, 20, 30))})
    assert result["image"].shape == (1, 10, 8)
    result["pred"] = result["image"]
    inverted = Invertd("pred", pipeline, orig_keys="image")(result)["pred"]
    assert inverted.shape == (1, 20, 30)
    assert torch.equal(inverted.affine, AFFINE)


def test_every_transform_tells_its_backend_and_has_a_twin():
    kinds = {name for name in transforms.__all__ if isinstance(getattr(transforms, name), type)} - {"DictionaryTwin"}
    offered = {name for name in kinds if issubclass(getattr(transforms, name), Transform)}  # others are of arrays alone
    names = [name for name in offered if not name.endswith("d") or name[:-1] not in offered]
    other = {"BinaryLabel", "RestoreAffine", "RandBlur", "RandMargin"}  # of masks alone, of metadata alone, at random
    assert set(names) == {type(t).__name__ for t in ALL} | other
    for name in names:
        assert getattr(transforms, name).backend and getattr(transforms, name + "d").backend


def test_a_margin_is_one_dark_grey_of_the_image_and_holds_no_vessel_and_the_rest_stays():
    rng = np.random.default_rng(0)
    item = {
        "image": torch.as_tensor(rng.random((1, 24, 30))),
        "label": torch.ones(1, 24, 30),
        "distance": np.ones((1, 24, 30), np.float32),
    }
    kept = {key: np.array(value) for key, value in item.items()}
    transform = RandMargind(["image", "label", "distance"], prob=1.0)
    transform.set_random_state(seed=0)
    greys, areas = [], []
    for _ in range(200):
        out = {key: np.asarray(value) for key, value in transform(item).items()}
        blank = out["label"] == 0
        rows, columns = (np.flatnonzero(blank[0].any(axis)) for axis in (1, 0))
        assert blank.sum() == len(rows) * len(columns)  # a rectangle
        assert min(len(rows) / 24, len(columns) / 30) >= 0.3
        assert np.ptp(out["image"][blank]) == 0 and not out["distance"][blank].any()
        for key, value in kept.items():
            np.testing.assert_array_equal(out[key][~blank], value[~blank])
            np.testing.assert_array_equal(item[key], value)  # what the dataset keeps is not painted over
        greys.append(out["image"][blank][0])
        areas.append(blank.mean())
    assert 30 <= sum(area == 1 for area in areas) <= 70  # a quarter
    assert 70 <= sum(grey == 0 for grey in greys) <= 130 and 0.05 < max(greys) < 0.1  # half


def test_a_margin_comes_as_often_as_asked():
    item = {"image": np.ones((1, 8, 8)), "label": np.ones((1, 8, 8))}
    for prob, low, high in ((0.0, 0, 0), (0.2, 60, 140)):
        transform = RandMargind(["image", "label"], prob=prob)
        transform.set_random_state(seed=0)
        assert low <= sum(bool((transform(item)["label"] == 0).any()) for _ in range(500)) <= high


def test_a_margin_of_one_array_is_that_of_the_image_of_a_dictionary():
    image = np.random.default_rng(0).random((1, 24, 30)).astype(np.float32)
    single, twin = RandMargin(prob=0.7).set_random_state(seed=3), RandMargind("image", prob=0.7)
    twin.set_random_state(seed=3)
    changed = 0
    for _ in range(20):
        one = single(image)
        np.testing.assert_array_equal(one, twin({"image": image})["image"])
        changed += bool((one != image).any())
    assert 5 < changed < 20


@pytest.mark.parametrize("prob", [-0.1, 1.5, float("nan"), "often", None, True])
def test_a_share_of_the_crops_that_is_none_is_refused(prob: object):
    with pytest.raises(InputError, match="margins"):
        RandMargind("image", prob=prob)
    with pytest.raises(InputError, match="blur"):
        RandBlurd("image", prob=prob)


def test_a_point_becomes_a_round_gaussian_of_the_deviation_that_was_drawn():
    """Of its mass nothing is lost, and the second moments of what it becomes are the square of the deviation."""
    point = np.zeros((1, 41, 41), np.uint16)
    point[0, 20, 20] = 1000
    blur = RandBlur(prob=1.0, deviation=(0.5, 3.0)).set_random_state(seed=0)
    drawn = []
    axis = np.arange(41) - 20.0
    for _ in range(30):
        out = blur(point)
        assert out.dtype == np.float32 and out.sum() == pytest.approx(1000, rel=1e-4)
        for along in (1, 2):
            moment = (out[0].sum(along - 1) * axis**2).sum() / 1000
            assert moment == pytest.approx(blur.deviation**2, rel=0.03)
        drawn.append(blur.deviation)
    assert 0.5 <= min(drawn) < 1 and 2.5 < max(drawn) <= 3


def test_blur_darkens_no_border_and_reaches_over_no_margin():
    rng = np.random.default_rng(0)
    even = np.full((1, 30, 30), 7.0)
    np.testing.assert_allclose(RandBlur(prob=1.0)(even), 7, rtol=1e-6)
    mosaic = rng.uniform(80, 120, (1, 200, 200)).astype(np.float32)
    mosaic[0, :, 120:] = 0
    out = RandBlur(prob=1.0, deviation=(1.5, 1.5))(mosaic)
    assert not out[0, :, 120:].any() and out[0, :, :120].min() > 85  # beside black it would be half as bright


def test_all_keys_are_blurred_alike_and_as_often_as_asked():
    image = torch.rand(1, 24, 30)
    twin = RandBlurd(["image", "other"], prob=0.3)
    twin.set_random_state(seed=0)
    times = 0
    for _ in range(200):
        out = twin({"image": image, "other": image})
        assert torch.equal(out["image"], out["other"])
        times += not torch.equal(out["image"], image)
    assert 40 < times < 80
