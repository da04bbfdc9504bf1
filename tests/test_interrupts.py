"""A program that is interrupted, ended or out of memory says so in one line, and leaves nothing half-written."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest
import torch

from bundle.errors import InputError, end_of, foreseen, is_out_of_memory
from bundle.io import atomic
from bundle.segmentation import WholeOrWindowsInferer

ROOT = Path(__file__).resolve().parents[1]
posix = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
ENDING = """
import sys, time
from bundle.__main__ import main
import bundle.commands.info as command
def run(arguments):
    print("ready", flush=True)
    time.sleep(60)
command.run = run
sys.exit(main(["info", "x"]))
"""
HOOKED = """
import sys, time
from bundle.runner import show_input_errors
show_input_errors()
print("ready", flush=True)
time.sleep(60)
"""


@posix
@pytest.mark.parametrize("program", [ENDING, HOOKED], ids=["command", "config"])
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_program_that_is_asked_to_end_says_so_in_one_line(program, number, status):
    started = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert started.stdout.readline() == "ready\n"
    started.send_signal(number)
    _, err = started.communicate(timeout=60)
    assert started.returncode == status
    assert len(err.splitlines()) == 1 and "the same command goes on" in err


@posix
def test_ctrl_c_while_libraries_are_imported_is_one_line_too(tmp_path):
    command = [sys.executable, "-m", "bundle", "segment", str(tmp_path / "none.tif"), "--output", str(tmp_path / "out")]
    for delay in (0.4, 1.0):
        started = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(delay)
        started.send_signal(signal.SIGINT)
        _, err = started.communicate(timeout=60)
        assert started.returncode in (130, -signal.SIGINT, 1), err  # 1: it was through already
        assert len(err.splitlines()) <= 1 or started.returncode == -signal.SIGINT, err


def test_the_words_and_status_are_those_of_the_signal():
    assert end_of(KeyboardInterrupt())[1] == 130


@posix
def test_what_a_killed_process_left_half_written_is_removed_by_the_next_and_a_living_one_s_is_not(tmp_path):
    program = f"""
import sys, time
from bundle.io import atomic
with atomic({str(tmp_path / "last.pt")!r}) as partial:
    partial.write_bytes(b"half")
    print("ready", flush=True)
    time.sleep(60)
"""
    writers = [subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE) for _ in range(2)]
    for writer in writers:
        writer.stdout.readline()
    assert len(list(tmp_path.iterdir())) == 2
    writers[0].kill()
    writers[0].wait()
    with atomic(tmp_path / "other.txt") as partial:
        partial.write_text("whole")
    left = [path.name for path in tmp_path.iterdir() if path.name != "other.txt"]
    assert len(left) == 1 and f"{writers[1].pid:08x}" in left[0]
    writers[1].kill()
    writers[1].wait()


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you"),
        RuntimeError("could not create a memory object"),
        RuntimeError("could not create a primitive"),
        RuntimeError("can't start new thread"),
        SystemError("<function f> returned NULL without setting an exception"),
        ImportError("libx.so: failed to map segment from shared object"),
        OSError(12, "Cannot allocate memory"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    ],
)
def test_out_of_memory_is_known_by_what_libraries_say_of_it(error):
    assert is_out_of_memory(error)
    wrapped = RuntimeError("applying transform")
    wrapped.__cause__ = error
    assert is_out_of_memory(wrapped)
    assert "memory" in str(foreseen(wrapped, "a.tif"))
    assert not is_out_of_memory(RuntimeError("shape mismatch"))
    assert not is_out_of_memory(RuntimeError("could not create a primitive descriptor for a convolution"))
    assert not is_out_of_memory(InputError(None, "is empty"))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ImportError("libx.so: failed to map segment from shared object"), "the program again"),
        (SystemError("<function f> returned NULL without setting an exception"), "the program again"),
        (MemoryError(), "cut it into smaller ones"),
    ],
)
def test_what_may_as_well_be_a_broken_installation_is_not_said_to_be_memory_alone(error, said):
    line = str(foreseen(error, "a.tif"))
    assert line.startswith("a.tif: ") and said in line and "memory" in line
    assert str(error) in line


def test_a_library_whose_loader_names_the_cause_is_a_lack_of_memory_alone():
    error = ImportError("libx.so: failed to map segment from shared object: Cannot allocate memory")
    assert is_out_of_memory(error)
    line = str(foreseen(error, "a.tif"))
    assert line.startswith("a.tif: does not fit into memory; ") and "installation" not in line


def test_a_library_that_cannot_be_loaded_is_no_lack_of_memory():
    for text in (
        "libx.so: failed to map segment from shared object: Operation not permitted",  # of a disk mounted noexec
        "libx.so: cannot open shared object file: No such file or directory",
        "libx.so: file too short",
    ):
        assert not is_out_of_memory(ImportError(text)) and foreseen(ImportError(text), "a.tif") is None
    assert not is_out_of_memory(SystemError("unknown opcode"))


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space of a branch")
def test_with_little_memory_left_a_run_ends_in_success_or_in_a_line():
    # with 56 the threads of OpenMP have no room, which would end the program without a word of ours
    words = ["--margins", "56", "96", "192", "--ways", "stack", "--size", "96", "--threads", "2"]
    command = [sys.executable, "-m", "scripts.benchmarks.memory_limits", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].endswith("0 faults")


@pytest.mark.parametrize(("most", "said"), [(256 * 256, 1), (128 * 128, 2)])
def test_an_image_too_large_for_memory_is_segmented_in_smaller_windows(most, said, caplog):
    seen = []

    def network(image: torch.Tensor) -> torch.Tensor:
        if image.shape[-1] * image.shape[-2] > most:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        seen.append(image.shape[-2:])
        return image * 0.5

    inferer = WholeOrWindowsInferer(window=256)
    image = torch.rand(1, 1, 300, 280)
    torch.testing.assert_close(inferer(image, network), image * 0.5)
    assert sum("out of memory" in record.getMessage() for record in caplog.records) == said
    caplog.clear()
    inferer(image, network)  # the next image begins with what fits
    assert not caplog.records
    with pytest.raises(RuntimeError, match="allocate"):
        WholeOrWindowsInferer(window=256)(image, lambda part: network(part.repeat(1, 1, 9, 9)))


def test_of_images_that_run_out_of_memory_side_by_side_the_smallest_window_counts(caplog):
    """One fails at once and goes down to what fits; the other, which began before, fails only then."""
    begun, found = Event(), Event()

    def network(image: torch.Tensor) -> torch.Tensor:
        if image.shape[-1] == 512:
            begun.set()
            assert found.wait(20)
        if image.shape[-1] > 160:
            raise MemoryError
        return image * 0.5

    inferer, slow = WholeOrWindowsInferer(window=512), torch.rand(1, 1, 512, 512)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(inferer, slow, network)
        assert begun.wait(20)
        inferer(torch.rand(1, 1, 320, 320), network)
        found.set()
        torch.testing.assert_close(waiting.result(), slow * 0.5)
    assert inferer._fitting == 160
    assert [record.getMessage().split(" of ")[-1] for record in caplog.records] == ["160 pixels a side"]
    assert pickle.loads(pickle.dumps(inferer))._fitting == 160  # which goes to other processes
