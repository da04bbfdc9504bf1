"""Write docs/parameters.md: the paper's Table I beside the parameter counts of the networks here.

python scripts/tables/parameter_table.py [--output docs/parameters.md]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from bundle.networks import DBAC, DDMAC, CascadeEnsemble, DeeperUNetPlusPlus, UNet, UNetPlusPlus, count_parameters

ROOT = Path(__file__).resolve().parents[2]
TABLE_I = {"U-Net++": 71_106_794, "deeper U-Net++": 80_171_050, "DBAC": 80_190_922, "DDMAC": 80_210_861}
FIVE_LEVELS = (32, 64, 128, 256, 512)
SIX_LEVELS = (*FIVE_LEVELS, 1024)
PAPER = {"channels": FIVE_LEVELS, "refine_channels": SIX_LEVELS, "refine_blocks_per_node": 2}

PAGE = """\
# Parameter counts

Made by `python scripts/tables/parameter_table.py`; a test compares this page with what the program makes.

## Beside the paper's Table I

Trainable parameters with three input channels. Reading A takes the text at its word: five levels of 32 to 512 channels
in both subnetworks, one residual block at each node. Reading B keeps that first subnetwork, and gives the second, which
the text calls deeper, a sixth level of 1024 channels and two residual blocks at each node.

{table_i}

The table's totals do not follow from the text: reading A has under a quarter of them. We take reading B, the setting of
`configs/paper.yaml`, for three reasons. Its totals come within {largest:.1f} %. It gives the subnetworks their shares:
DBAC has {paper_first:,} parameters more than U-Net++ in the table, which are the first subnetwork and its shortcuts,
and {our_first:,} in reading B. And the text calls the second subnetwork deeper. What remains open is how the authors'
U-Net++ differs from ours in detail.

DDMAC has {difference:,} parameters more than DBAC, in the table and in both readings: those of the three-channel
attention head, two residual blocks, and of the fourth channel of the second subnetwork's input. This settles both.

The deeper U-Net++ is grown here until its count is closest to DBAC's; how the authors grew theirs is not said.

## The settings of this bundle

One input channel. The first two columns are the compact sizes, with the same widths in all subnetworks; the third is
`configs/paper.yaml`, where the plain U-Net has the first subnetwork's widths and U-Net++ is the second subnetwork.

{settings}
"""


def counts(in_channels: int, channels: tuple[int, ...], **refine: tuple[int, ...] | int) -> dict[str, int]:
    """Trainable parameters of each network of one setting; ``refine`` are options of the second subnetwork."""
    second = (refine.get("refine_channels", channels), refine.get("refine_blocks_per_node", 1))
    with torch.device("meta"):  # counting needs no memory
        networks = {
            "U-Net": UNet(in_channels, channels),
            "U-Net++": UNetPlusPlus(in_channels, *second),
            "deeper U-Net++": DeeperUNetPlusPlus(in_channels, channels, **refine),
            "DBAC": DBAC(in_channels, channels, **refine),
            "DDMAC": DDMAC(in_channels, channels, **refine),
            "ensemble": CascadeEnsemble(in_channels, channels, **refine),
        }
    return {name: count_parameters(network) for name, network in networks.items()}


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """A table whose first column is text and whose others are numbers."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def page() -> str:
    """The text of docs/parameters.md."""
    a, b = counts(3, FIVE_LEVELS), counts(3, **PAPER)
    settings = [counts(1, (8, 16, 32, 64, 128)), counts(1, (16, 32, 64, 128, 256)), counts(1, **PAPER)]
    return PAGE.format(
        table_i=markdown(
            ["network", "Table I", "reading A", "difference", "reading B", "difference"],
            [
                [name, f"{theirs:,}"]
                + [cell for ours in (a[name], b[name]) for cell in (f"{ours:,}", f"{100 * (ours / theirs - 1):+.2f} %")]
                for name, theirs in TABLE_I.items()
            ],
        ),
        largest=max(abs(100 * (b[name] / theirs - 1)) for name, theirs in TABLE_I.items()),
        paper_first=TABLE_I["DBAC"] - TABLE_I["U-Net++"],
        our_first=b["DBAC"] - b["U-Net++"],
        difference=TABLE_I["DDMAC"] - TABLE_I["DBAC"],
        settings=markdown(
            ["network", "8…128", "16…256", "paper"],
            [[name, *(f"{setting[name]:,}" for setting in settings)] for name in settings[0]],
        ),
    )


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "parameters.md")
    arguments = parser.parse_args()
    arguments.output.write_text(page(), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
