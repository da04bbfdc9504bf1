"""Stacks slice by slice: from a file to a mask of its volume, a file of this folder for each stage.

An earlier run is taken up (``resuming``), slices are read and enhanced by blocks (``reading``), the network goes over
them (``slices``), the mask is made of the stored probability by blocks (``binarizing``), and all is written
(``writing``). ``segmenter`` lists these stages in their order, and ``stack`` says what they find.
"""

from .binarizing import Binarization
from .reading import GreyBlocks, SliceRows
from .resuming import work_folder
from .segmenter import StackSegmenter
from .slices import SliceNetwork
from .stack import SegmentedStack
from .steps import known_steps
from .writing import StackWriter

__all__ = [
    "Binarization",
    "GreyBlocks",
    "SegmentedStack",
    "SliceNetwork",
    "SliceRows",
    "StackSegmenter",
    "StackWriter",
    "known_steps",
    "work_folder",
]
