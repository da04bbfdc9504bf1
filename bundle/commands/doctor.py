"""Tell what is installed, and whether it works here: versions, extras, device, threads, a short test and its speed.

The test makes a small phantom whose vessels are known, segments it with the shipped weights in a folder that is removed
again, and compares the mask with the truth. Send what is printed along with a report of a fault.

Examples:
  vessels doctor
  vessels doctor --device cpu
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import tempfile
import time
import tomllib
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..home import INFERENCE, PACKAGE, ROOT, WEIGHTS

if TYPE_CHECKING:
    import torch

LEAST_DICE = 0.7  # of the phantom below; a right installation gives more


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    parser.add_argument("--device", help="cpu, cuda, cuda:1 … (default: cuda where there is one)")


def run(arguments: argparse.Namespace) -> int:
    """Print the lines.

    Returns:
        0 if the test's mask is right, 1 otherwise.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    print(f"{project['name']} {project['version']} in {PACKAGE}")
    print(f"weights: {WEIGHTS}, {WEIGHTS.stat().st_size / 2**20:.1f} MiB")
    print(f"Python {platform.python_version()} on {platform.platform()}")
    print(f"needed: {', '.join(map(_installed, project['dependencies']))}")
    for extra, needs in project["optional-dependencies"].items():
        print(f"extra {extra}: {', '.join(map(_installed, needs))}")
    import torch  # slow, and the lines above tell what may be amiss with it

    from ..runner import usable_device

    device = usable_device(arguments.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{os.cpu_count()} cores"
    print(f"device: {device} ({name}), {torch.get_num_threads()} threads of PyTorch")
    seconds = _network_seconds(device)
    print(f"the network on one image of 512 x 512 pixels: {seconds:.2f} s")
    dice, seconds = _segmented(device)
    print(f"a phantom of 16 x 256 x 256 voxels, from file to mask: {seconds:.1f} s, Dice {dice:.2f}")
    if not dice >= LEAST_DICE:
        raise InputError(
            None, f"the test's mask is wrong (Dice {dice:.2f})", "install the package again, into a new environment"
        )
    print("all is well")
    return 0


def _installed(requirement: str) -> str:
    name = re.split(r"[<>=!~\[ ;]", requirement, maxsplit=1)[0]
    try:
        return f"{name} {metadata.version(name)}"
    except metadata.PackageNotFoundError:
        return f"{name} is not installed"


def _network_seconds(device: torch.device) -> float:
    import torch
    from monai.bundle import ConfigParser

    parser = ConfigParser()
    parser.read_config(INFERENCE)
    parser["weights_file"] = WEIGHTS
    parser["device"] = device
    network = parser.get_parsed_content("network").eval()
    image = torch.rand(1, 1, 512, 512, device=device)
    with torch.inference_mode():
        for _ in range(2):  # the first run also prepares
            start = time.perf_counter()
            network(image).sum().item()
    return time.perf_counter() - start


def _segmented(device: torch.device) -> tuple[float, float]:
    """Dice of the phantom's mask, and the seconds it took from file to mask."""
    from ..io import open_image, write_ome_tiff
    from ..metrics import score
    from ..phantoms import make_phantom
    from . import segment

    phantom = make_phantom((16, 256, 256), seed=0, density="medium")
    with tempfile.TemporaryDirectory() as folder:
        stack = Path(folder) / "phantom.ome.tif"
        write_ome_tiff(stack, phantom.stack, "ZYX", phantom.spacing)
        start = time.perf_counter()
        parser = argparse.ArgumentParser()
        segment.add_arguments(parser)
        words = [str(stack), "--output", f"{folder}/masks", "--device", str(device)]
        failed = segment.run(parser.parse_args(words))
        seconds = time.perf_counter() - start
        if failed:
            raise InputError(None, "the test ended with an error", "see above")
        mask = open_image(Path(folder) / "masks" / "phantom_mask.tif").array()
    return float(score(mask > 0, phantom.projected_mask)["dice"]), seconds
