"""Read damaged files by the thousand: each is read, or refused in one line, in bounded time and memory.

python -m scripts.benchmarks.fuzz --minutes 10
python -m scripts.benchmarks.fuzz --minutes 2 --seed 0                  the short form of every change
python -m scripts.benchmarks.fuzz --minutes 60 --formats DIR            with real files of real microscopes
python -m scripts.benchmarks.fuzz --cases 10000 --result docs/results/fuzz.csv

Small files of every format are made, and mutated at random, the same for a seed: cut off, bytes changed, numbers made
huge, words of their texts exchanged, parts removed. Each is opened and read by a process of its own, whose memory is
bounded and which is ended when it takes too long. What is amiss is kept in --keep; the exit status says whether
anything was. VESSEL_DATA/formats is taken for --formats where it is.
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

SECONDS = 20  # that one file may take
MEMORY = 2 << 30  # bytes, beyond what the libraries take
LARGEST = 2 << 20  # bytes of a real file that is mutated
PLANES = 6  # that are read of a file
CASES = 3000  # that one process reads
OUTCOMES = ("read", "refused", "internals", "no remedy", "printed", "exception", "memory", "hang", "crash")
FINE = {"read", "refused"}
INTERNALS = re.compile(
    r"NoneType|Traceback|object has no|object is not|Error\(|<class|<tifffile| 0x[0-9a-f]{6}|\bunpack\b|subscriptable"
    r"|list index|KeyError|positional argument|codec can't|invalid literal|dtype\('|buffer size|cannot reshape"
)
HUGE = (0, 1, 2, 3, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
WORDS = (
    "0",
    "-1",
    "1e9",
    "NaN",
    "2000000000",
    "",
    "x",
    "../../secret.tif",
    "/etc/passwd",
    "C:\\a.tif",
    "\x1b[31m",
    "µ",
)


def main() -> int:
    """Mutate and read until the time is up; print the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, help="how long; else --cases says how many")
    parser.add_argument("--cases", type=int, help="how many files at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--formats", type=Path, metavar="DIR", help="real files, beside those that are made")
    parser.add_argument("--only", help="formats whose name holds this")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where to keep what is amiss")
    parser.add_argument("--result", type=Path, metavar="CSV", help="where to write the counts")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        return worker()
    if arguments.minutes is None and arguments.cases is None:
        parser.error("say --minutes or --cases")
    formats = arguments.formats or Path(os.environ.get("VESSEL_DATA", "")) / "formats"
    until = time.monotonic() + 60 * (arguments.minutes or 1e6)
    counts: dict[str, Counter] = {}
    with tempfile.TemporaryDirectory() as folder:
        seeds = [*made(Path(folder) / "made"), *(real(formats) if formats.is_dir() else ())]
        seeds = [seed for seed in seeds if not arguments.only or arguments.only in seed[0]]
        reading = Reading()
        number = 0
        while time.monotonic() < until and number < (arguments.cases or sys.maxsize):
            name, source, opened = seeds[number % len(seeds)]
            rng = np.random.default_rng([arguments.seed, number])
            place = Path(folder) / "mutant"
            shutil.rmtree(place, ignore_errors=True)
            mutated(source, place, rng)
            outcome, text = reading.of(place / opened)
            counts.setdefault(name, Counter())[outcome] += 1
            if outcome not in FINE:
                print(f"{outcome}: {name}, seed {arguments.seed}, case {number}: {text}", flush=True)
                if arguments.keep is not None:
                    kept = arguments.keep / f"{outcome.replace(' ', '_')}-{name}-{arguments.seed}-{number}"
                    shutil.copytree(place, kept, dirs_exist_ok=True)
            number += 1
        reading.end()
    report(counts, arguments.result)
    return int(any(outcome not in FINE for counter in counts.values() for outcome in counter))


def report(counts: dict[str, Counter], result: Path | None) -> None:
    """Print, and perhaps write, how often each format had each outcome."""
    total = sum(counts.values(), Counter())
    shown = [outcome for outcome in OUTCOMES if total[outcome] or outcome in FINE]
    print("  ".join(["format".ljust(36), *shown]))
    for name, counter in sorted(counts.items()):
        print("  ".join([name.ljust(36), *(str(counter[outcome]).rjust(len(outcome)) for outcome in shown)]))
    print("  ".join(["all".ljust(36), *(str(total[outcome]).rjust(len(outcome)) for outcome in shown)]))
    if result is not None:
        with result.open("w", newline="", encoding="utf-8") as stream:
            table = csv.writer(stream, lineterminator="\n")
            table.writerow(["format", "files", *OUTCOMES])
            for name, counter in [*sorted(counts.items()), ("all", total)]:
                table.writerow([name, counter.total(), *(counter[outcome] for outcome in OUTCOMES)])


# the process that reads


class Reading:
    """A process that reads files, one after the other; another takes its place when it ends."""

    def __init__(self) -> None:
        self.process: subprocess.Popen | None = None
        self.answers: queue.Queue[str | None] = queue.Queue()
        self.done = 0

    def of(self, path: Path) -> tuple[str, str]:
        """What becomes of a file, and what is said of it."""
        if self.process is None or self.done >= CASES:
            self.end()
            self._start()
        self.done += 1
        try:
            self.process.stdin.write(json.dumps(str(path)) + "\n")
            self.process.stdin.flush()
            answer = self.answers.get(timeout=SECONDS)
        except (queue.Empty, BrokenPipeError) as error:
            answer = None if isinstance(error, BrokenPipeError) else "hang"
        if answer is None or answer == "hang":
            code = None if answer == "hang" else self.process.wait()
            self.end()
            return ("hang", f"more than {SECONDS} s") if code is None else ("crash", f"exit status {code}")
        return tuple(json.loads(answer))

    def _start(self) -> None:
        words = [sys.executable, "-m", "scripts.benchmarks.fuzz", "--worker"]
        options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(words, text=True, encoding="utf-8", **options)
        self.answers, self.done = queue.Queue(), 0
        stream, answers = self.process.stdout, self.answers

        def take() -> None:
            for line in stream:
                answers.put(line)
            answers.put(None)

        threading.Thread(target=take, daemon=True).start()
        if self.answers.get(timeout=120) is None:  # its libraries are there
            raise RuntimeError("the process that reads does not start")

    def end(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process.stdin.close()
        self.process = None


def worker() -> int:
    """Read the files that standard input names; answer each by a line."""
    from bundle.errors import InputError
    from bundle.io import choose, open_recordings

    logging.getLogger("bundle").addHandler(logging.NullHandler())
    logging.getLogger("bundle").propagate = False
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    printed = tempfile.TemporaryFile()
    os.dup2(printed.fileno(), 1)
    os.dup2(printed.fileno(), 2)
    _bound_memory()
    print(file=answers, flush=True)
    for line in sys.stdin:
        path = json.loads(line)
        printed.seek(0)
        printed.truncate()
        try:
            outcome, text = "read", _read(path, open_recordings, choose)
        except InputError as error:
            outcome, text = "refused", str(error)
            if INTERNALS.search(text.replace(path, "")):
                outcome = "internals"
            elif not error.remedy:
                outcome = "no remedy"
            elif "\n" in text or "\x1b" in text:
                outcome = "printed"
        except MemoryError:
            outcome, text = "memory", "MemoryError"
        except BaseException as error:
            outcome, text = "exception", "".join(traceback.format_exception(error)[-2:]).strip()[-500:]
        sys.stdout.flush()
        sys.stderr.flush()
        printed.seek(0, 2)
        if printed.tell() and outcome in FINE:
            printed.seek(0)
            outcome, text = "printed", printed.read(300).decode("utf-8", "replace")
        print(json.dumps([outcome, text]), file=answers, flush=True)
    return 0


def _read(path: str, open_recordings: Callable, choose: Callable) -> str:
    scenes = open_recordings(path)
    for scene in scenes[:2]:
        size = scene.size
        # a colour that is a channel's, if there are both
        channel = 0 if size.get("C", 1) > 1 or size.get("S", 1) > 1 else None
        if size.get("C", 1) > 1 and size.get("S", 1) > 1:
            channel = f"0 {scene.sample_names[0]}"
        image = choose([scene], channel=channel, time=0, position=0)
        for z in range(min(len(image), PLANES)):
            image.plane(z)
        image.rows(0, 0, 2)
    return ""


def _bound_memory() -> None:
    try:
        import resource
    except ImportError:  # Windows: the time alone is bounded
        return
    with open("/proc/self/statm") if Path("/proc/self/statm").exists() else open(os.devnull) as stream:
        pages = stream.read().split()
    used = int(pages[0]) * resource.getpagesize() if pages else 8 << 30
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))


# mutations


def mutated(source: Path, place: Path, rng: np.random.Generator) -> None:
    """Copy a file, or a folder whose files belong together, with one file of it changed or removed."""
    shutil.copytree(source, place)
    files = sorted(path for path in place.rglob("*") if path.is_file())
    file = files[rng.integers(len(files))]
    if len(files) > 1 and rng.random() < 0.05:
        file.unlink()
        return
    content = bytearray(file.read_bytes())
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        content = MUTATIONS[rng.integers(len(MUTATIONS))](content, rng)
    file.write_bytes(content)


def _at(content: bytearray, rng: np.random.Generator) -> int:
    """A place in the file, more often near its start or end, where headers and tables lie."""
    size = max(1, len(content))
    reach = [size, min(size, 600), min(size, 64)][rng.integers(3)]
    place = int(rng.integers(reach))
    return size - 1 - place if rng.random() < 0.25 else place


def cut(content: bytearray, rng: np.random.Generator) -> bytearray:
    """Cut the end off."""
    return content[: _at(content, rng)]


def change(content: bytearray, rng: np.random.Generator) -> bytearray:
    """Change single bytes."""
    for _ in range(rng.choice([1, 2, 10])):
        if content:
            content[_at(content, rng)] = rng.integers(256)
    return content


def blank(content: bytearray, rng: np.random.Generator) -> bytearray:
    """Blank a piece, as a disk does that fails."""
    place = _at(content, rng)
    length = min(int(rng.choice([4, 64, 512])), len(content) - place)
    content[place : place + length] = bytes([rng.choice([0, 255])]) * length
    return content


def enlarge(content: bytearray, rng: np.random.Generator) -> bytearray:
    """Make a number of 2, 4 or 8 bytes another, most of them huge."""
    width, order = int(rng.choice([2, 4, 4, 8])), rng.choice(["little", "big"])
    place = _at(content, rng)
    place -= place % 2
    number = (HUGE[rng.integers(len(HUGE))] & ((1 << 8 * width) - 1)).to_bytes(width, str(order))
    content[place : place + width] = number[: max(0, len(content) - place)]
    return content


def remove(content: bytearray, rng: np.random.Generator) -> bytearray:
    """Take a piece out."""
    place = _at(content, rng)
    del content[place : place + int(rng.choice([1, 4, 100]))]
    return content


def double(content: bytearray, rng: np.random.Generator) -> bytearray:
    """Put a piece in twice."""
    place = _at(content, rng)
    piece = content[place : place + int(rng.choice([1, 16, 200]))]
    return content[:place] + piece * int(rng.choice([2, 50])) + content[place:]


def reword(content: bytearray, rng: np.random.Generator) -> bytearray:
    """Exchange a number or a quoted word of a text in the file."""
    found = [*re.finditer(rb'(?<=")[^"\n<>]{1,40}(?=")|(?<=[=:])\s*[-\d.]+', content)]
    if not found:
        return enlarge(content, rng)
    match = found[rng.integers(len(found))]
    word = WORDS[rng.integers(len(WORDS))].encode()
    return content[: match.start()] + word + content[match.end() :]


def unsay(content: bytearray, rng: np.random.Generator) -> bytearray:
    """Take an element, an attribute or a line out of a text in the file."""
    found = [*re.finditer(rb"<\w[^<>]*/?>|\s[A-Z]\w+=\"[^\"]*\"|[^\n]{3,60}\n", content)]
    if not found:
        return remove(content, rng)
    match = found[rng.integers(len(found))]
    return content[: match.start()] + content[match.end() :]


MUTATIONS = (cut, change, blank, enlarge, enlarge, remove, double, reword, reword, unsay)


# what is mutated


def real(formats: Path) -> Iterator[tuple[str, Path, str]]:
    """The real files that are small: a name, a folder that holds nothing else, and what is opened in it."""
    for path in sorted(formats.rglob("*")):
        folder = Path(tempfile.mkdtemp(dir=tempfile.gettempdir(), prefix="vessel-fuzz-"))
        ATEXIT.append(folder)
        beside = path.with_name(f"{path.name}.files")
        if path.name.endswith(".oif") and beside.is_dir():
            shutil.copytree(beside, folder / beside.name)
        elif path.suffix == ".zarr" and path.is_dir():
            shutil.copytree(path, folder / path.name)
            yield f"real {path.name}", folder, path.name
            continue
        elif path.name.endswith(".companion.ome"):
            shutil.copytree(path.parent, folder, dirs_exist_ok=True)
            yield f"real {path.name}", folder, path.name
            continue
        elif (
            not path.is_file()
            or path.stat().st_size > LARGEST
            or any(part.endswith((".zarr", ".files")) for part in path.parts)
            or path.suffix.lower() not in {".tif", ".tiff", ".czi", ".lif", ".nd2", ".oib"}
            or "multifile" in path.name
        ):
            continue
        shutil.copy(path, folder)
        yield f"real {path.name}", folder, path.name


ATEXIT: list[Path] = []


def made(folder: Path) -> list[tuple[str, Path, str]]:
    """Make a small file of every format: a name, a folder that holds nothing else, and what is opened in it."""
    from scripts.benchmarks.fuzz_files import MAKERS

    seeds = []
    for name, (opened, make) in MAKERS.items():
        (folder / name).mkdir(parents=True)
        make(folder / name / opened)
        seeds.append((name, folder / name, opened))
    return seeds


if __name__ == "__main__":
    try:
        status = main()
    finally:
        for left in ATEXIT:
            shutil.rmtree(left, ignore_errors=True)
    sys.exit(status)
