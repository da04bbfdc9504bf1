"""Stacks by blocks: the same to the last bit as in memory, whole or interrupted, and in memory that does not grow."""

from __future__ import annotations

import argparse
import copy
import json
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import tifffile
import torch
from scipy.ndimage import gaussian_filter
from torch import nn

from bundle import volumes
from bundle.__main__ import main
from bundle.commands import segment as command
from bundle.errors import InputError
from bundle.io import MicroscopyReader, open_image, write_ome_tiff
from bundle.networks import CascadeEnsemble
from bundle.segmentation import StackSegmenter, WholeOrWindowsInferer
from bundle.segmentation.stacks import reading
from bundle.transforms import CloseGaps, FuseFocus, HysteresisThreshold, LinearContrast, RemoveFragments
from scripts.benchmarks.measure_stacks import peak_of, planes

ROOT = Path(__file__).resolve().parents[1]
CHANNELS = [2, 4]
KINDS = ("disagreement.tif", "mask.tif", "overlay.png", "probability.tif", "provenance.json")
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc for the memory of a process")
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def network(random_ensemble):
    """A tiny network with random weights."""
    return random_ensemble(CHANNELS, 3)


@pytest.fixture(scope="module")
def weights(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "tiny.pt"
    torch.save({"model": network.state_dict()}, path)
    return path


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """The command with a network of a few channels."""
    config = json.loads((ROOT / "configs" / "inference.json").read_text(encoding="utf-8"))
    config["network_def"] |= {"channels": CHANNELS, "dbac_norm": "batch"}
    path = tmp_path / "bundle" / "configs" / "inference.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(config), encoding="utf-8")
    monkeypatch.setattr(command, "INFERENCE", path)


@pytest.fixture
def segment(tiny, weights, tmp_path, capsys):
    """``python -m bundle segment``; gives the exit status, the lines of stdout and those of stderr."""

    def call(*words, output=tmp_path / "out", mode="stack"):
        capsys.readouterr()
        options = ["--output", output, "--weights", weights, "--device", "cpu", "--low", "0.5", "--high", "0.6"]
        status = main(["segment", *map(str, [*words, *options, "--mode", mode])])
        out, err = capsys.readouterr()
        return status, out.splitlines(), err.splitlines()

    return call


@pytest.fixture
def in_memory(tiny, weights, tmp_path):
    """The same by MONAI's evaluator and the transforms, which hold the stack whole."""

    def call(*words, output=tmp_path / "memory", changes=(), run="evaluator"):
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        options = ["--output", output, "--weights", weights, "--device", "cpu", "--low", "0.5", "--high", "0.6"]
        arguments = parser.parse_args([*map(str, [*words, *options, "--mode", "stack"])])
        config = command.configured(arguments, [Path(path) for path in arguments.inputs], plain=False)
        for name, value in dict(changes).items():
            config[name] = value
        config.get_parsed_content(run).run()

    return call


def grey(shape, seed=0, dtype=np.uint16):
    """Something with structure at the size of vessels."""
    rng = np.random.default_rng(seed)
    smooth = gaussian_filter(rng.random(shape), 1.5)
    smooth = (smooth - smooth.min()) / np.ptp(smooth) + rng.normal(0, 0.03, shape)
    if np.dtype(dtype).kind == "f":
        return (1e4 * smooth - 3e3).astype(dtype)
    info = np.iinfo(dtype)
    return (info.min / 2 + smooth * (info.max / 2 - info.min / 2)).clip(info.min, info.max).astype(dtype)


def stack_file(path, array, spacing=(2.0, 0.5, 0.5)):
    path.parent.mkdir(parents=True, exist_ok=True)
    if array.dtype in (np.float64, np.int32):
        tifffile.imwrite(path, array, ome=True, metadata={"axes": "ZYX"[-array.ndim :]})
    else:
        write_ome_tiff(path, array, "ZYX"[-array.ndim :], None if spacing is None else spacing[-array.ndim :])
    return path


def files(folder):
    """The contents of a folder by name, hidden files as well, but the table of the whole run and what tells of it."""
    of_run = {"expected_dice.csv", "provenance.json"}
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name not in of_run}


def told(folder, name="a"):
    return open_image(folder / f"{name}_mask.tif").array() > 0


# the same as in memory


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (grey((7, 40, 56)), ()),
        (grey((5, 33, 47), dtype=np.uint8), ("--contrast", "volume")),
        (grey((5, 33, 47), dtype=np.int16), ("--scale", "0.6")),
        (grey((4, 33, 47), dtype=np.int32), ("--scale", "1.7", "--contrast", "volume")),
        (grey((4, 33, 47), dtype=np.float32), ("--contrast", "volume")),
        (grey((4, 33, 47), dtype=np.float64), ("--scale", "auto")),
        (grey((40, 56)), ()),
        (grey((1, 40, 56)), ("--axes", "ZYX")),
        (np.full((3, 20, 30), 7, np.uint8), ()),
    ],
    ids=["plain", "volume", "signed", "int32", "float", "float64, auto", "image", "one slice", "constant"],
)
def test_a_stack_by_blocks_is_that_in_memory_to_the_last_bit(segment, in_memory, tmp_path, array, words):
    path = stack_file(tmp_path / "a.tif", array)
    status, out, _ = segment(path, *words)
    assert (status, out[-1]) == (0, "1 segmented, 0 failed")
    in_memory(path, *words)
    streamed, whole = files(tmp_path / "out"), files(tmp_path / "memory")
    assert sorted(streamed) == sorted(whole) == [f"a_{kind}" for kind in KINDS]
    assert streamed == whole
    if len(np.unique(array)) > 1 and "auto" not in words:  # at 4 times its size the tiny network finds nothing
        assert 0.01 < told(tmp_path / "out").mean() < 0.9


def test_windows_scaling_and_sizes_in_micrometres_are_those_in_memory(in_memory, tmp_path):
    path = stack_file(tmp_path / "a.tif", grey((5, 70, 90)), (1.1, 0.7, 0.45))
    changes = {
        "inferer#whole_pixels": 0,
        "inferer#window": 32,
        "inferer#scale": 1.3,
        "postprocessing#transforms#2#unit": "micrometer",
        "postprocessing#transforms#2#size": 2.4,
        "postprocessing#transforms#3#unit": "micrometer",
        "postprocessing#transforms#3#size": 9,
    }
    in_memory(path, changes=changes)
    in_memory(path, changes=changes, output=tmp_path / "out", run="stacks")
    assert files(tmp_path / "out") == files(tmp_path / "memory")


@pytest.mark.parametrize("rows", [1, 7])
@pytest.mark.parametrize("words", [(), ("--contrast", "volume", "--scale", "0.7"), ("--scale", "auto")])
def test_planes_larger_than_a_block_leave_no_seam(in_memory, tmp_path, monkeypatch, rows, words):
    path = stack_file(tmp_path / "a.tif", grey((4, 50, 60)))
    changes = {"inferer#whole_pixels": 0, "inferer#window": 32}
    in_memory(path, *words, changes=changes)
    monkeypatch.setattr(volumes.blocks, "BLOCK_PIXELS", rows * 60)
    monkeypatch.setattr(reading, "LEAST_ROWS", rows)
    read = []
    monkeypatch.setattr(
        volumes.StoredVolume,
        "write",
        lambda self, *block, write=volumes.StoredVolume.write: read.append(block[2].shape) or write(self, *block),
    )
    in_memory(path, *words, changes=changes, output=tmp_path / "out", run="stacks")
    assert files(tmp_path / "out") == files(tmp_path / "memory")
    assert {shape for shape in read if shape[0] == rows} and max(shape[0] for shape in read) == rows


@pytest.mark.parametrize("mode", ["fused", "stack", "both"])
def test_a_folder_of_slices_is_the_stack_of_one_file_in_every_mode(segment, tmp_path, mode):
    array = grey((11, 30, 40))
    for z, plane in enumerate(array):
        stack_file(tmp_path / "a" / f"z{z}.tif", plane)
    whole = stack_file(tmp_path / "whole" / "a.ome.tif", array)
    spacing = ("--spacing", 2, 0.5, 0.5)
    assert segment("--stack-from", tmp_path / "a", *spacing, mode=mode)[0] == 0
    assert segment(whole, *spacing, mode=mode, output=tmp_path / "one")[0] == 0
    for name in files(tmp_path / "one"):
        of_folder, of_file = tmp_path / "out" / name, tmp_path / "one" / name
        if name.endswith(".tif"):  # which tell what they were made of
            np.testing.assert_array_equal(open_image(of_folder).array(), open_image(of_file).array())
        elif name.endswith(".png"):
            assert of_folder.read_bytes() == of_file.read_bytes()
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == sorted(f"z{z}.tif" for z in range(11))


def test_other_formats_hold_the_same(segment, tmp_path):
    path = stack_file(tmp_path / "a.tif", grey((3, 30, 40)))
    for form, suffix in (("ome-tiff", ".tif"), ("nifti", ".nii.gz")):
        for mode in ("stack", "fused"):
            assert segment(path, "--format", form, output=tmp_path / form / mode, mode=mode)[0] == 0
            mask = open_image(tmp_path / form / mode / f"a_mask{suffix}")
            np.testing.assert_array_equal(mask.array() > 0, told(tmp_path / "ome-tiff" / mode))
            np.testing.assert_allclose(mask.spacing, (2, 0.5, 0.5)[-len(mask.axes) :], rtol=1e-6)
            assert segment(path, "--format", form, output=tmp_path / form / mode, mode=mode)[1][0].count(": kept ")


def test_disagreement_is_the_distance_of_both_cascades_in_both_modes(segment, network, tmp_path):
    stack = grey((3, 30, 40))
    path = stack_file(tmp_path / "a.tif", stack)
    segment(path)
    segment(path, output=tmp_path / "fused", mode="fused")
    disagreement, probability = (
        open_image(tmp_path / "out" / f"a_{kind}.tif").array() for kind in ("disagreement", "probability")
    )
    assert disagreement.max() > 0.01
    for z, plane in enumerate(stack):
        image = torch.as_tensor(LinearContrast()(plane.T[None]))[None]
        with torch.no_grad():
            dbac, ddmac = network.probabilities(image)
        np.testing.assert_allclose(disagreement[z], (dbac - ddmac).abs()[0, 0].numpy().T, atol=1e-5)
        np.testing.assert_allclose(probability[z], ((dbac + ddmac) / 2)[0, 0].numpy().T, atol=1e-5)
    assert open_image(tmp_path / "fused" / "a_disagreement.tif").shape == FuseFocus()(stack.T[None])[0].T.shape


# interrupted


@pytest.fixture
def segmenter(network, tmp_path):
    """Counts the slices that the network sees."""

    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.network, self.calls, self.stop_at = network, [], []  # a number would tell of another network

        def __deepcopy__(self, memo):
            """What computes it faster is counted too, and stops where this does."""
            made = Counting()
            made.network, made.calls, made.stop_at = copy.deepcopy(self.network, memo), self.calls, self.stop_at
            return made

        @property
        def seen(self):
            return len(self.calls)

        def probabilities(self, image):
            self.calls.append(image.shape)
            if self.seen in self.stop_at:
                raise KeyboardInterrupt
            return self.network.probabilities(image)

        def fuse(self, *both):
            return self.network.fuse(*both)

    def make(path, output=tmp_path / "out", high=0.6, per="slice"):
        return StackSegmenter(
            [path],
            output,
            MicroscopyReader(),
            LinearContrast(per=per),
            Counting(),
            WholeOrWindowsInferer(),
            [HysteresisThreshold(0.5, high), CloseGaps(2), RemoveFragments(30)],
        )

    return make


def interrupted(segmenter, path, after=4, **options):
    one = segmenter(path, **options)
    one.network.network.stop_at.append(after)
    with pytest.raises(KeyboardInterrupt):
        one.run()


KILLED = """
import sys, time, torch
from monai.bundle import ConfigParser
parser = ConfigParser()
parser.read_config(sys.argv[1])
parser.update(eval(sys.argv[2]))
network = parser.get_parsed_content("network")
network.dbac.register_forward_hook(lambda *_: None)
torch.set_num_threads(1)
slow = type(network).probabilities
type(network).probabilities = lambda self, image: (time.sleep(0.1), slow(self, image))[1]
parser.get_parsed_content("segmenter").run()
"""


def test_a_killed_run_goes_on_with_the_missing_slices_and_ends_as_if_unbroken(segment, weights, tmp_path):
    path = stack_file(tmp_path / "in" / "a.tif", grey((30, 40, 48)))
    segment(path, output=tmp_path / "unbroken")
    options = {
        "bundle_root": str(ROOT),
        "dataset_dir": str(path.parent),
        "output_dir": str(tmp_path / "out"),
        "weights": str(weights),
        "network_def#channels": CHANNELS,
        "network_def#dbac_norm": "batch",
        "mode": "stack",
        "low": 0.5,
        "high": 0.6,
        "device": "cpu",
    }
    call = [sys.executable, "-W", "ignore", "-c", KILLED, str(ROOT / "configs" / "inference.json"), repr(options)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    work = tmp_path / "out" / ".a.parts"
    with subprocess.Popen(call, cwd=ROOT, env=environment, stderr=subprocess.PIPE) as process:
        while len(list(work.glob("*/probability/0*.npy"))) < 4:
            assert process.poll() is None, process.stderr.read().decode()
            time.sleep(0.01)
        process.kill()
    assert sorted(os.listdir(tmp_path / "out")) == [".a.lock", ".a.parts"]  # nothing under a final name
    before = {block: block.stat().st_mtime_ns for block in work.glob("*/probability/0*.npy")}
    assert 4 <= len(before) < 30
    kept = {}

    def watch(self, z, start, block, write=volumes.StoredVolume.write):
        kept.setdefault(self.folder.name, []).append(z)
        write(self, z, start, block)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(volumes.StoredVolume, "write", watch)
        status, out, _ = segment(path)
    assert status == 0
    assert kept["probability"] == list(range(len(before), 30))
    assert any(f"goes on with slice {len(before) + 1}, {len(before)} of 30 are there" in line for line in out)
    assert files(tmp_path / "out") == files(tmp_path / "unbroken")


def test_a_second_process_at_the_same_stack_is_refused_and_the_first_ends_well(segment, segmenter, tmp_path):
    path = stack_file(tmp_path / "a.tif", grey((5, 30, 40)))
    one, other = segmenter(path), segmenter(path, high=0.7)
    with one.segmented(path) as stack:
        with pytest.raises(InputError, match="by another process"), other.segmented(path):
            pass
        assert other.network.network.seen == 0
        status, out, err = segment(path)
        assert status == 1 and "0 segmented, 1 failed" in out
        assert str(path) in err[0] and "by another process" in err[0] and len(err) == 2
        one.write(stack)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"a_{kind}" for kind in KINDS]
    other.run()  # it is nobody's now
    assert other.network.network.seen == 5


def test_only_missing_slices_are_seen_by_the_network(segmenter, tmp_path):
    path = stack_file(tmp_path / "a.tif", grey((8, 30, 40)))
    interrupted(segmenter, path)
    (block,) = (tmp_path / "out" / ".a.parts").glob("*/probability/000001-*.npy")
    block.write_bytes(block.read_bytes()[:100])  # torn by a power failure
    again = segmenter(path)
    again.run()
    assert again.network.network.seen == 8 - 3 + 1
    fresh = segmenter(path, tmp_path / "fresh")
    fresh.run()
    assert fresh.network.network.seen == 8
    assert files(tmp_path / "out") == files(tmp_path / "fresh")


@pytest.mark.parametrize("change", ["input", "contrast", "weights"])
def test_what_another_run_left_is_not_taken_up(segmenter, network, tmp_path, caplog, change):
    path = stack_file(tmp_path / "a.tif", grey((6, 30, 40)))
    interrupted(segmenter, path)
    if change == "input":
        stack_file(path, grey((6, 30, 40), seed=1))
    again = segmenter(path, per="volume" if change == "contrast" else "slice")
    if change == "weights":
        again.network.network.network = CascadeEnsemble(channels=CHANNELS, dbac_scale=1.0, shuffle=2).eval()
    with caplog.at_level(logging.INFO, "bundle"):
        again.run()
    assert again.network.network.seen == 6
    said = {"input": "input", "contrast": "contrast", "weights": "network"}[change]
    assert any("begins anew" in line and said in line for line in caplog.messages)


def test_other_thresholds_need_no_other_probability(segmenter, tmp_path):
    path = stack_file(tmp_path / "a.tif", grey((6, 30, 40)))
    interrupted(segmenter, path)
    again = segmenter(path, high=0.9)
    again.run()
    assert again.network.network.seen == 6 - 3


def test_a_segmented_stack_is_there_to_build_on_until_it_is_left(segmenter, tmp_path):
    stack = grey((4, 30, 40))
    path = stack_file(tmp_path / "a.tif", stack)
    one = segmenter(path)
    with one.segmented(path) as found:
        assert found.shape == (4, 30, 40)
        np.testing.assert_array_equal(found.image.plane(2), stack[2])
        one.writer.volume(found, "fused", (found.probability.plane(z) for z in range(4)), np.float32)
        one.write(found)
    np.testing.assert_array_equal(
        open_image(tmp_path / "out" / "a_fused.tif").array(), open_image(tmp_path / "out" / "a_probability.tif").array()
    )
    assert not any(name.startswith(".") for name in os.listdir(tmp_path / "out"))


def test_steps_that_are_not_known_by_blocks_are_refused(network, tmp_path):
    options = ([], tmp_path, MicroscopyReader(), LinearContrast(), network, WholeOrWindowsInferer())
    with pytest.raises(ValueError, match="LinearContrast is not known by blocks"):
        StackSegmenter(*options, [HysteresisThreshold(), LinearContrast()])
    with pytest.raises(ValueError, match="first step"):
        StackSegmenter(*options, [CloseGaps(2)])


# memory


@linux
@pytest.mark.parametrize(
    ("depths", "side", "bound"),
    [
        # one float32 array of the 60 slices more is 16 MB, and in memory there are several
        pytest.param((10, 70), 256, 16, id="10 and 70 slices"),
        pytest.param((100, 1000), 512, 200, id="100 and 1000 slices", marks=pytest.mark.slow),
    ],
)
def test_memory_does_not_grow_with_depth(weights, tmp_path, monkeypatch, depths, side, bound):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    peaks = []
    for depth in depths:
        folder = tmp_path / str(depth)
        stack_file(folder / "in" / "a.tif", np.stack(list(planes(depth, side))))
        options = {"bundle_root": str(ROOT), "weights": str(weights), "network_def#channels": CHANNELS, "mode": "stack"}
        options |= {"network_def#dbac_norm": "batch", "low": 0.5, "high": 0.6, "device": "cpu"}
        peaks.append(peak_of(options | {"dataset_dir": str(folder / "in"), "output_dir": str(folder / "out")}))
        assert open_image(folder / "out" / "a_mask.tif").shape == (depth, side, side)
    assert peaks[1] - peaks[0] < bound


# bad input


def other_page(path):
    """A page of another size in mid-stack."""
    with tifffile.TiffWriter(path) as tiff:
        for side in (30, 30, 31, 30):
            tiff.write(grey((side, 40)), contiguous=False, metadata=None)


def torn(path):
    """The third of four compressed pages is zeros: the others can be read."""
    write_ome_tiff(path, grey((4, 30, 40)), "ZYX")
    with tifffile.TiffFile(path) as tiff:
        start, count = tiff.pages[2].dataoffsets[0], tiff.pages[2].databytecounts[0]
    content = bytearray(path.read_bytes())
    content[start : start + count] = bytes(count)
    path.write_bytes(content)


def infinite(path):
    values = grey((4, 30, 40), dtype=np.float32)
    values[3, 5, 5] = np.inf
    write_ome_tiff(path, values, "ZYX")


def too_large(path):
    tifffile.imwrite(path, grey((4, 30, 40), dtype=np.float64) * 1e300, ome=True, metadata={"axes": "ZYX"})


def no_companion(path):
    ome = '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><BinaryOnly MetadataFile="gone.companion.ome"'
    tifffile.imwrite(path, grey((30, 40)), description=f'{ome} UUID="urn:uuid:1"/></OME>', metadata=None)


@pytest.mark.parametrize("mode", ["stack", "fused"])
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (other_page, "different sizes"),
        (torn, "slice 3 of 4 cannot be read"),
        (infinite, "infinity, which is no grey value"),
        (too_large, "no grey value"),
        (no_companion, "gone.companion.ome"),
    ],
)
def test_a_bad_stack_gets_one_line_and_leaves_nothing_and_the_others_go_on(segment, tmp_path, make, said, mode):
    bad, good = tmp_path / "in" / "bad.tif", stack_file(tmp_path / "in" / "z.tif", grey((3, 30, 40)))
    make(bad)
    status, out, err = segment(bad, good, mode=mode)
    assert status == 1
    lines = [line for line in err if str(bad) in line]
    assert len(lines) == 1 and (said in lines[0] or (mode, make) == ("fused", too_large))
    assert "1 segmented, 1 failed" in out
    assert not [name for name in files(tmp_path / "out") if "bad" in name or name.startswith(".")]
    assert told(tmp_path / "out", "z").shape == ((3, 30, 40) if mode == "stack" else (30, 40))


def files_or_folders(folder):
    return sorted(os.listdir(folder))


@pytest.mark.parametrize("mode", ["stack", "fused"])
def test_axes_that_contradict_get_one_line(segment, tmp_path, mode):
    path = stack_file(tmp_path / "a.tif", grey((3, 30, 40)))
    status, _, err = segment(path, "--axes", "YX", mode=mode)
    assert status == 1 and sum("contradict" in line for line in err) == 1
    assert not (tmp_path / "out").exists() or not files_or_folders(tmp_path / "out")


@pytest.mark.parametrize("mode", ["stack", "fused"])
def test_a_z_step_of_0_is_no_spacing(segment, tmp_path, mode):
    """Lengths are in pixels then, and no pixel size is invented."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, grey((3, 30, 40)), imagej=True, resolution=(2, 2), metadata={"axes": "ZYX", "spacing": 0, "unit": "um"}
    )
    assert segment(path, mode=mode)[0] == 0
    spacing = open_image(tmp_path / "out" / "a_mask.tif").spacing
    assert spacing is None or 0 not in spacing


@pytest.mark.parametrize("mode", ["stack", "fused"])
def test_a_page_of_60000_columns(segment, tmp_path, mode):
    path = stack_file(tmp_path / "a.tif", grey((2, 12, 60000), dtype=np.uint8))
    assert segment(path, mode=mode)[0] == 0
    mask = told(tmp_path / "out")
    assert mask.shape == ((2, 12, 60000) if mode == "stack" else (12, 60000)) and mask.any()
    width, height = PIL.Image.open(tmp_path / "out" / "a_overlay.png").size
    assert mode == "fused" or (width <= 8192 and height >= 1)


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a small disk")
def test_a_full_disk_gets_a_line_and_what_was_computed_waits_for_room(segment, tmp_path):
    path, disk = stack_file(tmp_path / "a.tif", grey((12, 60, 80))), tmp_path / "disk"
    segment(path, output=tmp_path / "elsewhere")
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("mounting is not permitted here")
    try:
        status, out, err = segment(path, output=disk)
        assert status == 1 and "0 segmented, 1 failed" in out
        assert sum("no room left on the disk" in line for line in err) == 1
        assert files_or_folders(disk) == [".a.parts"]
        subprocess.run(["mount", "-o", "remount,size=20m", str(disk)], check=True)
        status, out, _ = segment(path, output=disk)
        assert status == 0 and any("goes on with slice" in line for line in out)
        assert files(disk) == files(tmp_path / "elsewhere")
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_sizes_in_micrometres_need_a_spacing(network, tmp_path):
    path = stack_file(tmp_path / "a.tif", grey((3, 20, 20)), spacing=None)
    segmenter = StackSegmenter(
        [path],
        tmp_path / "out",
        MicroscopyReader(),
        LinearContrast(),
        network,
        WholeOrWindowsInferer(),
        [HysteresisThreshold(), CloseGaps(3, "micrometer")],
    )
    with pytest.raises(InputError, match="no pixel spacing"), segmenter.segmented(path):
        pass


# both ways


def test_both_ways_give_a_volume_whose_projection_is_the_2d_mask_and_pictures_of_it(segment, tmp_path):
    stack = grey((7, 40, 56))
    path = stack_file(tmp_path / "a.tif", stack)
    status, lines, _ = segment(path, "--surface", "stl", mode="both")
    assert status == 0 and any("reconciled" in line for line in lines)
    segment(path, output=tmp_path / "fused", mode="fused")
    out = tmp_path / "out"
    kinds = "probability disagreement fused depth mask_2d mask".split()
    assert set(files(out)) == {f"a_{kind}.tif" for kind in kinds} | {
        "a_overlay.png",
        "a_provenance.json",
        "a_colour.png",
        "a_rendering.png",
        "a_surface.stl",
    }
    mask, flat = told(out), open_image(out / "a_mask_2d.tif").array() > 0
    assert mask.shape == stack.shape and mask.any() and not mask.all()
    np.testing.assert_array_equal(mask.any(axis=0), flat)
    for kind in ("fused", "depth"):
        np.testing.assert_array_equal(
            open_image(out / f"a_{kind}.tif").array(), open_image(tmp_path / "fused" / f"a_{kind}.tif").array()
        )
    assert open_image(out / "a_mask.tif").spacing == (2.0, 0.5, 0.5)
    assert open_image(out / "a_mask_2d.tif").spacing == (0.5, 0.5)
    corners = np.frombuffer((out / "a_surface.stl").read_bytes()[84:], np.uint8).reshape(-1, 50)[:, 12:48].copy()
    reach = corners.view("<f4").reshape(-1, 3).max(axis=0)
    assert (reach <= (56 * 0.5, 40 * 0.5, 7 * 2.0)).all() and reach[2] > 7, "in µm, X first"
    before = files(out)
    status, lines, _ = segment(path, "--surface", "stl", mode="both")
    assert status == 0 and any("kept" in line for line in lines) and files(out) == before


def test_an_image_has_both_ways_too(segment, tmp_path):
    path = stack_file(tmp_path / "a.tif", grey((40, 56)))
    status, _, errors = segment(path, mode="both")
    assert status == 0, errors
    assert told(tmp_path / "out").shape == (40, 56)
