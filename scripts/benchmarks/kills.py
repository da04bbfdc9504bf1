"""Kill programs at random moments, start-up included: the same command given again must end as an unbroken run.

  python -m scripts.benchmarks.kills --count 100 --seed 1        # for docs/reliability.md
  python -m scripts.benchmarks.kills --count 4 --ways stack measure      # the short form, in .ci/run

A way is an image after image (images), a stack slice by slice (stack), a training, the adapting of weights (adapt), or
the measuring of masks (measure). After each kill no file may stand
under its final name that an unbroken run does not have to the byte; the run that then comes to its end must leave the
same files, and nothing hidden. Checkpoints are compared by what they hold.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from bundle.home import ROOT

WAYS = ("images", "stack", "training", "adapt", "measure")
SERIES = 5  # kills of one output folder before it may come to its end


def main() -> int:
    """Kill, and print a line for each way.

    Returns:
        0 if every run ended as an unbroken one.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100, help="kills of all ways together (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: %(default)s)")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    arguments = parser.parse_args()
    faults = 0
    with tempfile.TemporaryDirectory() as folder:
        made = _inputs(Path(folder))
        for number, way in enumerate(arguments.ways):
            count = len(range(number, arguments.count, len(arguments.ways)))
            kills, wrong, seconds = _series(
                way, made, Path(folder) / way, count, random.Random(f"{arguments.seed} {way}")
            )
            faults += len(wrong)
            print(
                f"{way}: {kills} kills within {seconds:.1f} s of a run, {len(wrong)} faults",
                *wrong,
                sep="\n  ",
                flush=True,
            )
    return 1 if faults else 0


def _inputs(folder: Path) -> Path:
    made = folder / "phantoms"
    words = ["phantom", str(made), "--count", "3", "--shape", "4", "96", "96", "--seed", "5"]
    subprocess.run([sys.executable, "-m", "bundle", *words], cwd=ROOT, check=True, capture_output=True)
    return made


def _command(way: str, made: Path, out: Path) -> list[str]:
    if way == "training":
        config = ["--config_file", "configs/train.yaml", "--dataset_dir", str(made), "--output_dir", str(out)]
        small = ["--max_epochs", "4", "--crops_per_image", "2", "--crop", "[32,32]", "--norm_crops", "4"]
        network = ["--network_def#channels", "[2,4]", "--device", "$torch.device('cpu')"]
        return ["-W", "ignore", "-m", "monai.bundle", "run", "training", *config, *small, *network]
    if way == "measure":
        return ["-m", "bundle", "measure", str(made / "masks"), "--output", str(out)]
    if way == "adapt":
        pair = [str(made / folder / "phantom-0000.ome.tif") for folder in ("images", "masks3d")]
        few = ["--mode", "stack", "--steps", "2", "--device", "cpu"]
        return ["-m", "bundle", "adapt", *pair, "--output", str(out), *few]
    mode = ["--mode", "stack"] if way == "stack" else []
    return ["-m", "bundle", "segment", str(made / "images"), "--output", str(out), "--device", "cpu", *mode]


def _series(way: str, made: Path, folder: Path, count: int, moments: random.Random) -> tuple[int, list[str], float]:
    start = time.monotonic()
    _finish(way, made, folder / "unbroken")
    seconds = time.monotonic() - start
    expected, wrong, kills = _contents(folder / "unbroken"), [], 0
    while kills < count:
        out = folder / "killed"
        shutil.rmtree(out, ignore_errors=True)
        for _ in range(min(SERIES, count - kills)):
            moment = moments.uniform(0, seconds)
            if _killed(way, made, out, moment):
                kills += 1
            wrong += [f"after {moment:.2f} s: {text}" for text in _differing(_contents(out), expected, whole=False)]
        _finish(way, made, out)
        wrong += [f"at the end: {text}" for text in _differing(_contents(out), expected, whole=True)]
        wrong += [f"at the end: left {path.name}" for path in out.rglob(".*")]
    return kills, wrong, seconds


def _killed(way: str, made: Path, out: Path, moment: float) -> bool:
    process = subprocess.Popen(
        [sys.executable, *_command(way, made, out)], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        process.wait(moment)
        return False
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return True


def _finish(way: str, made: Path, out: Path) -> None:
    finished = subprocess.run([sys.executable, *_command(way, made, out)], cwd=ROOT, capture_output=True, text=True)
    if finished.returncode:
        raise SystemExit(f"{way}: ended with {finished.returncode}\n{finished.stdout[-2000:]}{finished.stderr[-2000:]}")


def _contents(folder: Path) -> dict[str, object]:
    """What stands under its final name, by name; event files of TensorBoard hold the time and are left out."""
    if not folder.exists():
        return {}
    files = (path for path in folder.rglob("*") if path.is_file() and "events.out" not in path.name)
    named = {str(path.relative_to(folder)): path for path in files}
    kept = {name: path for name, path in named.items() if not any(part.startswith(".") for part in Path(name).parts)}
    return {name: _loaded(path) if path.suffix == ".pt" else path.read_bytes() for name, path in kept.items()}


def _loaded(path: Path) -> dict:
    return torch.load(path, weights_only=True)


def _differing(found: dict[str, object], expected: dict[str, object], whole: bool) -> list[str]:
    names = expected.keys() | found.keys() if whole else found.keys()
    # a training's own files tell how far it is; whole they must be, which reading them has shown
    growing: Callable[[str], bool] = lambda name: not whole and (name.endswith((".pt", ".csv")))  # noqa: E731
    if not whole:  # a record is begun before its mask, and gets the expected Dice when the mask is known
        done = {name.rpartition("_mask")[0] for name in found if "_mask." in name}
        names = {name for name in names if name.removesuffix("_provenance.json") in {name, *done}}
    return [
        f"{name} differs" if name in found and name in expected else f"{name} in one of both"
        for name in sorted(names)
        if not growing(name) and not _same(found.get(name), expected.get(name))
    ]


def _same(one: object, other: object) -> bool:
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return one == other or (one != one and other != other)


if __name__ == "__main__":
    sys.exit(main())
