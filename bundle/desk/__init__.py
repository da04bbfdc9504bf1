"""The desk in napari: microscope files as layers, segmented, measured, corrected and learnt from in a window.

napari reads napari.yaml beside this file. It and Qt are imported by ``panel`` and ``table`` alone, so that what turns
files and results into layers runs without them.
"""

from .files import FOLDERS, PATTERNS, napari_get_reader, read_layers, sample, write_layer

__all__ = ["FOLDERS", "PATTERNS", "napari_get_reader", "read_layers", "sample", "write_layer"]
