"""Stacks on many workers: the same as on one, whatever the parts, and whoever is killed."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
import zlib
from collections import Counter
from functools import partial
from pathlib import Path
from threading import Timer

import dask
import distributed
import numpy as np
import pytest
import torch
import zarr
from scipy.ndimage import gaussian_filter
from stored import stored, whole
from torch import nn

from bundle.__main__ import main
from bundle.cluster import Cluster, cluster
from bundle.cluster.parts import _call, version
from bundle.cluster.starting import _keys
from bundle.errors import InputError
from bundle.graphs import vessel_graph
from bundle.io import Reading, scratch_folder, write_image
from bundle.segmentation import StackSegmenter, Windows
from bundle.segmentation.stacks import GreyBlocks
from bundle.segmentation.stacks.resuming import work_folder
from bundle.transforms import Closing, Hysteresis, Removal, Stretching, masks
from bundle.volumes import StoredVolume, close_gaps, hysteresis, remove_fragments

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.usefixtures("one_thread")
posix = pytest.mark.skipif(os.name == "nt", reason="kills processes by signals")


class InSlabs:
    """Workers that are sent what they do, know nothing of each other, and are done in no order."""

    def __init__(self, least, seed=0):
        self.least, self.rng, self.calls = least, np.random.default_rng(seed), []

    def slabs(self, depth, least=1):
        return [(start, min(start + self.least, depth)) for start in range(0, depth, self.least)]

    def each(self, what, function, parts):
        results = [None] * len(parts)
        for number in self.rng.permutation(len(parts)):
            self.calls.append((what, parts[number]))
            results[number] = pickle.loads(pickle.dumps(function))(parts[number])
        return results


# volumes by slabs


@pytest.mark.parametrize("seed", range(24))
def test_a_mask_is_made_by_slabs_as_in_memory(tmp_path, seed):
    """From salt and pepper to smooth worms, of any sides, slabs and bands."""
    rng = np.random.default_rng(seed)
    shape = tuple(int(side) for side in rng.integers(1, (14, 18, 16)))
    values = gaussian_filter(rng.random(shape), rng.choice([0, 0.6, 1.2]))
    values = values.ravel().argsort().argsort().reshape(shape) / max(1, values.size - 1)
    share, rows, workers = rng.uniform(0.02, 0.6), int(rng.integers(1, shape[1] + 2)), InSlabs(int(rng.integers(1, 6)))
    volume = stored(tmp_path / "volume", values, int(rng.integers(1, shape[1] + 2)))
    kept, closed, cleaned = (StoredVolume(tmp_path / name, shape, bool, rows) for name in ("kept", "closed", "cleaned"))
    low, high = 1 - share, 1 - share / 10
    expected = masks.hysteresis(values, low, high)
    hysteresis(volume, low, high, kept, tmp_path / "notes", workers)
    np.testing.assert_array_equal(whole(kept), expected)
    size = [1, 1.5, 2][seed % 3]
    expected = masks.close_gaps(expected, size, None)
    close_gaps(kept, masks.ball(size, (1, 1, 1)), closed, workers)
    np.testing.assert_array_equal(whole(closed), expected)
    size = [0.5, 2, 3.5, 12, 60][seed % 5]
    remove_fragments(closed, size, cleaned, tmp_path / "notes of fragments", workers)
    np.testing.assert_array_equal(whole(cleaned), masks.remove_fragments(expected, size))


@pytest.mark.parametrize("least", [1, 2, 3, 5, 12])
def test_a_vessel_that_winds_through_all_slabs_and_turns_back_is_one(tmp_path, least):
    """Worked by hand: down on one side, up on the other and down again, its seed in the last slice it comes to."""
    values = np.zeros((12, 7, 5))
    values[:, 0, 0] = values[:, 3, 2] = values[:, 6, 4] = 0.5
    values[11, 0:4, 0] = values[11, 3, :3] = 0.5
    values[0, 3:7, 2] = values[0, 6, 2:] = 0.5
    values[11, 6, 4] = 1
    values[3:9, 0, 4] = 0.6  # not connected to it
    out, workers = StoredVolume(tmp_path / "mask", values.shape, bool, 2), InSlabs(least)
    hysteresis(stored(tmp_path / "volume", values, 7), 0.4, 0.9, out, tmp_path / "notes", workers)
    expected = values > 0
    expected[3:9, 0, 4] = False
    np.testing.assert_array_equal(whole(out), expected)
    voxels = int(expected.sum())
    for size, there in ((voxels, True), (voxels + 1, False)):
        again = StoredVolume(tmp_path / f"{size}", values.shape, bool, 7)
        remove_fragments(out, size, again, tmp_path / f"notes {size}", workers)
        assert whole(again).any() == there


# stacks


@pytest.fixture(scope="module")
def network(random_ensemble):
    """A tiny network with random weights."""
    return random_ensemble([2, 4], 3)


@pytest.fixture(scope="module")
def client():
    """Dask as it is, its workers in threads of this process."""
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None) as started,
        distributed.Client(started, set_as_default=False) as client,
    ):
        yield client


def stack_folder(path, shape=(11, 50, 70), chunks=(3, 17, 29), dtype=np.uint16, seed=0):
    """An OME-Zarr stack in chunks as others make them, with structure at the size of vessels."""
    rng = np.random.default_rng(seed)
    smooth = gaussian_filter(rng.random(shape), 1.5)
    smooth = (smooth - smooth.min()) / np.ptp(smooth) + rng.normal(0, 0.03, shape)
    array = (smooth * 3e4 + 2e4).astype(dtype)
    write_image(path, array, "ZYX", (2.0, 0.5, 0.5))
    group = zarr.open_group(path, mode="r+")
    group.create_array("0", data=array, chunks=chunks, overwrite=True)
    return path


def segment(path, output, network, workers=None, suffix=".ome.zarr", per="slice", **windows):
    """Segment a stack, by these workers."""
    steps = [Hysteresis(0.5, 0.6), Closing(2), Removal(30)]
    windows = Windows(**windows)
    segmenter = StackSegmenter([path], output, Reading(), Stretching(per=per), network, windows, steps, suffix=suffix)
    if workers is not None:
        segmenter.workers = workers
    segmenter.run()
    return files(output)


def files(folder):
    """All files of a folder, hidden ones as well, by their sums, but for the table of the run and what tells of it."""
    of_run = {"expected_dice.csv", "provenance.json"}
    found = {str(path.relative_to(folder)): path for path in Path(folder).rglob("*") if path.is_file()}
    return {name: zlib.crc32(path.read_bytes()) for name, path in found.items() if name not in of_run}


@pytest.mark.parametrize(
    ("chunks", "dtype", "slab", "options"),
    [
        ((3, 17, 29), np.uint16, None, {}),
        ((11, 50, 70), np.uint8, 4, {"per": "volume"}),
        ((1, 9, 70), np.float32, 1, {"per": "volume", "scale": 0.7}),
        ((4, 50, 13), np.uint16, 3, {"whole_pixels": 0, "window": 32, "suffix": ".tif"}),
    ],
    ids=["slices", "volume", "float, slices of one", "windows"],
)
def test_a_stack_on_a_cluster_is_that_on_one_machine_to_the_last_bit(
    client, network, tmp_path, chunks, dtype, slab, options
):
    path = stack_folder(tmp_path / "a.ome.zarr", chunks=chunks, dtype=dtype)
    expected = segment(path, tmp_path / "one", network, **options)
    (tmp_path / "work").mkdir()
    found = segment(path, tmp_path / "many", network, Cluster(client, tmp_path / "work", slab), **options)
    assert found == expected and any("mask" in name for name in found)
    assert not list((tmp_path / "work").iterdir())


class Bright(nn.Module):
    """Takes for vessel what is bright."""

    def forward(self, image):
        return (image > 0.5).float()


def test_all_workers_look_for_the_scale_each_slice_is_read_once_for_it_and_it_stays(tmp_path, monkeypatch, caplog):
    """Bars of 20 pixels ask for about a quarter of the size."""
    array = np.where(np.arange(120) % 40 < 20, 900, 100) + np.random.default_rng(0).integers(0, 50, (11, 90, 120))
    write_image(path := tmp_path / "a.ome.zarr", array.astype(np.uint16), "ZYX", (2.0, 0.5, 0.5))
    caplog.set_level("INFO", "bundle")
    expected = segment(path, tmp_path / "one", Bright(), scale="auto")
    assert any(line.startswith(f"{path}: segmented at scale 0.2") for line in caplog.messages)
    workers, reads, native = InSlabs(3), [], GreyBlocks.native

    def noted(grey, z, start, stop):
        reads.append((workers.calls[-1][0], z))
        return native(grey, z, start, stop)

    class Killed(InSlabs):
        def each(self, what, function, parts):
            if what == "network":
                raise KeyboardInterrupt
            return super().each(what, function, parts)

    monkeypatch.setattr(GreyBlocks, "native", noted)
    workers = Killed(3)
    with pytest.raises(KeyboardInterrupt):
        segment(path, tmp_path / "many", Bright(), workers, scale="auto")
    looked = [part for what, part in workers.calls if what == "looking for widths"]
    assert sorted(looked) == [(0, (0, 3)), (1, (3, 6)), (2, (6, 9)), (3, (9, 11))]
    assert Counter(z for what, z in reads if what == "looking for widths") == dict.fromkeys(range(11), 1)
    workers = InSlabs(4)
    assert segment(path, tmp_path / "many", Bright(), workers, scale="auto") == expected
    assert "looking for widths" not in {what for what, _ in workers.calls}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--cluster", "local"), "say --mode stack"),
        (("--mode", "stack", "--workers", "2"), "say one of them"),
        (("--mode", "stack", "--cluster", "nonsense"), "no cluster at nonsense, which is no address"),
        (("--mode", "stack", "--cluster", "tcp://127.0.0.1"), "which is no address"),
        (("--mode", "stack", "--cluster", "host:port"), "which is no address"),
    ],
)
def test_words_that_go_with_no_cluster_are_refused_before_any_work(tmp_path, capsys, words, said):
    path = stack_folder(tmp_path / "a.ome.zarr", (2, 20, 20))
    assert main(["segment", str(path), "--output", str(tmp_path / "out"), *words]) == 1
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


# graphs


def test_the_graph_of_a_mask_on_a_cluster_is_that_on_one_machine(client, tmp_path):
    """Vessels, loops and pinholes that many bricks cut; whatever the order in which they are done."""
    field = gaussian_filter(np.random.default_rng(0).random((14, 30, 24)), 1.2)
    mask = field > np.quantile(field, 0.75)
    spacing = (2.0, 0.5, 0.5)
    expected = vessel_graph(mask, spacing).as_dict()
    volume = stored(tmp_path / "mask", mask, 11)
    (tmp_path / "work").mkdir()
    for workers in (InSlabs(1), Cluster(client, tmp_path / "work")):
        found = vessel_graph(volume, spacing, work=tmp_path, brick=mask.size // 4, workers=workers)
        assert found.as_dict() == expected
    assert len(expected["edges"]) > 10


# killed


class Slow(nn.Module):
    """Takes its time for a slice, and notes which process has seen which."""

    def __init__(self, seen, seconds):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.where = [str(seen), seconds]  # in a list, as it tells of no other network

    def forward(self, image):
        seen, seconds = self.where
        with open(seen, "a", encoding="utf-8") as stream:
            stream.write(f"{os.getpid()} {zlib.crc32(image.contiguous().numpy().tobytes())}\n")
        time.sleep(seconds)
        return nn.functional.avg_pool2d(image * self.weight, 3, 1, 1)


def segment_slowly(path, output, seen):
    """What the processes of a test that are killed do."""
    torch.set_num_threads(1)
    with cluster("local", output, 2) as workers:
        segment(path, output, Slow(seen, 0.2), workers)


def wait_for(lines, file, process):
    """What was seen, when it is so many slices."""
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        found = file.read_text(encoding="utf-8").split() if file.exists() else []
        if len(found) >= 2 * lines:
            return found[::2], found[1::2]
        time.sleep(0.02)
    raise AssertionError(f"{lines} slices were not seen: {process.communicate()}")


@posix
def test_a_killed_worker_and_a_killed_command_lose_nothing_and_repeat_only_what_was_in_flight(client, tmp_path):
    depth = 40
    path, seen = stack_folder(tmp_path / "a.ome.zarr", (depth, 30, 40), (7, 30, 40)), tmp_path / "seen"
    expected = segment(path, tmp_path / "one", Slow(tmp_path / "one machine", 0))
    code = "import sys; from test_cluster import segment_slowly; segment_slowly(*sys.argv[1:])"
    folders = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    command = subprocess.Popen(
        [sys.executable, "-c", code, str(path), str(tmp_path / "out"), str(seen)],
        env={**os.environ, "PYTHONPATH": folders},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        processes, _ = wait_for(5, seen, command)
        os.kill(int(processes[-1]), signal.SIGKILL)
        processes, _ = wait_for(20, seen, command)
        assert len(set(processes)) >= 2
    finally:
        command.kill()
        command.communicate()
    time.sleep(1)  # its workers see that it is gone
    assert not (tmp_path / "out" / "a_mask.ome.zarr").exists()
    (tmp_path / "work").mkdir()
    found = segment(path, tmp_path / "out", Slow(seen, 0), Cluster(client, tmp_path / "work"))
    assert found == expected
    slices = seen.read_text(encoding="utf-8").split()[1::2]
    assert len(set(slices)) == depth
    assert len(slices) <= depth + 1 + 2  # one by the worker, two by the command


def test_what_is_finished_stays_when_the_scheduler_is_gone(tmp_path):
    """Its error names the output folder, which is no fault of the input, whose blocks would go."""
    parts = tmp_path / ".stack.parts"
    scheduler = distributed.LocalCluster(n_workers=1, processes=False, dashboard_address=None)
    gone = distributed.Client(scheduler, set_as_default=False)
    (tmp_path / "cluster").mkdir()
    workers = Cluster(gone, tmp_path / "cluster")
    assert workers.each("doubling", double, [1, 2, 3]) == [2, 4, 6]
    gone.close()
    scheduler.close()
    with pytest.raises(InputError, match="scheduler is gone") as caught:
        with work_folder(parts, tmp_path / "stack.tif", dict) as work:
            work.mkdir()
            (work / "block").write_text("done", encoding="utf-8")
            workers.each("doubling", double, [1])
    assert caught.value.path == str(tmp_path) and (work / "block").exists()
    assert not list((tmp_path / "cluster").iterdir())


def test_a_late_part_of_a_killed_command_writes_where_one_with_other_settings_does_not_look(tmp_path):
    """A worker on a scheduler of the user's own does not know that the command is gone."""

    def volume(work):
        return StoredVolume(work / "probability", (2, 3, 4), np.float32, 3)

    parts, source = tmp_path / ".stack.parts", tmp_path / "stack.tif"
    with pytest.raises(KeyboardInterrupt), work_folder(parts, source, lambda: {"scale": 1.0}) as work:
        volume(work).write(0, 0, np.zeros((3, 4)))
        raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt), work_folder(parts, source, lambda: {"scale": 1.0}) as again:
        assert again == work and volume(again).has(0, 0)
        raise KeyboardInterrupt
    with work_folder(parts, source, lambda: {"scale": 2.0}) as other:
        volume(work).write(0, 0, np.zeros((3, 4)))
        assert not volume(other).has(0, 0)
    assert not parts.exists()


def test_a_worker_of_another_version_computes_nothing(tmp_path):
    (tmp_path / "what").write_bytes(pickle.dumps(double))
    assert _call(str(tmp_path / "what"), 4, version()) == 8
    with pytest.raises(InputError, match="has version .* and the command 0.1"):
        _call(str(tmp_path / "what"), 4, "0.1")


def double(number: int) -> int:
    return 2 * number


def fail_or_write(folder: Path, part: int) -> None:
    """The first part fails when another has begun, which then goes on writing."""
    if part == 0:
        while not any(folder.iterdir()):
            time.sleep(0.01)
        raise InputError(folder, "cannot be read", "try another")
    for number in range(20):
        (folder / f"{part}_{number}").touch()
        time.sleep(0.02)


def test_where_a_part_fails_no_other_writes_any_more_when_that_is_said(client, tmp_path):
    """What they write to is removed then, and would come back by what is written late."""
    (tmp_path / "work").mkdir()
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="cannot be read"):
        Cluster(client, tmp_path / "work").each("writing", partial(fail_or_write, tmp_path / "out"), [0, 1])
    written = set((tmp_path / "out").iterdir())
    assert len(written) == 20
    time.sleep(0.3)
    assert set((tmp_path / "out").iterdir()) == written and not any((tmp_path / "work").iterdir())


@posix
def test_a_worker_of_this_machine_leaves_ctrl_c_to_the_command_and_has_one_thread(tmp_path, monkeypatch):
    """A terminal sends Ctrl-C to the workers too, each of which would print where it was.

    Sums of floats depend on the number of threads, whatever the environment of the command says of it.
    """
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    with cluster("local", tmp_path, 1) as workers:
        assert workers.client.submit(threads_before_any_part).result(60) == ("1", 1)
        assert workers.each("asking", ignores_ctrl_c, [0]) == [True]


def ignores_ctrl_c(_: int) -> bool:
    return signal.getsignal(signal.SIGINT) == signal.SIG_IGN


def threads_before_any_part() -> tuple[str, int]:
    return os.environ["OMP_NUM_THREADS"], torch.get_num_threads()


def test_a_scheduler_without_workers_is_joined_and_those_that_come_are_asked_for_their_version(tmp_path, caplog):
    caplog.set_level("INFO", "bundle")
    tcp = {"host": "127.0.0.1", "protocol": "tcp://"}
    with distributed.LocalCluster(n_workers=0, processes=False, dashboard_address=None, **tcp) as scheduler:
        with cluster(scheduler.scheduler_address, tmp_path) as workers:
            assert "no worker yet" in caplog.text
            later = Timer(0.5, scheduler.scale, [1])
            later.start()
            assert workers.each("doubling", double, [3]) == [6]
            later.join()


# Slurm, as far as it goes without one; with one: scripts/check_platforms.sh cluster


def test_the_keys_of_a_run_lie_where_nobody_else_looks_and_let_its_workers_in_alone(tmp_path):
    with scratch_folder(tmp_path / "cluster") as folder, scratch_folder(tmp_path / "other") as elsewhere:
        if os.name != "nt":
            assert folder.stat().st_mode & 0o077 == 0
        ours, others = _keys(distributed, folder), _keys(distributed, elsewhere)
        assert {path.suffix for path in folder.iterdir()} == {".pem"}
        reached = {"ours": ours, "others": others, "none": None}
        with distributed.LocalCluster(
            n_workers=0, security=ours, host="127.0.0.1", dashboard_address=None, silence_logs=50
        ) as scheduler:
            address = scheduler.scheduler_address
            assert address.startswith("tls://")
            for name, keys in reached.items():
                try:
                    distributed.Client(address, security=keys, timeout="2s", set_as_default=False).close()
                except (OSError, TimeoutError, ValueError, TypeError):
                    reached[name] = False
                else:
                    reached[name] = True
        assert reached == {"ours": True, "others": False, "none": False}


@posix
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "no sbatch.*--cluster local"),
        ("echo 'sbatch: warming up' >&2; echo 'sbatch: error: no such partition' >&2; exit 1", "no such partition"),
        ("exit 3", "status 3"),
    ],
    ids=["no Slurm", "a reason", "none"],
)
def test_slurm_is_asked_before_anything_waits_for_it(tmp_path, monkeypatch, answer, said):
    sbatch(tmp_path / "bin", answer, monkeypatch)
    began = time.monotonic()
    with pytest.raises(InputError, match=said), cluster("slurm", tmp_path / "out", 1):
        pass
    assert time.monotonic() - began < 30
    assert not list((tmp_path / "out").iterdir())


@posix
def test_a_job_says_what_the_settings_of_dask_leave_open_and_takes_what_they_say(tmp_path, monkeypatch):
    sbatch(tmp_path / "bin", f'/bin/cp "$2" {tmp_path}/job; exit 1', monkeypatch)
    with dask.config.set({"jobqueue.slurm.memory": "7 GiB"}), pytest.raises(InputError):
        with cluster("slurm", tmp_path / "out", 1):
            pass
    script = (tmp_path / "job").read_text(encoding="utf-8")
    assert "--mem=7G" in script and "--cpus-per-task=1" in script and "--nthreads 1" in script
    assert str(tmp_path / "out") in next(line for line in script.splitlines() if "#SBATCH -o" in line)
    assert "--tls-ca-file" in script and "PRIVATE KEY" not in script


def sbatch(folder, answer, monkeypatch):
    """A program of this name, which gives an answer; none if there is none."""
    folder.mkdir()
    if answer is not None:
        program = folder / "sbatch"
        program.write_text(f"#!/bin/sh\n{answer}\n", encoding="utf-8")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
