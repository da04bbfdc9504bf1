"""The report: one page that shows what was segmented, measured and compared, and needs no network."""

from .content import Grouping, ImageEntry, image_content, report_content
from .doubts import doubts
from .lines import Lines, diameter_histogram, lifted, packed_network, simplified, svg_paths
from .methods import Methods, describe_methods
from .page import render_page

__all__ = [
    "Grouping",
    "ImageEntry",
    "Lines",
    "Methods",
    "describe_methods",
    "diameter_histogram",
    "doubts",
    "image_content",
    "lifted",
    "packed_network",
    "render_page",
    "report_content",
    "simplified",
    "svg_paths",
]
