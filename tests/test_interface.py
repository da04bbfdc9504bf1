"""The program from Python gives what the commands give, in the caller's order of axes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tifffile
import torch
import xarray
import zarr

import bundle
from bundle import adapt, fuse, measure, read, segment
from bundle.__main__ import main
from bundle.adaptation import adapted_weights
from bundle.errors import InputError
from bundle.io import write_ome_tiff
from bundle.phantoms import make_phantom

SPACING = (2.0, 0.8, 0.8)


@pytest.fixture(scope="module")
def stack() -> np.ndarray:
    return make_phantom((4, 56, 72), SPACING, seed=1).stack


@pytest.mark.parametrize("mode", ["fused", "stack"])
def test_masks_are_those_of_the_command_pixel_for_pixel(stack, mode, tmp_path):
    write_ome_tiff(tmp_path / "stack.ome.tif", stack, "ZYX", SPACING)
    assert main(["segment", str(tmp_path / "stack.ome.tif"), "--mode", mode, "--output", str(tmp_path)]) == 0
    found = segment(stack, SPACING, mode=mode)
    assert np.array_equal(found.mask, tifffile.imread(tmp_path / "stack_mask.tif") > 0)
    np.testing.assert_allclose(found.probability, tifffile.imread(tmp_path / "stack_probability.tif"), atol=2e-3)
    assert found.spacing == (SPACING if mode == "stack" else SPACING[1:])
    from_file = segment(tmp_path / "stack.ome.tif", mode=mode)
    assert np.array_equal(from_file.mask, found.mask) and from_file.spacing == found.spacing


def test_arrays_of_other_libraries_are_taken_and_a_slice_is_an_image(stack):
    expected = segment(stack)
    chunked = zarr.array(stack, chunks=(2, 20, 30))
    dask = pytest.importorskip("dask.array")
    for same in (torch.from_numpy(stack), chunked, dask.from_array(stack, chunks=(1, 30, 40)), stack.tolist()):
        assert np.array_equal(segment(same).mask, expected.mask)
    assert segment(stack[2]).mask.shape == stack.shape[1:] and segment(stack[2]).depth is None
    assert expected.depth.shape == stack.shape[1:] and 0 <= expected.depth.min() <= expected.depth.max() <= 3


def test_arrays_of_xarray_are_taken(stack):
    named = xarray.DataArray(stack[1], dims=("y", "x"))
    assert np.array_equal(segment(named).mask, segment(stack[1]).mask)


def test_a_segmentation_tells_its_slices_and_what_progress_raises_ends_it(stack):
    told = []
    segment(stack, mode="stack", progress=lambda done, of: told.append((done, of)))
    assert told == [(done, len(stack)) for done in range(len(stack) + 1)]

    def enough(done: int, of: int) -> None:
        if done == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        segment(stack, mode="stack", progress=enough)


def test_what_is_adapted_from_arrays_is_what_the_command_adapts_from_files(stack, tmp_path):
    label = np.zeros(stack.shape[1:], np.uint8)
    label[20:30] = 1
    write_ome_tiff(tmp_path / "stack.tif", stack, "ZYX")
    write_ome_tiff(tmp_path / "label.tif", label, "YX")
    files = [str(tmp_path / "stack.tif"), str(tmp_path / "label.tif")]
    assert main(["adapt", *files, "--slice", "1", "--steps", "0", "--output", str(tmp_path / "theirs")]) == 0
    adapted = adapt(stack, label, tmp_path / "mine", slice=1, steps=0)
    theirs, mine = (adapted_weights(tmp_path / name) for name in ("theirs", "mine"))
    assert theirs.settings == mine.settings == adapted.settings and mine.mode == "stack"
    with pytest.raises(InputError, match="of no slice"):
        adapt(stack, label, tmp_path / "none", mode="stack")
    with pytest.raises(InputError, match="differ in shape"):
        adapt(stack, np.zeros((2, 5, 5)), tmp_path / "none")


def test_threads_share_one_network(stack):
    alone = [segment(plane).probability for plane in stack]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda plane: segment(plane).probability, stack))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_fusion_and_measurement_keep_the_order_of_axes_and_the_unit(stack):
    fused = fuse(stack, SPACING)
    assert np.array_equal(fused.image, stack.max(axis=0)) and fused.spacing == SPACING[1:]
    bar = np.zeros((40, 120), bool)
    bar[15:24] = True
    assert measure(bar, (0.5, 0.5)).image["length"] == pytest.approx(60, rel=0.01)
    assert measure(bar).unit == "pixel"


def test_read_opens_what_the_commands_open(stack, tmp_path):
    write_ome_tiff(tmp_path / "stack.ome.tif", stack, "ZYX", SPACING)
    image = read(tmp_path / "stack.ome.tif")
    assert image.spacing == SPACING and np.array_equal(image.array(), stack)


@pytest.mark.parametrize(
    ("array", "options", "said"),
    [
        (np.zeros((2, 3, 4, 5)), {}, "4 axes"),
        (np.zeros((8, 8)), {"spacing": (1, 1, 1)}, "3 pixel sizes for 2 axes"),
        (np.zeros((8, 8)), {"channel": 1}, "are of files"),
        (np.zeros((8, 8)), {"mode": "volume"}, "choose auto, fused or stack"),
        (np.zeros((8, 8)), {"low": 0.8, "high": 0.2}, "0 <= low <= high <= 1"),
        ("absent.tif", {}, "absent.tif"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_line(array, options, said):
    with pytest.raises(InputError, match=said):
        segment(array, **options)


def test_the_package_names_what_it_offers():
    assert {"adapt", "segment", "measure", "fuse", "read"} <= set(bundle.__all__)
    assert all(getattr(bundle, name) is not None for name in bundle.__all__)
