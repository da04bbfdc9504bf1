"""``segment --cluster`` on a real Slurm of one node, on Dask's own scheduler, and here: the bytes of one machine.

Slurm and munge are Debian's. They are started for the check, on ports of their own, and ended after it; for that it has
to be root.

bash scripts/check_platforms.sh cluster [--record]
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from claims import Claims
from scipy.ndimage import gaussian_filter

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from bundle.io import write_image  # noqa: E402

DEPTH, SIDE = 20, 112
CONFIG = """
ClusterName=vessels
SlurmctldHost={host}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
ReturnToService=2
MpiDefault=none
KillWait=2
NodeName={host} CPUs={cores} RealMemory={memory} State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def free_port() -> int:
    """A port that nobody listens to."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def daemon(*words: object) -> subprocess.Popen:
    """Start a program that stays in the foreground."""
    return subprocess.Popen([*map(str, words)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@contextmanager
def slurm(folder: Path) -> Iterator[None]:
    """A Slurm of this machine alone."""
    for name in ("state", "spool", "munge"):
        (folder / name).mkdir(parents=True)
    key = folder / "munge" / "key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    config = folder / "slurm.conf"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    text = CONFIG.format(
        host=socket.gethostname().split(".")[0],
        folder=folder,
        ports=(free_port(), free_port()),
        cores=os.cpu_count(),
        memory=memory,
    )
    config.write_text(text, encoding="utf-8")
    os.environ["SLURM_CONF"] = str(config)
    where = [f"--{name}-file={folder}/munge/{name}" for name in ("key", "log", "pid", "seed")]
    started = [daemon("munged", "--foreground", "--force", f"--socket={folder}/munge/socket", *where)]
    try:
        until(lambda: (folder / "munge" / "socket").exists(), 20)
        started.append(daemon("slurmctld", "-D"))
        until(lambda: "UP" in said("scontrol", "ping"), 30)
        started.append(daemon("slurmd", "-D"))
        until(lambda: "idle" in said("sinfo", "--noheader"), 60)
        yield
    finally:
        said("scancel", "--user=root")
        for process in reversed(started):
            process.terminate()
            process.wait(30)


def said(*words: str) -> str:
    """What a program says."""
    return subprocess.run(words, capture_output=True, text=True).stdout


def until(true: Callable[[], object], seconds: float) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds} s")
        time.sleep(0.2)


def segment(stack: Path, output: Path, *words: str) -> subprocess.Popen:
    """Begin to segment; one thread, as the workers have."""
    command = [sys.executable, "-m", "bundle", "segment", str(stack), "--mode", "stack", "--output", str(output)]
    return subprocess.Popen(
        [*command, "--format", "ome-zarr", "--device", "cpu", *words],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended(process: subprocess.Popen) -> str:
    """What it said, when it has ended."""
    return process.communicate(timeout=900)[0]


def files(folder: Path) -> dict[str, int]:
    """All files of a folder, by their sums, but those that tell of the run."""
    found = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {name: zlib.crc32(path.read_bytes()) for name, path in found.items() if name != "provenance.json"}


def done(output: Path) -> int:
    """How many slices the network has seen."""
    return len(list(output.glob(".*.parts/*/probability/*.npy")))


def jobs() -> list[str]:
    """Slurm's jobs that run."""
    return said("squeue", "--noheader", "--states=RUNNING", "--format=%i").split()


def same(output: Path, expected: dict[str, int], text: str) -> str:
    """How the files of a run differ, or that they do not."""
    found = files(output)
    wrong = [name for name in expected.keys() | found.keys() if found.get(name) != expected.get(name)]
    return f"{len(wrong)} files differ; {text[-500:]}" if wrong else ""


def main() -> None:
    """Check."""
    with Claims("Slurm", said("slurmctld", "-V").split()[-1]) as claims, ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        values = gaussian_filter(np.random.default_rng(0).random((DEPTH, SIDE, SIDE)), (1, 3, 3))
        values = (values - values.min()) / np.ptp(values)
        big = folder / "big.ome.zarr"
        write_image(big, (values**4 * 6e4).astype(np.uint16), "ZYX", (2.0, 0.5, 0.5))
        one = folder / "one"
        text = ended(segment(big, one))
        expected = files(one)
        claims.claim("segment on one machine, one thread", len(expected) > 3 * DEPTH, f"{len(expected)} files")

        stack.enter_context(slurm(folder / "slurm"))
        claims.claim(
            "slurmctld, slurmd and munged of Debian", "idle" in said("sinfo", "--noheader"), said("sinfo", "--noheader")
        )
        text = "--cluster slurm --workers 2"
        with claims.attempt(text):
            most, output = 0, folder / "slurm_2"
            process = segment(big, output, *text.split())
            while process.poll() is None:
                most = max(most, len(jobs()))
                time.sleep(0.2)
            wrong = same(output, expected, ended(process))
            claims.claim(
                text, not wrong and most == 2, wrong or f"the files of one machine, byte for byte; {most} jobs"
            )
            until(lambda: not jobs(), 60)
            claims.claim(f"{text}, afterwards", not jobs(), "no job is left")

        text = "--cluster slurm, scancel of a job in mid-run"
        with claims.attempt(text):
            output = folder / "cancelled"
            process = segment(big, output, "--cluster", "slurm", "--workers", "2")
            until(lambda: done(output) >= 4 and len(jobs()) == 2, 300)
            gone = jobs()[0]
            said("scancel", "--signal=KILL", "--full", gone)
            until(lambda: gone not in jobs(), 60)
            wrong = same(output, expected, ended(process))
            claims.claim(text, not wrong, wrong or "the files of one machine, byte for byte")

        text = "--cluster slurm, kill -9 of the command, and given again"
        with claims.attempt(text):
            output = folder / "killed"
            process = segment(big, output, "--cluster", "slurm", "--workers", "2")
            until(lambda: done(output) >= 6, 300)
            process.send_signal(signal.SIGKILL)
            ended(process)
            before = done(output)
            again = ended(segment(big, output, "--cluster", "slurm", "--workers", "2"))
            wrong = same(output, expected, again)
            kept = next((line.split(", ", 1)[1] for line in again.splitlines() if "goes on with slice" in line), "")
            claims.claim(
                text, not wrong and bool(kept), wrong or f"the files of one machine; {before} done, then {kept}"
            )

        text = "more memory than there is"
        with claims.attempt(text):
            os.environ["DASK_JOBQUEUE__SLURM__MEMORY"] = "4 PB"
            process = segment(big, folder / "refused", "--cluster", "slurm")
            lines = ended(process).strip().splitlines()
            del os.environ["DASK_JOBQUEUE__SLURM__MEMORY"]
            claims.claim(text, process.returncode == 1 and len(lines) == 1, lines[-1])

        with claims.attempt("dask scheduler and dask worker"):
            os.environ["PYTHONPATH"] = str(ROOT)
            address, port = "tcp://127.0.0.1", free_port()
            tools = Path(sys.executable).parent
            programs = [daemon(tools / "dask", "scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard")]
            for _ in range(2):
                worker = ("worker", f"{address}:{port}", "--nthreads", 1, "--local-directory", folder)
                programs.append(daemon(tools / "dask", *worker))
            stack.callback(lambda: [program.terminate() for program in programs])
            output = folder / "address"
            wrong = same(output, expected, ended(segment(big, output, "--cluster", f"{address}:{port}")))
            claims.claim("--cluster ADDRESS of dask scheduler", not wrong, wrong or "the files of one machine")

        with claims.attempt("--cluster local"):
            output = folder / "local"
            process = segment(big, output, "--cluster", "local", "--workers", "2")
            line = process.stdout.readline()
            page = line.rpartition("dashboard ")[2].strip()
            answer = urllib.request.urlopen(page, timeout=30).status
            outer = said("hostname", "--all-ip-addresses").split()[0]
            with socket.socket() as outside:
                refused = outside.connect_ex((outer, int(page.rpartition(":")[2].partition("/")[0]))) != 0
            wrong = same(output, expected, ended(process))
            claims.claim("--cluster local --workers 2", not wrong, wrong or "the files of one machine, byte for byte")
            ok = answer == 200 and page.startswith("http://127.0.0.1:") and refused
            claims.claim(
                "its dashboard", ok, f"{answer} at 127.0.0.1, refused at the machine's other address: {refused}"
            )


if __name__ == "__main__":
    main()
