"""Synthetic confocal stacks of vascular networks, with exact truth."""

from ..graphs import VascularGraph
from .curves import curve_vessels, part_vessels, vary_radius
from .flow import conserved_flow, murray_radius
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
    "conserved_flow",
    "curve_vessels",
    "depth_of_focus",
    "detect",
    "digitize",
    "emit",
    "expose",
    "grow_network",
    "make_phantom",
    "murray_radius",
    "part_vessels",
    "stain_vessels",
    "tube_field",
    "vary_radius",
]
