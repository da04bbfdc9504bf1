"""What every command promises of its output folder: nothing of the user's replaced, one line where it cannot write."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from bundle.__main__ import main
from bundle.io import check_writable, write_ome_tiff
from bundle.phantoms import make_phantom

# command: its words, where {} is a folder of inputs; what it writes under OUT, of which a user may have one of his own
COMMANDS = {
    "phantom": ("phantom OUT --shape 2 16 16", "images/phantom-0000.ome.tif"),
    "fuse": ("fuse {}/stacks --output OUT", "a_depth.tif"),
    "segment": ("segment {}/stacks --output OUT --device cpu", "a_overlay.png"),
    "stack": ("segment {}/stacks --mode stack --output OUT --device cpu", "a_probability.tif"),
    "both": ("segment {}/stacks --mode both --output OUT --device cpu", "a_colour.png"),
    "evaluate": ("evaluate {}/masks {}/masks --output OUT/s.csv", "s_summary.csv"),
    "measure": ("measure {}/masks --output OUT", "images.csv"),
    "measure's pictures": ("measure {}/masks --output OUT", "a_diameters.png"),
    "compare": ("compare {}/images.csv --groups {}/groups.csv --output OUT", "comparison.csv"),
    "adapt": ("adapt {}/masks/a.tif {}/masks/a.tif --output OUT --steps 0 --device cpu", "adapted.png"),
    "package": ("package OUT/a.zip", "a.zip"),
    "report": ("report {}/stacks --output OUT --device cpu", "report.html"),
}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    phantom = make_phantom((3, 64, 64), index=1, density="dense")
    for name in ("stacks", "masks"):
        (folder / name).mkdir()
    write_ome_tiff(folder / "stacks" / "a.ome.tif", phantom.stack, "ZYX", phantom.spacing)
    tifffile.imwrite(folder / "masks" / "a.tif", np.uint8(phantom.projected_mask) * 255)
    animals = [("a", "m1", "x"), ("b", "m2", "x"), ("c", "m3", "y"), ("d", "m4", "y")]
    (folder / "groups.csv").write_text("image,animal,group\n" + "".join(",".join(row) + "\n" for row in animals))
    (folder / "images.csv").write_text("image,length_density\na,1\nb,2\nc,3\nd,5\n")
    return folder


@pytest.fixture
def run(inputs, tmp_path, capsys):
    """Run a command; gives its exit status and the lines of standard error."""

    def call(name: str, out: Path) -> tuple[int, list[str]]:
        torch.set_num_threads(1)
        capsys.readouterr()
        words = COMMANDS[name][0].replace("{}", str(inputs)).replace("OUT", str(out)).split()
        status = main(words)
        return status, capsys.readouterr().err.splitlines()

    return call


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_file_of_the_user_s_own_is_refused_by_name_before_any_work(run, tmp_path, name):
    out = tmp_path / "out"
    own = out / COMMANDS[name][1]
    own.parent.mkdir(parents=True)
    own.write_text("mine")
    status, err = run(name, out)
    assert status == 1 and own.read_text() == "mine"
    assert any(str(own) in line and "; " in line for line in err)
    assert everything(out) <= {COMMANDS[name][1], "settings.json"}  # of report, which segments first


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size, as a full disk does not, to which nobody needs permission."""
    import resource  # not on Windows

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.skipif(os.name == "nt", reason="limits of POSIX")
@pytest.mark.parametrize(
    ("name", "size"),
    [
        (name, size)
        for name in COMMANDS
        if "'" not in name
        for size in ((1500,) if name in ("both", "report") else (400, 1500))
    ],
)
def test_where_there_is_no_room_a_command_ends_in_its_line_and_what_stands_there_is_whole(run, tmp_path, name, size):
    out = tmp_path / "out"
    with largest_file(size):
        status, err = run(name, out)
    if name == "evaluate" and size == 1500:
        assert status == 0  # all of it is smaller
        return
    assert status == 1
    assert any(("too large for this disk" in line or "no room left" in line) and "; " in line for line in err), err
    assert not any("Error" in line or "Traceback" in line for line in err)
    left = {name: (out / name).read_bytes() for name in everything(out)} if size else {}
    left = {name: content for name, content in left.items() if not name.startswith(".a.parts")}
    assert not [name for name in left if Path(name).name.startswith(".")]
    if size == 400 and name not in ("phantom", "fuse", "compare"):
        return  # a whole run takes a while, and one is enough
    assert run(name, out)[0] == 0  # the same command goes on
    assert not [file for file in everything(out) if file.startswith(".")]
    for file, content in left.items():
        if "provenance" not in file:  # grows
            assert (out / file).read_bytes() == content


@pytest.mark.parametrize("name", [name for name in COMMANDS if "'" not in name])
def test_a_folder_that_cannot_be_is_said_before_any_work(run, tmp_path, name):
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file" / "out", tmp_path / ("long" * 100)):
        status, err = run(name, out)
        assert status == 1 and len(err) == 1 and "; choose " in err[0], err
    assert everything(tmp_path) == {"file"}


@pytest.mark.parametrize(
    "words",
    [
        "compare {}/binary --groups {}/groups.csv --output OUT",
        "compare {}/images.csv --groups {}/binary --output OUT",
        "evaluate {}/masks/a.tif {}/masks/a.tif --output {}/masks/a.tif --overwrite",
        "adapt {}/masks/a.tif {}/masks/a.tif --weights {}/binary --output OUT",
        "doctor --device nonsense",
        "run training",
        "run --config_file none.json",
        "run --config_file {}/binary",
    ],
)
def test_words_that_make_no_sense_are_a_line_and_cost_nobody_a_file(inputs, tmp_path, capsys, words):
    (inputs / "binary").write_bytes(bytes(range(256)) * 4)
    before = (inputs / "masks" / "a.tif").read_bytes()
    assert main(words.replace("{}", str(inputs)).replace("OUT", str(tmp_path / "out")).split()) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "; " in line
    assert (inputs / "masks" / "a.tif").read_bytes() == before


def test_a_folder_is_tried_without_a_trace(tmp_path):
    check_writable(tmp_path / "a" / "b")
    check_writable(tmp_path)
    assert not list(tmp_path.iterdir())
    shutil.rmtree(tmp_path)
    check_writable(tmp_path)
