"""Synthetic confocal stacks of vascular networks, with exact truth."""

from .graph import VascularGraph
from .microscope import Microscope, depth_of_focus, detect, digitize, expose
from .network import grow_network
from .phantom import LENGTH_DENSITIES, STAININGS, Phantom, make_phantom
from .rendering import TubeField, add_blobs, emit, stain_vessels, tube_field

__all__ = [
    "LENGTH_DENSITIES",
    "STAININGS",
    "Microscope",
    "Phantom",
    "TubeField",
    "VascularGraph",
    "add_blobs",
    "depth_of_focus",
    "detect",
    "digitize",
    "emit",
    "expose",
    "grow_network",
    "make_phantom",
    "stain_vessels",
    "tube_field",
]
