"""Weights from a file into a network."""

from __future__ import annotations

import copy
import logging
import math
from pathlib import Path

import torch
from torch import nn

from ..errors import InputError, is_out_of_memory
from .cascades import DBAC, DDMAC
from .ensemble import CascadeEnsemble

__all__ = ["ensemble_of_weights", "fit_weights", "load_weights", "read_weights", "scales_of"]

logger = logging.getLogger(__name__)
_ANOTHER = "give another file, or train again"


def load_weights(network: nn.Module, path: str | Path) -> nn.Module:
    """Load shipped weights or a checkpoint of a training into a network.

    Args:
        network: changed in place.
        path: a state dictionary, or a dictionary whose ``model`` is one; half precision is widened. Of an ensemble's a
            cascade takes its own.

    Returns:
        The network.

    Raises:
        InputError: the file is missing, is no such file, holds values that are no numbers, or belongs to a network of
            other size, or of cascades that see the image at another scale.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(
            path,
            "no such file of weights",
            "name a checkpoint of a training; for the shipped ones from another folder say --bundle_root FOLDER",
        )
    checkpoint = read_weights(path)
    state = checkpoint.get("model", checkpoint)
    if isinstance(network, DBAC | DDMAC) and isinstance(state, dict):
        part = f"{type(network).__name__.lower()}."
        own = {name: value for name, value in state.items() if str(name).startswith(part)}
        state = {name.removeprefix(part): value for name, value in own.items()} or state
    remedy = "give weights of this network, or set its channels, shuffle, norm and dbac_norm in the config to theirs"
    fit_weights(network, state, path, remedy)
    own = scales_of(network)
    for name, scale in _noted_scales(checkpoint, path).items():
        if own.get(name, scale) != scale:
            raise InputError(
                path, f"was trained with {name} {scale:g}, not {own[name]:g}", f"set network_def#{name} to {scale:g}"
            )
    return network


def ensemble_of_weights(network: nn.Module, path: str | Path) -> nn.Module:
    """Load weights as :func:`load_weights` does, of whatever channels and shuffle those of an ensemble are.

    So weights of an earlier version, or adapted from them, go on being of use; a line says so.

    Args:
        network: changed in place; an ensemble gets the channels and the shuffle of the weights.
        path: as there.

    Returns:
        The network.

    Raises:
        InputError: as there.
    """
    path = Path(path)
    if isinstance(network, CascadeEnsemble) and path.is_file():
        checkpoint = read_weights(path)
        state = checkpoint.get("model", checkpoint)
        made_for = _arrangement(state)
        if made_for not in (None, _arrangement(network.state_dict())):
            channels, shuffle = made_for
            other = copy.deepcopy(network)
            other.rearrange(channels, shuffle)
            if not _differing(other, state):
                network.rearrange(channels, shuffle)
                logger.info("%s: is of a network of channels %s and shuffle %d, which is used", path, channels, shuffle)
    return load_weights(network, path)


def _noted_scales(checkpoint: dict, path: Path) -> dict[str, float]:
    """The scales that a training noted beside its weights; none where it noted none."""
    scales = checkpoint.get("scales") if "model" in checkpoint else None
    if scales is None:
        return {}
    if not isinstance(scales, dict) or not all(
        isinstance(scale, int | float) and 0 < scale < math.inf for scale in scales.values()
    ):
        raise InputError(path, f"notes as its scales {scales!r:.60}, which are no numbers", _ANOTHER)
    return scales


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
    except PermissionError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", "check that you may read it") from error
    except Exception as error:  # bytes that are no pickle may read as any command and fail in any way
        if is_out_of_memory(error):
            raise InputError(path, "does not fit into memory", "close other programs") from error
        raise InputError(path, "is not a file of weights, or is damaged", _ANOTHER) from error
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
        InputError: it is of another network, or holds values that no training ends with: NaN, infinities, integers
            where numbers with fractions belong.
    """
    problem = _differing(network, state)
    if problem:
        raise InputError(path, f"does not fit {type(network).__name__} ({problem})", remedy)
    problem = _impossible(network, state)
    if problem:
        raise InputError(path, problem, _ANOTHER)
    try:
        network.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        problem = str(error).strip().splitlines()[-1].strip()
        raise InputError(path, f"does not fit {type(network).__name__} ({problem})", remedy) from error


def _arrangement(state: dict) -> tuple[list[int], int] | None:
    """Channels and shuffle of an ensemble's state dictionary, as those of its DBAC; None of others."""
    part = "dbac.coarse."
    try:
        names = [name for name in state if name.startswith(f"{part}encoder.") and name.endswith(".0.residual.0.weight")]
        channels = [len(state[f"{part}encoder.{level}.0.residual.0.weight"]) for level in range(len(names))]
        return (channels, math.isqrt(len(state[f"{part}head.1.residual.3.weight"]))) if len(channels) > 1 else None
    except (AttributeError, KeyError, TypeError):
        return None


def _differing(network: nn.Module, state: dict) -> str:
    """In a few words, in what a state dictionary is another network's; nothing if that is not what is wrong."""
    own = network.state_dict()
    if not isinstance(state, dict):
        return f"it is {type(state).__name__}, not a dictionary of weights"
    both = [name for name in own if name in state]
    kinds = {
        "lacks": [name for name in own if name not in state],
        "has no place for": [name for name in state if name not in own],
        "has another size for": [name for name in both if own[name].shape != getattr(state[name], "shape", None)],
    }
    return ", ".join(f"{kind} {_first(names)}" for kind, names in kinds.items() if names)


def _impossible(network: nn.Module, state: dict) -> str:
    """What is wrong with the values of a state dictionary of this network's names and sizes, in a few words."""
    fractions = [name for name, tensor in network.state_dict().items() if tensor.is_floating_point()]
    # integers, complex or quantised numbers would be cast without a word
    if other := [name for name in fractions if not state[name].is_floating_point() or state[name].is_sparse]:
        return f"holds no floating-point numbers in {_first(other)}"
    # all at once, since what is asked of hundreds of small tensors takes seconds on a busy machine
    if not torch.cat([state[name].float().flatten() for name in fractions]).isfinite().all():
        other = [name for name in fractions if not state[name].float().isfinite().all()]
        return f"holds values that are not a number (NaN), infinite or beyond single precision in {_first(other)}"
    if other := [name for name in fractions if name.endswith("running_var") and (state[name] < 0).any()]:
        return f"holds negative variances in {_first(other)}"
    return ""


def _first(names: list) -> str:
    return f"{names[0]}" + f" and {len(names) - 1} more" * (len(names) > 1)
