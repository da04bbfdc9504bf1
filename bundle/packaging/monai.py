"""The bundle itself: what MONAI's platforms need of the repository, and nothing else."""

from __future__ import annotations

import io
from pathlib import Path

import torch
from torch import nn

from ..errors import InputError

__all__ = ["bundle_files"]

# the latter three so that `pip install -c constraints.txt .` works in the unzipped folder
_SINGLE = ("LICENSE", "docs/README.md", "models/README.md", "README.md", "constraints.txt", "pyproject.toml")
_PICTURE = "docs/worst_cases.png"  # of docs/README.md
_SHIPPED = ("models/model.pt", "models/stack.pt")  # of images and fused stacks, and of slices
_CONFIGS = {".json", ".yaml", ".conf"}
_PACKAGE = {".py", ".md", ".json", ".html", ".css", ".js", ".typed"}


def bundle_files(root: str | Path, package: str | Path, network: nn.Module | None = None) -> dict[str, bytes]:
    """Files of the bundle by their path within it: configs, weights, package, licence, descriptions.

    The archive's root is the bundle's root. Texts have the line ends of Unix wherever they were checked out.

    Args:
        root: the folder that holds the configs, weights and descriptions.
        package: the folder of the Python package, in ``root`` or, installed, around it.
        network: whose weights are packed; the shipped ones, byte for byte, if None.

    Returns:
        Contents by path, with forward slashes.

    Raises:
        InputError: a file is missing or cannot be read.
    """
    root, package = Path(root), Path(package)
    paths = {name: root / name for name in _SINGLE}
    paths |= _found(root / "configs", _CONFIGS)
    inside = {path for path in paths.values() if path.is_relative_to(package)}  # of an installed package
    paths |= {name: path for name, path in _found(package, _PACKAGE).items() if path not in inside}
    files = {name: _read(path).replace(b"\r\n", b"\n") for name, path in paths.items()}
    files[_PICTURE] = _read(root / _PICTURE)
    own = None if network is None else _weights(network)  # for slices too, since it was trained instead of both
    return {**files, **{name: _read(root / name) if own is None else own for name in _SHIPPED}}


def _found(folder: Path, suffixes: set[str]) -> dict[str, Path]:
    """Files of these suffixes by their path, which begins with the folder's name; nothing that is hidden."""
    found = {path.relative_to(folder.parent): path for path in folder.rglob("*") if path.suffix in suffixes}
    return {
        name.as_posix(): path for name, path in found.items() if not any(part.startswith(".") for part in name.parts)
    }


def _weights(network: nn.Module) -> bytes:
    stream = io.BytesIO()  # a file would lend its name to the contents
    torch.save({"model": network.state_dict()}, stream)
    return stream.getvalue()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            path, f"cannot be read ({error.strerror})", "package from a whole copy of the bundle"
        ) from error
