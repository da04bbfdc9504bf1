"""A folder that is watched: what has arrived is done once, what has not is left, and a killed watch goes on."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bundle.__main__ import main
from bundle.comparison import read_table
from bundle.io import write_ome_tiff
from bundle.phantoms import make_phantom

ROOT = Path(__file__).resolve().parents[1]


def arrive(folder: Path, name: str, index: int = 0) -> Path:
    """A small stack."""
    phantom = make_phantom((3, 64, 72), index=index, density="dense")
    write_ome_tiff(folder / name, phantom.stack, "ZYX", phantom.spacing)
    return folder / name


def watch(folder: Path, output: Path, *words: str) -> int:
    return main(["watch", str(folder), "--output", str(output), "--once", "--every", "0.1", "--device", "cpu", *words])


def shown(output: Path) -> dict:
    page = (output / "report.html").read_text(encoding="utf-8")
    return json.loads(re.search(r'id="report">(.*?)</script>', page, re.S)[1])


def rows(output: Path) -> list[str]:
    return [row["image"] for row in read_table(output / "measured" / "images.csv")]


def test_what_has_arrived_is_shown_and_what_is_growing_or_damaged_is_left_and_said(tmp_path, capsys, monkeypatch):
    folder, output = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    arrive(folder, "a.ome.tif")
    (folder / "bad.tif").write_bytes(b"II*\0nothing")
    growing = folder / "growing.tif"
    whole = arrive(tmp_path, "whole.tif", 1).read_bytes()
    growing.write_bytes(whole[:1000])
    sleep = time.sleep

    def written_meanwhile(seconds: float) -> None:
        with growing.open("ab") as stream:
            stream.write(whole[1000:2000])
        sleep(seconds)

    monkeypatch.setattr("bundle.commands.watch.time.sleep", written_meanwhile)
    assert watch(folder, output) == 1
    said = capsys.readouterr()
    assert rows(output) == ["a"] and [image["name"] for image in shown(output)["images"]] == ["a"]
    assert "growing.tif: is still being written" in said.err and said.err.count("bad.tif: ") == 1
    assert any("bad.tif" in line or "damaged" in line for line in shown(output)["warnings"])
    assert re.search(r"a.ome.tif: \d+ vessels, length", said.out)

    monkeypatch.undo()
    growing.write_bytes(whole)
    (folder / "bad.tif").unlink()
    before = (output / "segmented" / "a_mask.tif").stat().st_mtime_ns
    assert watch(folder, output) == 0
    assert sorted(rows(output)) == ["a", "growing"] and len(shown(output)["images"]) == 2
    assert (output / "segmented" / "a_mask.tif").stat().st_mtime_ns == before
    assert "2 images, 0 failed" in capsys.readouterr().out

    # a file of the name of another is refused, and the others go on
    arrive(folder, "a.tif", 2)
    assert watch(folder, output) == 1
    assert "has the same name" in capsys.readouterr().err and sorted(rows(output)) == ["a", "growing"]


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_killed_watch_goes_on_does_nothing_twice_and_ends_in_a_line_by_ctrl_c(tmp_path):
    folder, output = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    arrive(folder, "a.tif")
    command = [sys.executable, "-m", "bundle", "watch", str(folder), "--output", str(output), "--every", "0.2"]

    def start() -> subprocess.Popen:
        return subprocess.Popen(
            [*command, "--device", "cpu"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    first = start()
    assert "watched" in first.stdout.readline()
    end = time.monotonic() + 240
    while not (output / "segmented" / "a_mask.tif").exists() and time.monotonic() < end:  # then it measures
        time.sleep(0.01)
    first.kill()
    first.communicate()
    mask = (output / "segmented" / "a_mask.tif").stat().st_mtime_ns
    arrive(folder, "b.tif", 1)

    second = start()
    lines = [second.stdout.readline() for _ in range(3)]
    assert "watched" in lines[0] and {Path(line.split(":")[0]).name for line in lines[1:]} == {"a.tif", "b.tif"}
    second.send_signal(signal.SIGINT)
    _, err = second.communicate(timeout=60)
    assert second.returncode == 130 and "the same command goes on" in err.splitlines()[-1] and "Traceback" not in err
    assert (output / "segmented" / "a_mask.tif").stat().st_mtime_ns == mask
    assert sorted(rows(output)) == ["a", "b"] and len(shown(output)["images"]) == 2


@pytest.mark.parametrize(("words", "said"), [(["--every", "0"], "no number of seconds"), ([], "is no folder")])
def test_slips_are_said_in_a_line(tmp_path, capsys, words, said):
    try:
        status = main(["watch", str(tmp_path / "none"), "--output", str(tmp_path / "out"), *words])
    except SystemExit as end:
        status = end.code
    assert status in (1, 2) and said in capsys.readouterr().err
