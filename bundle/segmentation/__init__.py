"""From image to mask: images one after the other, stacks slice by slice, and both reconciled."""

from .disagreement import WithDisagreement, disagreement_on_mask, least_agreed
from .fingerprints import fingerprint_of_network
from .inference import SegmentationEvaluator, SegmentationWriter
from .inferers import WholeOrWindowsInferer
from .likelihood import SliceLikelihood
from .outputs import Outputs, unfinished
from .reconciling import ReconcilingSegmenter
from .remarks import vessel_share
from .scales import SEEN_WIDTHS, USUAL_WIDTH, fitting_scale
from .stacks import SegmentedStack, StackSegmenter

__all__ = [
    "SEEN_WIDTHS",
    "USUAL_WIDTH",
    "Outputs",
    "ReconcilingSegmenter",
    "SegmentationEvaluator",
    "SegmentationWriter",
    "SegmentedStack",
    "SliceLikelihood",
    "StackSegmenter",
    "WholeOrWindowsInferer",
    "WithDisagreement",
    "disagreement_on_mask",
    "fingerprint_of_network",
    "fitting_scale",
    "least_agreed",
    "unfinished",
    "vessel_share",
]
