"""Masks and vessels as other programs open them: Fiji's ROIs, QuPath's objects."""

from .fiji import fiji_rois, write_fiji_image, write_rois
from .outlines import Outline, outlines
from .qupath import qupath_features, write_geojson

__all__ = [
    "Outline",
    "fiji_rois",
    "outlines",
    "qupath_features",
    "write_fiji_image",
    "write_geojson",
    "write_rois",
]
