"""`python -m bundle evaluate` on folders of masks whose scores are known."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from bundle.__main__ import main
from bundle.io import write_ome_tiff

DATA = Path(os.environ.get("VESSEL_DATA", Path(__file__).parents[1] / "../shared/data"))


def write_mask(path: Path, mask: np.ndarray, value: int = 255) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray((mask * value).astype(np.uint8)).save(path)


def vessel(rows: slice, shape: tuple[int, int] = (20, 30)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[rows, 3:27] = True
    return mask


def rows_of(path: Path) -> dict[str, dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as stream:
        return {row["image"]: row for row in csv.DictReader(stream)}


@pytest.fixture
def folders(tmp_path):
    """Four rows of truth; predicted exactly for `356`, two rows too low for `a #6`."""
    predictions, truth = tmp_path / "predictions", tmp_path / "truth"
    for name in ("356", "a #6"):
        write_mask(truth / f"{name}.png", vessel(slice(6, 10)))
    write_mask(predictions / "356_mask.tif", vessel(slice(6, 10)))
    write_mask(predictions / "a #6_mask.tif", vessel(slice(8, 12)))
    return predictions, truth, tmp_path / "out" / "scores.csv"


def evaluate(predictions: Path, truth: Path, output: Path, *options: str) -> int:
    return main(["evaluate", str(predictions), str(truth), "--output", str(output), *options])


def test_table_summary_and_pictures_of_a_folder(folders, capsys):
    assert evaluate(*folders) == 0
    out = folders[2].parent
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()) == [
        "provenance.json",
        "scores.csv",
        os.path.join("scores_overlays", "356.png"),
        os.path.join("scores_overlays", "a #6.png"),
        os.path.join("scores_overlays", "provenance.json"),
        "scores_summary.csv",
    ]
    rows = rows_of(folders[2])
    assert list(rows) == ["356", "a #6"]
    assert list(rows["356"])[:6] == ["image", "dice", "sensitivity", "precision", "specificity", "accuracy"]
    assert (rows["356"]["dice"], rows["a #6"]["dice"]) == ("1.000000", "0.500000")
    assert (rows["a #6"]["hd95"], rows["a #6"]["hd95_unit"]) == ("2.000000", "pixel")
    with open(out / "scores_summary.csv", newline="") as stream:
        summary = {row["metric"]: row for row in csv.DictReader(stream)}
    assert (summary["dice"]["mean"], summary["dice"]["images"]) == ("0.750000", "2")
    printed = capsys.readouterr()
    assert "dice" in printed.out and "0.750" in printed.out
    assert "2 scored, 0 failed, 0 without prediction" in printed.out
    assert "µm" not in printed.out


def test_pictures_colour_as_many_pixels_as_the_scores_count(folders):
    evaluate(*folders)
    with PIL.Image.open(folders[2].parent / "scores_overlays" / "a #6.png") as picture:
        pixels = np.asarray(picture)
    counts = {
        tuple(colour): (pixels == colour).all(axis=-1).sum() for colour in np.unique(pixels.reshape(-1, 3), axis=0)
    }
    assert counts == {(255, 255, 255): 48, (255, 0, 0): 48, (0, 0, 255): 48, (0, 0, 0): 600 - 144}


def test_no_overlays(folders):
    assert evaluate(*folders, "--no-overlays") == 0
    assert sorted(path.name for path in folders[2].parent.iterdir()) == [
        "provenance.json",
        "scores.csv",
        "scores_summary.csv",
    ]


def test_trailing_mask_is_ignored_on_either_side_and_other_outputs_are_skipped(folders, caplog):
    predictions, truth, output = folders
    (truth / "356.png").rename(truth / "356_mask.png")
    (predictions / "a #6_mask.tif").rename(predictions / "a #6.tif")
    for kind in ("probability", "fused", "depth", "disagreement"):
        PIL.Image.fromarray(np.arange(600, dtype=np.float32).reshape(20, 30)).save(predictions / f"356_{kind}.tif")
    PIL.Image.fromarray(np.arange(600, dtype=np.uint8).reshape(20, 30)).save(predictions / "356.tif")
    write_mask(predictions / "356_overlay.png", vessel(slice(0, 3)))
    (predictions / "notes.txt").write_text("not an image")
    assert evaluate(predictions, truth, output) == 0
    assert {name: row["dice"] for name, row in rows_of(output).items()} == {"356": "1.000000", "a #6": "0.500000"}
    assert not caplog.records


def test_a_name_that_ends_like_an_output_is_still_a_name(tmp_path):
    write_mask(tmp_path / "p" / "well_depth_mask.png", vessel(slice(6, 10)))
    write_mask(tmp_path / "t" / "well_depth.png", vessel(slice(6, 10)))
    assert evaluate(tmp_path / "p", tmp_path / "t", tmp_path / "s.csv") == 0
    assert list(rows_of(tmp_path / "s.csv")) == ["well_depth"]


def test_true_mask_without_prediction_is_named_and_fails(folders, capsys):
    predictions, truth, output = folders
    write_mask(truth / "1e5.png", vessel(slice(6, 10)))
    assert evaluate(predictions, truth, output) == 1
    assert list(rows_of(output)) == ["356", "a #6"]
    printed = capsys.readouterr()
    assert "no prediction for 1e5" in printed.err
    assert "1 without prediction" in printed.out


def test_prediction_without_truth_is_named_and_no_failure(folders, caplog):
    predictions, truth, output = folders
    write_mask(predictions / "1e5_mask.png", vessel(slice(6, 10)))
    assert evaluate(predictions, truth, output) == 0
    assert [record.getMessage() for record in caplog.records] == [f"{predictions}: no true mask for 1e5"]


def test_bad_masks_are_named_one_line_each_and_the_others_go_on(folders, capsys):
    predictions, truth, output = folders
    for name in ("size", "grey", "text", "nothing", "colour"):
        write_mask(truth / f"{name}.png", vessel(slice(6, 10)))
    write_mask(predictions / "size.png", vessel(slice(6, 10), (20, 31)))
    PIL.Image.fromarray(np.arange(600, dtype=np.uint8).reshape(20, 30)).save(predictions / "grey.png")
    (predictions / "text.tif").write_text("this is no image")
    (predictions / "nothing.tif").touch()
    colours = np.zeros((20, 30, 3), np.uint8)
    colours[6:10, 3:27, 0] = colours[8, 3:9, 1] = 255
    PIL.Image.fromarray(colours).save(predictions / "colour.png")
    assert evaluate(predictions, truth, output) == 1
    printed = capsys.readouterr()
    assert list(rows_of(output)) == ["356", "a #6"]
    assert "2 scored, 5 failed" in printed.out
    lines = printed.err.splitlines()
    assert len(lines) == 5
    for name in ("size.png", "grey.png", "text.tif", "nothing.tif", "colour.png"):
        assert sum(str(predictions / name) in line for line in lines) == 1
    assert any("20 × 31" in line and "20 × 30" in line and str(truth / "size.png") in line for line in lines)
    assert any("not a binary mask" in line for line in lines)


def test_a_true_mask_that_is_not_binary_is_the_one_named(folders, capsys):
    predictions, truth, output = folders
    PIL.Image.fromarray(np.arange(600, dtype=np.uint8).reshape(20, 30)).save(truth / "356.png")
    assert evaluate(predictions, truth, output) == 1
    assert str(truth / "356.png") in capsys.readouterr().err
    assert list(rows_of(output)) == ["a #6"]


def test_nothing_is_written_if_nothing_could_be_scored(tmp_path, capsys):
    write_mask(tmp_path / "p" / "a.png", vessel(slice(6, 10), (5, 30)))
    write_mask(tmp_path / "t" / "a.png", vessel(slice(6, 10)))
    assert evaluate(tmp_path / "p", tmp_path / "t", tmp_path / "out" / "s.csv") == 1
    assert not (tmp_path / "out").exists()


def test_no_pair_at_all_and_an_empty_folder_are_refused(tmp_path, capsys):
    write_mask(tmp_path / "p" / "a.png", vessel(slice(6, 10)))
    write_mask(tmp_path / "t" / "b.png", vessel(slice(6, 10)))
    (tmp_path / "empty").mkdir()
    for truth in ("t", "empty", "absent"):
        assert evaluate(tmp_path / "p", tmp_path / truth, tmp_path / "s.csv") == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert str(tmp_path / truth) in line
    assert not (tmp_path / "s.csv").exists()


def test_a_table_of_other_masks_is_not_replaced_and_that_of_these_is_the_same(folders, capsys):
    predictions, truth, output = folders
    output.parent.mkdir()
    output.write_text("old")
    assert evaluate(*folders) == 1
    assert f"{output}: exists, and nothing tells what made it" in capsys.readouterr().err
    assert output.read_text() == "old"
    assert evaluate(*folders, "--overwrite") == 0
    first = {path: path.read_bytes() for path in output.parent.rglob("*") if path.is_file()}
    for more in ([], ["--overwrite"]):
        assert evaluate(*folders, *more) == 0
        assert {path: path.read_bytes() for path in output.parent.rglob("*") if path.is_file()} == first
    write_mask(predictions / "356_mask.tif", vessel(slice(7, 11)))
    capsys.readouterr()
    assert evaluate(*folders) == 1
    assert "an earlier state of the input" in capsys.readouterr().err
    assert output.read_bytes() == first[output]


def test_an_output_that_cannot_be_written_is_one_line(folders, capsys):
    predictions, truth, output = folders
    output.parent.write_text("a file where a folder should be")
    assert evaluate(*folders) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert str(output.parent) in line


def test_two_files_are_a_pair_whatever_their_names(folders):
    predictions, truth, output = folders
    assert evaluate(predictions / "a #6_mask.tif", truth / "356.png", output) == 0
    assert rows_of(output)["a #6"]["dice"] == "0.500000"


def test_stacks_in_micrometres_with_pictures_of_their_projection(tmp_path, capsys):
    mask = np.zeros((4, 20, 30), np.uint8)
    mask[1:3, 6:10, 3:27] = 255
    write_ome_tiff(tmp_path / "p" / "a_mask.tif", mask, "ZYX", (5.0, 0.5, 0.5))
    write_ome_tiff(tmp_path / "t" / "a.ome.tif", np.roll(mask, 1, axis=0), "ZYX", (5.0, 0.5, 0.5))
    assert evaluate(tmp_path / "p", tmp_path / "t", tmp_path / "s.csv") == 0
    row = rows_of(tmp_path / "s.csv")["a"]
    assert (row["dice"], row["hd95"], row["hd95_unit"]) == ("0.500000", "5.000000", "um")
    assert "hd95 in µm" in capsys.readouterr().out
    with PIL.Image.open(tmp_path / "s_overlays" / "a.png") as picture:
        assert set(map(tuple, np.asarray(picture).reshape(-1, 3).tolist())) == {(0, 0, 0), (255, 255, 255)}


def test_one_pair_without_pixel_size_makes_all_distances_pixels(tmp_path, capsys):
    for name, spacing in (("a", (0.5, 0.5)), ("b", None)):
        write_ome_tiff(tmp_path / "p" / f"{name}.tif", vessel(slice(6, 10)).astype(np.uint8), "YX", spacing)
        write_ome_tiff(tmp_path / "t" / f"{name}.tif", vessel(slice(8, 12)).astype(np.uint8), "YX", spacing)
    assert evaluate(tmp_path / "p", tmp_path / "t", tmp_path / "s.csv") == 0
    assert {(row["hd95"], row["hd95_unit"]) for row in rows_of(tmp_path / "s.csv").values()} == {("2.000000", "pixel")}
    assert "µm" not in capsys.readouterr().out


def test_empty_masks_are_undefined_and_counted(tmp_path, capsys):
    for name, rows in (("a", slice(6, 10)), ("b", slice(0, 0))):
        for side in "pt":
            write_mask(tmp_path / side / f"{name}.png", vessel(rows))
    assert evaluate(tmp_path / "p", tmp_path / "t", tmp_path / "s.csv") == 0
    assert rows_of(tmp_path / "s.csv")["b"]["dice"] == "nan"
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("dice"))
    assert line.split() == ["dice", "1.000", "–", "–", "1", "1"]


@pytest.mark.skipif(not (DATA / "vessmap").exists(), reason="VessMAP is not at hand (set VESSEL_DATA)")
def test_second_annotator_of_vessmap_agrees_with_the_first_as_published(tmp_path):
    """Published for 20 images: Dice 0.878, clDice 0.956; here on the ten of them that are in the test split."""
    images = DATA / "vessmap"
    truth = tmp_path / "t"
    truth.mkdir()
    for path in (images / "masks_annotator2").iterdir():
        source = images / "masks" / path.name
        (truth / path.name).write_bytes(source.read_bytes())
    assert evaluate(images / "masks_annotator2", truth, tmp_path / "s.csv", "--no-overlays") == 0
    with open(tmp_path / "s_summary.csv", newline="") as stream:
        summary = {row["metric"]: row for row in csv.DictReader(stream)}
    assert summary["dice"]["images"] == "10"
    for metric, published in (("dice", 0.878), ("cldice", 0.956)):
        assert float(summary[metric]["low"]) < published < float(summary[metric]["high"])
