"""The ensemble as a resource of the BioImage Model Zoo, model format 0.5: for Fiji, ilastik, QuPath, napari.

Source: https://bioimage.io and the format's description, https://github.com/bioimage-io/spec-bioimage-io.
"""

from __future__ import annotations

import hashlib
import io
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
import yaml
from monai.utils import optional_import
from torch import nn

from ..errors import InputError
from ..phantoms import make_phantom
from ..pictures import mask_overlay
from ..transforms import CloseGaps, FuseFocus, HysteresisThreshold, RemoveFragments, stretch
from .archive import zipped

__all__ = ["model_files"]

_FORMAT = "0.5.4"
_OPSET = 17  # runtimes of some years ago know it
_PERCENTILES = (1, 99)  # those of LinearContrast
_HALO = 32
_LEAST = 256  # side of a tile: smaller ones hold too little to normalise by
_PHANTOM: dict[str, Any] = {"shape": (16, 256, 256), "spacing": (2.0, 0.8, 0.8), "seed": 3, "density": "medium"}


def model_files(network: nn.Module, metadata: dict, licence: bytes) -> dict[str, bytes]:
    """Files of the resource by their name: description, weights, test tensors, cover, documentation, licence.

    Preparation is what the format can say of it: a linear stretch between the percentiles of
    :class:`bundle.transforms.LinearContrast`, in place of adaptive histogram equalisation.

    Args:
        network: in evaluation it maps ``[B, 1, X, Y]`` to probabilities of the same shape.
        metadata: of the bundle, as in configs/metadata.json.
        licence: the text of the licence.

    Returns:
        Contents by name.

    Raises:
        InputError: the package that exports to ONNX is not installed.
    """
    network = _RowsFirst(network).eval()
    image = _image()
    stretched = _stretched(image)
    with torch.inference_mode():
        probability = network(torch.from_numpy(stretched)[None, None]).numpy()
    files = {
        "LICENSE": licence.replace(b"\r\n", b"\n"),
        "README.md": (Path(__file__).parent / "bioimageio.md").read_text(encoding="utf-8").encode(),
        "cover.png": _cover(image, probability[0, 0]),
        # the last digits depend on the processor
        "test_output.npy": _npy(probability.round(4)),
        "test_input.npy": _npy(image[None, None]),
        "weights.onnx": _onnx(network),
        "weights.pt": _torchscript(network),
    }
    description = _description(files, metadata)
    return {**files, "rdf.yaml": yaml.safe_dump(description, sort_keys=False, allow_unicode=True, width=100).encode()}


class _RowsFirst(nn.Module):
    """MONAI's arrays have columns, x, before rows, y; those of the zoo have rows first, as files do."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.network(image.transpose(-1, -2)).transpose(-1, -2)


def _image() -> np.ndarray:
    """A phantom's stack, fused: float32 ``[Y, X]``, its grey values as stored."""
    options = dict(_PHANTOM)
    phantom = make_phantom(options.pop("shape"), options.pop("spacing"), **options)
    fused = FuseFocus()(np.moveaxis(phantom.stack, 0, -1)[None].astype(np.float32))
    return np.ascontiguousarray(np.asarray(fused)[0], dtype=np.float32)


def _stretched(image: np.ndarray) -> np.ndarray:
    low, high = np.percentile(image, _PERCENTILES)
    return np.ascontiguousarray(stretch(image, low, high))


def _cover(image: np.ndarray, probability: np.ndarray) -> bytes:
    mask = RemoveFragments(30)(CloseGaps(2)(HysteresisThreshold()(probability[None])))
    mask = np.asarray(mask)[0]
    picture = np.concatenate([mask_overlay(image, np.zeros_like(mask)), mask_overlay(image, mask)], 1)
    stream = io.BytesIO()
    PIL.Image.fromarray(picture).save(stream, format="PNG")
    return stream.getvalue()


def _npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.ascontiguousarray(array, dtype=np.float32))
    return stream.getvalue()


def _torchscript(network: nn.Module) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tracing, whose result the tests compare
        traced = torch.jit.trace(network, _example(), check_trace=False)
    stream = io.BytesIO()
    # frozen, since attributes of a module are written in an order that differs between runs
    torch.jit.save(torch.jit.freeze(traced, optimize_numerics=False), stream)
    with zipfile.ZipFile(stream) as archive:
        # what is for debugging names the folders of the machine it was made on, and the identity is made of them
        names = [name for name in archive.namelist() if not name.endswith((".debug_pkl", "/serialization_id"))]
        return zipped({name: archive.read(name) for name in names})


def _example() -> torch.Tensor:
    return torch.rand(2, 1, 64, 96, generator=torch.Generator().manual_seed(0))


def _onnx(network: nn.Module) -> bytes:
    if not optional_import("onnx")[1]:
        raise InputError(None, "the package onnx is not installed", "pip install -c constraints.txt -e '.[export]'")
    sizes = {0: "batch", 2: "y", 3: "x"}
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tracing, whose result the tests compare
        torch.onnx.export(
            network,
            (_example(),),
            stream,
            input_names=["image"],
            output_names=["pred"],
            dynamic_axes={"image": sizes, "pred": sizes},
            opset_version=_OPSET,
            dynamo=False,
        )
    return stream.getvalue()


def _description(files: dict[str, bytes], metadata: dict) -> dict:
    def entry(name: str) -> dict:
        return {"source": name, "sha256": hashlib.sha256(files[name]).hexdigest()}

    space = {"type": "space", "unit": "micrometer", "scale": _PHANTOM["spacing"][-1]}
    of_input = [{**space, "id": axis, "size": {"min": _LEAST, "step": 1}} for axis in "yx"]
    of_output = [{**space, "id": axis, "size": {"tensor_id": "image", "axis_id": axis}, "halo": _HALO} for axis in "yx"]
    low, high = _PERCENTILES
    return {
        "type": "model",
        "format_version": _FORMAT,
        "name": metadata["name"],
        "description": metadata["description"],
        "version": metadata["version"],
        "license": "Apache-2.0",
        "authors": [{"name": metadata["authors"]}],
        "cite": [
            {
                "text": "Wang, Y. Y., Glinskii, O. V., Bunyak, F., Palaniappan, K. Ensemble of Deep Learning Cascades "
                "for Segmentation of Blood Vessels in Confocal Microscopy Images (the method)",
                "url": "https://pmc.ncbi.nlm.nih.gov/articles/PMC9060211",
            },
            {
                "text": "Viana da Silva, M. et al. A new dataset for measuring the performance of blood vessel "
                "segmentation methods under distribution shifts. PLOS ONE 20(5): e0322048, 2025 (the data)",
                "doi": "10.1371/journal.pone.0322048",
            },
        ],
        "tags": ["segmentation", "2d", "fluorescence", "confocal", "blood-vessels", "unet", "pytorch"],
        "documentation": entry("README.md"),
        "covers": [entry("cover.png")],
        "attachments": [entry("LICENSE")],
        "inputs": [
            {
                "id": "image",
                "description": "one channel of fluorescence, vessels bright and 2.5 to 12 pixels wide; of a stack, a "
                "slice or a projection",
                "axes": [{"type": "batch"}, {"type": "channel", "channel_names": ["fluorescence"]}, *of_input],
                "data": {"type": "float32"},
                "test_tensor": entry("test_input.npy"),
                "preprocessing": [
                    {
                        "id": "scale_range",
                        "kwargs": {"axes": ["channel", "y", "x"], "min_percentile": low, "max_percentile": high},
                    },
                    {"id": "clip", "kwargs": {"min": 0.0, "max": 1.0}},
                ],
            }
        ],
        "outputs": [
            {
                "id": "probability",
                "description": "probability of a vessel",
                "axes": [{"type": "batch"}, {"type": "channel", "channel_names": ["vessel"]}, *of_output],
                "data": {"type": "float32", "range": [0.0, 1.0]},
                "test_tensor": entry("test_output.npy"),
            }
        ],
        "weights": {
            "torchscript": {**entry("weights.pt"), "pytorch_version": torch.__version__.split("+")[0]},
            "onnx": {**entry("weights.onnx"), "opset_version": _OPSET, "parent": "torchscript"},
        },
    }
