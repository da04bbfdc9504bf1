"""Whether a network is the same as before."""

from __future__ import annotations

import hashlib

from torch import nn

__all__ = ["fingerprint_of_network"]


def fingerprint_of_network(network: nn.Module) -> str:
    """Whether a network gives the same as before: its weights, and what it does with them."""
    digest = hashlib.sha256(repr(network).encode())
    settings = {name: value for name, value in vars(network).items() if name != "training"}
    plain = {name: value for name, value in settings.items() if isinstance(value, (bool, int, float, str))}
    digest.update(repr(sorted(plain.items())).encode())
    for name, tensor in network.state_dict().items():
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
