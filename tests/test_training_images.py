"""The images that the shipped weights are trained on."""

from __future__ import annotations

import numpy as np
import pytest

from bundle.phantoms import make_phantom
from scripts.benchmarks import microscopes
from scripts.release import training_images

SMALL = (6, 64, 64)


@pytest.fixture
def items(monkeypatch):
    monkeypatch.setattr(training_images, "SHAPE", SMALL)
    return [item for index in (0, 9) for item in training_images.of_phantom(("two-photon", index), seed=3)]


def test_a_slice_is_shown_with_its_own_truth(items):
    """The mask of a slice is the vessel within half a step of that slice, of the fused image the projection."""
    for name, image, mask, split in items:
        *_, index, part = name.split("-")
        phantom = make_phantom(SMALL, seed=3, index=int(index), family="two-photon")
        truth = phantom.projected_mask if part == "fused" else phantom.slab_mask[int(part)]
        assert np.array_equal(mask, truth)
        assert image.shape == mask.shape and image.min() >= 0 and image.max() <= 1
        assert split == ("val" if index == "9" else "train")


def test_the_same_seed_makes_the_same_images(items):
    again = training_images.of_phantom(("two-photon", 0), seed=3)
    assert all(np.array_equal(a[1], b[1]) and a[0] == b[0] for a, b in zip(items, again, strict=False))


def test_a_list_of_images_that_broke_off_is_not_there(tmp_path):
    """``train_model`` makes the images again unless ``split.csv`` is there; half of one would leave images out."""
    rng = np.random.default_rng(0)
    plain = [(f"a-{number}", np.full((2, 2), 0.5), np.ones((2, 2), bool), "train") for number in range(3)]
    training_images.write_dataset(plain, tmp_path / "whole", rng)
    assert len((tmp_path / "whole" / "split.csv").read_text().splitlines()) == 4
    unspeakable = ("\udc80", *plain[0][1:])  # a name that no table of UTF-8 holds
    with pytest.raises(UnicodeEncodeError):
        training_images.write_dataset([*plain, unspeakable], tmp_path / "broken", rng)
    assert sorted(path.name for path in (tmp_path / "broken").iterdir()) == ["images", "masks"]


def test_scores_of_a_perfect_and_of_an_empty_mask():
    truth = np.zeros((32, 32), bool)
    truth[10:14, 2:30] = True
    assert set(microscopes.scores(truth, truth).values()) == {1.0}
    assert microscopes.scores(np.zeros_like(truth), truth)["dice"] == 0


def test_otsu_finds_a_bright_bar_on_noise():
    truth = np.zeros((64, 64), bool)
    truth[20:32, 4:60] = True
    image = np.random.default_rng(0).normal(20, 2, truth.shape) + 100 * truth
    found, _ = microscopes.otsu(microscopes.Case("bar", image, truth))
    assert microscopes.scores(found, truth)["dice"] > 0.95
