"""The bundle as one file that a platform takes: of MONAI, or of the BioImage Model Zoo."""

from .archive import write_archive
from .bioimageio import model_files
from .monai import bundle_files

__all__ = ["bundle_files", "model_files", "write_archive"]
