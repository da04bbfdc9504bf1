"""Damaged and hostile files: read or refused in one line, in bounded time and memory; at length the fuzz benchmark."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import tifffile

from bundle.errors import InputError
from bundle.io import list_images, open_image, open_recordings
from bundle.io.compound import check_chains
from scripts.benchmarks.fuzz_files import GREY, MAKERS, STACK

ROOT = Path(__file__).resolve().parents[1]
REPRODUCERS = Path(__file__).with_name("reproducers")


def refusal(path, **options):
    with pytest.raises(InputError) as caught:
        open_image(path, **options).array()
    text = str(caught.value)
    assert "\n" not in text and caught.value.remedy
    return text


@pytest.mark.parametrize("name", MAKERS)
def test_every_file_that_is_mutated_is_read_as_long_as_it_is_whole(tmp_path, name):
    opened, make = MAKERS[name]
    make(tmp_path / opened)
    scene = open_recordings(tmp_path / opened)[0]
    channel = 0 if {"C", "S"} & {axis for axis in scene.axes if scene.size[axis] > 1} else None
    array = open_image(tmp_path / opened, channel=channel).array()
    assert array.size and array.any()
    if array.shape == STACK.shape:
        np.testing.assert_array_equal(array, STACK)


def test_a_few_mutants_of_each_are_read_or_refused():
    done = subprocess.run(
        [sys.executable, "-m", "scripts.benchmarks.fuzz", "--cases", "62", "--seed", "7", "--formats", "nowhere"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("all")


@pytest.mark.parametrize(
    "folder", sorted(path for path in REPRODUCERS.glob("*") if path.is_dir()), ids=lambda p: p.name
)
def test_what_once_went_wrong_is_read_or_refused(tmp_path, folder, capfd):
    """Found by ``scripts.benchmarks.fuzz``: the name is the outcome it had, format, seed and case."""
    place = tmp_path / "mutant"
    shutil.copytree(folder, place)
    name = folder.name.split("-", 1)[1].rsplit("-", 2)[0]
    try:
        scenes = open_recordings(place / MAKERS[name][0])
        size = scenes[0].size
        channel = 0 if size.get("C", 1) > 1 or size.get("S", 1) > 1 else None
        open_image(place / MAKERS[name][0], channel=channel, time=0, scene=0, position=0).plane(0)
    except InputError as error:
        assert error.remedy
    out, err = capfd.readouterr()
    assert not out and not err


# what is declared is not believed


def ome(path, size, data, planes=STACK):
    xml = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0"><Pixels ID="Pixels:0" '
        f'DimensionOrder="XYZCT" Type="uint16" SizeX="10" SizeY="12" {size} SizeC="1" SizeT="1">{data}</Pixels></Image>'
        "</OME>"
    )
    if path.name.endswith(".companion.ome"):
        path.write_text(xml)
        tifffile.imwrite(path.with_name("z.tif"), planes, metadata=None, photometric="minisblack")
    else:
        tifffile.imwrite(path, planes, description=xml.encode(), metadata=None, photometric="minisblack")


UUID = '<UUID FileName="z.tif">urn:uuid:1</UUID>'


@pytest.mark.parametrize("suffix", [".ome.tif", ".companion.ome"])
@pytest.mark.parametrize(
    ("size", "data"),
    [
        ('SizeZ="3"', f'<TiffData PlaneCount="2000000000" IFD="0">{UUID}</TiffData>'),
        ('SizeZ="2000000000"', f'<TiffData PlaneCount="2000000000">{UUID}</TiffData>'),
        ('SizeZ="3"', f"<TiffData>{UUID}</TiffData>" * 50_000),
        ('SizeZ="3"', f'<TiffData IFD="4000000000">{UUID}</TiffData>' * 3),
        ('SizeZ="-3"', ""),
        ('SizeZ="3"', '<Channel SamplesPerPixel="0"/>'),
        ("", ""),
    ],
)
def test_planes_that_no_file_holds_are_refused_at_once(tmp_path, suffix, size, data):
    ome(tmp_path / f"a{suffix}", size, data if suffix[1] == "c" else data.replace(UUID, ""))
    started = time.process_time()
    refusal(tmp_path / f"a{suffix}")
    assert time.process_time() - started < 10


def test_an_odd_companion_spoils_no_folder(tmp_path):
    (tmp_path / "a.companion.ome").write_text('<OME><Image><Pixels DimensionOrder="XYZCT"/></Image></OME>')
    (tmp_path / "b.companion.ome").write_text("<OME><Image/></OME>")
    (tmp_path / "c.companion.ome").write_bytes(b"\xff\xfe no text")
    ome(tmp_path / "d.companion.ome", 'SizeZ="1"', '<TiffData><UUID FileName="../secret/s.tif"/></TiffData>')
    tifffile.imwrite(tmp_path / "e.tif", GREY)
    found = list_images([tmp_path])
    assert [path.name for path in found] == [*(f"{x}.companion.ome" for x in "abcd"), "e.tif", "z.tif"]
    for path in found[:4]:
        refusal(path)
    np.testing.assert_array_equal(open_image(tmp_path / "e.tif").array(), GREY)


def cfb(fat, minifat, sectors=4):
    """A compound file of 512-byte sectors: the table of sectors, the small one, a directory, and what follows."""
    counts = (0, 0, 1, 2, 0, 4096, 1, 1, 0xFFFFFFFE, 0)
    head = struct.pack("<8s16s6H10I", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"", 62, 3, 65534, 9, 6, 0, *counts)
    listed = struct.pack("<109I", 0, *[0xFFFFFFFF] * 108)
    tables = [np.array(table + [0xFFFFFFFF] * (128 - len(table)), "<u4").tobytes() for table in (fat, minifat)]
    return head + listed + b"".join(tables) + b"\0" * 512 * (sectors - 2)


END = 0xFFFFFFFE


@pytest.mark.parametrize(
    ("fat", "minifat", "fine"),
    [
        ([0xFFFFFFFD, END, END, END], [1, 2, END], True),
        ([0xFFFFFFFD, END, 3, 2], [END], False),
        ([0xFFFFFFFD, 1, END, END], [END], False),
        ([0xFFFFFFFD, END, END, END], [1, 0, END], False),
        ([0xFFFFFFFD, END, END, END], [0], False),
    ],
)
def test_sectors_that_follow_each_other_in_a_circle_are_refused(tmp_path, fat, minifat, fine):
    path = tmp_path / "a.oib"
    path.write_bytes(cfb(fat, minifat))
    if fine:
        check_chains(path)
        assert "OIB" in refusal(path) or "damaged" in refusal(path)
    else:
        assert "in a circle" in refusal(path)


def test_a_page_that_declares_more_than_it_can_hold_is_refused_before_memory_is_asked_for(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", GREY, compression="zlib", metadata=None)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+b") as tiff:
        for code in (256, 257, 278):
            tiff.pages[0].tags[code].overwrite(2_000_000_000 if code < 278 else 1)
    tracemalloc.start()
    refusal(tmp_path / "a.tif")
    assert tracemalloc.get_traced_memory()[1] < 200 << 20
    tracemalloc.stop()


# what a file names elsewhere is not read


@pytest.mark.parametrize("name", ["../secret/s.tif", "..\\secret\\s.tif", "{}/secret/s.tif", "sub/../../secret/s.tif"])
def test_files_outside_the_recordings_own_folder_are_not_read(tmp_path, name):
    inside = tmp_path / "in"
    for folder in (inside, tmp_path / "secret"):
        folder.mkdir()
    tifffile.imwrite(tmp_path / "secret" / "s.tif", STACK, metadata=None)
    named = f'<TiffData PlaneCount="3"><UUID FileName="{name.format(tmp_path)}">urn:uuid:1</UUID></TiffData>'
    ome(inside / "a.ome.tif", 'SizeZ="3"', named, planes=STACK[:1])
    ome(inside / "b.companion.ome", 'SizeZ="3"', named, planes=STACK[:1])
    for path in ("a.ome.tif", "b.companion.ome"):
        assert "outside its own folder, which is not read" in refusal(inside / path)
    only = f'<OME><BinaryOnly MetadataFile="{name.format(tmp_path)}"/></OME>'
    tifffile.imwrite(inside / "c.ome.tif", STACK, description=only.encode(), metadata=None)
    assert "outside its own folder" in refusal(inside / "c.ome.tif")


def test_a_path_of_the_computer_that_wrote_it_stands_for_the_file_here(tmp_path):
    named = '<TiffData PlaneCount="3"><UUID FileName="C:\\Users\\me\\z.tif">urn:uuid:1</UUID></TiffData>'
    ome(tmp_path / "b.companion.ome", 'SizeZ="3"', named)
    np.testing.assert_array_equal(open_image(tmp_path / "b.companion.ome").array(), STACK)


def test_an_ndtiff_index_that_names_a_file_elsewhere_is_refused(tmp_path):
    opened, make = MAKERS["ndtiff"]
    (tmp_path / "in").mkdir()
    make(tmp_path / "in" / opened)
    index = tmp_path / "in" / "NDTiff.index"
    elsewhere = f"../{opened}"[: len(opened)].encode()
    shutil.copy(tmp_path / "in" / opened, tmp_path / elsewhere.decode()[3:])
    index.write_bytes(index.read_bytes().replace(opened.encode(), elsewhere))
    assert "outside its own folder" in refusal(tmp_path / "in" / opened)


def test_pixels_of_an_imaris_file_that_lie_in_another_are_not_read(tmp_path):
    h5py = pytest.importorskip("h5py")
    opened, make = MAKERS["imaris"]
    make(tmp_path / opened)
    image = open_image(tmp_path / opened)
    assert (image.axes, image.spacing, image.channel_names) == ("ZYX", (2, 0.5, 0.5), ("CD31",))
    np.testing.assert_array_equal(image.rows(1, 3, 7), STACK[1, 3:7])
    del image
    place = "DataSet/ResolutionLevel 0/TimePoint 0/Channel 0"
    (tmp_path / "raw").write_bytes(STACK.tobytes())
    with h5py.File(tmp_path / "other.ims", "w") as other:
        other["Data"] = STACK
    for number in range(2):
        path = tmp_path / f"{number}.ims"
        make(path)
        with h5py.File(path, "r+") as file:
            del file[place]["Data"]
            if number:
                file[place]["Data"] = h5py.ExternalLink("other.ims", "Data")
            else:
                external = [(str(tmp_path / "raw"), 0, STACK.nbytes)]
                file[place].create_dataset("Data", STACK.shape, STACK.dtype, external=external)
        assert "another file, which is not read" in refusal(path)


def test_an_lsm_tells_its_channels_and_its_pixel_size_and_its_thumbnails_are_no_scene(tmp_path):
    opened, make = MAKERS["lsm"]
    make(tmp_path / opened)
    (scene,) = open_recordings(tmp_path / opened)
    assert (scene.axes, scene.shape, scene.channels) == ("ZCYX", (3, 2, 12, 10), ("CD31", "DAPI"))
    for channel, expected in (("CD31", STACK), (1, STACK[:, ::-1])):
        image = open_image(tmp_path / opened, channel=channel)
        assert image.axes == "ZYX" and image.spacing == pytest.approx((2, 0.5, 0.5))
        np.testing.assert_array_equal(image.array(), expected)


# names and words


def test_a_name_that_would_steer_a_terminal_is_shown_as_its_escapes(tmp_path):
    path = tmp_path / "a\x1b[31m\nb.tif"
    text = str(InputError(path, "is damaged", "get another copy"))
    assert "\x1b" not in text and "\n" not in text
    assert text.endswith("a\\x1b[31m\\nb.tif: is damaged; get another copy")


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "pointer of Git LFS"),
        (b"<!DOCTYPE html><html>404</html>", "web page"),
        (b"PK\x03\x04 and so on", "ZIP archive"),
        (b"GIF89a and so on", "GIF picture"),
        (b"OLYMPUSRAWFORMAT and so on", "Olympus OIR"),
    ],
)
@pytest.mark.parametrize("suffix", [".tif", ".png", ".nii", ".dat"])
def test_what_is_something_else_is_called_by_its_name_with_a_way_out(tmp_path, head, said, suffix):
    (tmp_path / f"a{suffix}").write_bytes(head)
    assert said in refusal(tmp_path / f"a{suffix}")


@pytest.mark.parametrize(("suffix", "program"), [(".vsi", "QuPath"), (".stk", "Fiji"), (".oir", "FluoView")])
def test_formats_that_are_not_read_say_by_which_program_they_become_one_that_is(tmp_path, suffix, program):
    (tmp_path / f"a{suffix}").write_bytes(b"something")
    assert program in refusal(tmp_path / f"a{suffix}")


@pytest.mark.parametrize(
    ("name", "other"), [("tiff plain", "a.png"), ("png", "a.tif"), ("jpeg", "a.dat"), ("bmp", "b")]
)
def test_a_file_is_known_by_how_it_begins(tmp_path, name, other):
    opened, make = MAKERS[name]
    make(tmp_path / opened)
    expected = open_image(tmp_path / opened).array()
    (tmp_path / opened).rename(tmp_path / other)
    np.testing.assert_array_equal(open_image(tmp_path / other).array(), expected)


def test_a_folder_says_what_it_leaves_out(tmp_path, caplog):
    tifffile.imwrite(tmp_path / "a.tif", GREY)
    (tmp_path / "b.vsi").write_bytes(b"x")
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "sub").mkdir()
    assert list_images([tmp_path]) == [tmp_path / "a.tif"]
    (record,) = caplog.records
    assert "leaves out what is no image that is read: b.vsi (Olympus VSI: open it in QuPath" in record.getMessage()
    assert "sub (a folder)" in record.getMessage() and "notes" not in record.getMessage()
    (tmp_path / "a.tif").unlink()
    with pytest.raises(InputError, match="it holds Olympus VSI: open it in QuPath"):
        list_images([tmp_path])
