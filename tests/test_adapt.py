"""Adapting to one's own images: what is known, how it is judged, and that nothing gets worse."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
import torch

from bundle.__main__ import main
from bundle.adaptation import (
    BACKGROUND,
    UNLABELLED,
    VESSEL,
    Annotation,
    Settings,
    adapt,
    adapted_weights,
    blended,
    halves,
    labelled_dice,
    scribbled,
    tuned,
)
from bundle.errors import InputError
from bundle.home import WEIGHTS

SETTINGS = Settings("slice")


def bars(contrast: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Bright bars on noise, and their mask, ``[X, Y]``."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((96, 120), bool)
    for start in range(6, 120, 22):
        mask[:, start : start + 5] = True
    image = 0.3 + 0.02 * rng.standard_normal(mask.shape)
    image[mask] += 0.5 * contrast
    return np.clip(image, 0, 1).astype(np.float32), mask


def annotation(image: np.ndarray, mask: np.ndarray, whole: bool = True) -> Annotation:
    return Annotation("bars", {"slice": image}, mask.astype(np.int8), whole)


def test_the_halves_share_the_vessels_and_leave_a_guard_between_them():
    _, mask = bars()
    first, second = halves(mask.astype(np.int8))
    assert not (first & second).any()
    assert abs(int((mask & first).sum()) - int((mask & second).sum())) <= 0.25 * mask.sum()
    columns = np.flatnonzero(~(first | second).all(axis=0))
    assert len(columns) == 16 and np.ptp(columns) == 15
    alone = np.zeros((40, 60), np.int8)  # nothing labelled: the longer side in two
    assert [part.sum() for part in halves(alone)] == [40 * 22, 40 * 22]


def test_scribbles_of_two_kinds_are_taken_and_others_refused():
    assert scribbled(np.array([[0, 1, 2]])).tolist() == [[UNLABELLED, VESSEL, BACKGROUND]]
    with pytest.raises(ValueError, match="both kinds"):
        scribbled(np.array([[0, 1, 1]]))
    with pytest.raises(ValueError, match="other values"):
        scribbled(np.array([[0, 1, 255]]))


def test_dice_counts_labelled_pixels_alone_and_strokes_of_both_kinds_alike():
    label = np.array([[1, 1, 0, 0, -1, -1]], np.int8)
    mask = np.array([[True, False, True, False, True, True]])
    known = Annotation("", {"slice": np.zeros(label.shape, np.float32)}, label, True)
    assert labelled_dice(mask, known) == pytest.approx(2 * 1 / (2 * 1 + 1 + 1))
    # three background pixels for one of vessel: missed half, wrong a third
    strokes = np.array([[1, 1, 0, 0, 0, -1]], np.int8)
    sketched = Annotation("", {"slice": np.zeros(strokes.shape, np.float32)}, strokes, False)
    right, missed, wrong = 1 / 2, 1 / 2, 2 / 3
    assert labelled_dice(mask, sketched) == pytest.approx(2 * right / (2 * right + missed + wrong))


def test_blending_is_the_mean_of_weights(random_ensemble):
    first, second = random_ensemble([2, 3], 0), random_ensemble([2, 3], 1)
    mixed = blended(first, second, 0.25).state_dict()
    for name, value in mixed.items():
        one, other = first.state_dict()[name], second.state_dict()[name]
        if value.is_floating_point():
            torch.testing.assert_close(value, 0.75 * one + 0.25 * other)
    for share, same in ((0.0, first), (1.0, second)):
        image = torch.rand(1, 1, 32, 32)
        torch.testing.assert_close(blended(first, second, share)(image), same(image))


def test_training_on_scribbles_pulls_towards_them_and_leaves_the_given_network(random_ensemble):
    network = random_ensemble([4, 6], 0)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    image, mask = bars()
    strokes = np.full(mask.shape, UNLABELLED, np.int8)
    strokes[20:80:20][mask[20:80:20]] = VESSEL
    strokes[30:80:20][~mask[30:80:20]] = BACKGROUND
    known = Annotation("bars", {"slice": image}, strokes, False)
    student = tuned(network, [known], SETTINGS, steps=12, seed=0)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not student.training
    with torch.inference_mode():
        old, new = (each(torch.from_numpy(image)[None, None])[0, 0].numpy() for each in (network, student))

    def apart(found: np.ndarray) -> float:
        return float(found[mask].mean() - found[~mask].mean())

    assert apart(new) > apart(old)
    again = tuned(network, [known], SETTINGS, steps=12, seed=0)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in student.state_dict().items())


class Threshold(torch.nn.Module):
    """A network that knows its answer: the grey value, of which half is vessel."""

    def __init__(self, gain: float = 1.0) -> None:
        super().__init__()
        self.gain = torch.nn.Parameter(torch.tensor(gain))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return (image * self.gain).clamp(0, 1)


def test_what_is_right_already_is_left_as_it_is():
    image, mask = bars()
    network = Threshold(1.25)  # vessels above 0.95, the rest below 0.45
    adapted = adapt(network, [annotation(image, mask)], SETTINGS, steps=0)
    assert adapted.kind == "unchanged" and adapted.network is network and adapted.settings == SETTINGS
    assert adapted.before > 0.99 and adapted.tried["unchanged"] > 0.99


def test_thresholds_that_are_too_high_are_lowered():
    image, mask = bars()
    adapted = adapt(Threshold(0.8), [annotation(image, mask)], SETTINGS, steps=0)  # vessels at 0.64
    assert adapted.kind == "settings" and adapted.settings.high < 0.64
    assert adapted.before < 0.1 and adapted.expected > 0.95


def test_a_gain_on_one_half_alone_is_no_reason_to_change():
    """Where the second half's background is as bright as the first one's vessels, lower thresholds harm it."""
    image, mask = bars()
    image[:, 60:] = np.where(mask[:, 60:], 1.0, 0.7)
    image[:, :60] = np.where(mask[:, :60], 0.7, 0.2)
    adapted = adapt(Threshold(), [annotation(image, mask)], SETTINGS, steps=0)
    assert adapted.kind == "unchanged"


@pytest.mark.parametrize(
    ("noted", "right"),
    [
        ({"contrast": "slice", "scale": 0.5, "low": 0.3, "high": 0.7}, True),
        ({"contrast": "slice", "scale": 0.0, "low": 0.3, "high": 0.7}, False),
        ({"contrast": "other", "scale": 1.0, "low": 0.3, "high": 0.7}, False),
        ({"contrast": "slice", "scale": 1.0, "low": 0.8, "high": 0.7}, False),
        ({"contrast": "slice", "scale": "1", "low": 0.3, "high": 0.7}, False),
        ({"contrast": "slice", "word": 1}, False),
        (None, False),
    ],
)
def test_settings_of_a_file_are_checked(noted, right):
    if right:
        assert Settings.from_dict(noted, "a.pt").as_dict() == noted
    else:
        with pytest.raises(InputError, match="a.pt: notes as its settings"):
            Settings.from_dict(noted, "a.pt")


def test_the_command_writes_what_segment_takes(tmp_path, capsys):
    image, mask = bars()
    tifffile.imwrite(tmp_path / "image.tif", (255 * image).astype(np.uint8))
    tifffile.imwrite(tmp_path / "label.tif", 255 * mask.astype(np.uint8))
    words = ["adapt", str(tmp_path / "image.tif"), str(tmp_path / "label.tif"), "--output", str(tmp_path / "mine")]
    assert main([*words, "--steps", "0", "--device", "cpu"]) == 0
    assert "Dice on the held-back halves: unchanged" in capsys.readouterr().out
    made = {path.name for path in (tmp_path / "mine").iterdir()}
    assert made == {"adapted.pt", "adapted.json", "adapted.png", "provenance.json"}
    report = json.loads((tmp_path / "mine" / "adapted.json").read_text())
    noted = torch.load(tmp_path / "mine" / "adapted.pt", weights_only=True)["segmentation"]
    assert noted == {"mode": "fused", **report["settings"]}
    assert main([*words, "--steps", "0"]) == 0
    assert "kept" in capsys.readouterr().out
    assert main([*words, "--steps", "0", "--seed", "1"]) == 1
    assert "with seed 0 instead of 1" in capsys.readouterr().err


def test_segment_takes_weights_with_their_settings_and_words_typed_go_before_them(tmp_path):
    """Thresholds that let everything pass give another mask than those typed, which let nothing pass."""
    mine = tmp_path / "mine"
    mine.mkdir()
    shipped = torch.load(WEIGHTS, weights_only=True)
    settings = {"contrast": "equalized", "scale": 0.5, "low": 0.0, "high": 0.0}
    torch.save(shipped | {"segmentation": {"mode": "fused", **settings}}, mine / "adapted.pt")
    image, _ = bars()
    tifffile.imwrite(tmp_path / "image.tif", (255 * image).astype(np.uint8))
    words = ["segment", str(tmp_path / "image.tif"), "--weights", str(mine), "--device", "cpu", "--output"]
    assert main([*words, str(tmp_path / "as_noted")]) == 0
    assert main([*words, str(tmp_path / "as_typed"), "--low", "1", "--high", "1"]) == 0
    masks = [tifffile.imread(tmp_path / name / "image_mask.tif") > 0 for name in ("as_noted", "as_typed")]
    assert masks[0].mean() > 0.9 and not masks[1].any()


def test_a_folder_that_adapt_did_not_write_is_no_weights(tmp_path):
    with pytest.raises(InputError, match="is a folder without adapted.pt"):
        adapted_weights(tmp_path)
    torch.save({"model": {}, "segmentation": {"mode": "other"}}, tmp_path / "adapted.pt")
    with pytest.raises(InputError, match="notes as its settings"):
        adapted_weights(tmp_path)


@pytest.mark.parametrize(
    ("label", "words", "said"),
    [
        (np.zeros((96, 120), np.uint8), [], "shows one kind of pixel alone"),
        (np.eye(96, 120, dtype=np.uint8) + np.eye(96, 120, 1, dtype=np.uint8) * 2, [], "say --scribbles"),
        (np.ones((96, 110), np.uint8), [], "pixels"),
        (np.eye(96, 120, dtype=np.uint8), ["--scribbles"], "both kinds"),
        (np.eye(96, 120, dtype=np.uint8), ["--slice", "3"], "is no stack"),
    ],
)
def test_a_label_that_tells_nothing_is_refused_in_a_line(tmp_path, capsys, label, words, said):
    image, _ = bars()
    tifffile.imwrite(tmp_path / "image.tif", (255 * image).astype(np.uint8))
    tifffile.imwrite(tmp_path / "label.tif", label)
    files = [str(tmp_path / "image.tif"), str(tmp_path / "label.tif")]
    assert main(["adapt", *files, "--output", str(tmp_path / "mine"), *words]) == 1
    error = capsys.readouterr().err
    assert said in error and len(error.strip().splitlines()) == 1
    assert not (tmp_path / "mine").exists()
