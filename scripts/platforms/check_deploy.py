"""MONAI Deploy: the application in platforms/deploy gives the masks of ``python -m bundle segment``, pixel for pixel.

The commands are those of docs/guides/deploy.md, word for word.

bash scripts/check_platforms.sh deploy [--record]
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
from claims import Claims
from guides import blocks

from bundle.io import open_image, write_ome_tiff
from bundle.transforms import Closing, Hysteresis, Removal

ROOT = Path(__file__).resolve().parents[2]
APP = "platforms/deploy/app.py"
GUIDE = ROOT / "docs" / "guides" / "deploy.md"
ROUNDING = 1e-3  # of a probability


def python(*words: object, folder: Path = ROOT) -> subprocess.CompletedProcess:
    """Run this environment's Python; Holoscan wants a larger stack than shells give."""
    return subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=folder,
        capture_output=True,
        text=True,
        preexec_fn=_larger_stack if os.name == "posix" else None,
    )


def _larger_stack() -> None:
    import resource

    wanted, most = 32 << 20, resource.getrlimit(resource.RLIMIT_STACK)[1]
    if most == resource.RLIM_INFINITY or most >= wanted:
        resource.setrlimit(resource.RLIMIT_STACK, (wanted, most))


def make_inputs(folder: Path) -> None:
    """A stack, a 2D image and a stack of two channels, none of them square, their pixels not either."""
    done = python("-m", "bundle", "phantom", folder / "made", "--shape", 10, 150, 110, "--spacing", 2, 0.8, 0.6)
    assert done.returncode == 0, done.stderr
    stack = open_image(next((folder / "made" / "images").iterdir())).array()
    write_ome_tiff(folder / "images" / "stack.ome.tif", stack, "ZYX", (2, 0.8, 0.6))
    write_ome_tiff(folder / "images" / "image.tif", stack.max(axis=0).astype(np.uint16) * 16, "YX", (0.8, 0.6))
    two = np.stack([np.zeros_like(stack), stack])
    write_ome_tiff(folder / "two_channels.ome.tif", two, "CZYX", (2, 0.8, 0.6), ("nuclei", "vessels"))


def difference(mine: Path, theirs: Path) -> str:
    """What tells two masks apart, or nothing; pixels where rounding decides do not count.

    An exported network computes in another order. All steps to the mask are increasing: a mask by thresholds higher and
    lower by ROUNDING encloses it.
    """
    if not mine.exists():
        return f"no {mine.name}"
    one, other = open_image(mine), open_image(theirs)
    if (one.axes, one.shape, one.dtype, one.spacing) != (other.axes, other.shape, other.dtype, other.spacing):
        return f"{one.axes} {one.shape} {one.dtype} {one.spacing}, not {other.shape} {other.dtype} {other.spacing}"
    found, expected = one.array() > 0, other.array() > 0
    if (found == expected).all():
        return ""
    probability = open_image(theirs.with_name(theirs.name.replace("_mask", "_probability"))).array()
    least, most = (_mask(probability + shift) for shift in (-ROUNDING, ROUNDING))
    wrong = int((least & ~found | found & ~most).sum())
    return f"{wrong} pixels differ by more than {ROUNDING:g} of probability" if wrong else ""


def _mask(probability: np.ndarray) -> np.ndarray:
    """By the steps of configs/inference.json."""
    for step in (Hysteresis(0.45, 0.95), Closing(2), Removal(30)):
        probability = step.of(probability)
    return probability


def said(mask: Path) -> str:
    """What a mask is like."""
    image = open_image(mask)
    return f"{'×'.join(map(str, image.shape))}, {100 * (image.array() > 0).mean():.1f} % vessel"


def commands(run_by_us: bool) -> list[list[str]]:
    """The guide's commands, those that tests/test_guides.py runs too or those that are left to this check."""
    text = "".join(block.text for block in blocks(GUIDE) if block.language == "sh" and bool(block.run_by) == run_by_us)
    return [shlex.split(line)[1:] for line in text.replace("\\\n", " ").splitlines()]


with Claims("MONAI Deploy App SDK", version("monai-deploy-app-sdk")) as claims:
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary) / "vessels"
        for part in ("bundle", "configs", "models", "platforms/deploy"):
            shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
        make_inputs(copy)

        export = next(words for words in commands(False) if "ckpt_export" in words)
        done = python(*export, folder=copy)
        model = copy / "model.ts"
        size = f"{model.stat().st_size / 2**20:.1f} MB" if model.exists() else done.stderr[-300:]
        claims.claim("ckpt_export … --use_trace True", model.exists(), size)

        for words in commands(True):
            asked = dict(zip(words[1::2], words[2::2], strict=True))
            reading = [word for name in ("--mode", "--channel") if name in asked for word in (name, asked[name])]
            text = f"app.py --model {asked['--model']} {' '.join(reading)}".strip()
            with claims.attempt(text):
                done = python(*words, folder=copy)
                claims.claim(f"{text}, exit status", done.returncode == 0, done.returncode)
                if done.returncode:
                    print(done.stdout[-3000:], done.stderr[-3000:])
                theirs = copy / "_".join(("segment", Path(asked["--input"]).stem, *reading))
                if not theirs.exists():
                    # an application has one network
                    own = ("--weights", "models/model.pt", "--output", theirs)
                    python("-m", "bundle", "segment", asked["--input"], *reading, *own, folder=copy)
                for name in ("image", "stack") if asked["--input"] == "images" else ("two_channels",):
                    other = theirs / f"{name}_mask.tif"
                    mine = copy / asked["--output"] / other.name
                    why = difference(mine, other)
                    claims.claim(f"{text}, {name}", not why, why or f"the mask of segment: {said(mine)}")

        text = "app.py, a folder with a file that is no image"
        with claims.attempt(text):
            (copy / "images" / "broken.tif").write_bytes(b"no TIFF")
            done = python(APP, "--input", "images", "--output", "some", "--model", "model.ts", folder=copy)
            line = [line for line in done.stderr.splitlines() if "broken.tif" in line]
            ok = done.returncode == 1 and len(line) == 1 and len(list((copy / "some").iterdir())) == 2
            claims.claim(text, ok, f"one line about it, the others segmented, exit status {done.returncode}")
