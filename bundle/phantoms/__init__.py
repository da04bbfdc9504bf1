"""Synthetic stacks of vascular networks under many microscopes, with exact truth."""

from ..graphs import VascularGraph
from .curves import curve_vessels, part_vessels, vary_radius
from .families import FAMILIES, Family, Range
from .flow import conserved_flow, murray_radius
from .making import SPACING, make_phantom
from .microscope import Microscope, depth_of_focus, detect, digitize, expose
from .network import grow_network
from .phantom import Phantom
from .plain import LENGTH_DENSITIES, STAININGS
from .rendering import TubeField, add_blobs, emit, slabs, stain_vessels, tube_field, tubes_between

__all__ = [
    "FAMILIES",
    "LENGTH_DENSITIES",
    "SPACING",
    "STAININGS",
    "Family",
    "Microscope",
    "Phantom",
    "Range",
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
    "slabs",
    "stain_vessels",
    "tube_field",
    "tubes_between",
    "vary_radius",
]
