"""Which kind of file this is, by how it begins: a name may end in anything."""

from __future__ import annotations

import zlib
from pathlib import Path

from ..errors import InputError

# how a file begins: the module of this package that reads it
_BEGINNINGS = {
    b"II*\0": "tiff",
    b"MM\0*": "tiff",
    b"II+\0": "tiff",
    b"MM\0+": "tiff",
    b"\x89PNG\r\n\x1a\n": "picture",
    b"\xff\xd8\xff": "picture",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "olympus",
    b"ZISRAWFILE": "czi",
    b"\xda\xce\xbe\x0a": "nd2",
    b"\0\0\0\x0cjP  \r\n\x87\n": "nd2",
    b"\x89HDF\r\n\x1a\n": "imaris",
}
_FIJI = "open it in Fiji (File > Import > Bio-Formats) and save it as OME-TIFF"
_QUPATH = "open it in QuPath and export it as OME-TIFF"
_PICTURE = "save it as PNG or TIFF"
_UNPACK = "unpack it first"
_LFS = b"version https://git-lfs.github.com/spec/"
# how a file begins that is no image of a format that is read: what it is, and the way out
_FOREIGN = {
    _LFS: ("is a pointer of Git LFS, not the file itself", "fetch it with: git lfs pull"),
    b"/annex/objects/": ("is a pointer of git-annex, not the file itself", "fetch it with: git annex get"),
    b"PK\x03\x04": ("is a ZIP archive", _UNPACK),
    b"7z\xbc\xaf\x27\x1c": ("is a 7z archive", _UNPACK),
    b"Rar!": ("is a RAR archive", _UNPACK),
    b"GIF8": ("is a GIF picture", _PICTURE),
    b"%PDF": ("is a PDF document", "export the image that it shows as TIFF"),
    b"8BPS": ("is a Photoshop document", "save it as TIFF"),
    b"OLYMPUSRAWFORMAT": ("is Olympus OIR", f"save it as OIB or OME-TIFF in FluoView, or {_FIJI}"),
    b"SIMPLE  =": ("is a FITS image", _FIJI),
    b"\x93NUMPY": ("is an array of NumPy", "save it with tifffile.imwrite"),
    b"<!DOCTYPE": ("is a web page, not an image", "download the file itself"),
    b"<!doctype": ("is a web page, not an image", "download the file itself"),
    b"<html": ("is a web page, not an image", "download the file itself"),
}
# how a file name ends: what it is, and the way out
_UNREAD = {
    ".vsi": ("Olympus VSI", f"{_QUPATH}, or {_FIJI}"),
    ".ets": ("a part of Olympus VSI", f"{_QUPATH}, or {_FIJI}"),
    ".oir": ("Olympus OIR", f"save it as OIB or OME-TIFF in FluoView, or {_FIJI}"),
    ".poir": ("Olympus POIR", f"save it as OIB or OME-TIFF in FluoView, or {_FIJI}"),
    ".stk": ("a MetaMorph stack", _FIJI),
    ".nd": ("a list of MetaMorph files", f"name its files, or {_FIJI}"),
    ".zvi": ("Zeiss ZVI", f"save it as CZI in ZEN, or {_FIJI}"),
    ".mdb": ("Zeiss LSM's table of contents", "name the .lsm files"),
    ".xlef": ("a Leica project", "export its images as LIF in LAS X"),
    ".lof": ("Leica LOF", f"export it as LIF in LAS X, or {_FIJI}"),
    ".xlif": ("Leica XLIF", "export its images as LIF in LAS X"),
    ".ics": ("Image Cytometry Standard", _FIJI),
    ".ids": ("Image Cytometry Standard", _FIJI),
    ".dv": ("DeltaVision", _FIJI),
    ".r3d": ("DeltaVision", _FIJI),
    ".sld": ("SlideBook", f"export it as OME-TIFF in SlideBook, or {_FIJI}"),
    ".sldy": ("SlideBook", f"export it as OME-TIFF in SlideBook, or {_FIJI}"),
    ".pic": ("Bio-Rad PIC", _FIJI),
    ".flex": ("Opera Flex", _FIJI),
    ".msr": ("Imspector", "export it as OME-TIFF in Imspector"),
    ".obf": ("Imspector", "export it as OME-TIFF in Imspector"),
    ".ptu": ("lifetimes of photons", "export the intensity image"),
    ".sdt": ("lifetimes of photons", "export the intensity image"),
    ".mrxs": ("a MIRAX slide", _QUPATH),
    ".vms": ("a Hamamatsu slide", _QUPATH),
    ".nrrd": ("NRRD", "save it as NIfTI or TIFF in 3D Slicer or Fiji"),
    ".nhdr": ("NRRD", "save it as NIfTI or TIFF in 3D Slicer or Fiji"),
    ".mha": ("MetaImage", "save it as NIfTI in 3D Slicer"),
    ".mhd": ("MetaImage", "save it as NIfTI in 3D Slicer"),
    ".mrc": ("MRC", _FIJI),
    ".dcm": ("DICOM", "save it as NIfTI (dcm2niix) or TIFF"),
    ".npy": ("an array of NumPy", "save it with tifffile.imwrite"),
    ".npz": ("arrays of NumPy", "save each with tifffile.imwrite"),
    ".mat": ("Matlab data", "save it as TIFF by imwrite of Matlab"),
    ".avi": ("a film", "open it in Fiji and save it as TIFF"),
    ".mp4": ("a film", "open it in Fiji and save it as TIFF"),
    ".gif": ("a GIF picture", _PICTURE),
    ".webp": ("a WebP picture", _PICTURE),
    ".heic": ("a HEIC picture", _PICTURE),
    ".jp2": ("a JPEG 2000 picture", _PICTURE),
    ".psd": ("a Photoshop document", "save it as TIFF"),
    ".zip": ("a ZIP archive", _UNPACK),
    ".h5": ("HDF5 without a rule for images", "save it as TIFF or OME-Zarr"),
    ".hdf5": ("HDF5 without a rule for images", "save it as TIFF or OME-Zarr"),
}


def beginning(path: Path) -> bytes:
    """The first bytes of a file.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return file.read(512)


def module_of(path: Path, head: bytes) -> str | None:
    """The module that reads a file that begins so; None if its beginning tells nothing.

    Raises:
        InputError: it is something that is not read; the line says what, and the way out.
    """
    for begins, (what, remedy) in _FOREIGN.items():
        if head.lstrip()[: len(begins)] == begins:
            raise InputError(path, what, remedy)
    module = next((module for begins, module in _BEGINNINGS.items() if head.startswith(begins)), None)
    if module is not None:
        return module
    if head.startswith(b"BM") and int.from_bytes(head[2:6], "little") == path.stat().st_size:
        return "picture"
    if head.startswith(b"\x70\0\0\0") and head[8:9] == b"\x2a":
        return "lif"
    inner = head
    if head.startswith(b"\x1f\x8b"):
        try:
            inner = zlib.decompressobj(31).decompress(head, 400)
        except zlib.error:
            return None
    if inner[344:348] in (b"n+1\0", b"ni1\0") or inner[4:8] == b"n+2\0":
        if not path.name.lower().endswith((".nii", ".nii.gz")):
            ending = ".nii" if inner is head else ".nii.gz"
            raise InputError(path, "is a NIfTI file under another name", f"let its name end in {ending}")
        return "nifti"
    return None


def unread(path: Path) -> tuple[str, str] | None:
    """What a file is whose name ends so, and the way out, if it is of a known kind that is not read."""
    return _UNREAD.get(path.suffix.lower())
