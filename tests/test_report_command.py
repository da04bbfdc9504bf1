"""From raw stacks to the page by one command: everything once, stopped and gone on with, bad inputs said."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from bundle.__main__ import main
from bundle.commands import segment
from bundle.comparison import read_table
from bundle.io import write_ome_tiff
from bundle.phantoms import make_phantom

NAMES = ("a", "b", "c", "d")


@pytest.fixture(scope="module")
def stacks(tmp_path_factory):
    """Four small stacks, one without a pixel size, and the animals they are of."""
    folder = tmp_path_factory.mktemp("raw")
    for number, name in enumerate(NAMES):
        phantom = make_phantom((5, 72, 64), index=number, density="dense")
        write_ome_tiff(folder / f"{name}.ome.tif", phantom.stack, "ZYX", phantom.spacing)
    (folder / "groups.csv").write_text(
        "\ufeffimage;animal;group\n" + "".join(f"{n}.ome.tif;m{n};{g}\n" for n, g in zip(NAMES, "xxyy", strict=True)),
        encoding="utf-8",
    )
    return folder


@pytest.fixture
def report(stacks, tmp_path):
    def call(*words: str, output: Path = tmp_path / "out", inputs: tuple[Path, ...] = (stacks,)) -> int:
        torch.set_num_threads(1)
        return main(["report", *map(str, inputs), "--output", str(output), "--device", "cpu", *words])

    return call


def content(output: Path) -> dict:
    page = (output / "report.html").read_text(encoding="utf-8")
    return json.loads(re.search(r'id="report">(.*?)</script>', page, re.S)[1])


def test_raw_stacks_become_masks_tables_a_comparison_and_a_page(report, stacks, tmp_path, capsys):
    out = tmp_path / "out"
    assert report("--groups", str(stacks / "groups.csv")) == 0
    assert "2 against 2 animals cannot give a p below 0.33" in capsys.readouterr().err
    rows = read_table(out / "measured" / "images.csv")
    assert [row["image"] for row in rows] == list(NAMES)
    shown = content(out)
    for row, image in zip(rows, shown["images"], strict=True):
        assert image["name"] == row["image"]
        assert image["values"]["length_density"][0] == pytest.approx(float(row["length_density"]))
        assert image["network"]["box"][2] > 0 and "brightest" in image["network"]["caption"]
    assert [image["group"] for image in shown["images"]] == ["x", "x", "y", "y"]
    compared = read_table(out / "compared" / "comparison.csv")
    found = {row["title"]: row["difference"][0] for row in shown["comparison"]["rows"]}
    assert found["length density"] == pytest.approx(float(compared[0]["difference"]), rel=1e-4)
    (first, *_) = shown["methods"]
    digest = dict(shown["settings"])["SHA-256 of the weights"]
    assert digest in first and re.fullmatch(r"[0-9a-f]{64}", digest)
    assert dict(shown["settings"])["--low"] == "0.45"
    assert read_table(out / "data" / "a_diameters.csv")


def test_a_stopped_report_goes_on_and_ends_as_one_that_was_not(report, tmp_path, monkeypatch):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert report(output=whole) == 0
    writer, calls = segment.segment_files, []

    def stop(parser):
        calls.append(parser)
        parser["inputs"] = parser["inputs"][:2]
        writer(parser)
        raise KeyboardInterrupt

    monkeypatch.setattr(segment, "segment_files", stop)
    assert report(output=stopped) == 130
    monkeypatch.setattr(segment, "segment_files", writer)
    masks = sorted((stopped / "segmented").glob("*_mask.tif"))
    assert len(masks) == 2 and not (stopped / "report.html").exists()
    before = [mask.stat().st_mtime_ns for mask in masks]
    assert report(output=stopped) == 0
    assert [mask.stat().st_mtime_ns for mask in masks] == before
    for name in ("images.csv", "segments.csv", "nodes.csv"):
        assert (stopped / "measured" / name).read_bytes() == (whole / "measured" / name).read_bytes()
    assert content(stopped)["images"] == content(whole)["images"]


def test_each_channel_of_a_file_is_an_image_of_the_page(report, tmp_path):
    grey = np.stack([make_phantom((2, 48, 48), index=number, density="dense").stack for number in (1, 2)])
    tifffile.imwrite(tmp_path / "m.1.tif", grey.swapaxes(0, 1), imagej=True, metadata={"axes": "ZCYX"})
    assert report("--channel", "all", inputs=(tmp_path / "m.1.tif",)) == 0
    shown = [image["name"] for image in content(tmp_path / "out")["images"]]
    assert shown == ["m.1_channel-0", "m.1_channel-1"]
    measured = {path.name for path in (tmp_path / "out" / "measured").glob("*_graph.json")}
    assert measured == {f"{name}_graph.json" for name in shown}  # a NAME with a dot is whole


def test_bad_inputs_are_said_on_the_page_and_the_others_go_on(report, stacks, tmp_path, capsys):
    bad = tmp_path / "bad.tif"
    bad.write_bytes(b"no image")
    unscaled = tmp_path / "unscaled.tif"
    write_ome_tiff(unscaled, make_phantom((4, 72, 72), index=9, density="dense").stack, "ZYX")
    assert report(inputs=(bad, unscaled)) == 1
    shown = content(tmp_path / "out")
    assert [image["name"] for image in shown["images"]] == ["unscaled"]
    assert any("bad.tif" in line for line in shown["warnings"])
    assert any("unscaled: no pixel size" in line for line in shown["warnings"])
    assert shown["images"][0]["picture"]["pixel"] is None
    assert "µm" not in json.dumps([shown["columns"], shown["images"][0]["measurements"]], ensure_ascii=False)


def test_masks_made_with_other_settings_are_not_taken_for_these(report, stacks, tmp_path, capsys):
    inputs = (stacks / "a.ome.tif",)
    assert report(inputs=inputs) == 0
    page = (tmp_path / "out" / "report.html").read_bytes()
    assert report("--low", "0.3", inputs=inputs) == 1
    said = capsys.readouterr().err
    assert "holds a report that was made otherwise (--low: 0.45, now 0.3); choose another --output" in said
    assert (tmp_path / "out" / "report.html").read_bytes() == page
    assert report("--low", "0.3", "--overwrite", inputs=inputs) == 0
    assert dict(content(tmp_path / "out")["settings"])["--low"] == "0.3"


def test_groups_that_do_not_fit_are_refused_before_anything_is_done(report, stacks, tmp_path, capsys):
    groups = tmp_path / "groups.csv"
    groups.write_text("image,animal,group\nother,1,x\n", encoding="utf-8")
    assert report("--groups", str(groups)) == 1
    assert "none of its images is in the table, which has a, b, c, d" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
