"""Segmentation from the command line: each input gets its outputs, a bad one a line, and nothing is half-written."""

from __future__ import annotations

import json
import math
import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import PIL.Image
import PIL.ImageDraw
import pytest
import tifffile
import torch
from monai.bundle import ConfigParser
from scipy.ndimage import binary_dilation, gaussian_filter

from bundle.__main__ import main
from bundle.commands import segment as command
from bundle.data import InputDataset
from bundle.io import open_image, write_ome_tiff
from bundle.metrics import score
from bundle.networks import CascadeEnsemble, load_weights
from bundle.segmentation import WholeOrWindowsInferer, Windows, disagreement_on_mask, least_agreed
from bundle.transforms import AdaptiveHistogramEqualization, LinearContrast

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ROOT / "models" / "model.pt"
shipped_weights = pytest.mark.skipif(not SHIPPED.exists(), reason="the shipped weights are not here (models/model.pt)")


@pytest.fixture(scope="module")
def network(random_ensemble):
    """The default network with random weights."""
    return random_ensemble([16, 32, 64, 128], 0)


@pytest.fixture(scope="module")
def weights(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "random.pt"
    torch.save({"model": network.state_dict()}, path)
    return path


@pytest.fixture(scope="module")
def random_config(tmp_path_factory):
    """configs/inference.json for the random weights."""
    config = json.loads(command.INFERENCE.read_text(encoding="utf-8"))
    config["network_def"]["dbac_norm"] = "batch"
    path = tmp_path_factory.mktemp("bundle") / "configs" / "inference.json"
    path.parent.mkdir()
    path.write_text(json.dumps(config), encoding="utf-8")
    return path


@pytest.fixture
def segment(weights, random_config, tmp_path, capsys, monkeypatch):
    """Segment into ``tmp_path / "out"``; gives the exit status, the lines of stdout and those of stderr.

    Both thresholds are 0.5, about which the random network's probabilities lie.
    """
    own, random = command.INFERENCE, weights

    def call(
        *words, weights=weights, output=tmp_path / "out", thresholds=("--low", "0.5", "--high", "0.5"), device="cpu"
    ):
        given = ["--weights", str(weights)] if weights else []
        monkeypatch.setattr(command, "INFERENCE", random_config if weights == random else own)
        capsys.readouterr()
        line = ["segment", *map(str, words), "--output", str(output), "--device", device, *given, *thresholds]
        try:
            status = main(line)
        except SystemExit as stop:  # words that argparse refuses
            status = stop.code
        out, err = capsys.readouterr()
        return status, out.splitlines(), err.splitlines()

    return call


def noise(shape=(40, 56), seed=0, dtype=np.uint8):
    info = np.iinfo(dtype)
    return np.random.default_rng(seed).integers(info.min, info.max, shape, dtype, endpoint=True)


def image_file(path, array=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, noise() if array is None else array, photometric="minisblack")
    return path


def read(path):
    return open_image(path).array()


def names(folder):
    """Everything in a folder, hidden files as well, but the table of the whole run and what tells of it."""
    there = {path.name for path in folder.iterdir()} if folder.exists() else set()
    return sorted(there - {"expected_dice.csv", "provenance.json"})


def outputs(*stems, stack=False):
    kinds = ["disagreement.tif", "mask.tif", "overlay.png", "probability.tif", "provenance.json"] + (
        ["depth.tif", "fused.tif"] if stack else []
    )
    return sorted(f"{stem}_{kind}" for stem in stems for kind in kinds)


def drawn_vessels(shape, truth=None, seed=0):
    """A field of curved vessels of 3 to 9 pixels, unevenly bright, blurred and noisy, and its mask."""
    rng = np.random.default_rng(seed)
    picture = PIL.Image.new("L", shape[::-1])
    pen = PIL.ImageDraw.Draw(picture)
    for _ in range(round(np.prod(shape) / 9000)):
        steps = np.cumsum(rng.normal(rng.normal(0, 14, 2), 8, (12, 2)), axis=0) + rng.uniform(0, shape[::-1], 2)
        pen.line([tuple(step) for step in steps.tolist()], fill=1, width=int(rng.integers(3, 10)), joint="curve")
    mask = np.asarray(picture) > 0
    light = gaussian_filter(mask * (0.5 + gaussian_filter(rng.random(shape), 30)), 1.2)
    return np.clip(rng.normal(30 + 150 * light, 8), 0, 255).astype(np.uint8), mask


# outputs


def test_outputs_have_the_input_s_name_whatever_characters_it_holds(segment, tmp_path):
    files = ["a #6.tif", "356.tiff", "1e5.png", "x.ome.tif", "$v@1.tif", "two words [b].tif", "@y.tif", "é.tif"]
    for name in files:
        if name.endswith("png"):
            (tmp_path / "in").mkdir(exist_ok=True)
            PIL.Image.fromarray(noise()).save(tmp_path / "in" / name)
        else:
            image_file(tmp_path / "in" / name)
    stems = ["a #6", "356", "1e5", "x", "$v@1", "two words [b]", "@y", "é"]
    assert segment(tmp_path / "in")[0] == 0
    assert names(tmp_path / "out") == outputs(*stems)
    # the same file by the same name alone, as a shell hands it on
    status, out, err = segment(*(tmp_path / "in" / name for name in files), output=tmp_path / "again")
    assert status == 0, err
    assert names(tmp_path / "again") == outputs(*stems)
    assert out[-1] == "8 segmented, 0 failed"


def test_mask_probability_and_overlay_have_the_image_s_rows_and_columns(segment, network, tmp_path):
    image = noise((40, 57), dtype=np.uint16)
    segment(image_file(tmp_path / "a.tif", image))
    mask, probability = (tifffile.imread(tmp_path / "out" / f"a_{kind}.tif") for kind in ("mask", "probability"))
    assert (mask.dtype, mask.shape) == (np.uint8, (40, 57))
    assert set(np.unique(mask)) == {0, 255}
    assert (probability.dtype, probability.shape) == (np.float32, (40, 57))
    assert 0 <= probability.min() < probability.max() <= 1
    overlay = PIL.Image.open(tmp_path / "out" / "a_overlay.png")
    assert (overlay.mode, overlay.size) == ("RGB", (9 * 57, 9 * 40))  # enlarged
    equalized = AdaptiveHistogramEqualization()(image.T[None])  # rows and columns exchanged, as MONAI's readers do
    with torch.no_grad():
        expected = network(torch.as_tensor(equalized)[None])[0, 0].numpy().T
    np.testing.assert_allclose(probability, expected, atol=1e-4)


@shipped_weights
def test_a_vessel_stays_where_it_is(segment, tmp_path):
    """An L that no flip or transposition maps onto itself, near one corner of a wide image."""
    truth = np.zeros((120, 200), bool)
    truth[20:26, 20:180] = truth[20:60, 20:26] = True
    light = gaussian_filter(truth.astype(float), 1)
    image = np.random.default_rng(0).normal(40 + 150 * light, 8).clip(0, 255).astype(np.uint8)
    assert segment(image_file(tmp_path / "a.tif", image), weights=None, thresholds=())[0] == 0
    mask = read(tmp_path / "out" / "a_mask.tif")
    assert (mask[truth] > 0).mean() > 0.95
    assert not mask[~binary_dilation(truth, iterations=6)].any()  # the annotators of VessMAP drew outside the edge


def test_pixel_sizes_come_from_the_input_and_are_not_invented(segment, tmp_path):
    write_ome_tiff(tmp_path / "in" / "known.tif", noise(), "YX", (0.5, 0.25))
    write_ome_tiff(tmp_path / "in" / "stack.tif", noise((3, 40, 56)), "ZYX", (2, 0.5, 0.25))
    image_file(tmp_path / "in" / "unknown.tif")
    segment(tmp_path / "in")
    for stem, spacing in {"known": (0.5, 0.25), "stack": (0.5, 0.25), "unknown": None}.items():
        for path in (tmp_path / "out").glob(f"{stem}_*.tif"):
            assert open_image(path).spacing == spacing
            told = dict(re.findall(r'PhysicalSize([XYZ])="([^"]*)"', tifffile.TiffFile(path).ome_metadata))
            assert told == ({"X": "0.25", "Y": "0.5"} if spacing else {})
    segment(tmp_path / "in" / "stack.tif", "--mode", "stack", output=tmp_path / "slices")
    assert open_image(tmp_path / "slices" / "stack_mask.tif").spacing == (2, 0.5, 0.25)
    segment(tmp_path / "in" / "unknown.tif", "--spacing", "1", "3", "2", output=tmp_path / "given")
    assert open_image(tmp_path / "given" / "unknown_mask.tif").spacing == (3, 2)


def test_a_stack_is_fused_first_and_its_fusion_is_that_of_fuse(segment, tmp_path):
    stack = noise((4, 40, 56), dtype=np.uint16)
    path = tmp_path / "a.tif"
    write_ome_tiff(path, stack, "ZYX", (2, 0.5, 0.5))
    assert segment(path)[0] == 0
    assert names(tmp_path / "out") == outputs("a", stack=True)
    for kind in ("mask", "probability", "fused", "depth"):
        assert open_image(tmp_path / "out" / f"a_{kind}.tif").axes == "YX"
    np.testing.assert_array_equal(read(tmp_path / "out" / "a_fused.tif"), stack.max(axis=0))
    depth = read(tmp_path / "out" / "a_depth.tif")
    assert 0 <= depth.min() < depth.max() <= 3
    main(["fuse", str(path), "--output", str(tmp_path / "fused")])
    for kind in ("fused", "depth"):
        there = tmp_path / "fused" / f"a_{kind}.tif"
        assert (tmp_path / "out" / there.name).read_bytes() == there.read_bytes()
    image_file(tmp_path / "b.tif", stack.max(axis=0))
    segment(tmp_path / "b.tif")
    np.testing.assert_array_equal(read(tmp_path / "out" / "a_mask.tif"), read(tmp_path / "out" / "b_mask.tif"))


def test_mode_stack_segments_every_slice_as_an_image_of_its_own(segment, network, tmp_path):
    stack = noise((3, 40, 57))
    write_ome_tiff(tmp_path / "a.tif", stack, "ZYX")
    assert segment(tmp_path / "a.tif", "--mode", "stack")[0] == 0
    assert names(tmp_path / "out") == outputs("a")
    mask, probability = (open_image(tmp_path / "out" / f"a_{kind}.tif") for kind in ("mask", "probability"))
    assert mask.axes == probability.axes == "ZYX"
    assert mask.shape == probability.shape == (3, 40, 57)
    assert set(np.unique(mask.array())) == {0, 255}
    for index, plane in enumerate(stack):
        with torch.no_grad():
            expected = network(torch.as_tensor(LinearContrast()(plane.T[None]))[None])[0, 0].numpy().T
        np.testing.assert_allclose(probability.plane(index), expected, atol=1e-4)
    assert PIL.Image.open(tmp_path / "out" / "a_overlay.png").size == (9 * 57, 9 * 40)


def test_8_and_12_and_16_bits_of_one_image_give_one_mask(segment, tmp_path):
    image = noise()
    for bits, factor in {8: 1, 12: 16, 16: 257}.items():
        image_file(tmp_path / "in" / f"{bits}.tif", image.astype(np.uint8 if bits == 8 else np.uint16) * factor)
    segment(tmp_path / "in")
    eight, twelve, sixteen = (read(tmp_path / "out" / f"{bits}_mask.tif") for bits in (8, 12, 16))
    assert eight.any() and not eight.all()
    np.testing.assert_array_equal(twelve, eight)
    np.testing.assert_array_equal(sixteen, eight)


@pytest.mark.parametrize("factor", ["2", "0.5", "0.01"])
@pytest.mark.parametrize("shape", [(41, 57), (1, 1)])
def test_a_scale_changes_no_size(segment, tmp_path, factor, shape):
    assert segment(image_file(tmp_path / "a.tif", noise(shape)), "--scale", factor)[0] == 0
    assert read(tmp_path / "out" / "a_mask.tif").shape == shape
    assert read(tmp_path / "out" / "a_probability.tif").shape == shape


def test_higher_thresholds_find_part_of_what_lower_ones_find(segment, tmp_path):
    path = image_file(tmp_path / "a.tif")
    masks = []
    for low, high in [("0.4", "0.4"), ("0.4", "0.6"), ("0.5", "0.6"), ("0.6", "0.8"), ("0.9", "1")]:
        output = tmp_path / f"{low} {high}"
        assert segment(path, output=output, thresholds=("--low", low, "--high", high))[0] == 0
        masks.append(read(output / "a_mask.tif") > 0)
    assert all((more | less == more).all() for more, less in zip(masks, masks[1:], strict=False))
    assert masks[0].any() and not masks[-1].any()
    assert len({int(mask.sum()) for mask in masks}) >= 4


# which inputs, and what is there already


def test_files_folders_and_patterns_may_be_mixed(segment, tmp_path):
    image_file(tmp_path / "folder" / "a.tif")
    for name in ("b1", "b2", "c"):
        image_file(tmp_path / f"{name}.tif")
    status, out, _ = segment(tmp_path / "folder", tmp_path / "b*.tif", tmp_path / "c.tif", tmp_path / "b1.tif")
    assert (status, out[-1]) == (0, "4 segmented, 0 failed")
    assert names(tmp_path / "out") == outputs("a", "b1", "b2", "c")


@pytest.mark.parametrize("mode", ["fused", "stack", "both"])
def test_what_is_found_in_a_nifti_file_lies_where_it_lies(segment, tmp_path, mode):
    place = np.array([[0, -5e-4, 0, 10.0], [-2.5e-4, 0, 0, 20], [0, 0, 2e-3, -5], [0, 0, 0, 1]])
    image = nibabel.Nifti1Image(noise((56, 40, 3)), place)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, tmp_path / "a.nii.gz")
    assert segment(tmp_path / "a.nii.gz", "--mode", mode, "--format", "nifti")[0] == 0
    written = [path for path in (tmp_path / "out").iterdir() if path.name.endswith(".nii.gz")]
    assert len(written) == {"fused": 5, "stack": 3, "both": 6}[mode]
    for path in written:
        np.testing.assert_allclose(nibabel.load(path).affine, place, atol=1e-7, err_msg=path.name)


def test_all_inputs_whose_results_would_collide_are_named_at_once(segment, tmp_path):
    """Also those that differ in case alone, which are one file on the disks of two systems of three."""
    for name in ("a.tif", "b.tif", "B.png", "c.tif", "a.png"):
        image_file(tmp_path / "in" / name) if name.endswith("tif") else PIL.Image.fromarray(noise()).save(
            tmp_path / "in" / name
        )
    status, out, err = segment(tmp_path / "in")
    assert (status, len(err)) == (1, 1) and not (tmp_path / "out").exists()
    assert "a.tif" in err[0] and "a.png" in err[0] and "b.tif" in err[0] and "B.png" in err[0] and "c.tif" not in err[0]


def test_nothing_that_an_earlier_run_found_stays_beside_other_results(segment, tmp_path):
    """What both ways found together is gone after one way alone; the fusion, which no weights made, is there again."""
    stack = image_file(tmp_path / "a.tif", noise((3, 40, 56)))
    assert segment(stack, "--mode", "both", "--surface", "ply")[0] == 0
    before = names(tmp_path / "out")
    assert {"a_mask_2d.tif", "a_colour.png", "a_rendering.png", "a_surface.ply"} < set(before)
    assert segment(stack, "--overwrite")[0] == 0
    assert names(tmp_path / "out") == outputs("a", stack=True)


def test_an_output_folder_that_forbids_writing_is_said_for_each_input_however_it_is_named(
    segment, tmp_path, monkeypatch
):
    """Some libraries name the file by its whole path, where the folder was given by a part of it."""
    a, b = image_file(tmp_path / "a.tif"), image_file(tmp_path / "b.tif")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()

    def forbidden(path, *_, **__):
        raise PermissionError(13, "Permission denied", str(Path(path).absolute()))

    monkeypatch.setattr(tifffile, "TiffWriter", forbidden)
    status, out, err = segment(a, b, output="out")
    assert status == 1 and out[-1] == "0 segmented, 2 failed"
    assert sum("cannot write there" in line for line in err) == 2
    assert names(tmp_path / "out") == ["a_provenance.json", "b_provenance.json"]  # which is said before


def test_what_exists_is_kept_and_said_unless_overwrite(segment, tmp_path):
    a, b = image_file(tmp_path / "a.tif"), image_file(tmp_path / "b.tif")
    segment(a)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("a_*")}
    status, out, _ = segment(a, b)
    assert status == 0
    assert [line for line in out if ": kept " in line] == [
        f"{a}: kept {tmp_path / 'out' / 'a_mask.tif'} (--overwrite makes it again)"
    ]
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert segment(a, "--overwrite")[0] == 0
    assert all(path.stat().st_mtime_ns > before[path] for path in before)


def test_nothing_left_to_do_is_success(segment, tmp_path):
    path = image_file(tmp_path / "a.tif")
    segment(path)
    status, out, err = segment(path)
    assert (status, len(out), err) == (0, 2, [])


def test_an_interrupted_command_given_again_makes_only_what_is_missing(segment, tmp_path):
    """The mask is written last: where it is missing, its image is not done."""
    for name in "abc":
        image_file(tmp_path / "in" / f"{name}.tif")
    segment(tmp_path / "in")
    out = tmp_path / "out"
    contents = {path.name: path.read_bytes() for path in out.iterdir()}
    times = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    assert all(times[f"{name}_mask.tif"] == max(times[file] for file in outputs(name)) for name in "abc")
    (out / "b_mask.tif").unlink()
    (out / "b_overlay.png").unlink()
    assert segment(tmp_path / "in")[1][-1] == "1 segmented, 0 failed"
    assert {path.name: path.read_bytes() for path in out.iterdir()} == contents
    remade = {path.name for path in out.iterdir() if path.stat().st_mtime_ns != times[path.name]}
    assert remade == {*outputs("b"), "expected_dice.csv", "provenance.json"}  # the table is of all


def test_an_overwrite_that_fails_leaves_no_mask_beside_outputs_that_it_does_not_belong_to(segment, tmp_path):
    path = image_file(tmp_path / "a.tif")
    segment(path)
    (tmp_path / "out" / "a_overlay.png").unlink()
    (tmp_path / "out" / "a_overlay.png").mkdir()
    assert segment(path, "--overwrite", "--scale", "2")[0] == 1
    assert "a_mask.tif" not in names(tmp_path / "out")


def test_outputs_beside_their_input_are_no_inputs_of_the_next_run(segment, tmp_path):
    folder = tmp_path / "both"
    image_file(folder / "a.tif")
    assert segment(folder, output=folder)[0] == 0
    assert names(folder) == sorted(["a.tif", *outputs("a")])
    assert segment(folder, output=folder)[0] == 0
    assert names(folder) == sorted(["a.tif", *outputs("a")])


def test_two_inputs_of_one_name_are_told_apart_by_their_folders(segment, tmp_path):
    inputs = [image_file(tmp_path / name, noise(seed=n)) for n, name in enumerate(("c.tif", "1/a.tif", "2/a.ome.tif"))]
    assert segment(*inputs)[0] == 0
    assert names(tmp_path / "out") == outputs("1-a", "2-a", "c")
    assert (read(tmp_path / "out" / "1-a_mask.tif") != read(tmp_path / "out" / "2-a_mask.tif")).any()


def test_another_input_or_option_or_the_user_s_own_file_is_never_taken_for_this_one_s(segment, tmp_path):
    """A loop over animals that all have a stack.tif must not end with the first one's mask for all."""
    first, second = (image_file(tmp_path / f"mouse{n}" / "stack.tif", noise(seed=n)) for n in (1, 2))
    out = tmp_path / "out"
    assert segment(first)[0] == 0
    before = {name: (out / name).read_bytes() for name in names(out)}
    other = image_file(tmp_path / "other.tif")
    status, lines, err = segment(second, other)
    assert status == 1 and lines[-1] == "1 segmented, 1 failed"  # the others go on
    assert len([line for line in err if "stack_" in line]) == 1
    assert str(first) in err[0] and "--overwrite" in err[0] and "--output" in err[0]
    for words in (["--scale", "2"], ["--spacing", "1", "1", "1"], ["--mode", "stack"]):
        status, lines, err = segment(first, *words)
        assert status == 1 and words[0].lstrip("-") in err[0] and "instead of" in err[0]
    assert {name: (out / name).read_bytes() for name in before} == before
    assert segment(first)[0] == 0  # kept
    assert segment(second, "--overwrite")[0] == 0
    assert (out / "stack_mask.tif").read_bytes() != before["stack_mask.tif"]
    (tmp_path / "own").mkdir()
    own = image_file(tmp_path / "own" / "other_probability.tif")
    content = own.read_bytes()
    status, lines, err = segment(other, output=tmp_path / "own")
    assert status == 1 and "nothing tells what made it" in err[0]
    assert names(tmp_path / "own") == ["other_probability.tif"] and own.read_bytes() == content


def test_outputs_of_an_earlier_run_in_a_folder_are_no_images_and_that_is_said(segment, tmp_path):
    folder = tmp_path / "folder"
    image_file(folder / "a.tif", noise((3, 40, 56)))
    assert segment(folder, output=folder)[0] == 0
    (folder / "a_provenance.json").unlink()  # images tell by themselves; pictures by their record
    (folder / "a_overlay.png").unlink()
    status, lines, err = segment(folder, output=tmp_path / "elsewhere")
    assert status == 0 and lines[-1] == "1 segmented, 0 failed"
    assert names(tmp_path / "elsewhere") == outputs("a", stack=True)
    assert any("5 outputs of earlier runs are left out" in line for line in err)
    assert segment(tmp_path / "elsewhere", output=tmp_path / "none")[0] == 1
    # fused images that stand alone are images
    main(["fuse", str(folder / "a.tif"), "--output", str(tmp_path / "fused")])
    assert segment(tmp_path / "fused", output=tmp_path / "of fused")[0] == 0
    assert names(tmp_path / "of fused") == outputs("a_fused")


def test_an_input_that_changes_while_it_is_read_gets_no_mask(segment, tmp_path, monkeypatch):
    for mode in ("fused", "stack"):
        path = image_file(tmp_path / f"{mode}.tif", noise((3, 40, 56)))
        compute = Windows.rows

        def meanwhile(self, *words, compute=compute, path=path):
            with path.open("ab") as file:
                file.write(b"more")
            return compute(self, *words)

        monkeypatch.setattr(Windows, "rows", meanwhile)
        status, _, err = segment(path, "--mode", mode)
        monkeypatch.setattr(Windows, "rows", compute)
        assert status == 1 and sum("changed while it was being read" in line for line in err) == 1
        assert not (tmp_path / "out" / f"{mode}_mask.tif").exists()


@pytest.mark.parametrize("mode", ["fused", "stack", "both"])
@pytest.mark.parametrize("number", [1, 2])
def test_an_output_folder_that_is_removed_meanwhile_is_a_line_and_no_success(
    segment, tmp_path, monkeypatch, mode, number
):
    """Removed while the first input is computed, or the second, when the first one's mask is written."""
    for name in ("a", "b"):
        image_file(tmp_path / "in" / f"{name}.tif", noise((3, 40, 56)))
    compute, seen = WholeOrWindowsInferer.rows, []

    def meanwhile(self, *words):
        seen.append(True)
        if len(seen) == (number if mode == "fused" else 1 + (number - 1) * (3 if mode == "stack" else 4)):
            shutil.rmtree(tmp_path / "out", ignore_errors=True)
        return compute(self, *words)

    monkeypatch.setattr(WholeOrWindowsInferer, "rows", meanwhile)
    status, _, err = segment(tmp_path / "in", "--mode", mode)
    assert not any("Traceback" in line or "Error" in line for line in err)
    masks = [tmp_path / "out" / f"{name}_mask.tif" for name in ("a", "b")]
    if status == 0:
        assert all(mask.exists() for mask in masks)
    else:
        assert status == 1 and any("; leave " in line or "cannot write there" in line for line in err), err
    monkeypatch.setattr(WholeOrWindowsInferer, "rows", compute)
    assert segment(tmp_path / "in", "--mode", mode)[0] == 0
    assert all(mask.exists() for mask in masks)


def test_all_channels_and_all_times_are_segmented_under_names_of_their_own(segment, tmp_path):
    movie = noise((2, 1, 2, 40, 56))  # T Z C Y X
    tifffile.imwrite(tmp_path / "m.tif", movie, imagej=True, metadata={"axes": "TZCYX"})
    assert segment(tmp_path / "m.tif", "--channel", "all", "--time", "all")[0] == 0
    stems = [f"m_channel-{c}_time-{t}" for c in (0, 1) for t in (0, 1)]
    assert names(tmp_path / "out") == outputs(*stems)
    for c in (0, 1):
        for t in (0, 1):
            assert (
                segment(tmp_path / "m.tif", "--channel", str(c), "--time", str(t), output=tmp_path / f"{c}{t}")[0] == 0
            )
            one, of_all = tmp_path / f"{c}{t}" / "m_mask.tif", tmp_path / "out" / f"m_channel-{c}_time-{t}_mask.tif"
            np.testing.assert_array_equal(read(of_all), read(one))
    status, lines, _ = segment(tmp_path / "m.tif", "--channel", "all", "--time", "all")
    assert status == 0 and sum(": kept " in line for line in lines) == 4


def test_help_shows_how_it_is_used(segment):
    status, out, _ = segment("--help")
    assert status == 0
    assert sum("python -m bundle segment " in line for line in out) >= 3
    assert all(any(word in line for line in out) for word in ("NAME_mask.tif", "--channel", "--overwrite", "--scale"))


def test_inference_json_writes_what_segment_writes_and_ends_in_a_line_for_a_bad_file(
    segment, weights, tmp_path, monkeypatch
):
    folder, output = tmp_path / "in", tmp_path / "config"
    image_file(folder / "a #6.tif")
    write_ome_tiff(folder / "$v@1.ome.tif", noise((3, 40, 56), dtype=np.uint16), "ZYX", (2, 0.5, 0.25))
    (folder / "bad.tif").write_text("no image")
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", "configs/inference.json"]
    command += ["--dataset_dir", str(folder), "--output_dir", str(output), "--weights", str(weights)]
    command += ["--low", "0.5", "--high", "0.5", "--device", "$torch.device('cpu')", "--network_def#dbac_norm", "batch"]
    # sums of floats depend on the number of threads, so that both sides take one
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    first = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert first.returncode == 1
    assert "Traceback" not in first.stdout + first.stderr
    lines = [line for line in (first.stdout + first.stderr).splitlines() if "bad.tif" in line]
    assert len(lines) == 1 and "is no TIFF file" in lines[0]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert segment(folder)[0] == 1
    finally:
        torch.set_num_threads(threads)
    assert names(output) == names(tmp_path / "out") == sorted(outputs("a #6") + outputs("$v@1", stack=True))
    for path in output.iterdir():
        assert path.read_bytes() == (tmp_path / "out" / path.name).read_bytes()
    (folder / "bad.tif").unlink()
    times = {path: path.stat().st_mtime_ns for path in output.iterdir()}
    assert subprocess.run(command, cwd=ROOT, capture_output=True).returncode == 0
    assert {path: path.stat().st_mtime_ns for path in output.iterdir()} == times


# bad input


def text(path):
    path.write_text("this is a text")


def nothing(path):
    path.write_bytes(b"")


def half(path):
    image_file(path, noise((200, 200)))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def page_missing(path):
    """Four pages declared, and the file cut where the last one's pixels begin."""
    write_ome_tiff(path, noise((4, 64, 64)), "ZYX")
    with tifffile.TiffFile(path) as tiff:
        end = tiff.pages[3].dataoffsets[0]
    path.write_bytes(path.read_bytes()[:end])


def half_png(path):
    PIL.Image.fromarray(noise((200, 200))).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def damaged(path):
    """Compressed pixels overwritten, everything else as it was."""
    tifffile.imwrite(path, noise((200, 200)), compression="zlib")
    with tifffile.TiffFile(path) as tiff:
        start, count = tiff.pages[0].dataoffsets[0], tiff.pages[0].databytecounts[0]
    content = bytearray(path.read_bytes())
    content[start : start + count] = bytes(count)
    path.write_bytes(content)


def colours(path):
    tifffile.imwrite(path, noise((40, 56, 3)), photometric="rgb")


def nothing_but_nan(path):
    image_file(path, np.full((40, 40), np.nan, np.float32))


def infinite(path):
    image_file(path, np.where(np.eye(40), np.inf, 1).astype(np.float32))


def complex_numbers(path):
    image_file(path, noise().astype(np.complex64))


def five_axes(path):
    tifffile.imwrite(path, noise((2, 3, 2, 16, 16)), imagej=True, metadata={"axes": "TZCYX"})


@pytest.mark.parametrize(
    ("name", "make", "said"),
    [
        ("bad.tif", text, "no TIFF file"),
        ("bad.png", text, "no PNG"),
        ("bad.nii.gz", text, "no NIfTI file"),
        ("bad.oib", text, "bad.oib"),
        ("bad.tif", nothing, "0 bytes"),
        ("bad.png", nothing, "0 bytes"),
        ("bad.tif", half, "truncated"),
        ("bad.tif", page_missing, "truncated"),
        ("bad.png", half_png, "damaged"),
        ("bad.tif", damaged, "bad.tif"),
        ("bad.tif", colours, "--channel"),
        ("bad.tif", nothing_but_nan, "nothing but NaN"),
        ("bad.tif", infinite, "infinity, which is no grey value"),
        ("bad.tif", complex_numbers, "complex64"),
        ("bad.tif", five_axes, "--channel"),
    ],
)
@pytest.mark.parametrize("mode", ["fused", "stack"])
def test_a_bad_input_gets_one_line_and_the_others_their_masks(segment, tmp_path, name, make, said, mode):
    first, last = image_file(tmp_path / "in" / "a.tif"), image_file(tmp_path / "in" / "z.tif")
    bad = tmp_path / "in" / name
    make(bad)
    status, out, err = segment(first, bad, last, "--mode", mode)
    assert status == 1
    lines = [line for line in err if str(bad) in line]
    assert len(lines) == 1 and said in lines[0]
    assert ";" in lines[0] or said == "complex64"  # what to do
    assert "2 segmented, 1 failed" in out
    assert names(tmp_path / "out") == outputs("a", "z")


def test_one_channel_of_a_coloured_image_is_segmented(segment, tmp_path):
    colours(tmp_path / "a.tif")
    image_file(tmp_path / "green.tif", tifffile.imread(tmp_path / "a.tif")[..., 1])
    assert segment(tmp_path / "a.tif", "--channel", "green")[0] == 0
    assert segment(tmp_path / "green.tif")[0] == 0
    np.testing.assert_array_equal(read(tmp_path / "out" / "a_mask.tif"), read(tmp_path / "out" / "green_mask.tif"))


def test_words_that_mean_no_file_are_said_and_the_others_are_segmented(segment, tmp_path):
    (tmp_path / "empty").mkdir()
    missing = [tmp_path / "empty", tmp_path / "nowhere.tif", tmp_path / "*.xyz"]
    status, out, err = segment(*missing, image_file(tmp_path / "a.tif"))
    assert (status, out[-1]) == (1, "1 segmented, 0 failed")
    assert [line.split(":")[0] for line in err[:3]] == [str(path) for path in missing]
    status, out, err = segment(tmp_path / "empty", output=tmp_path / "none")
    assert (status, out, len(err)) == (1, [], 1)
    assert not (tmp_path / "none").exists()


def test_an_unexpected_error_of_an_image_is_its_line_and_not_the_end_of_the_loader(tmp_path):
    def transform(item):
        raise ZeroDivisionError("no width") if item["image"] == "b.tif" else MemoryError

    dataset = InputDataset(["b.tif", "huge.tif"], transform)
    assert dataset[0]["failure"].startswith("b.tif: cannot be read (ZeroDivisionError: no width)")
    assert dataset[1]["failure"].startswith("huge.tif: does not fit into memory")


def pickled(path):
    path.write_bytes(pickle.dumps({"model": Path("elsewhere")}, protocol=2))


def truncated_weights(path):
    torch.save({"model": CascadeEnsemble(channels=[4, 8]).state_dict()}, path)
    path.write_bytes(path.read_bytes()[:20000])


def unlike_weights(path):
    """Of other channels, which would be taken, and of two blocks in each node, which are not."""
    network = CascadeEnsemble(channels=[4, 8, 16, 32], blocks_per_node=2, dbac_scale=1.0, shuffle=2)
    torch.save({"model": network.state_dict()}, path)


def other_checkpoint(path):
    torch.save({"model": None, "epoch": 3}, path)


def tensor(path):
    torch.save(torch.ones(3), path)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "no such file of weights"),
        (lambda path: path.mkdir(), "is a folder without adapted.pt"),
        (text, "is not a file of weights"),
        (nothing, "is not a file of weights"),
        (pickled, "is not a file of weights"),
        (truncated_weights, "is not a file of weights"),
        (unlike_weights, "does not fit CascadeEnsemble"),
        (other_checkpoint, "does not fit CascadeEnsemble"),
        (tensor, "no dictionary of weights"),
    ],
    ids=["missing", "folder", "text", "empty", "pickle", "truncated", "unlike", "checkpoint", "tensor"],
)
def test_weights_that_do_not_fit_get_one_line_before_anything_is_written(segment, tmp_path, make, said):
    path = tmp_path / "w.pt"
    make(path)
    status, out, err = segment(image_file(tmp_path / "a.tif"), weights=path)
    assert (status, out, len(err)) == (1, [], 1)
    assert err[0].startswith(f"{path}: ") and said in err[0] and ";" in err[0]
    assert not (tmp_path / "out").exists()


def test_an_output_folder_that_cannot_be_made_gets_a_line(segment, tmp_path):
    (tmp_path / "file").write_text("regular")
    path = image_file(tmp_path / "a.tif")
    status, _, err = segment(path, output=tmp_path / "file" / "out")
    assert status == 1
    assert sum("cannot write there" in line for line in err) == 1
    assert (tmp_path / "file").read_text() == "regular"


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a small disk")
def test_a_full_disk_gets_a_line_and_holds_only_whole_files(segment, tmp_path):
    large, small = image_file(tmp_path / "large.tif", noise((200, 200))), image_file(tmp_path / "small.tif")
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("mounting is not permitted here")
    try:
        status, out, err = segment(large, small, output=disk)
        assert status == 1
        assert [line for line in err if "large_" in line] == [
            f"{disk / 'large_probability.tif'}: no room left on the disk; free some space or choose another output "
            "folder"
        ]
        assert "1 segmented, 1 failed" in out
        assert names(disk) == sorted([*outputs("small"), "large_provenance.json"])
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("device", ["nonsense", "meta", "cpu:x", "cuda:99"])
def test_a_device_that_is_not_here_gets_one_line(segment, tmp_path, device):
    status, out, err = segment(image_file(tmp_path / "a.tif"), device=device)
    assert (status, out, len(err)) == (1, [], 1)
    assert repr(device) in err[0] and ";" in err[0]


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["--scale", "0"], 2),
        (["--scale", "nan"], 2),
        (["--scale", "wide"], 2),
        (["--high", "1.5"], 2),
        (["--low", "nan"], 2),
        (["--low", "0.9", "--high", "0.1"], 1),
        (["--low", "0.96"], 1),
        (["--mode", "3d"], 2),
        (["--scale", "1000"], 2),
        (["--scale", "0.001"], 2),
        (["--low", "half"], 2),
        (["--surface", "stl"], 1),
        (["--contrast", "volume"], 1),
    ],
)
def test_values_out_of_range_are_refused(segment, tmp_path, words, status):
    answer, out, err = segment(image_file(tmp_path / "a.tif"), *words, thresholds=())
    assert (answer, out) == (status, [])
    assert words[0] in err[-1]
    assert not (tmp_path / "out").exists()


# images in which nothing can be seen


@pytest.mark.parametrize("mode", ["fused", "stack"])
@pytest.mark.parametrize(
    "image",
    [
        np.full((1, 1), 7, np.uint8),
        noise((1, 20)),
        noise((20, 1)),
        np.zeros((30, 41), np.uint8),
        np.full((30, 41), 1000, np.uint16),
        np.full((30, 41), -1.5, np.float32),
        np.zeros((3, 30, 41), np.uint8),
    ],
    ids=["1×1", "1×20", "20×1", "zero", "constant 16 bit", "constant float", "zero stack"],
)
@shipped_weights
def test_an_image_without_anything_gives_an_empty_mask_and_a_warning(segment, tmp_path, image, mode):
    path = image_file(tmp_path / "a.tif", image)
    status, out, err = segment(path, "--mode", mode, weights=None, thresholds=())
    assert (status, out[-1]) == (0, "1 segmented, 0 failed")
    (line,) = (line for line in err if str(path) in line and "the mask is empty" in line)
    constant = len(np.unique(image)) == 1
    assert ("--channel" in line, "--high" in line) == (constant, not constant)
    mask = read(tmp_path / "out" / "a_mask.tif")
    assert mask.shape == (image.shape if mode == "stack" else image.shape[-2:])
    assert not mask.any()


# where to look first


def test_of_many_images_it_names_those_on_whose_vessels_the_cascades_agree_least(segment, tmp_path):
    files = [image_file(tmp_path / "in" / f"{name}.tif", noise(seed=seed)) for seed, name in enumerate("abcdefghi")]
    for count in (5, 9):  # the masks of an earlier run count as well
        _, out, _ = segment(*files[:count])
        found = {}
        for file in files[:count]:
            mask, difference = (read(tmp_path / "out" / f"{file.stem}_{kind}.tif") for kind in ("mask", "disagreement"))
            found[file.stem] = difference[mask > 0].mean()
        first = sorted(found, key=found.get)[:-4:-1]
        assert len(set(found.values())) == count
        assert out[-2].startswith(f"of the {count} masks of this kind in {tmp_path / 'out'} look first")
        assert out[-2].endswith("): " + ", ".join(f"{name} ({found[name]:.3f})" for name in first))
    _, out, _ = segment(*files[:3], output=tmp_path / "three")
    assert not any("look first" in line for line in out)  # of three all can be looked at


def test_images_without_vessels_and_networks_without_a_second_opinion_are_not_named():
    assert math.isnan(disagreement_on_mask(np.ones((2, 2)), np.zeros((2, 2), bool)))
    assert least_agreed({"empty": math.nan, "a": 0.1, "b": 0.3, "c": 0.2}) == ["b", "c", "a"]
    assert least_agreed(dict.fromkeys("abcd", 0.0)) == []


# widths


@shipped_weights
@pytest.mark.parametrize("mode", ["fused", "stack"])
def test_vessels_that_are_too_wide_at_the_scale_that_auto_chose_are_warned_of(segment, tmp_path, mode):
    """Auto goes down to a quarter, at which vessels of 70 pixels are still wider than any that were seen."""
    light = gaussian_filter(np.broadcast_to(np.arange(420) // 70 % 2, (280, 420)).astype(float), 2)
    image = np.random.default_rng(0).normal(30 + 150 * light, 6).clip(0, 255).astype(np.uint8)
    path = image_file(tmp_path / "a.tif", image)
    status, out, err = segment(path, "--mode", mode, "--scale", "auto", weights=None, thresholds=())
    assert status == 0 and out[0] == f"{path}: segmented at scale 0.25, by the widths found"
    (line,) = (line for line in err if "pixels wide" in line)
    assert "at scale 0.25" in line and re.search(r"try --scale 0\.07$|try --scale 0\.06\d$", line)


# whole and in windows


@shipped_weights
@torch.inference_mode()
def test_windows_leave_no_seam_and_the_mask_that_the_whole_image_gives():
    image, truth = drawn_vessels((1300, 2200))
    config = json.loads((ROOT / "configs" / "inference.json").read_text(encoding="utf-8"))["network_def"]
    network = ConfigParser({"network": config}).get_parsed_content("network")
    network = load_weights(network, SHIPPED).eval().to(memory_format=torch.channels_last)
    prepared = torch.as_tensor(AdaptiveHistogramEqualization()(image[None]))[None]
    inferer = WholeOrWindowsInferer()
    window, overlap = inferer.window, inferer.overlap
    windows = inferer(prepared, network)[0, 0].numpy()
    whole = WholeOrWindowsInferer(whole_pixels=image.size)(prepared, network)[0, 0].numpy()
    assert score(whole > 0.5, truth)["cldice"] > 0.9  # there is something to disagree about
    assert score(windows > 0.5, whole > 0.5)["dice"] >= 0.995
    for axis in (0, 1):
        # a seam is a step in the difference; it shows only if neighbouring pixels differ less without it
        step = np.abs(np.diff(windows - whole, axis=axis)).mean(axis=1 - axis)
        usual = np.abs(np.diff(whole, axis=axis)).mean()
        length = whole.shape[axis]
        starts = [min(start, length - window) for start in range(0, length, int(window * (1 - overlap)))]
        borders = {border for start in starts for border in (start, start + window)}
        inside = [border - 1 for border in borders if 16 <= border <= length - 16]  # beyond, the whole image is padded
        assert inside
        assert step[inside].max() < 0.25 * usual
