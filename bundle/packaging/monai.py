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
_SHIPPED = "models/model.pt"
_FOLDERS = {"configs": {".json", ".yaml", ".conf"}, "bundle": {".py", ".md"}}


def bundle_files(root: str | Path, network: nn.Module | None = None) -> dict[str, bytes]:
    """Files of the bundle by their path within it: configs, weights, package, licence, descriptions.

    The archive's root is the bundle's root. Texts have the line ends of Unix wherever they were checked out.

    Args:
        root: the bundle's folder.
        network: whose weights are packed; the shipped ones, byte for byte, if None.

    Returns:
        Contents by path, with forward slashes.

    Raises:
        InputError: a file is missing or cannot be read.
    """
    root = Path(root)
    names = list(_SINGLE)
    for folder, suffixes in _FOLDERS.items():
        names += [
            path.relative_to(root).as_posix()
            for path in (root / folder).rglob("*")
            if path.suffix in suffixes and not any(part.startswith(".") for part in path.relative_to(root).parts)
        ]
    files = {name: _read(root / name).replace(b"\r\n", b"\n") for name in names}
    files[_PICTURE] = _read(root / _PICTURE)
    return {**files, _SHIPPED: _read(root / _SHIPPED) if network is None else _weights(network)}


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
