"""Where little is expected of a mask, the weights of slices are asked, and the better one is kept, by every way in."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from scipy.ndimage import zoom

from bundle import interface
from bundle.__main__ import main
from bundle.home import INFERENCE, ROOT, STACK_WEIGHTS, WEIGHTS
from bundle.io import open_image, read_findings, read_record, write_image
from bundle.metrics import Confusion
from bundle.phantoms import make_phantom
from bundle.runner import PlainConfig
from bundle.segmentation import SecondOpinion, better_of, second_weights
from bundle.trust import Expectation

pytestmark = pytest.mark.usefixtures("one_thread")

KINDS = ("mask", "probability", "disagreement")


@pytest.fixture(scope="module")
def phantom():
    """One whose fusion the weights of images find hard, and those of slices easier."""
    return make_phantom((6, 160, 160), seed=12000, index=3)


@pytest.fixture
def stack(phantom, tmp_path):
    path = tmp_path / "in" / "stack.ome.tif"
    path.parent.mkdir()
    write_image(path, phantom.stack, "ZYX", (2, 1, 1))
    return path


@pytest.fixture
def found(stack, tmp_path):
    """What ``segment`` finds, by kind, with some weights."""

    def segmented(*words: object) -> dict[str, np.ndarray]:
        output = tmp_path / f"out{len(list(tmp_path.iterdir()))}"
        assert main(["segment", str(stack), "--output", str(output), *map(str, words)]) == 0
        return read(output)

    return segmented


def read(folder) -> dict[str, np.ndarray]:
    return {kind: open_image(folder / f"stack_{kind}.tif").array() for kind in KINDS}


def alike(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return np.array_equal(one["mask"], other["mask"]) and all(
        np.allclose(one[kind], other[kind], atol=1e-5) for kind in KINDS[1:]
    )


def test_the_better_of_two_masks_is_kept_and_a_line_says_whose_it_is(found, phantom, tmp_path, capfd):
    kept = found()
    assert "by stack.pt (the better of two)" in "".join(capfd.readouterr())
    first, second = found("--weights", WEIGHTS), found("--weights", STACK_WEIGHTS)
    assert alike(kept, second) and not alike(kept, first)
    dice = [Confusion.between(each["mask"] > 0, phantom.projected_mask).dice for each in (kept, first)]
    assert dice[0] > dice[1] + 0.1
    noted = [read_findings(tmp_path / name / "stack_mask.tif") for name in ("out1", "out2")]
    # the image was doubted, and stays so: the larger of two guesses is too large
    assert noted[0]["expected_dice"] == noted[1]["expected_dice"] < 0.7
    assert noted[0]["disagreement"] == noted[1]["disagreement"] > 0
    assert noted[0]["weights"] == read_record(tmp_path / "out3" / "stack_mask.tif")["weights"]
    assert "weights" not in noted[1]
    # made otherwise, so that the mask of the first weights alone is not taken for this one
    words = ["segment", str(tmp_path / "in"), "--output", str(tmp_path / "out1"), "--weights", str(WEIGHTS)]
    assert main(words) == 1 and "--overwrite" in "".join(capfd.readouterr())


def test_every_way_in_finds_the_same(found, stack, phantom, tmp_path):
    kept = found()
    parser = ConfigParser()
    parser.read_config(INFERENCE)
    parser.update({"bundle_root": str(ROOT), "dataset_dir": str(stack.parent), "output_dir": str(tmp_path / "monai")})
    parser.get_parsed_content("segmenter").run()
    assert alike(read(tmp_path / "monai"), kept)
    noted = [read_findings(tmp_path / name / "stack_mask.tif") for name in ("out1", "monai")]
    assert noted[0] == pytest.approx(noted[1])

    config = PlainConfig(INFERENCE)
    config.update({"bundle_root": str(ROOT), "input_folder": str(stack.parent), "output_folder": tmp_path / "pages"})
    segmenter = config.get_parsed_content("segmenter")
    segmenter.page_pixels = 1000
    segmenter.run()
    assert alike(read(tmp_path / "pages"), kept)
    assert read_findings(tmp_path / "pages" / "stack_mask.tif") == pytest.approx(noted[0])

    result = interface.segment(phantom.stack)
    assert result.weights == STACK_WEIGHTS and result.expected_dice == pytest.approx(
        noted[0]["expected_dice"], abs=1e-3
    )
    assert alike({"mask": result.mask * np.uint8(255), **{kind: getattr(result, kind) for kind in KINDS[1:]}}, kept)
    assert interface.segment(phantom.stack, weights=WEIGHTS).weights == WEIGHTS
    assert interface.segment(phantom.stack, mode="stack").weights == STACK_WEIGHTS


@pytest.fixture
def scales(monkeypatch):
    """The lines on scales that were found to fit."""
    said: list[str] = []
    handler, logger = logging.Handler(), logging.getLogger("bundle.segmentation.scales")
    monkeypatch.setattr(handler, "emit", lambda record: said.append(record.getMessage()))
    monkeypatch.setattr(logger, "level", logging.INFO)
    logger.addHandler(handler)
    yield said
    logger.removeHandler(handler)


@pytest.mark.parametrize("way", ["plain", "monai", "python"])
def test_both_networks_see_an_image_at_the_scale_that_the_first_one_asks_for(way, phantom, tmp_path, scales):
    large = zoom(phantom.stack.max(0).astype(np.float32), 4, order=1)
    (tmp_path / "in").mkdir()
    write_image(tmp_path / "in" / "large.tif", large, "YX")
    if way == "python":
        expected = interface.segment(large, scale="auto").expected_dice
    else:
        config = PlainConfig(INFERENCE) if way == "plain" else ConfigParser()
        if way == "monai":
            config.read_config(INFERENCE)
        config.update({"bundle_root": str(ROOT), "input_folder": str(tmp_path / "in"), "scale": "auto"})
        config.update({"output_folder": tmp_path / "out"})
        config.get_parsed_content("segmenter").run()
        expected = read_findings(tmp_path / "out" / "large_mask.tif")["expected_dice"]
    assert expected < 0.7  # so that the second one was asked, and did not look for a scale of its own
    assert len(scales) == 1


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [(0.9, None, "first"), (0.7, None, "first"), (math.nan, None, "first"), (0.5, 0.6, "second"), (0.5, 0.5, "first")],
)
def test_it_is_asked_where_little_is_expected_of_something(first, second, kept):
    asked = []

    def again(network):
        asked.append(network)
        return "second"

    opinion = SecondOpinion(torch.nn.Conv2d(1, 1, 1), None if second is None else STACK_WEIGHTS)
    opinion.__dict__["_network"] = "the other network"
    found, expectation, other = better_of(
        "first", lambda _, other: Expectation(second if other else first), again, opinion
    )
    assert found == kept and other is (kept == "second") and bool(asked) is (second is not None)
    assert expectation.dice == first or math.isnan(first)


def test_weights_of_one_s_own_are_alone(tmp_path):
    parser = ConfigParser()
    parser.read_config(INFERENCE)
    parser.update({"bundle_root": str(ROOT), "weights": str(tmp_path / "model.pt")})
    assert parser.get_parsed_content("second_weights") is None  # no stack.pt lies beside them
    for name in ("model.pt", "stack.pt"):
        (tmp_path / name).write_bytes(WEIGHTS.read_bytes())
    assert second_weights(tmp_path / "model.pt", "fused") is None  # it would ask itself
    (tmp_path / "stack.pt").write_bytes(STACK_WEIGHTS.read_bytes())
    assert second_weights(tmp_path / "model.pt", "fused") == tmp_path / "stack.pt"
    parser.update({"weights": str(WEIGHTS), "mode": "stack"})
    assert parser.get_parsed_content("second_weights") is None
    parser.update({"mode": "fused"})
    assert parser.get_parsed_content("second_weights") == STACK_WEIGHTS


def test_adapting_begins_from_the_weights_that_are_better_on_what_is_labelled(phantom, tmp_path):
    flat = interface.fuse(phantom.stack).image
    label = phantom.projected_mask.astype(np.uint8)
    interface.adapt(flat, label, tmp_path / "adapted", steps=0)
    found = [interface.segment(flat, weights=weights).mask for weights in (tmp_path / "adapted", WEIGHTS)]
    dice = [Confusion.between(mask, phantom.projected_mask).dice for mask in found]
    assert dice[0] > dice[1] + 0.1
    assert Path(json.loads((tmp_path / "adapted" / "adapted.json").read_text())["weights"]) == STACK_WEIGHTS


def test_a_run_with_an_inferer_of_one_s_own_asks_nobody(stack, tmp_path):
    parser = ConfigParser()
    parser.read_config(INFERENCE)
    parser.update({"bundle_root": str(ROOT), "dataset_dir": str(stack.parent), "output_dir": str(tmp_path / "monai")})
    parser["inferer"] = {"_target_": "SlidingWindowInferer", "roi_size": [160, 160]}
    parser.get_parsed_content("segmenter").run()
    assert "weights" not in read_findings(tmp_path / "monai" / "stack_mask.tif")
