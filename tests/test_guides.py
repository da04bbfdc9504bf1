"""The guides: every block of code in docs/guides is run as it stands there.

A block marked ``sh`` or ``python`` is run in a copy of the bundle's folder beside small phantoms of the names that the
guides use. A comment on the line before a block makes an exception: ``<!-- the test adds: OPTIONS -->`` shortens the
block's command, ``<!-- run by FILE -->`` leaves it to a check of a platform, which has to run it.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bundle.__main__ import main
from bundle.io import open_image, write_ome_tiff
from bundle.measurements import read_table
from scripts.platforms.guides import Block, blocks

ROOT = Path(__file__).resolve().parents[1]
GUIDES = sorted((ROOT / "docs" / "guides").glob("*.md"))


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The bundle in a folder of its own, and beside it what the guides call yours."""
    folder = tmp_path_factory.mktemp("guides") / "vessels"
    for part in ("bundle", "configs", "models"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    phantoms = folder / "my_vessels"
    assert main(["phantom", str(phantoms), "--count", "4", "--shape", "6", "72", "80"]) == 0
    stems = [path.name.split(".")[0] for path in sorted((phantoms / "images").iterdir())]
    with open(phantoms / "split.csv", "w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream)
        rows.writerow(("stem", "split"))
        rows.writerows(zip(stems, ("train", "train", "val", "test"), strict=True))
    stack = open_image(next((phantoms / "images").iterdir())).array()
    write_ome_tiff(folder / "stack.ome.tif", stack, "ZYX", (2, 0.8, 0.8))
    write_ome_tiff(folder / "image.tif", stack[3], "YX", (0.8, 0.8))
    return folder


def run(block: Block, folder: Path) -> None:
    """Run a block, without a shell, which Windows has another one of."""
    if block.language == "python":
        commands = [[sys.executable, "-c", block.text]]
    else:
        lines = block.text.replace("\\\n", " ").splitlines()
        commands = [shlex.split(line, comments=True) for line in lines]
        commands = [[sys.executable, *command[1:]] for command in commands if command and command[0] == "python"]
        assert len(commands) == len([line for line in lines if line.strip()]), "a command that is no python's"
        commands[-1] += shlex.split(block.added)
    environment = {**os.environ, "PYTHONPATH": str(folder), "CUDA_VISIBLE_DEVICES": ""}
    for command in commands:
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, encoding="utf-8")
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"


def run_here(name: str, folder: Path) -> None:
    for block in blocks(ROOT / "docs" / "guides" / name):
        if block.language in ("sh", "python") and not block.run_by:
            run(block, folder)


def test_python_gives_the_masks_of_segment_for_files_and_for_arrays(copy, tmp_path):
    run_here("python.md", copy)
    # a process of its own, as the guide's is: the last bits depend on the number of threads
    words = ["segment", str(copy / "stack.ome.tif"), str(copy / "image.tif"), "--output", str(tmp_path)]
    subprocess.run([sys.executable, "-m", "bundle", *words], cwd=ROOT, check=True)
    for name in ("stack", "image"):
        for kind in ("mask", "probability"):
            mine, theirs = (open_image(folder / f"{name}_{kind}.tif") for folder in (copy / "masks", tmp_path))
            np.testing.assert_array_equal(mine.array(), theirs.array())
            assert mine.spacing == theirs.spacing
    found = np.load(copy / "found.npz")
    np.testing.assert_array_equal(found["flat"], open_image(tmp_path / "stack_mask.tif").array() > 0)
    assert found["mask"].ndim == 3 and found["mask"].any()
    array = np.load(copy / "array.npz")
    found = open_image(tmp_path / "stack_mask.tif").array()
    assert found.any()
    np.testing.assert_array_equal(array["mask"] > 0, found > 0)
    # the guide calls the network as it stands, the command the faster copy of it, whose kernels sum in another order:
    # they differ by rounding, of which tests/test_faster.py says how much
    probability = open_image(tmp_path / "stack_probability.tif").array()
    np.testing.assert_allclose(array["probability"], probability, rtol=0, atol=5e-5)


def test_the_notebook_runs_from_top_to_bottom_and_finds_what_it_says(tmp_path):
    cells = json.loads((ROOT / "docs" / "guides" / "notebook.ipynb").read_text(encoding="utf-8"))["cells"]
    assert all(not cell.get("outputs") for cell in cells)
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    (tmp_path / "notebook.py").write_text(code, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "", "MPLBACKEND": "agg"}
    words = [sys.executable, "notebook.py"]
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr[-4000:]
    expected, found = map(float, re.search(r"expected ([\d.]+), found ([\d.]+)", done.stdout).groups())
    assert found > 0.8 and abs(expected - found) < 0.15


def test_the_engineer_s_training_leaves_a_checkpoint(copy):
    run_here("engineer.md", copy)
    assert (copy / "runs" / "new" / "checkpoints" / "best.pt").exists()


def test_fine_tuning_leaves_scores_before_and_after_curves_and_masks(copy):
    shipped = (copy / "models" / "model.pt").read_bytes()
    run_here("fine_tune.md", copy)
    runs = copy / "runs"
    for scores in (runs / "before" / "scores.csv", runs / "after" / "scores.csv"):
        assert len(scores.read_text(encoding="utf-8").splitlines()) == 2  # the head and the one test image
        assert (scores.parent / "scores_summary.csv").exists() and any((scores.parent / "overlays").iterdir())
    head, *epochs = (runs / "mine" / "curves.csv").read_text(encoding="utf-8").splitlines()
    assert {"epoch", "loss", "dice", "sensitivity", "precision"} <= set(head.split(","))
    assert len(epochs) == 1
    assert len(list((copy / "masks_mine").glob("phantom-*_mask.tif"))) == 4
    assert (copy / "models" / "model.pt").read_bytes() == shipped


def test_an_exported_network_gives_the_probability_of_segment_without_this_package(copy, tmp_path):
    run_here("deploy.md", copy)
    assert main(["segment", str(copy / "image.tif"), "--output", str(tmp_path)]) == 0
    expected = open_image(tmp_path / "image_probability.tif").array()
    for name in ("probability.npy", "probability_onnx.npy"):
        np.testing.assert_allclose(np.load(copy / name), expected, atol=1e-4)


def test_fiji_and_qupath_get_the_vessels_of_the_guides(copy):
    for name in ("fiji.md", "qupath.md"):
        shutil.rmtree(copy / "found", ignore_errors=True)
        run_here(name, copy)
    made = {path.name for folder in ("for_fiji", "for_qupath") for path in (copy / folder).iterdir()}
    assert made >= {"image_fiji.tif", "image_rois.zip", "image_vessels.geojson"}


def test_the_microscopist_s_three_lines_give_numbers_and_a_page(copy):
    run_here("microscopist.md", copy)
    for folder in ("vessels_found", "vessels_report/measured"):
        (row,) = read_table(copy / folder / "images.csv")
        assert row["unit"] == "micrometer" and float(row["length_density"]) > 0
    assert (copy / "vessels_report" / "report.html").exists()


def test_a_watched_folder_ends_in_a_page_of_all_its_stacks(copy):
    run_here("watch.md", copy)
    assert len(read_table(copy / "results" / "measured" / "images.csv")) == 4
    assert (copy / "results" / "report.html").stat().st_size > 100_000


def test_a_cluster_of_this_machine_gives_the_masks_of_segment(copy, tmp_path):
    run_here("cluster.md", copy)
    words = ["segment", str(copy / "stack.ome.tif"), "--mode", "stack", "--output", str(tmp_path)]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-m", "bundle", *words], cwd=ROOT, env=one_thread, check=True)
    for kind in ("mask", "probability", "disagreement"):
        mine = open_image(copy / "masks3d" / f"stack_{kind}.ome.zarr")
        theirs = open_image(tmp_path / f"stack_{kind}.tif")
        np.testing.assert_array_equal(mine.array(), theirs.array())
        assert mine.spacing == theirs.spacing


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.name)
def test_what_is_not_run_here_is_run_by_a_check_that_reads_the_guide(guide):
    for block in blocks(guide):
        if block.run_by:
            assert guide.name in (ROOT / block.run_by).read_text(encoding="utf-8")


def test_every_guide_is_linked_from_the_readme_and_the_bundle_s_page():
    for page, folder in (("README.md", "docs/guides"), ("docs/README.md", "guides")):
        text = (ROOT / page).read_text(encoding="utf-8")
        assert [guide.name for guide in GUIDES if f"({folder}/{guide.name})" not in text] == []
