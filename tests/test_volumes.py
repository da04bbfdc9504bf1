"""What is done to a volume by blocks equals what is done to it in memory, voxel for voxel."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from scipy import ndimage
from scipy.ndimage import gaussian_filter
from stored import stored, whole

from bundle.errors import InputError
from bundle.transforms import ball, masks
from bundle.volumes import (
    StoredVolume,
    ahead,
    behind,
    close_gaps,
    dilated,
    eroded,
    hysteresis,
    percentiles,
    remove_fragments,
)


class Counted:
    """An array as a volume that remembers the largest block that was asked for."""

    def __init__(self, array):
        self.array, self.shape, self.largest = array, array.shape, 0

    def rows(self, z, start, stop):
        assert 0 <= start < stop <= self.shape[1]
        self.largest = max(self.largest, stop - start)
        return self.array[z, start:stop]


def random_volumes(seeds, density=(0.02, 0.6)):
    """Volumes from salt and pepper to smooth worms, of any sides, now and then of one."""
    for seed in seeds:
        rng = np.random.default_rng(seed)
        shape = tuple(int(side) for side in rng.integers(1, (9, 24, 20)))
        values = gaussian_filter(rng.random(shape), rng.choice([0, 0.6, 1.2]))
        order = values.ravel().argsort().argsort().reshape(shape) / max(1, values.size - 1)
        yield seed, order, float(rng.uniform(*density)), int(rng.integers(1, shape[1] + 2))


# components


@pytest.mark.parametrize("seeds", [range(start, start + 40) for start in (0, 40, 80)], ids=str)
def test_hysteresis_by_blocks_is_that_in_memory(tmp_path, seeds):
    for seed, values, share, rows in random_volumes(seeds):
        low, high = 1 - share, 1 - share / 10
        out = StoredVolume(tmp_path / f"{seed}", values.shape, bool, rows)
        hysteresis(Counted(values), low, high, out, tmp_path / f"{seed} notes")
        np.testing.assert_array_equal(whole(out), masks.hysteresis(values, low, high), f"seed {seed}")


@pytest.mark.parametrize("seeds", [range(start, start + 40) for start in (0, 40, 80)], ids=str)
def test_fragments_are_removed_by_blocks_as_in_memory(tmp_path, seeds):
    for seed, values, share, rows in random_volumes(seeds):
        mask, size = values > 1 - share, [0.5, 2, 3.5, 12, 60][seed % 5]
        out = StoredVolume(tmp_path / f"{seed}", mask.shape, bool, rows)
        remove_fragments(Counted(mask), size, out, tmp_path / f"{seed} notes")
        np.testing.assert_array_equal(whole(out), masks.remove_fragments(mask, size), f"seed {seed}")


@pytest.mark.parametrize("rows", [1, 2, 7])
def test_a_vessel_that_winds_through_all_slices_and_bands_is_one(tmp_path, rows):
    """Down on one side and up on the other, and across at the last slice alone: one component, worked by hand."""
    values = np.zeros((12, 7, 5))
    values[:, 0, 0] = values[:, 6, 4] = values[11, :, 2] = values[11, 0, :] = values[11, 6, :] = 0.5
    values[3, 3, 0] = 0.6  # not connected to it
    values[0, 6, 4] = 1
    out = StoredVolume(tmp_path / "mask", values.shape, bool, rows)
    hysteresis(Counted(values), 0.4, 0.9, out, tmp_path / "notes")
    expected = values > 0
    expected[3, 3, 0] = False
    np.testing.assert_array_equal(whole(out), expected)
    for size, stays in ((expected.sum(), True), (expected.sum() + 1, False)):
        kept = StoredVolume(tmp_path / f"{size}", values.shape, bool, rows)
        remove_fragments(out, size, kept, tmp_path / f"{size} notes")
        assert whole(kept).any() == stays


@pytest.mark.parametrize("rows", [1, 3])
def test_only_corners_touch_across_slices_and_bands(tmp_path, rows):
    mask = np.zeros((4, 6, 6), bool)
    for step in range(4):
        mask[step, 1 + step, 5 - step] = True
    out = StoredVolume(tmp_path / "mask", mask.shape, bool, rows)
    remove_fragments(Counted(mask), 4, out, tmp_path / "notes")
    np.testing.assert_array_equal(whole(out), mask)


# closing


@pytest.mark.parametrize("size", [2, 3, 4, 5.5])
@pytest.mark.parametrize("spacing", [None, (2.5, 0.7, 1.1), (0.5, 1.0, 1.0)])
def test_gaps_are_closed_by_blocks_as_in_memory(tmp_path, size, spacing):
    for seed, values, share, rows in random_volumes(range(12), density=(0.02, 0.4)):
        mask = values > 1 - share
        out = StoredVolume(tmp_path / f"{seed}", mask.shape, bool, rows)
        source = Counted(mask)
        ball = masks.ball(size, spacing or (1, 1, 1))
        close_gaps(source, ball, out)
        np.testing.assert_array_equal(whole(out), masks.close_gaps(mask, size, spacing), f"seed {seed}")
        assert source.largest <= rows + 4 * (ball.shape[1] // 2)


# percentiles


def numbers(dtype, seed):
    rng = np.random.default_rng(seed)
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        wide = rng.normal(size=50) * 10.0 ** rng.integers(-30, 30, 50)
        return np.concatenate([wide, rng.normal(size=100), np.zeros(5), -np.zeros(3), [-1e30, 1e30]]).astype(dtype)
    info = np.iinfo(dtype)
    # halves of the range: NumPy's own difference of two signed values wraps around beyond
    return rng.integers(info.min // 2, info.max // 2, rng.integers(1, 300), dtype)


@pytest.mark.parametrize(
    "dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8"], ids=lambda dtype: np.dtype(dtype).name
)
def test_percentiles_of_blocks_are_numpy_s_of_everything(dtype):
    q = (0, 0.5, 1, 25, 50, 83.3, 99, 99.9, 100)
    for seed in range(12):
        values = numbers(dtype, seed)
        if dtype == "f2":
            values = values[np.isfinite(values)]
        cuts = sorted(np.random.default_rng(seed).integers(0, len(values) + 1, 3))
        found = percentiles(lambda values=values, cuts=cuts: iter(np.split(values, cuts)), q)
        np.testing.assert_array_equal(found, np.percentile(values, q), f"seed {seed}")


@pytest.mark.parametrize("share", [0.005, 0.02, 0.5])
def test_percentiles_of_values_that_are_mostly_small(share):
    """Whose leading bits are all 0 for most, which is no sign that no bits were sought yet."""
    rng = np.random.default_rng(0)
    values = rng.integers(0, 1000, 4000).astype(np.uint32)
    values[rng.random(4000) < share] += 1 << 17
    q = (0, 1, 50, 99, 99.5, 100)
    np.testing.assert_array_equal(percentiles(lambda: [values], q), np.percentile(values, q))


@pytest.mark.parametrize("values", [[7], [7, 7], [-3, 5]])
def test_percentiles_of_few_values(values):
    values = np.array(values, np.int16)
    np.testing.assert_array_equal(percentiles(lambda: [values], (1, 99)), np.percentile(values, (1, 99)))


@pytest.mark.parametrize("blocks", [[], [np.zeros((0, 4))]])
def test_no_values_have_no_percentiles(blocks):
    with pytest.raises(ValueError, match="no values"):
        percentiles(lambda: blocks, (1, 99))


# storage


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float32])
@pytest.mark.parametrize("rows", [1, 4, 50])
def test_what_is_stored_is_read_again_in_any_rows(tmp_path, dtype, rows):
    array = (np.random.default_rng(0).random((3, 11, 13)) * 9 - 4).astype(dtype)
    volume = stored(tmp_path / "v", array, rows)
    np.testing.assert_array_equal(whole(volume), array)
    for start, stop in [(0, 1), (3, 5), (2, 11), (10, 11)]:
        part = volume.rows(1, start, stop)
        assert part.dtype == dtype
        np.testing.assert_array_equal(part, array[1, start:stop])


def test_a_block_is_there_when_it_is_whole(tmp_path):
    volume = StoredVolume(tmp_path / "v", (2, 5, 4), np.float32, 3)
    assert not volume.has(0, 0)
    volume.write(0, 3, np.ones((2, 4), np.float32))
    assert volume.has(0, 3) and not volume.has(0, 0) and not volume.has(1, 3)
    (path,) = (tmp_path / "v").iterdir()
    path.write_bytes(path.read_bytes()[:-1])  # the power failed before the last byte was on the disk
    assert not volume.has(0, 3)


def test_a_block_of_another_size_is_refused(tmp_path):
    with pytest.raises(ValueError, match="block"):
        StoredVolume(tmp_path, (1, 5, 4), bool, 3).write(0, 3, np.ones((3, 4), bool))


def test_a_folder_that_cannot_be_written_gets_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write there"):
        StoredVolume(tmp_path / "file", (1, 2, 2), bool, 2).write(0, 0, np.ones((2, 2), bool))


# reading ahead, writing behind


def test_items_are_made_ahead_but_not_far():
    made = []

    def items():
        for number in range(20):
            made.append(number)
            yield number

    taken = []
    for item in ahead(items(), 3):
        deadline = time.monotonic() + 10
        while len(made) < min(20, item + 3) and time.monotonic() < deadline:
            time.sleep(0.001)
        assert min(20, item + 3) <= len(made) <= item + 6
        taken.append(item)
    assert taken == list(range(20))


def test_an_error_in_making_is_raised_where_the_item_would_have_been_taken():
    def items():
        yield 1
        raise InputError("a.tif", "is torn")

    stream = ahead(items())
    assert next(stream) == 1
    with pytest.raises(InputError, match="torn"):
        next(stream)


def test_whoever_leaves_early_leaves_no_thread_behind():
    before = threading.active_count()
    stream = ahead(iter(range(1000)))
    assert next(stream) == 0
    stream.close()
    assert threading.active_count() == before


def test_calls_behind_are_made_in_order_and_an_error_comes_out():
    done = []
    with behind() as call:
        for number in range(10):
            call(done.append, number)
    assert done == list(range(10))

    def fail(number):
        done.append(number)
        if number == 12:
            raise InputError("b.tif", "no room")

    with pytest.raises(InputError, match="no room"), behind() as call:
        for number in range(10, 100):
            call(fail, number)
            time.sleep(0.001)
    assert max(done) < 99


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (1.0, 2.5), (3.0, 1.0)])
@pytest.mark.parametrize("size", [0.5, 2, 3, 7, 15, 90])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (40, 33)])
def test_what_is_shifted_is_what_is_asked_around_every_pixel(shape, size, spacing):
    rng = np.random.default_rng(int(size * 10))
    element = ball(size, spacing)
    for share in (0.0, 0.01, 0.3, 0.97, 1.0):
        mask = rng.random(shape) < share
        np.testing.assert_array_equal(dilated(mask, element), ndimage.binary_dilation(mask, element))
        np.testing.assert_array_equal(eroded(mask, element), ndimage.binary_erosion(mask, element, border_value=1))
