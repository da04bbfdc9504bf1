"""Weights from a file into a network."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from ..errors import InputError
from .cascades import DBAC, DDMAC

__all__ = ["fit_weights", "load_weights", "read_weights", "scales_of"]


def load_weights(network: nn.Module, path: str | Path) -> nn.Module:
    """Load shipped weights or a checkpoint of a training into a network.

    Args:
        network: changed in place.
        path: a state dictionary, or a dictionary whose ``model`` is one; half precision is widened. Of an ensemble's a
            cascade takes its own.

    Returns:
        The network.

    Raises:
        InputError: the file is missing, is no such file, or belongs to a network of other size, or of cascades that
            see the image at another scale.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(
            path, "no such file of weights", "name a checkpoint of a training, or the shipped ones in models/"
        )
    checkpoint = read_weights(path)
    state = checkpoint.get("model", checkpoint)
    if isinstance(network, DBAC | DDMAC) and isinstance(state, dict):
        part = f"{type(network).__name__.lower()}."
        own = {name: value for name, value in state.items() if str(name).startswith(part)}
        state = {name.removeprefix(part): value for name, value in own.items()} or state
    remedy = "give weights of this network, or the network's own channels, norm and dbac_norm in the config"
    fit_weights(network, state, path, remedy)
    own = scales_of(network)
    for name, scale in checkpoint.get("scales", {}).items():
        if own.get(name, scale) != scale:
            raise InputError(
                path, f"was trained with {name} {scale:g}, not {own[name]:g}", f"set network_def#{name} to {scale:g}"
            )
    return network


def scales_of(network: nn.Module) -> dict[str, float]:
    """The scales at which a network's parts see the image, which no weight tells."""
    return {name: value for name, value in vars(network).items() if name.endswith("scale")}


def read_weights(path: str | Path) -> dict:
    """What a file of weights holds, read without running anything that it may contain.

    Args:
        path: of a dictionary that PyTorch wrote.

    Raises:
        InputError: it is no such file.
    """
    path = Path(path)
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # bytes that are no pickle may read as any command and fail in any way
        raise InputError(path, "is not a file of weights, or is damaged", "give another, or train again") from error
    if not isinstance(checkpoint, dict):
        raise InputError(path, "holds no dictionary of weights", "save the network's state_dict")
    return checkpoint


def fit_weights(network: nn.Module, state: dict, path: str | Path, remedy: str) -> None:
    """Put a state dictionary into a network.

    Args:
        network: changed in place.
        state: of every parameter and buffer, by name.
        path: the file it comes from, for the error's line.
        remedy: what the user can do if it is of another network.

    Raises:
        InputError: it is of another network.
    """
    try:
        network.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        problem = _differing(network, state) or str(error).strip().splitlines()[-1].strip()
        raise InputError(path, f"does not fit {type(network).__name__} ({problem})", remedy) from error


def _differing(network: nn.Module, state: dict) -> str:
    """In a few words, in what a state dictionary is another network's; nothing if that is not what is wrong."""
    if not isinstance(state, dict):
        return ""
    own = network.state_dict()
    both = [name for name in own if name in state]
    kinds = {
        "lacks": [name for name in own if name not in state],
        "has no place for": [name for name in state if name not in own],
        "has another size for": [name for name in both if own[name].shape != getattr(state[name], "shape", None)],
    }
    return ", ".join(
        f"{kind} {names[0]}" + f" and {len(names) - 1} more" * (len(names) > 1)
        for kind, names in kinds.items()
        if names
    )
