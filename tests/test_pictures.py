"""Pictures whose every pixel is known."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest

from bundle.errors import InputError
from bundle.pictures import error_overlay, for_people, mask_overlay, write_png

WHITE, RED, BLUE, BLACK = (255, 255, 255), (255, 0, 0), (0, 0, 255), (0, 0, 0)


def count(picture: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((picture == colour).all(axis=-1).sum())


def outline(picture: np.ndarray) -> np.ndarray:
    return (picture[..., 0] != picture[..., 1]) | (picture[..., 1] != picture[..., 2])


def test_colours_of_right_and_wrong_are_those_of_the_papers_figure():
    picture = error_overlay(np.array([[255, 255, 0, 0]]), np.array([[1, 0, 1, 0]]))
    assert picture.dtype == np.uint8
    assert picture.tolist() == [[list(colour) for colour in (WHITE, RED, BLUE, BLACK)]]


def test_colours_count_what_the_counts_count():
    generator = np.random.default_rng(0)
    prediction, truth = generator.random((2, 40, 50)) > 0.6
    picture = error_overlay(prediction, truth)
    assert picture.shape == (40, 50, 3)
    assert count(picture, WHITE) == (prediction & truth).sum()
    assert count(picture, RED) == (prediction & ~truth).sum()
    assert count(picture, BLUE) == (truth & ~prediction).sum()
    assert count(picture, BLACK) == (~prediction & ~truth).sum()


def test_stacks_are_compared_by_their_projections():
    prediction, truth = np.zeros((2, 3, 1, 3), np.uint8)
    prediction[0, 0, 0], truth[2, 0, 0] = 255, 255
    prediction[1, 0, 1], truth[1, 0, 2] = 255, 255
    assert error_overlay(prediction, truth).tolist() == [[list(colour) for colour in (WHITE, RED, BLUE)]]


def test_masks_of_different_size_have_no_picture():
    with pytest.raises(ValueError, match="differ"):
        error_overlay(np.zeros((3, 4)), np.zeros((4, 3)))
    with pytest.raises(ValueError, match="differ"):
        mask_overlay(np.zeros((3, 4)), np.zeros((4, 3)))


@pytest.mark.parametrize("level", [0, 128, 255])
def test_outline_stands_out_from_every_grey_and_leaves_the_vessel_bare(level):
    image = np.linspace(0, 255, 400).reshape(20, 20)
    image[5:15, 5:15] = level
    mask = np.zeros((20, 20), bool)
    mask[8:12, 8:12] = True
    picture = mask_overlay(image, mask).astype(int)
    drawn = outline(picture)
    assert drawn.sum() == 4 * 4
    assert not drawn[mask].any()
    assert np.abs(picture[drawn] - level).max(axis=-1).min() >= 127


def test_grey_values_are_stretched_whatever_their_type():
    ramp = np.arange(1000).reshape(20, 50)
    nothing = np.zeros((20, 50), bool)
    expected = mask_overlay(ramp, nothing)
    assert (expected.min(), expected.max(), expected.dtype) == (0, 255, np.uint8)
    assert not outline(expected).any()
    assert (np.diff(expected[..., 0].ravel().astype(int)) >= 0).all()
    for image in (ramp.astype(np.uint16) + 3000, ramp / 1000.0, (ramp - 500).astype(np.int16)):
        np.testing.assert_array_equal(mask_overlay(image, nothing), expected)


def test_constant_image_full_mask_and_one_pixel_have_a_picture():
    assert not mask_overlay(np.full((5, 5), 7), np.zeros((5, 5))).any()
    assert not mask_overlay(np.full((5, 5), 7), np.ones((5, 5))).any()
    assert mask_overlay(np.ones((1, 1)), np.ones((1, 1))).shape == (1, 1, 3)


def test_a_few_bright_pixels_in_the_dark_are_seen():
    image = np.zeros((100, 100), np.uint8)
    image[50, 50] = 200
    assert mask_overlay(image, np.zeros((100, 100)))[50, 50].tolist() == list(WHITE)


def test_stack_is_shown_by_its_projection():
    stack = np.random.default_rng(0).integers(0, 255, (4, 16, 16))
    mask = np.zeros((4, 16, 16), bool)
    mask[2, 4:9, 4:9] = True
    np.testing.assert_array_equal(mask_overlay(stack, mask), mask_overlay(stack.max(axis=0), mask.any(axis=0)))


def test_png_reads_back_exactly_and_has_the_same_bytes_each_time(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    for name in ("a.png", "b.png"):
        write_png(tmp_path / "new folder" / name, picture)
    with PIL.Image.open(tmp_path / "new folder" / "a.png") as back:
        np.testing.assert_array_equal(np.asarray(back), picture)
    first, second = sorted((tmp_path / "new folder").iterdir())
    assert first.read_bytes() == second.read_bytes()


def test_a_picture_that_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="a.png"):
        write_png(tmp_path / "file" / "a.png", np.zeros((2, 2, 3), np.uint8))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_small_picture_is_enlarged_by_whole_pixels_and_a_large_one_is_not():
    small = np.random.default_rng(0).integers(0, 256, (40, 57, 3), np.uint8)
    shown = for_people(small)
    np.testing.assert_array_equal(shown, small.repeat(9, 0).repeat(9, 1))
    large = np.zeros((600, 700, 3), np.uint8)
    assert for_people(large) is large or (for_people(large) == large).all()


@pytest.mark.parametrize(("width", "pixel"), [(57, 0.8), (700, 0.33), (512, 12.5), (2000, 0.05)])
def test_the_scale_bar_is_as_long_as_it_says(width, pixel):
    picture = for_people(np.zeros((width, width, 3), np.uint8), pixel)
    zoom = picture.shape[1] / width
    lengths = [step * 10.0**power for power in range(-3, 5) for step in (1, 2, 5)]
    expected = max(length for length in lengths if length <= width * pixel / 4)
    rows = (picture[..., 0] == 255).sum(axis=1)
    assert abs(rows.max() - expected * zoom / pixel) <= 2
    assert not picture[: picture.shape[0] // 2].any()
