"""This project beside others, by the size of images and the depth of stacks: docs/results/speed/benchmark.csv.

Each row is a program of its own, from a TIFF file to a mask in one, start included: wall time, the processor's seconds
for it, so that other work on the machine counts less, and its high-water mark of resident memory. The methods take
turns, so that they meet the same machine; docs/speed.md has the medians, and those of the ratios within a turn.

  this project          python -m bundle segment, every output that it writes, as it comes
  MONAI's inferer       the same weights, network and contrast in a dozen lines: LoadImage's kind of reading, MONAI's
                        SlidingWindowInferer with the same windows, a threshold, a mask
  nnU-Net's predictor   nnunetv2's nnUNetPredictor with a 2D network of the size that its planner gives to patches of
                        512 × 512 (PlainConvUNet, eight stages, 32 to 512 channels), random weights, mirrored as it
                        comes; each slice of a stack is an image for it
  … not mirrored        the same with a quarter of the work

The last two are no part of this project's environment, and told to be not installed where they are not. Their packages
are taken from folders that are named, which `pip install --no-deps --target FOLDER nnunetv2==2.8.1 …` makes.

python -m scripts.benchmark
python -m scripts.benchmark --packages FOLDER --repeats 2 --sides 512 1024 --depths 4
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "docs" / "results" / "speed" / "benchmark.csv"
SIDE = 512  # of a stack's slices
NEEDS = {"nnU-Net's predictor": "nnunetv2", "nnU-Net, not mirrored": "nnunetv2"}
MEASURED = ("seconds", "processor seconds", "peak MB")


def main() -> None:
    """Measure every method on every input, in turns, and write the table anew."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="*", default=[256, 512, 1024, 2048], help="of images")
    parser.add_argument("--depths", type=int, nargs="*", default=[2, 4, 8], help=f"of stacks of {SIDE} × {SIDE}")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS), help="(default: all)")
    parser.add_argument("--repeats", type=int, default=3, help="turns (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="of each program (default: %(default)s)")
    parser.add_argument("--packages", nargs="*", default=[], help="folders of packages beside the environment's")
    parser.add_argument("--output", type=Path, default=TABLE)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        name, source, target = arguments.child
        METHODS[name](Path(source), Path(target))
        status = Path("/proc/self/status").read_text(encoding="ascii")
        peak = next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))
        print(json.dumps({"peak": peak, "cpu": time.process_time()}))
        return
    if unseen := [folder for folder in arguments.packages if not Path(folder).is_dir()]:
        parser.error(f"no folder {', '.join(unseen)}")
    sys.path += arguments.packages
    missing = [name for name, package in NEEDS.items() if find_spec(package) is None]
    environment = os.environ | dict.fromkeys(
        ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(arguments.threads)
    )
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *arguments.packages])
    shapes = [(1, side, side) for side in arguments.sides] + [(depth, SIDE, SIDE) for depth in arguments.depths]
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        inputs = {shape: made_up(Path(folder), shape) for shape in shapes}
        for turn in range(arguments.repeats):
            for shape in shapes:
                for name in arguments.methods:
                    row = {
                        "method": name,
                        "kind": "image" if shape[0] == 1 else "stack",
                        "shape": " × ".join(map(str, shape)),
                        "megavoxels": round(float(np.prod(shape)) / 1e6, 3),
                        "turn": turn,
                    }
                    if name in missing:
                        found = dict.fromkeys(MEASURED, "not installed")
                    else:
                        found = run(name, inputs[shape], environment)
                    machine = f"{processor()}, {arguments.threads} thread{'s' * (arguments.threads > 1)}"
                    rows.append({**row, **found, "load": round(os.getloadavg()[0], 1), "machine": machine})
                    print(rows[-1], flush=True)
            arguments.output.parent.mkdir(parents=True, exist_ok=True)
            with open(arguments.output, "w", newline="", encoding="utf-8") as stream:
                writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)


def processor() -> str:
    """The processor's name, where the system tells."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def made_up(folder: Path, shape: tuple[int, int, int]) -> Path:
    """An image or a stack of noise and lines, 16 bits, as a plain TIFF file."""
    import tifffile

    from .benchmarks.measure_stacks import planes

    stack = np.stack(list(planes(shape[0], shape[1])))
    path = folder / f"{'-'.join(map(str, shape))}.tif"
    tifffile.imwrite(path, stack[0] if shape[0] == 1 else stack, photometric="minisblack")
    return path


def run(name: str, source: Path, environment: dict[str, str]) -> dict[str, Any]:
    """One method on one input, in a program of its own.

    Raises:
        RuntimeError: it failed, or wrote no mask.
    """
    with tempfile.TemporaryDirectory() as target:
        command = [sys.executable, "-W", "ignore", "-m", "scripts.benchmark", "--child", name, str(source), target]
        began = time.monotonic()
        child = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        seconds = time.monotonic() - began
        if child.returncode or not list(Path(target).glob("*mask.tif")):
            raise RuntimeError(child.stderr or f"{name} wrote no mask of {source}")
    told = json.loads(child.stdout.splitlines()[-1])
    return {
        "seconds": round(seconds, 2),
        "processor seconds": round(told["cpu"], 2),
        "peak MB": round(told["peak"]),
    }


def this_project(source: Path, target: Path) -> None:
    """The command, as a user types it."""
    import tifffile

    from bundle.__main__ import main as command

    with tifffile.TiffFile(source) as tiff:
        mode = ["--mode", "stack"] if len(tiff.pages) > 1 else []
    if command(["segment", str(source), "--output", str(target), "--device", "cpu", *mode]):
        raise SystemExit(1)


def monai_inferer(source: Path, target: Path) -> None:
    """The same network and contrast with MONAI's stock inferer, in memory."""
    import tifffile
    import torch
    from monai.bundle import ConfigParser
    from monai.inferers import SlidingWindowInferer

    from bundle.home import INFERENCE
    from bundle.transforms import AdaptiveHistogramEqualization, LinearContrast

    image = tifffile.imread(source).astype(np.float32)
    config = ConfigParser()
    config.read_config(INFERENCE)
    config["bundle_root"], config["device"] = str(ROOT), "cpu"
    config["mode"] = "stack" if image.ndim == 3 else "fused"
    network = config.get_parsed_content("network").eval()
    enhance = LinearContrast() if image.ndim == 3 else AdaptiveHistogramEqualization()
    seen = torch.as_tensor(np.asarray(enhance(image.T[None])))[None]
    inferer = SlidingWindowInferer([min(1024, side) for side in seen.shape[2:4]], 1, 0.375, mode="gaussian")
    with torch.inference_mode():
        found = [inferer(plane, network)[0, 0] > 0.5 for plane in (seen.unbind(-1) if image.ndim == 3 else [seen])]
    mask = np.stack([np.asarray(plane).T for plane in found])
    tifffile.imwrite(target / "mask.tif", mask.astype(np.uint8) * 255, photometric="minisblack", compression="zlib")


def nnunet(source: Path, target: Path, mirrored: bool = True) -> None:
    """nnU-Net's own predictor, with its 2D network of random weights."""
    import tifffile
    import torch
    from dynamic_network_architectures.architectures.unet import PlainConvUNet
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    torch.manual_seed(0)
    channels = [32, 64, 128, 256, 512, 512, 512, 512]
    network = PlainConvUNet(
        1,
        len(channels),
        channels,
        torch.nn.Conv2d,
        3,
        [1] + [2] * (len(channels) - 1),
        2,
        2,
        2,
        conv_bias=True,
        norm_op=torch.nn.InstanceNorm2d,
        norm_op_kwargs={"eps": 1e-5, "affine": True},
        nonlin=torch.nn.LeakyReLU,
        nonlin_kwargs={"inplace": True},
    )
    predictor = nnUNetPredictor(use_mirroring=mirrored, device=torch.device("cpu"), allow_tqdm=False)
    labels = SimpleNamespace(get_label_manager=lambda _: SimpleNamespace(num_segmentation_heads=2))
    plans = SimpleNamespace(patch_size=[512, 512])
    predictor.manual_initialization(network, labels, plans, None, {}, "nnUNetTrainer", (0, 1))
    image = tifffile.imread(source).astype(np.float32).reshape(-1, *tifffile.imread(source).shape[-2:])
    image = (image - image.mean()) / image.std()  # its normalisation of one channel
    with torch.inference_mode():
        logits = predictor.predict_sliding_window_return_logits(torch.from_numpy(image)[None])
    mask = np.asarray(logits.float().argmax(0), np.uint8)
    tifffile.imwrite(target / "mask.tif", mask * 255, photometric="minisblack", compression="zlib")


def not_mirrored(source: Path, target: Path) -> None:
    """The same, each window once."""
    nnunet(source, target, mirrored=False)


METHODS: dict[str, Callable[[Path, Path], None]] = {
    "this project": this_project,
    "MONAI's inferer": monai_inferer,
    "nnU-Net's predictor": nnunet,
    "nnU-Net, not mirrored": not_mirrored,
}


if __name__ == "__main__":
    main()
