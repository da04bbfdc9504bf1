"""Pictures of images, masks and volumes, made without a display, and surfaces. Arrays are in file order, YX or ZYX."""

from .depth import brightest_vessel, depth_colours, depth_picture, hue
from .overlays import error_overlay, for_people, mask_overlay, write_panel, write_png
from .rendering import rendering_picture
from .surface import write_surface

__all__ = [
    "brightest_vessel",
    "depth_colours",
    "depth_picture",
    "error_overlay",
    "for_people",
    "hue",
    "mask_overlay",
    "rendering_picture",
    "write_panel",
    "write_png",
    "write_surface",
]
