"""Write the bundle as one file that a platform takes.

  --format monai       the bundle: configs, weights, Python package, licence, descriptions. The folder it is unzipped
                       into is the bundle's; nothing but the dependencies has to be installed for it to run there
  --format bioimageio  the ensemble as a resource of the BioImage Model Zoo, for Fiji, ilastik, QuPath and napari:
                       weights in TorchScript and ONNX, test input and output, cover, documentation

The same bundle gives the same bytes.

Examples:
  python -m bundle package vessels.zip
  python -m bundle package vessels.bioimage.zip --format bioimageio
  python -m bundle package mine.zip --weights runs/mine/checkpoints/best.pt
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ..errors import InputError
from ..home import INFERENCE, PACKAGE, ROOT, WEIGHTS
from ..io import check_writable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    parser.add_argument("output", metavar="OUT.zip", type=Path, help="the file to write")
    parser.add_argument(
        "--format",
        choices=("monai", "bioimageio"),
        default="monai",
        help="platforms that take it (default: %(default)s)",
    )
    parser.add_argument("--weights", type=Path, help="a checkpoint of a training, instead of the shipped weights")
    parser.add_argument("--overwrite", action="store_true", help="replace what is there")


def run(arguments: argparse.Namespace) -> int:
    """Write the file.

    Returns:
        0.
    """
    output: Path = arguments.output
    check_writable(output.parent)
    if output.is_dir():
        raise InputError(output, "is a folder", "name a file to write, such as vessels.zip")
    if output.exists() and not arguments.overwrite:
        raise InputError(output, "exists", "choose another name, or say --overwrite")
    from ..packaging import write_archive  # it takes seconds to import, and the words above need nothing of it

    files = package(arguments.format, arguments.weights)
    write_archive(output, files)
    print(f"{output}: {len(files)} files, {output.stat().st_size / 2**20:.1f} MiB")
    return 0


def package(form: str, weights: Path | None) -> dict[str, bytes]:
    """Contents by path within the file.

    Args:
        form: "monai" or "bioimageio".
        weights: those to pack; the shipped ones if None. They must fit the network of configs/inference.json.
    """
    from monai.bundle import ConfigParser

    from ..networks import load_weights
    from ..packaging import bundle_files, model_files

    if form == "monai" and weights is None:
        return bundle_files(ROOT, PACKAGE)
    config = ConfigParser()
    config.read_config(INFERENCE)
    network = load_weights(config.get_parsed_content("network_def"), weights or WEIGHTS)
    if form == "monai":
        return bundle_files(ROOT, PACKAGE, network)
    metadata = json.loads((ROOT / "configs" / "metadata.json").read_text(encoding="utf-8"))
    return model_files(network, metadata, (ROOT / "LICENSE").read_bytes())
