"""Pixel sizes that one file states in several places: the right one is believed, and what contradicts is said."""

from __future__ import annotations

import json
import struct

import nibabel
import numpy as np
import pytest
import tifffile

from bundle.__main__ import main
from bundle.io import open_image, write_ome_tiff

ARRAY = np.arange(3 * 5 * 7, dtype=np.uint16).reshape(3, 5, 7)
CENTIMETRE, INCH, NONE = 3, 2, 1


def write_imagej(path, per_unit, unit, tag, **metadata):
    """An ImageJ stack whose tags count pixels in the unit that the tag ``ResolutionUnit`` says."""
    about = {"unit": unit, "spacing": 2.0, "axes": "ZYX", **metadata}
    options = {"resolution": (per_unit, per_unit), "resolutionunit": tag}
    tifffile.imwrite(path, ARRAY, imagej=True, metadata=about, **options)


@pytest.mark.parametrize(
    ("per_unit", "tag", "expected", "remarks"),
    [
        (12500, CENTIMETRE, 0.8, 0),  # as Micro-Manager writes, and ImageJ reads
        (1.25, NONE, 0.8, 0),  # as ImageJ writes
        (1.25, INCH, 0.8, 0),  # as ImageJ reads it
        (1.25, CENTIMETRE, 0.8, 1),  # 8 mm by the tag
        (31750, INCH, 0.8, 1),  # 0.00003 µm by ImageJ's unit
    ],
)
def test_imagej_unit_and_tag_unit_give_the_size_of_a_microscopes_pixel(
    tmp_path, caplog, per_unit, tag, expected, remarks
):
    write_imagej(tmp_path / "a.tif", per_unit, "um", tag)
    assert open_image(tmp_path / "a.tif").spacing == pytest.approx((2, expected, expected))
    assert len(caplog.records) == remarks


def ome_xml(pixel):
    return (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0"><Pixels ID="Pixels:0" '
        'DimensionOrder="XYZCT" Type="uint16" SizeX="7" SizeY="5" SizeZ="3" SizeC="1" SizeT="1" '
        f'PhysicalSizeX="{pixel}" PhysicalSizeY="{pixel}" PhysicalSizeZ="2"><TiffData/></Pixels></Image></OME>'
    )


def describe(path, pixel, per_centimetre):
    options = {"resolution": (per_centimetre, per_centimetre), "resolutionunit": CENTIMETRE, "metadata": None}
    tifffile.imwrite(path, ARRAY, description=ome_xml(pixel).encode(), photometric="minisblack", **options)


def write_micromanager(path, pixel, ome_pixel, unit="um"):
    """A stack as Micro-Manager 1.4 and 2 write it: pages of a fixed length, an index of them, and three pixel sizes."""
    summary = {"MicroManagerVersion": "2.0", "Frames": 1, "Slices": 3, "Channels": 1, "Positions": 1}
    summary = json.dumps(summary | {"PixelSize_um": pixel, "z-step_um": 2.0}).encode()
    imagej = f"ImageJ=1.53\nimages=3\nslices=3\nunit={unit}\nspacing=2.0\n".encode() + b"\0"
    ome = ome_xml(ome_pixel).encode() + b"\0"
    content = bytearray(struct.pack("<2sHI", b"II", 42, 0))
    content += struct.pack("<8I", 54773648, 0, 483765892, 0, 99384722, 0, 2355492, len(summary)) + summary
    content += b"\0" * (len(content) % 2)
    notes = len(content)
    content += b'{"a":1}\0'
    texts = len(content)
    content += ome + imagej + b"\0" * ((len(ome) + len(imagej)) % 2)
    places, link = [], 4
    for plane in ARRAY:
        place = len(content)
        content[link : link + 4] = struct.pack("<I", place)
        places.append(place)
        tags = [(256, 4, 1, 7), (257, 4, 1, 5), (258, 3, 1, 16), (259, 3, 1, 1), (262, 3, 1, 1)]
        tags += [(270, 2, len(ome), texts), (270, 2, len(imagej), texts + len(ome))] if place == places[0] else []
        data = place + 6 + 12 * (len(tags) + 8)
        resolution = data + plane.nbytes
        tags += [(273, 4, 1, data), (277, 3, 1, 1), (278, 3, 1, 5), (279, 4, 1, plane.nbytes)]
        tags += [(282, 5, 1, resolution), (283, 5, 1, resolution), (296, 3, 1, CENTIMETRE)]
        tags += [(51123, 2, 8, notes)]
        content += struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
        link = len(content)
        content += b"\0" * 4 + plane.astype("<u2").tobytes() + struct.pack("<II", round(1e7 / pixel), 1000)
        content += b"\0" * (len(content) % 2)
    content[12:16] = struct.pack("<I", len(content))
    content += struct.pack("<II", 3453623, 3) + b"".join(
        struct.pack("<5I", 0, z, 0, 0, p) for z, p in enumerate(places)
    )
    path.write_bytes(content)


def test_a_stack_of_micro_manager_has_the_size_of_all_its_sources(tmp_path, caplog):
    write_micromanager(tmp_path / "a_MMStack.ome.tif", 5.23, 5.23)
    image = open_image(tmp_path / "a_MMStack.ome.tif")
    np.testing.assert_array_equal(image.array(), ARRAY)
    assert image.spacing == pytest.approx((2, 5.23, 5.23), rel=1e-4)
    assert not caplog.records


def test_a_stack_of_micro_manager_that_contradicts_itself_says_so(tmp_path, caplog):
    write_micromanager(tmp_path / "a_MMStack.ome.tif", 5.23, 0.523)
    assert open_image(tmp_path / "a_MMStack.ome.tif").spacing == pytest.approx((2, 5.23, 5.23), rel=1e-4)
    assert "X 5.23 µm by Micro-Manager, X 0.523 µm by OME-XML" in caplog.text


def test_ome_xml_beside_imagej_is_believed_and_agrees(tmp_path, caplog):
    describe(tmp_path / "a.ome.tif", 5.23, 1e4 / 5.23)
    assert open_image(tmp_path / "a.ome.tif").spacing == pytest.approx((2, 5.23, 5.23))
    assert not caplog.records


def test_sizes_that_differ_are_said_once_with_the_one_that_is_believed(tmp_path, caplog):
    describe(tmp_path / "a.ome.tif", 5.23, 1e4 / 0.65)
    for _ in range(2):
        assert open_image(tmp_path / "a.ome.tif").spacing == pytest.approx((2, 5.23, 5.23))
    (record,) = caplog.records
    assert "X 5.23 µm by OME-XML" in record.getMessage() and "X 0.65 µm by its resolution tags" in record.getMessage()
    assert "OME-XML is believed, --spacing overrides" in record.getMessage()


def test_what_is_written_here_agrees_with_itself(tmp_path, caplog):
    for number, spacing in enumerate([(2, 0.5, 0.25), (1, 0.0123, 19.7), (0.3, 1 / 3, 1 / 7)]):
        write_ome_tiff(tmp_path / f"{number}.tif", ARRAY, "ZYX", spacing)
        assert open_image(tmp_path / f"{number}.tif").spacing == spacing
    assert not caplog.records


@pytest.mark.parametrize("pixel", [8e-5, 0.009, 101, 5000])
def test_a_size_of_no_light_microscope_is_taken_and_said_loudly(tmp_path, capsys, caplog, pixel):
    write_ome_tiff(tmp_path / "a.tif", ARRAY, "ZYX", (2, pixel, pixel))
    assert open_image(tmp_path / "a.tif").spacing == (2, pixel, pixel)
    (record,) = caplog.records
    assert record.getMessage().startswith(f"{tmp_path / 'a.tif'}: PIXEL SIZE of no light microscope")
    assert "--spacing states another" in record.getMessage()


def test_a_stated_size_of_no_light_microscope_is_said_too(tmp_path, caplog):
    write_ome_tiff(tmp_path / "a.tif", ARRAY, "ZYX", (2, 0.5, 0.5))
    open_image(tmp_path / "a.tif", spacing=(2000, 0.5, 0.5))
    assert "PIXEL SIZE of no light microscope (Z 2000 µm" in caplog.text


def test_info_takes_two_lengths_for_an_image_and_three_for_a_stack_before_the_files(tmp_path, capsys):
    """Nothing but numbers belongs to the option, at most three of them."""
    from bundle.commands.words import joined_lengths

    assert joined_lengths(["--spacing", "0.8", "0.8", "a.tif"]) == ["--spacing=0.8 0.8", "a.tif"]
    assert joined_lengths(["a", "--spacing", "2", "1e0", ".8", "356"]) == ["a", "--spacing=2 1e0 .8", "356"]
    assert joined_lengths(["--spacing"]) == ["--spacing="]
    assert joined_lengths(["--", "--spacing", "1", "1"]) == ["--", "--spacing", "1", "1"]
    with pytest.raises(SystemExit):
        main(["fuse", str(tmp_path), "--output", str(tmp_path), "--spacing", "0.8"])
    assert "give micrometres along Z, Y and X" in capsys.readouterr().err


@pytest.mark.parametrize(("step", "remarks"), [(2.0, 0), (3.0, 1)])
def test_a_nifti_header_that_contradicts_its_affine_says_so(tmp_path, caplog, step, remarks):
    image = nibabel.Nifti1Image(ARRAY.T, np.diag([0.25, 0.5, 2, 1]))
    image.header.set_xyzt_units("micron")
    content = bytearray(image.to_bytes())
    content[88:92] = np.float32(step).tobytes()  # pixdim[3], the step along Z
    (tmp_path / "a.nii").write_bytes(content)
    assert open_image(tmp_path / "a.nii").spacing == pytest.approx((step, 0.5, 0.25))
    assert len(caplog.records) == remarks
