"""Segment an image and a stack with little memory left: each run ends in success, or in a line that says what to do.

  python -m scripts.benchmarks.memory_limits                          # ten limits, for docs/reliability.md
  python -m scripts.benchmarks.memory_limits --threads 2 --size 96 --repeat 3

Libraries are imported once; then a process of its own is branched off for each limit, and may take so much address
space (RLIMIT_AS) more than it has. A run is right if it writes all of its outputs and ends with 0, or ends with 1, says
in one line for the input what to do, and leaves no mask. All else is a fault: a traceback, a signal, a hang, a line
without a remedy, a file that an unlimited run does not write. Linux only.
"""

from __future__ import annotations

import argparse
import importlib
import os
import resource
import signal
import sys
import tempfile
import time
from pathlib import Path

import tifffile
import torch

from bundle.__main__ import main as run_command
from bundle.io import write_ome_tiff
from bundle.phantoms import make_phantom

MARGINS = (8, 16, 32, 64, 96, 128, 192, 256, 512, 1024)  # MiB
WAYS = {"image": [], "stack": ["--mode", "stack"]}
LONGEST = 120  # seconds of a run
MIB = 1 << 20


def main() -> int:
    """Print a line for each run, and how many ended how.

    Returns:
        0 if there was no fault.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--margins", type=int, nargs="+", default=list(MARGINS), help="MiB (default: %(default)s)")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--size", type=int, default=384, help="of the images, in pixels (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch (default: %(default)s)")
    parser.add_argument("--repeat", type=int, default=1, help="runs of each limit (default: %(default)s)")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for needed in ("commands.segment", "io.reader", "segmentation", "runner"):  # by the branches; imported once
        importlib.import_module(f"bundle.{needed}")
    counts = {"written": 0, "refused": 0, "faults": 0}
    with tempfile.TemporaryDirectory() as folder:
        inputs = _inputs(Path(folder), arguments.size)
        for way in arguments.ways:
            whole = Path(folder) / f"{way}-unlimited"
            _branch([*_words(way, inputs), "--output", str(whole)], None, whole)
            expected = _contents(whole)
            for number, margin in enumerate(arguments.margins * arguments.repeat):
                out = Path(folder) / f"{way}-{margin}-{number}"
                ended = _branch([*_words(way, inputs), "--output", str(out)], margin, out)
                outcome, detail = _judged(*ended, _contents(out), expected)
                counts[outcome] += 1
                print(f"{way}, {margin} MiB: {outcome}{detail}", flush=True)
    print(", ".join(f"{count} {outcome}" for outcome, count in counts.items()))
    return 1 if counts["faults"] else 0


def _inputs(folder: Path, size: int) -> dict[str, Path]:
    phantom = make_phantom((4, size, size), seed=2, density="medium")
    inputs = {"image": folder / "image.tif", "stack": folder / "stack.ome.tif"}
    tifffile.imwrite(inputs["image"], phantom.stack.max(axis=0))
    write_ome_tiff(inputs["stack"], phantom.stack, "ZYX", phantom.spacing)
    return inputs


def _words(way: str, inputs: dict[str, Path]) -> list[str]:
    return ["segment", str(inputs[way]), "--device", "cpu", *WAYS[way]]


def _branch(words: list[str], margin: int | None, out: Path) -> tuple[int | None, str]:
    """Run a command in a branch of this process; its exit status, None for a signal or a hang, and what it said."""
    said = out.with_name(f"{out.name}.txt")
    child = os.fork()
    if child == 0:
        status = 70
        try:
            with said.open("wb") as file:
                for stream in (1, 2):
                    os.dup2(file.fileno(), stream)
            if margin is not None:
                pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
                most = pages * resource.getpagesize() + margin * MIB
                resource.setrlimit(resource.RLIMIT_AS, (most, most))
            status = run_command(words)
            sys.stdout.flush()
            sys.stderr.flush()
        except BaseException as error:  # a traceback, as the interpreter would print one
            os.write(2, f"Traceback: {type(error).__name__}: {error}\n".encode())
        finally:
            os._exit(status)
    start = time.monotonic()
    while time.monotonic() - start < LONGEST:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            return (code if code >= 0 else None), said.read_text(encoding="utf-8", errors="replace")
        time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None, "ran on and on"


def _contents(folder: Path) -> dict[str, bytes]:
    """What stands under its final name; records and logs tell paths, which differ."""
    files = folder.rglob("*") if folder.exists() else ()
    return {
        path.name: path.read_bytes()
        for path in files
        if path.is_file() and "provenance" not in path.name and not path.relative_to(folder).as_posix().startswith(".")
    }


def _judged(status: int | None, said: str, found: dict[str, bytes], expected: dict[str, bytes]) -> tuple[str, str]:
    lines = [line for line in said.splitlines() if line.strip()]
    last = lines[-1] if lines else "nothing said"
    if status is None or "Traceback" in said or status not in (0, 1):
        return "faults", f" ({status}: {last[:300]})"
    if any(name not in expected for name in found):
        return "faults", f" (wrote {sorted(found.keys() - expected.keys())})"
    smaller = " in smaller windows" * ("smaller windows" in said or "out of memory" in said)
    if status == 0:
        wrong = sorted(name for name in expected if name not in found)
        return ("faults", f" (0, without {wrong})") if wrong else ("written", smaller)
    if not any("; " in line for line in lines) or any(name.endswith("_mask.tif") for name in found):
        return "faults", f" (1: {last[:300]})"
    return "refused", f": {next(line for line in lines if '; ' in line)[:200]}"


if __name__ == "__main__":
    sys.exit(main())
