"""Put the weights of a checkpoint, or of one for each cascade, into models/model.pt, in half precision.

    python scripts/release/publish_weights.py ENSEMBLE [--output models/model.pt]
    python scripts/release/publish_weights.py DBAC DDMAC [--output models/stack.pt] [--blend FILE 0.3 ...]

Of an ensemble that is given for one of them its cascade is taken. A training never writes there by itself. The weights
must fit the network of configs/inference.json, and what they give in half precision is compared with what they gave.
"""

from __future__ import annotations

import argparse
import copy
from pathlib import Path

import torch
from monai.bundle import ConfigParser

from bundle.errors import InputError
from bundle.io import atomic
from bundle.networks import DBAC, DDMAC, load_weights

ROOT = Path(__file__).resolve().parents[2]


@torch.inference_mode()
def main() -> None:
    """Publish."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", type=Path, nargs="+", help="the ensemble's, or DBAC's and DDMAC's")
    parser.add_argument("--output", type=Path, default=ROOT / "models" / "model.pt")
    parser.add_argument(
        "--blend",
        nargs=2,
        metavar=("FILE", "SHARE"),
        action="append",
        default=[],
        help="the mean with other weights, of which it holds a share; may be given again",
    )
    parser.add_argument("--sharpen", type=float, default=1.0, help="factor of the logits of both cascades")
    parser.add_argument("--shift", type=float, default=0.0, help="what is added to them then")
    arguments = parser.parse_args()
    config = ConfigParser()
    config.read_config(ROOT / "configs" / "inference.json")
    network = config.get_parsed_content("network_def").eval()
    if len(arguments.checkpoints) > 2:
        parser.error("give the ensemble's checkpoint, or DBAC's and DDMAC's")
    parts = [network] if len(arguments.checkpoints) == 1 else [network.dbac, network.ddmac]
    try:
        for part, checkpoint in zip(parts, arguments.checkpoints, strict=True):
            load_weights(part, checkpoint)
        others = [load_weights(copy.deepcopy(network), Path(file)).state_dict() for file, _ in arguments.blend]
        blend(network, others, [float(share) for _, share in arguments.blend])
    except InputError as error:
        parser.exit(1, f"{error}\n")
    for cascade in (network.dbac, network.ddmac):
        sharpen(cascade, arguments.sharpen, arguments.shift)
    image = torch.rand(1, 1, 256, 256, generator=torch.Generator().manual_seed(0))
    before = network(image)
    state = {name: value.half() if value.is_floating_point() else value for name, value in network.state_dict().items()}
    network.load_state_dict(state)
    difference = (network(image) - before).abs().max().item()
    with atomic(arguments.output) as partial:
        torch.save({"model": state}, partial)
    size = arguments.output.stat().st_size / 2**20
    print(f"{arguments.output}: {size:.1f} MiB, probabilities change by at most {difference:.1g} on noise")


def sharpen(cascade: DBAC | DDMAC, factor: float, shift: float = 0.0) -> None:
    """Multiply the logits of a cascade's mask, and add to them, in place: Platt's scaling.

    Source: Guo et al., On Calibration of Modern Neural Networks, https://arxiv.org/abs/1706.04599.
    """
    last = cascade.refine.head[-1]
    for layer in (last.residual[-1], last.shortcut[-1]):  # their sum is the output
        layer.weight.mul_(factor)
        layer.bias.mul_(factor)
    last.shortcut[-1].bias.add_(shift)


def blend(network: torch.nn.Module, others: list[dict[str, torch.Tensor]], shares: list[float]) -> None:
    """Give a network the mean of its weights and others, in place: of each other its share, of itself the rest."""
    state = network.state_dict()
    for name, value in state.items():
        if value.is_floating_point():
            parts = zip((value, *(other[name] for other in others)), (1 - sum(shares), *shares), strict=True)
            state[name] = torch.stack([share * part.float() for part, share in parts]).sum(0)
    network.load_state_dict(state)


if __name__ == "__main__":
    main()
