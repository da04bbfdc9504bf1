"""Adapting to one's own images: what is known, how it is judged, and that nothing gets worse."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
import torch
from scipy.special import expit, logit

from bundle.__main__ import main
from bundle.adaptation import (
    BACKGROUND,
    UNLABELLED,
    VESSEL,
    Annotation,
    Settings,
    adapt,
    adapted_weights,
    annotated_slices,
    blended,
    dice_of,
    divided,
    gain_of,
    mean_of,
    relief_of,
    scribbled,
    tally,
    tuned,
)
from bundle.adaptation.choice import _chosen, _crossed
from bundle.adaptation.tuning import _prepared
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


class Careful(torch.nn.Module):
    """S of brightness, whose logits are off by a number."""

    def __init__(self, shift: float) -> None:
        super().__init__()
        self.shift = torch.nn.Parameter(torch.tensor(shift))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(8 * (image - 0.55) + self.shift)


def annotation(image: np.ndarray, mask: np.ndarray, whole: bool = True) -> Annotation:
    return Annotation("bars", {"slice": image}, mask.astype(np.int8), whole)


def test_the_folds_of_a_mask_share_its_vessels_and_leave_guards_between_them():
    _, mask = bars()
    division = divided(annotation(mask.astype(np.float32), mask))
    vessels = [int((mask & (division.fold == fold)).sum()) for fold in range(3)]
    assert max(vessels) - min(vessels) <= 0.5 * mask.sum() / 3
    guard = np.flatnonzero((division.fold < 0).all(axis=0))
    assert 28 <= len(guard) <= 32 and np.array_equal(guard, np.flatnonzero((division.fold < 0).any(axis=0)))
    for fold in range(3):
        pieces = set(np.unique(division.piece[division.fold == fold]))
        assert pieces == set(np.flatnonzero(division.held_back(fold))) and len(pieces) == 6
        assert not (division.taught(fold) & (division.fold == fold)).any()
    assert np.array_equal(sum(division.taught(fold).astype(int) for fold in range(3)), 2 * (division.fold >= 0))


def test_strokes_are_dealt_out_whole_and_every_fold_has_both_kinds():
    label = np.full((60, 60), UNLABELLED, np.int8)
    for number in range(8):
        label[7 * number : 7 * number + 3, 5:50] = VESSEL if number % 2 else BACKGROUND
    division = divided(Annotation("", {"slice": np.zeros(label.shape, np.float32)}, label, False))
    assert division.pieces == 8
    for number in range(8):
        stroke = np.s_[7 * number : 7 * number + 3, 5:50]
        assert np.ptp(division.piece[stroke]) == 0 and np.ptp(division.fold[stroke]) == 0
    for fold in range(3):
        assert {VESSEL, BACKGROUND} == set(np.unique(label[division.fold == fold]))
    assert np.array_equal(division.fold >= 0, label != UNLABELLED)


def test_two_strokes_are_cut_since_none_can_be_held_back_as_a_whole():
    label = np.full((40, 90), UNLABELLED, np.int8)
    label[10], label[30] = VESSEL, BACKGROUND
    division = divided(Annotation("", {"slice": np.zeros(label.shape, np.float32)}, label, False))
    assert {0, 1, 2} == set(np.unique(division.fold[label == VESSEL])) - {-1}


def test_scribbles_of_two_kinds_are_taken_and_others_refused():
    assert scribbled(np.array([[0, 1, 2]])).tolist() == [[UNLABELLED, VESSEL, BACKGROUND]]
    with pytest.raises(ValueError, match="both kinds"):
        scribbled(np.array([[0, 1, 1]]))
    with pytest.raises(ValueError, match="other values"):
        scribbled(np.array([[0, 1, 255]]))


def test_dice_counts_labelled_pixels_alone_and_strokes_of_both_kinds_alike():
    label = np.zeros((30, 60), np.int8)
    label[:, 5:55:10], label[:, 8:58:10], label[20:] = VESSEL, UNLABELLED, UNLABELLED
    mask = np.zeros(label.shape, bool)
    mask[:, 5:25] = True
    known = Annotation("", {"slice": np.zeros(label.shape, np.float32)}, label, True)
    division = divided(known)
    judged = division.fold >= 0
    right = int((mask & (label == VESSEL) & judged).sum())
    dice = 2 * right / (int((mask & judged).sum()) + int(((label == VESSEL) & judged).sum()))
    assert dice_of(tally(mask, mask.astype(float), known, division)) == pytest.approx(dice)
    # of three vessel strokes one is found as a whole, one by half, one is missed; of three others one is taken for one
    strokes = np.full((24, 24), UNLABELLED, np.int8)
    strokes[0:12:4, :8], strokes[12:24:4] = VESSEL, BACKGROUND
    mask = np.zeros(strokes.shape, bool)
    mask[0], mask[4, :4], mask[12] = True, True, True
    sketched = Annotation("", {"slice": np.zeros(strokes.shape, np.float32)}, strokes, False)
    assert dice_of(tally(mask, mask.astype(float), sketched, divided(sketched))) == pytest.approx(
        2 * 0.5 / (2 * 0.5 + 0.5 + 1 / 3)
    )


def test_the_error_of_a_gain_is_the_spread_of_gains_over_annotations_drawn_anew():
    """As many pieces are drawn over and over from one law: the gain's spread is what the jackknife says of each."""
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(400):
        vessels = rng.uniform(5, 15, 18)
        found, better = vessels * rng.uniform(0.4, 1, 18), vessels * rng.uniform(0.5, 1, 18)
        before, after = (np.stack([right, vessels - right, rng.uniform(0, 5, 18)], 1) for right in (found, better))
        drawn.append(gain_of(after, before))
    gains, errors = np.transpose(drawn)
    assert np.mean(errors) == pytest.approx(np.std(gains), rel=0.1)
    assert gain_of(after, after) == (0, 0)
    assert gain_of(after[:1], before[:1])[1] == np.inf


def test_how_far_a_probability_is_off_is_its_cross_entropy_in_each_piece():
    """The same for both kinds, however many pixels of each there are, and never infinite."""
    label = np.full((24, 24), UNLABELLED, np.int8)
    label[0:12:4, :8], label[12:24:4] = VESSEL, BACKGROUND
    probability = np.full(label.shape, 0.5)
    probability[0], probability[12] = 1.0, 0.2
    known = Annotation("", {"slice": np.zeros(label.shape, np.float32)}, label, False)
    off = tally(probability > 0.6, probability, known, divided(known))[:, 3]
    assert sorted(off) == pytest.approx([0, -np.log(0.8), *[np.log(2)] * 4], abs=2e-4)
    mask = np.zeros((30, 60), np.int8)
    mask[:, 5:55:10] = VESSEL
    mixed = Annotation("", {"slice": np.zeros(mask.shape, np.float32)}, mask, True)
    division = divided(mixed)
    off = tally(mask > 0, np.full(mask.shape, 0.9), mixed, division)[:, 3]
    assert np.allclose(off, -(np.log(0.9) + np.log(0.1)) / 2)
    assert np.isfinite(tally(mask > 0, 1.0 - mask, mixed, division)).all()


def test_what_helps_in_nearly_all_pieces_is_taken_though_dice_hangs_on_one():
    """Half of all vessel lies in one piece that is found by the new weights: Dice may be luck, the others are not."""
    sizes = np.array([0.5, *[0.05] * 10])

    def tallies(found: np.ndarray, off: float) -> np.ndarray:
        return np.stack([sizes * found, sizes * (1 - found), np.zeros(11), np.full(11, off) + sizes / 5], 1)

    before, after = tallies(np.array([0.1, *[0.8] * 10]), 0.5), tallies(np.array([0.9, *[0.81] * 10]), 0.3)
    gain, error = gain_of(after, before)
    assert 0 < gain < 1.64 * error
    assert _chosen({"unchanged": before, "weights": after}) == "weights"
    worse = tallies(np.array([0.9, *[0.81] * 10]), 0.6)
    assert relief_of(worse, before)[0] == pytest.approx(-0.1)
    assert _chosen({"unchanged": before, "weights": worse}) == "unchanged"


def test_thresholds_that_are_shifted_find_what_the_old_ones_find_in_shifted_logits():
    logits = np.random.default_rng(0).normal(0, 3, (64, 64))
    settings = Settings("slice", low=0.45, high=0.95)
    for shift in (-1.3, 0.7, 2.4):
        shifted = settings.shifted(shift)
        for old, new in ((settings.low, shifted.low), (settings.high, shifted.high)):
            sure = np.abs(logits + shift - logit(old)) > 0.03  # thresholds are rounded
            assert np.array_equal((expit(logits) > new)[sure], (expit(logits + shift) > old)[sure])


@pytest.mark.parametrize(("shift", "drawn"), [(-2.0, True), (0.0, True), (2.0, True), (-2.0, False)])
def test_strokes_say_at_which_level_s_is_cut(shift, drawn):
    """S of a network that is too careful, or too bold, by as much everywhere; a mask is judged by other settings."""
    image, mask = bars()
    strokes = np.full(mask.shape, UNLABELLED, np.int8)
    strokes[8:90:8][mask[8:90:8]] = VESSEL
    strokes[12:90:8][~mask[12:90:8]] = BACKGROUND
    known = Annotation("bars", {"slice": image}, strokes if drawn else mask.astype(np.int8), not drawn)
    adapted = adapt(Careful(shift), [known], SETTINGS, steps=0)
    assert ("level" in adapted.tried) == drawn
    if not drawn:
        return
    assert adapted.kind == ("settings" if shift else "unchanged") or abs(adapted.settings.low - SETTINGS.low) < 0.02
    moved = logit(SETTINGS.low) - logit(adapted.settings.low)
    assert np.sign(round(moved, 1)) == -np.sign(shift) and abs(moved) <= abs(shift) + 0.1


def test_a_level_need_not_be_proven_but_does_not_displace_proven_weights():
    def tallies(found: float, off: float) -> np.ndarray:
        return np.stack([np.full(12, found), np.full(12, 1 - found), np.zeros(12), np.full(12, off)], 1)

    before, level = tallies(0.8, 0.5), tallies(0.8, 0.49)
    assert _chosen({"unchanged": before, "level": level}) == "level"
    assert _chosen({"unchanged": before, "level": tallies(0.79, 0.4)}) == "unchanged"
    assert _chosen({"unchanged": before, "level": tallies(0.8, 0.51)}) == "unchanged"
    weights = tallies(0.9, 0.2)
    assert _chosen({"unchanged": before, "level": tallies(0.9, 0.1), "weights": weights}) == "weights"
    assert _chosen({"unchanged": before, "level": tallies(0.92, 0.3), "weights": weights}) == "level"


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


def test_the_mean_of_networks_is_that_of_their_weights(random_ensemble):
    three = [random_ensemble([2, 3], seed) for seed in range(3)]
    states = [network.state_dict() for network in three]
    for name, value in mean_of(three).state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, sum(state[name] for state in states) / 3)


def test_distances_to_vessels_that_are_held_back_are_not_taught():
    """Where D counts it is that of the whole mask, though the guard and the held-back strip hold vessels as well."""
    mask = np.zeros((40, 330), bool)
    for start in range(20, 330, 47):
        mask[:, start : start + 5] = True
    known = annotation(mask.astype(np.float32), mask)
    division = divided(known)
    whole = _prepared(known, SETTINGS, Threshold())["target"]
    assert (whole[3] == 1).all()
    for fold in range(3):
        taught = division.taught(fold)
        *_, distance, weight = _prepared(known.only(taught), SETTINGS, Threshold())["target"].numpy()
        assert np.array_equal(distance[weight > 0], whole[2].numpy()[weight > 0])
        assert not weight[~taught].any() and weight[taught].mean() > 0.7


def test_thresholds_are_judged_where_they_were_not_chosen():
    """In each fold another setting is the best by luck: chosen and judged on the same pieces, that would be a gain."""
    held = [np.arange(9) % 3 == fold for fold in range(3)]
    lucky = [Settings("slice", high=0.5 + 0.1 * fold) for fold in range(3)]

    def tallies(settings: Settings) -> np.ndarray:
        right = np.full(9, 0.6)
        for fold, each in zip(held, lucky, strict=True):
            right[fold] = 0.95 if settings == each else 0.6 if settings == SETTINGS else 0.5
        return np.stack([right, 1 - right, np.zeros(9)], 1)

    judged = _crossed(tallies, tallies, SETTINGS, lucky, held)
    best = max(dice_of(tallies(each)) for each in lucky)
    assert best > dice_of(tallies(SETTINGS)) >= dice_of(judged)


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


def test_a_gain_on_a_part_alone_is_no_reason_to_change():
    """Lower thresholds find the dim vessels of one part; held back, it is not what the other parts ask for."""
    image, mask = bars()
    image[:, :45] = np.where(mask[:, :45], 0.64, 0.2)
    image[:, 45:] = np.where(mask[:, 45:], 1.0, 0.2)
    adapted = adapt(Threshold(), [annotation(image, mask)], SETTINGS, steps=0)
    assert adapted.kind == "unchanged" and adapted.before < 0.85


def test_a_gain_that_other_slices_would_not_see_is_no_reason_to_change():
    """A lower threshold finds this slice's vessels; in the look of the others it takes haze between them for vessel."""
    image, mask = bars(0.64)  # vessels at 0.62
    known = annotation(image, mask)
    assert adapt(Threshold(), [known], SETTINGS, steps=0).kind == "settings"
    seen = np.where(mask, 0.97, 0.2).astype(np.float32)
    for start in range(14, 120, 22):
        seen[:, start : start + 10] = 0.6
    looked = Annotation("bars", known.images, known.label, True, [{"slice": seen}] * 2)
    adapted = adapt(Threshold(), [looked], SETTINGS, steps=0)
    assert adapted.kind == "unchanged" and adapted.tried["settings"] < adapted.tried["unchanged"]


def test_strokes_do_not_move_the_edges_of_vessels():
    """Strokes in the middle of vessels and far beside them agree with every low threshold; the usual one stays."""
    image, mask = bars()
    image[mask] = 0.7
    strokes = np.full(mask.shape, UNLABELLED, np.int8)
    for place in range(4, 92, 12):
        strokes[place, 8:120:22], strokes[place + 6, 18:120:22] = VESSEL, BACKGROUND
    adapted = adapt(Threshold(), [annotation(image, strokes, whole=False)], SETTINGS, steps=0)
    assert adapted.kind == "settings" and adapted.settings.low == 0.45 and adapted.settings.high < 0.7


def test_the_looks_of_other_slices_have_their_brightness_and_their_noise():
    image, mask = bars()
    label = mask.astype(np.uint8)
    noise = 0.1 * np.random.default_rng(1).standard_normal(image.shape)
    for changed, same in ((image**1.6, np.median), (image + noise, np.std)):
        stack = np.stack([image] * 4 + [changed] * 4)
        (known,) = annotated_slices("", stack, {2: label}, scribbles=False)
        (look,) = known.looks
        (other,) = annotated_slices("", stack, {6: label}, scribbles=False)
        assert set(look) == set(known.images) == {"slice", "volume"}
        for contrast, seen in look.items():
            there, here, seen = (same(each[~mask.T]) for each in (other.images[contrast], known.images[contrast], seen))
            assert abs(seen - there) < 0.3 * abs(here - there)
    assert not annotated_slices("", image[None], {0: label}, scribbles=False)[0].looks


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
    assert "Dice on what was held back: unchanged" in capsys.readouterr().out
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
