"""Networks: the cascades of the paper, the parts they are made of, their ensemble, and the baselines."""

from .baselines import DeeperUNetPlusPlus, UNet, UNetPlusPlus, count_parameters
from .blocks import ResidualBlock, pad_to_multiple
from .cascades import DBAC, DDMAC
from .ensemble import AtScale, CascadeEnsemble
from .faster import faster_copy
from .memory import give_memory_back, keep_memory, start_threads
from .unet import ResidualUNet
from .unet_plus_plus import ResidualUNetPlusPlus
from .weights import ensemble_of_weights, fit_weights, load_weights, read_weights, scales_of

__all__ = [
    "DBAC",
    "DDMAC",
    "AtScale",
    "CascadeEnsemble",
    "DeeperUNetPlusPlus",
    "ResidualBlock",
    "ResidualUNet",
    "ResidualUNetPlusPlus",
    "UNet",
    "UNetPlusPlus",
    "count_parameters",
    "ensemble_of_weights",
    "fit_weights",
    "faster_copy",
    "give_memory_back",
    "keep_memory",
    "load_weights",
    "pad_to_multiple",
    "read_weights",
    "scales_of",
    "start_threads",
]
