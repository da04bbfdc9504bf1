"""Small files of every format that is read, as :py:mod:`scripts.benchmarks.fuzz` mutates them."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import nibabel
import numpy as np
import PIL.Image
import tifffile

from bundle.io import write_image

RNG = np.random.default_rng(0)
STACK = RNG.integers(0, 4096, (3, 12, 10), np.uint16)
GREY = STACK[0].astype(np.uint8)
COLOURS = RNG.integers(0, 256, (12, 10, 3), np.uint8)


def _ome(path: Path, planes: np.ndarray, data: str, root: str = "", size: str = 'SizeZ="3"') -> None:
    xml = (
        f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" {root}><Image ID="Image:0" Name="a"><Pixels '
        f'ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="10" SizeY="12" {size} SizeC="1" SizeT="1" '
        f'PhysicalSizeX="0.5" PhysicalSizeY="0.5"><Channel ID="Channel:0:0"/>{data}</Pixels></Image></OME>'
    )
    tifffile.imwrite(path, planes, description=xml.encode(), metadata=None, photometric="minisblack")


def _ome_set(path: Path, master: bool) -> None:
    data = "".join(
        f'<TiffData FirstZ="{z}" IFD="0" PlaneCount="1"><UUID FileName="{path.name.replace("0", str(z))}">urn:uuid:{z}'
        "</UUID></TiffData>"
        for z in range(3)
    )
    for z in range(3):
        file = path.with_name(path.name.replace("0", str(z)))
        if z and master:
            xml = (
                '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
                f'<BinaryOnly MetadataFile="{path.name}" UUID="urn:uuid:0"/></OME>'
            )
            tifffile.imwrite(file, STACK[z], description=xml.encode(), metadata=None)
        else:
            _ome(file, STACK[z : z + 1], data, f'UUID="urn:uuid:{z}"')


def _companion(path: Path) -> None:
    data = "".join(
        f'<TiffData FirstZ="{z}" IFD="0" PlaneCount="1"><UUID FileName="z{z}.ome.tif">urn:uuid:{z}</UUID></TiffData>'
        for z in range(3)
    )
    _ome(path, STACK, data, 'UUID="urn:uuid:9"')
    with tifffile.TiffFile(path) as tiff:
        xml = tiff.ome_metadata
    path.write_text(xml, encoding="utf-8")
    for z in range(3):
        tifffile.imwrite(path.with_name(f"z{z}.ome.tif"), STACK[z], metadata=None)


def _ndtiff(path: Path) -> None:
    summary = json.dumps({"PixelSize_um": 0.5, "z-step_um": 2}).encode()
    head = struct.pack("<5I", 483729, 3, 3, 2355492, len(summary)) + summary
    content = bytearray(struct.pack("<2sHI", b"II", 42, 0) + head + b"\0" * (len(head) % 2))
    notes = len(content)
    content += b'{"a":1}\0'
    link, index = 4, b""
    for z, plane in enumerate(STACK):
        content[link : link + 4] = struct.pack("<I", len(content))
        data = len(content) + 6 + 12 * 10
        tags = [(256, 4, 1, 10), (257, 4, 1, 12), (258, 3, 1, 16), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, data)]
        tags += [(277, 3, 1, 1), (278, 3, 1, 12), (279, 4, 1, plane.nbytes), (51123, 2, 8, notes)]
        content += struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
        link = len(content)
        content += b"\0" * 4 + plane.astype("<u2").tobytes()
        axes, name = json.dumps({"z": z, "channel": "DAPI"}).encode(), path.name.encode()
        index += struct.pack("<I", len(axes)) + axes + struct.pack("<I", len(name)) + name
        index += struct.pack("<IiiiiIii", data, 10, 12, 1, 0, 0, 0, 0)
    path.write_bytes(content)
    path.with_name("NDTiff.index").write_bytes(index)


def _lsm(path: Path) -> None:
    """As ZEN's predecessors wrote it: a page of two channels and one of their thumbnail for each slice."""
    sizes = (10, 12, 3, 2, 1, 2, 5, 6)  # X, Y, Z, channels, times; 12 bits; the thumbnail's
    metres, begin = (0.5e-6, 0.5e-6, 2e-6), (0.0, 0.0, 0.0)
    about = struct.pack("<Ii8i6d2H5Id8I", 67127628, 152, *sizes, *metres, *begin, 0, 0, 0, *[0] * 4, 0.0, *[0] * 8)
    with tifffile.TiffWriter(path, byteorder="<") as tiff:
        for z, plane in enumerate(STACK):
            tags = [] if z else [(34412, 1, len(about), about, True)]
            channels = {"planarconfig": "separate", "photometric": "minisblack", "extratags": tags}
            tiff.write(np.stack([plane, plane[::-1]]), metadata=None, contiguous=False, **channels)
            thumbnail = np.zeros((3, 6, 5), np.uint8)
            tiff.write(thumbnail, photometric="rgb", planarconfig="separate", subfiletype=1, metadata=None)
    content = bytearray(path.read_bytes())
    names = b"".join(struct.pack("<I", len(name)) + name for name in (b"CD31\0", b"DAPI\0"))
    colours = struct.pack("<6I8B", 32 + len(names), 2, 2, 24, 32, 0, *[255] * 8)
    place = content.index(about) + 108  # of the offset of the channels' colours and names
    content[place : place + 4] = struct.pack("<I", len(content))
    content += colours + names
    bits = struct.pack("<HHI", 258, 3, 2)  # of two channels, which LSM keeps elsewhere though they fit here
    content = content.replace(bits + struct.pack("<HH", 16, 16), bits + struct.pack("<I", len(content)))
    path.write_bytes(content + struct.pack("<HH", 16, 16))


def _oif(path: Path) -> None:
    axes = [("X", 10, 0, 5000, "nm"), ("Y", 12, 0, 6000, "nm"), ("C", 1, 1, 1, "Ch"), ("Z", 3, 0, 4000, "nm")]
    lines = ["[Axis Parameter Common]", "AxisCount=4", 'AxisOrder="XYCZ"']
    for i in range(8):
        code, size, start, end, unit = axes[i] if i < 4 else ("TALP"[i - 4], 0, 0, 0, "ms")
        lines += [f"[Axis {i} Parameters Common]", f'AxisCode="{code}"', f"MaxSize={size}", f'UnitName="{unit}"']
        lines += [f"StartPosition={start}", f"EndPosition={end}"]
    lines += ["[Channel 1 Parameters]", 'CH Name="CH1"', "[ProfileSaveInfo]", 'Name="OIF"', 'Version="2.0.0.0"']
    lines += ["[Reference Image Parameter]", "WidthConvertValue=0.5", 'WidthUnit="um"', "HeightConvertValue=0.5"]
    path.write_bytes(("\ufeff" + "\r\n".join([*lines, 'HeightUnit="um"']) + "\r\n").encode("utf-16-le"))
    folder = path.with_name(f"{path.name}.files")
    folder.mkdir()
    for z in range(3):
        tifffile.imwrite(folder / f"s_C001Z{z + 1:03}.tif", STACK[z], metadata=None)


def _imaris(path: Path) -> None:
    import h5py

    def text(group: h5py.Group, **attributes: object) -> None:
        for name, value in attributes.items():
            group.attrs[name] = np.array(list(str(value)), "S1")

    with h5py.File(path, "w") as file:
        channel = file.create_group("DataSet/ResolutionLevel 0/TimePoint 0/Channel 0")
        channel.create_dataset("Data", data=STACK, chunks=(1, 12, 10), compression="gzip")
        image = file.create_group("DataSetInfo/Image")
        text(image, X=10, Y=12, Z=3, Unit="um", ExtMin0=0, ExtMax0=5, ExtMin1=0, ExtMax1=6, ExtMin2=0, ExtMax2=6)
        text(file.create_group("DataSetInfo/Channel 0"), Name="CD31")


def _palette_tiff(path: Path) -> None:
    table = RNG.integers(0, 1 << 16, (3, 256), np.uint16)
    tifffile.imwrite(path, GREY, photometric="palette", colormap=table, metadata=None)


def _palette_png(path: Path) -> None:
    picture = PIL.Image.fromarray(GREY % 4, "P")
    picture.putpalette(COLOURS[0].ravel().tolist())
    picture.save(path)


def _tiff(**options: object) -> Callable[[Path], None]:
    return lambda path: tifffile.imwrite(path, STACK, photometric="minisblack", **options)


def _picture(array: np.ndarray, **options: object) -> Callable[[Path], None]:
    return lambda path: PIL.Image.fromarray(array).save(path, **options)


def _gz(path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(STACK.T, np.diag([0.5, 0.5, 2, 1])), path)


# format: the file that is opened, and what makes it and all that belongs to it
MAKERS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "tiff plain": ("a.tif", _tiff(metadata=None)),
    "tiff lzw": ("a.tif", _tiff(metadata=None, compression="lzw", predictor=True)),
    "tiff zlib": ("a.tif", _tiff(metadata=None, compression="zlib", rowsperstrip=3)),
    "tiff tiled": ("a.tif", _tiff(metadata=None, tile=(16, 16), compression="zlib")),
    "tiff big": ("a.tif", _tiff(metadata=None, bigtiff=True, byteorder=">")),
    "tiff shaped": ("a.tif", _tiff(metadata={"axes": "ZYX"})),
    "tiff jpeg": ("a.tif", lambda path: tifffile.imwrite(path, np.tile(COLOURS, (4, 4, 1)), compression="jpeg")),
    "tiff rgb": ("a.tif", lambda path: tifffile.imwrite(path, COLOURS, photometric="rgb")),
    "tiff palette": ("a.tif", _palette_tiff),
    "tiff white": ("a.tif", lambda path: tifffile.imwrite(path, GREY, photometric="miniswhite")),
    "tiff float": ("a.tif", lambda path: tifffile.imwrite(path, STACK.astype(np.float32), photometric="minisblack")),
    "imagej": (
        "a.tif",
        lambda path: tifffile.imwrite(path, STACK, imagej=True, metadata={"axes": "ZYX", "unit": "um"}),
    ),
    "ome-tiff": ("a.ome.tif", lambda path: write_image(path, STACK, "ZYX", (2, 0.5, 0.5))),
    "ome-tiff of tifffile": ("a.ome.tif", lambda path: tifffile.imwrite(path, STACK, metadata={"axes": "CYX"})),
    "ome-tiff set": ("z0.ome.tif", lambda path: _ome_set(path, master=False)),
    "ome-tiff master": ("z0.ome.tif", lambda path: _ome_set(path, master=True)),
    "ome-tiff companion": ("a.companion.ome", _companion),
    "ndtiff": ("a_NDTiffStack.tif", _ndtiff),
    "lsm": ("a.lsm", _lsm),
    "oif": ("a.oif", _oif),
    "nifti": ("a.nii", _gz),
    "nifti gz": ("a.nii.gz", _gz),
    "ome-zarr": ("a.ome.zarr", lambda path: write_image(path, STACK, "ZYX", (2, 0.5, 0.5))),
    "imaris": ("a.ims", _imaris),
    "png": ("a.png", _picture(GREY)),
    "png 16 bit": ("a.png", _picture(STACK[0])),
    "png colours": ("a.png", _picture(COLOURS)),
    "png palette": ("a.png", _palette_png),
    "png deep": ("a.png", lambda path: path.write_bytes(imagecodecs.png_encode(COLOURS.astype(np.uint16) * 257))),
    "jpeg": ("a.jpg", _picture(np.tile(GREY, (4, 4)), quality=80)),
    "bmp": ("a.bmp", _picture(GREY)),
}
