"""Microscope files in and out: axes, channels, pixel sizes and every value survive, and damage is never read over."""

from __future__ import annotations

import errno
import logging
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import imagecodecs
import nibabel
import numpy as np
import oiffile
import PIL.Image
import pytest
import tifffile
import torch
from monai.data import DataLoader, Dataset
from monai.transforms import Compose, Flipd, Invertd, LoadImaged, SaveImage, SaveImaged

from bundle.__main__ import main
from bundle.errors import InputError
from bundle.io import (
    Layout,
    MicroscopyReader,
    OMETiffWriter,
    atomic,
    image_name,
    list_images,
    open_image,
    write_ome_tiff,
    write_ome_tiff_planes,
)
from bundle.phantoms import make_phantom

DATA = Path(os.environ.get("VESSEL_DATA", Path(__file__).parents[2] / "shared" / "data"))
FORMATS = DATA / "formats"
real_data = pytest.mark.skipif(not FORMATS.is_dir(), reason="the real files are not here (VESSEL_DATA)")


def values(shape, dtype=np.uint16, seed=0):
    """Random values over the type's range; the pixel in the last column of the first row is the largest."""
    dtype = np.dtype(dtype)
    rng = np.random.default_rng(seed)
    if dtype.kind == "f":
        array = rng.normal(size=shape).astype(dtype)
        array[..., 0, -1] = 99
        return array
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    info = np.iinfo(dtype)
    array = rng.integers(info.min, info.max, shape, dtype)
    array[..., 0, -1] = info.max
    return array


def refusal(path, **options):
    """Return the one line with which a file is refused, at the latest when its pixels are read."""
    with pytest.raises(InputError) as caught:
        open_image(path, **options).array()
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(str(path))
    return text


# writing and reading back


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.int8, np.int16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize(
    ("axes", "shape", "spacing"), [("YX", (5, 7), (0.5, 0.25)), ("ZYX", (3, 5, 7), (2, 0.5, 0.25))]
)
def test_what_is_written_is_read_back_equal(tmp_path, dtype, axes, shape, spacing):
    array = values(shape, dtype)
    path = tmp_path / "new folder" / "a.ome.tif"
    write_ome_tiff(path, array, axes, spacing)
    image = open_image(path)
    assert (image.axes, image.shape, image.dtype, image.spacing) == (axes, shape, np.dtype(dtype), spacing)
    np.testing.assert_array_equal(image.array(), array)
    assert image.array().dtype == dtype
    assert os.listdir(path.parent) == ["a.ome.tif"]


def test_other_programs_read_the_same_axes_scale_and_values(tmp_path):
    array = values((2, 3, 40, 70))
    write_ome_tiff(tmp_path / "a.tif", array, "CZYX", (2, 0.5, 0.25), ["DAPI", "µ & <GFP>"])
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        assert tiff.series[0].kind == "ome"
        assert tiff.series[0].axes == "CZYX"
        np.testing.assert_array_equal(tiff.asarray(), array)
        pixels = tifffile.xml2dict(tiff.ome_metadata)["OME"]["Image"]["Pixels"]
        assert [pixels[f"PhysicalSize{axis}"] for axis in "ZYX"] == [2, 0.5, 0.25]
        assert [channel["Name"] for channel in pixels["Channel"]] == ["DAPI", "µ & <GFP>"]
        assert tiff.pages[0].get_resolution("micrometer") == (4, 2)
    np.testing.assert_array_equal(open_image(tmp_path / "a.tif", channel="dapi").array(), array[0])
    np.testing.assert_array_equal(open_image(tmp_path / "a.tif", channel="µ & <gfp>").array(), array[1])


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 1), (3, 1, 7), (3, 5, 1), (3, 1, 1)])
def test_images_of_one_row_column_or_pixel_keep_their_shape(tmp_path, shape):
    array = values(shape)
    write_ome_tiff(tmp_path / "a.tif", array, "ZYX"[-len(shape) :])
    tifffile.imwrite(tmp_path / "b.tif", array, photometric="minisblack", metadata=None)
    for name in ("a.tif", "b.tif"):
        np.testing.assert_array_equal(open_image(tmp_path / name).array(), array, strict=True)


def test_unknown_spacing_stays_unknown(tmp_path):
    write_ome_tiff(tmp_path / "a.tif", values((3, 5, 7)), "ZYX")
    assert open_image(tmp_path / "a.tif").spacing is None


def test_masks_are_stored_as_0_and_255(tmp_path):
    mask = values((5, 7), bool)
    write_ome_tiff(tmp_path / "mask.tif", mask, "YX")
    np.testing.assert_array_equal(open_image(tmp_path / "mask.tif").array(), np.where(mask, 255, 0))


def test_the_same_array_gives_the_same_bytes(tmp_path):
    array = values((3, 50, 70))
    write_ome_tiff(tmp_path / "a.tif", array, "ZYX", (1, 1, 1))
    write_ome_tiff_planes(tmp_path / "b.tif", iter(array), Layout(array.shape, array.dtype, "ZYX", (1, 1, 1)))
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


def test_a_stack_is_written_and_read_without_being_in_memory(tmp_path):
    shape = (60, 512, 512)
    plane = values(shape[1:], np.uint8)
    tracemalloc.start()
    write_ome_tiff_planes(tmp_path / "a.tif", (plane + np.uint8(z) for z in range(60)), Layout(shape, np.uint8, "ZYX"))
    sums = [int(plane.sum()) for plane in open_image(tmp_path / "a.tif").planes()]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sums == [int((plane + np.uint8(z)).sum()) for z in range(60)]
    assert peak < 12 * plane.nbytes


@pytest.mark.parametrize("count", [2, 4])
def test_a_wrong_number_of_planes_leaves_no_file(tmp_path, count):
    with pytest.raises(ValueError, match="3"):
        write_ome_tiff_planes(
            tmp_path / "a.tif", [np.zeros((5, 7), np.uint8)] * count, Layout((3, 5, 7), np.uint8, "ZYX")
        )
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("array", "axes", "spacing"),
    [
        (np.zeros((5, 7), np.int64), "YX", None),
        (np.zeros((5, 7), np.uint8), "ZYX", None),
        (np.zeros((3, 5, 7), np.uint8), "ZCY", None),
        (np.zeros((0, 7), np.uint8), "YX", None),
        (np.zeros((5, 7), np.uint8), "YX", (1, 0)),
        (np.zeros((5, 7), np.uint8), "YX", (1, 1, 1)),
    ],
)
def test_an_array_that_does_not_fit_is_not_written(tmp_path, array, axes, spacing):
    with pytest.raises(ValueError):
        write_ome_tiff(tmp_path / "a.tif", array, axes, spacing)
    assert os.listdir(tmp_path) == []


def test_a_page_of_60000_columns_survives(tmp_path):
    array = values((4, 60_000), np.uint8)
    write_ome_tiff(tmp_path / "wide.tif", array, "YX")
    np.testing.assert_array_equal(open_image(tmp_path / "wide.tif").array(), array)


# nothing half-written


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic(path) as partial:
        partial.write_text("new")
        assert partial.parent == tmp_path
        raise RuntimeError
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_path_below_a_file_is_said_in_plain_words(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write there"):
        write_ome_tiff(tmp_path / "file" / "a.tif", values((5, 7)), "YX")


def test_a_folder_of_the_name_is_said_in_plain_words(tmp_path):
    (tmp_path / "a.tif").mkdir()
    with pytest.raises(InputError, match="cannot write there"):
        write_ome_tiff(tmp_path / "a.tif", values((5, 7)), "YX")
    assert os.listdir(tmp_path) == ["a.tif"]


def test_an_input_that_fails_while_an_output_is_written_is_not_blamed_on_the_output(tmp_path):
    with pytest.raises(FileNotFoundError), atomic(tmp_path / "out.txt"):
        (tmp_path / "input.txt").read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a small disk")
def test_a_full_disk_is_said_in_plain_words_and_leaves_nothing(tmp_path):
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting is not permitted here")
    try:
        for array, axes in [(values((300, 400)), "YX"), (values((4, 300, 400)), "ZYX")]:
            with pytest.raises(InputError, match="no room left on the disk"):
                write_ome_tiff(tmp_path / "a.tif", array, axes)
            assert os.listdir(tmp_path) == []
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_short_write_without_a_cause_is_taken_for_what_the_disk_says(tmp_path):
    with pytest.raises(InputError, match="short write"), atomic(tmp_path / "a.tif"):
        raise OSError("short write")  # as NumPy words it, while the disk has room
    with pytest.raises(InputError, match="no room left"), atomic(tmp_path / "a.tif"):
        raise OSError(errno.ENOSPC, "No space left on device")


# axes, channels, time points, scenes


def test_pages_without_declared_axes_are_slices_said_once(tmp_path, caplog):
    array = values((4, 5, 7))
    path = tmp_path / "plain.tif"
    tifffile.imwrite(path, array, metadata=None, photometric="minisblack")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            image = open_image(path)
    assert (image.axes, image.shape) == ("ZYX", (4, 5, 7))
    np.testing.assert_array_equal(image.array(), array)
    assert [str(path) in record.getMessage() for record in caplog.records] == [True]


def test_stated_axes_override_what_the_pages_are(tmp_path, caplog):
    array = values((3, 5, 7))
    path = tmp_path / "plain.tif"
    tifffile.imwrite(path, array, metadata=None, photometric="minisblack")
    image = open_image(path, axes="CYX", channel=2)
    assert (image.axes, image.shape) == ("YX", (5, 7))
    np.testing.assert_array_equal(image.array(), array[2])
    assert not caplog.records
    assert "--channel" in refusal(path, axes="CYX")


@pytest.mark.parametrize("axes", ["YX", "CZYX", "ZXY", "ZZYX", "ZY", "QYX", "TZCYX", ""])
def test_axes_that_contradict_the_shape_are_refused(tmp_path, axes):
    tifffile.imwrite(tmp_path / "a.tif", values((3, 5, 7)), metadata=None, photometric="minisblack")
    assert "3 × 5 × 7" in refusal(tmp_path / "a.tif", axes=axes)


def test_a_single_plane_may_be_a_stack_of_one_slice(tmp_path):
    array = values((5, 7))
    write_ome_tiff(tmp_path / "a.tif", array, "YX", (0.5, 0.25))
    image = open_image(tmp_path / "a.tif", axes="ZYX", spacing=(2, 0.5, 0.25))
    assert (image.axes, image.shape, image.spacing) == ("ZYX", (1, 5, 7), (2, 0.5, 0.25))
    np.testing.assert_array_equal(image.array(), array[None])


@pytest.mark.parametrize("axes", ["TZCYX", "ZCTYX", "CTZYX"])
def test_every_declared_order_gives_the_same_stack(tmp_path, axes):
    array = values((2, 4, 3, 5, 7))  # T, Z, C
    stored = np.moveaxis(array, range(3), [axes.index(axis) for axis in "TZC"])
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, stored, ome=True, metadata={"axes": axes})
    np.testing.assert_array_equal(open_image(path, time=1, channel=2).array(), array[1, :, 2])
    assert "2 times (0, 1); choose one with --time" in refusal(path, channel=0)
    assert "3 channels (0, 1, 2); choose one with --channel" in refusal(path, time=0)
    assert "no channel 3" in refusal(path, time=0, channel=3)
    assert "no channel -1" in refusal(path, time=0, channel=-1)
    assert "no time 2" in refusal(path, time=2, channel=0)


def test_channels_are_listed_and_chosen_by_name_or_number(tmp_path):
    array = values((3, 5, 7))
    write_ome_tiff(tmp_path / "a.tif", array, "CYX", channels=["CD31", "DAPI", "2"])
    assert "(0 CD31, 1 DAPI, 2 2)" in refusal(tmp_path / "a.tif")
    for channel, index in [("cd31", 0), (0, 0), ("1", 1), ("DAPI", 1), ("2", 2)]:
        np.testing.assert_array_equal(open_image(tmp_path / "a.tif", channel=channel).array(), array[index])
    assert "no channel GFP" in refusal(tmp_path / "a.tif", channel="GFP")


def test_two_channels_of_one_name_are_chosen_by_number(tmp_path):
    array = values((2, 5, 7))
    write_ome_tiff(tmp_path / "a.tif", array, "CYX", channels=["GFP", "GFP"])
    assert "2 channels called gfp" in refusal(tmp_path / "a.tif", channel="gfp")
    np.testing.assert_array_equal(open_image(tmp_path / "a.tif", channel=1).array(), array[1])


def test_a_channel_that_the_file_does_not_have_is_refused(tmp_path):
    write_ome_tiff(tmp_path / "a.tif", values((5, 7)), "YX")
    assert open_image(tmp_path / "a.tif", channel=0, time=0, scene=0).shape == (5, 7)
    for option in ("channel", "time", "scene"):
        assert f"no {option} 1" in refusal(tmp_path / "a.tif", **{option: 1})


def test_scenes_are_listed_and_chosen(tmp_path):
    path = tmp_path / "a.ome.tif"
    scenes = {"vessel": values((5, 7)), "soma": values((3, 4, 6), np.uint8)}
    with tifffile.TiffWriter(path, ome=True) as tiff:
        for (name, array), axes in zip(scenes.items(), ["YX", "ZYX"], strict=True):
            tiff.write(array, metadata={"axes": axes, "Name": name, "PhysicalSizeX": len(name), "PhysicalSizeY": 1})
    assert "2 scenes (0 vessel, 1 soma); choose one with --scene" in refusal(path)
    np.testing.assert_array_equal(open_image(path, scene="Soma").array(), scenes["soma"])
    image = open_image(path, scene=0)
    np.testing.assert_array_equal(image.array(), scenes["vessel"])
    assert image.spacing == (1, 6)


def test_an_axis_of_unknown_meaning_must_be_stated(tmp_path):
    array = values((2, 3, 5, 7))
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="minisblack")
    assert "--axes" in refusal(tmp_path / "a.tif")
    np.testing.assert_array_equal(open_image(tmp_path / "a.tif", axes="CZYX", channel=1).array(), array[1])


def test_time_points_that_may_be_slices_are_refused_with_both_ways_out(tmp_path):
    """Fiji calls the pages of an undeclared stack time points as often as slices."""
    array = values((4, 2, 5, 7))
    tifffile.imwrite(tmp_path / "a.tif", array, imagej=True, metadata={"axes": "TCYX"})
    assert "choose one with --time, or say --axes ZCYX if they are slices" in refusal(tmp_path / "a.tif", channel=1)
    np.testing.assert_array_equal(open_image(tmp_path / "a.tif", axes="ZCYX", channel=1).array(), array[:, 1])
    np.testing.assert_array_equal(open_image(tmp_path / "a.tif", time=2, channel=1).array(), array[2, 1])


def test_smaller_copies_of_a_pyramid_are_no_slices(tmp_path):
    array = values((4, 32, 48))
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as tiff:
        tiff.write(array, subifds=1, metadata={"axes": "ZYX"}, tile=(16, 16))
        tiff.write(array[:, ::2, ::2], subfiletype=1, tile=(16, 16))
    np.testing.assert_array_equal(open_image(tmp_path / "a.ome.tif").array(), array)


def test_threads_may_share_an_image(tmp_path):
    array = values((40, 30, 50))
    write_ome_tiff(tmp_path / "a.tif", array, "ZYX")
    image = open_image(tmp_path / "a.tif")
    with ThreadPoolExecutor(8) as pool:
        np.testing.assert_array_equal(list(pool.map(image.plane, range(40))), array)


# colours


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_colours_that_are_equal_are_grey_and_others_must_be_chosen(tmp_path, suffix):
    def save(array):
        path = tmp_path / f"a.{suffix}"
        if suffix == "tif":
            tifffile.imwrite(path, array, photometric="rgb")
        else:
            PIL.Image.fromarray(array).save(path)
        return path

    grey = values((5, 7), np.uint8)
    np.testing.assert_array_equal(open_image(save(np.dstack([grey] * 3))).array(), grey)
    coloured = values((5, 7, 3), np.uint8)
    path = save(coloured)
    assert "--channel: red, green or blue" in refusal(path)
    for channel, index in [("red", 0), ("Green", 1), ("blue", 2), (2, 2), ("0", 0)]:
        np.testing.assert_array_equal(open_image(path, channel=channel).array(), coloured[..., index])
    assert "no channel 3" in refusal(path, channel=3)


def test_samples_in_separate_planes_are_colours_too(tmp_path):
    array = values((3, 5, 7), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(open_image(tmp_path / "a.tif", channel="green").array(), array[1])


def test_slices_stored_as_colours_are_slices_again_if_axes_say_so(tmp_path):
    """Programs store a stack of three slices as separate red, green and blue by default."""
    array = values((3, 5, 7), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="rgb", planarconfig="separate")
    image = open_image(tmp_path / "a.tif", axes="ZYX")
    np.testing.assert_array_equal(image.array(), array)
    tifffile.imwrite(tmp_path / "b.tif", np.moveaxis(array, 0, -1), photometric="rgb")
    np.testing.assert_array_equal(open_image(tmp_path / "b.tif", axes="YXC", channel=1).array(), array[1])
    assert "contradict" in refusal(tmp_path / "b.tif", axes="ZYX")


def test_a_constant_transparency_is_ignored_and_a_varying_one_refused(tmp_path):
    grey = values((5, 7), np.uint8)
    PIL.Image.fromarray(np.dstack([grey, grey, grey, np.full_like(grey, 255)])).save(tmp_path / "a.png")
    np.testing.assert_array_equal(open_image(tmp_path / "a.png").array(), grey)
    PIL.Image.fromarray(np.dstack([grey, grey[::-1]])).save(tmp_path / "a.png")
    assert "transparency" in refusal(tmp_path / "a.png")
    np.testing.assert_array_equal(open_image(tmp_path / "a.png", channel=0).array(), grey)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, bool])
def test_png_values_are_kept(tmp_path, dtype):
    array = values((5, 7), dtype)
    PIL.Image.fromarray(array).save(tmp_path / "a.png")
    image = open_image(tmp_path / "a.png")
    np.testing.assert_array_equal(image.array(), array)
    assert image.dtype == image.array().dtype == dtype


def test_png_colours_of_16_bit_are_not_cut_to_8(tmp_path):
    array = values((5, 7, 3))
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(array))
    np.testing.assert_array_equal(open_image(tmp_path / "a.png", channel="blue").array(), array[..., 2])
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(np.dstack([array[..., 0]] * 3)))
    np.testing.assert_array_equal(open_image(tmp_path / "a.png").array(), array[..., 0])


def test_colours_in_ome_tiff_are_one_channel_of_three_samples(tmp_path):
    array = values((4, 5, 7, 3), np.uint8)
    tifffile.imwrite(tmp_path / "a.ome.tif", array, ome=True, photometric="rgb", metadata={"axes": "ZYXS"})
    np.testing.assert_array_equal(open_image(tmp_path / "a.ome.tif", channel="red").array(), array[..., 0])
    assert "red, green or blue" in refusal(tmp_path / "a.ome.tif")


def test_a_colour_of_one_of_several_colour_channels_is_chosen_by_both(tmp_path):
    array = values((2, 5, 7, 3), np.uint8)
    tifffile.imwrite(tmp_path / "a.ome.tif", array, ome=True, photometric="rgb", metadata={"axes": "CYXS"})
    assert "2 channels" in refusal(tmp_path / "a.ome.tif")
    assert "red, green or blue, after the channel" in refusal(tmp_path / "a.ome.tif", channel=1)
    np.testing.assert_array_equal(open_image(tmp_path / "a.ome.tif", channel="1 blue").array(), array[1, ..., 2])


def test_a_palette_is_read_as_the_colours_it_means(tmp_path):
    picture = PIL.Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8), "P")
    picture.putpalette([9, 9, 9, 200, 200, 200, 30, 30, 30])
    picture.save(tmp_path / "a.png")
    np.testing.assert_array_equal(open_image(tmp_path / "a.png").array(), [[9, 200], [30, 200]])


# pixel sizes


@pytest.mark.parametrize(
    ("size", "unit", "micrometres"),
    [("500", "nm", 0.5), ("0.5", "µm", 0.5), ("0.0005", "mm", 0.5), ("0.5", None, 0.5), ("1", "pixel", None)],
)
def test_ome_units_become_micrometres(tmp_path, size, unit, micrometres):
    named = f'PhysicalSizeXUnit="{unit}" PhysicalSizeYUnit="{unit}"' if unit else ""
    write_ome(tmp_path / "a.ome.tif", f'PhysicalSizeX="{size}" PhysicalSizeY="{size}" {named}')
    spacing = open_image(tmp_path / "a.ome.tif").spacing
    assert spacing == (None if micrometres is None else pytest.approx((micrometres, micrometres), rel=1e-12))


@pytest.mark.parametrize("size", ["0", "NaN", "-1", "INF", "1e9", "1e-9", "wide"])
def test_impossible_pixel_sizes_are_dropped_with_one_warning(tmp_path, caplog, size):
    path = tmp_path / "a.ome.tif"
    write_ome(path, f'PhysicalSizeX="{size}" PhysicalSizeY="0.5"')
    assert [open_image(path).spacing for _ in range(2)] == [None, None]
    assert [str(path) in record.getMessage() for record in caplog.records] == [True]
    assert open_image(path, spacing=(0.5, 0.5)).spacing == (0.5, 0.5)


def write_ome(path, attributes, data="<TiffData/>", root="", sizes='SizeZ="1" SizeC="1" SizeT="1"', planes=1):
    xml = (
        f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" {root}><Image ID="Image:0">'
        f'<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="7" SizeY="5" {sizes} {attributes}>'
        f'<Channel ID="Channel:0:0"/>{data}</Pixels></Image></OME>'
    )
    array = values((planes, 5, 7))
    tifffile.imwrite(path, array, description=xml.encode(), metadata=None, photometric="minisblack")
    return array


@pytest.mark.parametrize("unit", ["micron", "um", "\\u00B5m", "microns"])
def test_imagej_units_are_micrometres(tmp_path, unit):
    options = {"imagej": True, "resolution": (4, 2), "metadata": {"unit": unit, "spacing": 3.0, "axes": "ZYX"}}
    tifffile.imwrite(tmp_path / "a.tif", values((3, 5, 7)), **options)
    assert open_image(tmp_path / "a.tif").spacing == (3, 0.5, 0.25)


@pytest.mark.parametrize("unit", [{"unit": "inch"}, {"unit": "pixel"}, {}])
def test_imagej_files_without_a_length_have_no_spacing(tmp_path, unit):
    metadata = {"axes": "ZYX", "spacing": 3.0} | unit
    tifffile.imwrite(tmp_path / "a.tif", values((3, 5, 7)), imagej=True, resolution=(4, 2), metadata=metadata)
    assert open_image(tmp_path / "a.tif").spacing is None


@pytest.mark.parametrize("spacing", [0.0, -1.0])
def test_an_imagej_z_step_of_nothing_is_dropped_with_a_warning(tmp_path, caplog, spacing):
    options = {"imagej": True, "resolution": (4, 2), "metadata": {"unit": "um", "spacing": spacing, "axes": "ZYX"}}
    tifffile.imwrite(tmp_path / "a.tif", values((3, 5, 7)), **options)
    assert open_image(tmp_path / "a.tif").spacing is None
    assert len(caplog.records) == 1


def test_the_z_step_that_imagej_leaves_out_is_1_and_said(tmp_path, caplog):
    options = {"imagej": True, "resolution": (4, 2), "metadata": {"unit": "um", "axes": "ZYX"}}
    tifffile.imwrite(tmp_path / "a.tif", values((3, 5, 7)), **options)
    assert open_image(tmp_path / "a.tif").spacing == (1, 0.5, 0.25)
    assert "no z step" in caplog.text


def test_dots_per_inch_are_no_calibration(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", values((5, 7)), resolution=(72, 72), resolutionunit="INCH", metadata=None)
    assert open_image(tmp_path / "a.tif").spacing is None


def test_a_given_spacing_overrides_the_file(tmp_path):
    write_ome_tiff(tmp_path / "a.tif", values((5, 7)), "YX", (1, 1))
    assert open_image(tmp_path / "a.tif", spacing=(0.5, 0.25)).spacing == (0.5, 0.25)
    assert open_image(tmp_path / "a.tif", spacing=(2, 0.5, 0.25)).spacing == (0.5, 0.25)
    for spacing in [(1,), (0, 1), (np.nan, 1), (1, 1, 1, 1)]:
        assert "spacing" in refusal(tmp_path / "a.tif", spacing=spacing)


# bad files


def test_what_is_no_image_file_is_refused_in_one_line(tmp_path):
    assert "no such file" in refusal(tmp_path / "a.tif")
    assert "folder" in refusal(tmp_path)
    (tmp_path / "folder.tif").mkdir()
    assert "folder" in refusal(tmp_path / "folder.tif")
    for suffix in ("tif", "png", "nii", "nii.gz", "oib", "oif", "czi", "lif", "nd2"):
        path = tmp_path / f"a.{suffix}"
        path.touch()
        assert "empty" in refusal(path)
        path.write_text("slice,area\n1,2\n" * 100)
        refusal(path)
    (tmp_path / "a.txt").write_text("text")
    assert ".tif, .tiff, .lsm" in refusal(tmp_path / "a.txt")


def plain(path, array, **options):
    with tifffile.TiffWriter(path) as tiff:
        for plane in array:
            tiff.write(plane, metadata=None, photometric="minisblack", contiguous=False, **options)


STACKS = {
    "ome.tif": lambda path, array: write_ome_tiff(path, array, "ZYX"),
    "imagej.tif": lambda path, array: tifffile.imwrite(path, array, imagej=True, metadata={"axes": "ZYX"}),
    "plain.tif": plain,
    "lzw.tif": lambda path, array: plain(path, array, compression="lzw"),
    "big.tif": lambda path, array: tifffile.imwrite(path, array, bigtiff=True, byteorder=">"),
    "tiled.tif": lambda path, array: plain(path, array, tile=(16, 16)),
    "a.nii": lambda path, array: nibabel.save(nibabel.Nifti1Image(array.T, np.eye(4)), path),
    "a.nii.gz": lambda path, array: nibabel.save(nibabel.Nifti1Image(array.T, np.eye(4)), path),
}


@pytest.mark.parametrize("name", STACKS)
def test_a_truncated_stack_is_refused_wherever_it_breaks_off(tmp_path, name):
    array = values((6, 20, 30))
    path = tmp_path / name
    STACKS[name](path, array)
    np.testing.assert_array_equal(open_image(path).array(), array)
    whole = path.read_bytes()
    for kept in np.linspace(0.02, 0.99, 25):
        path.write_bytes(whole[: int(kept * len(whole))])
        refusal(path)


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp"])
def test_a_truncated_picture_is_refused(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    PIL.Image.fromarray(values((50, 70), np.uint8)).save(path)
    whole = path.read_bytes()
    for kept in (0.02, 0.3, 0.9):
        path.write_bytes(whole[: int(kept * len(whole))])
        refusal(path)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("count", [6, 16])
@pytest.mark.parametrize("odd", [(7, 6), (4, 6)])
def test_a_page_of_another_size_in_mid_stack_is_refused(tmp_path, compression, count, odd):
    shapes = [(5, 6)] * 3 + [odd] + [(5, 6)] * (count - 4)
    plain(tmp_path / "a.tif", [np.ones(shape, np.uint8) for shape in shapes], compression=compression)
    assert " × ".join(map(str, odd)) in refusal(tmp_path / "a.tif")


def test_a_page_of_another_type_in_mid_stack_is_refused(tmp_path):
    pages = [np.ones((5, 6), np.uint16 if i == 3 else np.uint8) for i in range(16)]
    plain(tmp_path / "a.tif", pages)
    refusal(tmp_path / "a.tif")


def test_imagej_planes_that_are_missing_are_refused(tmp_path):
    path = tmp_path / "a.tif"
    description = "ImageJ=1.53t\nimages=9\nslices=9\n"
    with tifffile.TiffWriter(path) as tiff:
        for plane in values((6, 5, 7)):
            tiff.write(plane, description=description, metadata=None, contiguous=False, compression="zlib")
            description = None
    assert "declares 9 planes and holds 6" in refusal(path)


def test_ome_planes_that_are_missing_are_refused(tmp_path):
    write_ome(tmp_path / "a.ome.tif", "", sizes='SizeZ="9" SizeC="1" SizeT="1"', planes=6)
    assert "declares 9 planes and holds 6" in refusal(tmp_path / "a.ome.tif")


@pytest.mark.parametrize(("value", "said"), [(np.inf, "infinity"), (3e38, "3e+38"), (-3e38, "3e+38")])
def test_one_pixel_that_is_no_grey_value_is_refused_where_it_is(tmp_path, value, said):
    array = values((3, 5, 7), np.float32)
    array[1, 2, 3] = value
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="minisblack", metadata={"axes": "ZYX"})
    image = open_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(image.plane(0), array[0])
    with pytest.raises(InputError, match=f"slice 2 of 3 holds {re.escape(said)}, which is no grey value"):
        image.plane(1)


@pytest.mark.parametrize(("factor", "said"), [(1e300, "no grey value"), (1e-310, "only; multiply them")])
def test_values_that_no_32_bit_number_holds_are_refused_for_what_they_are(tmp_path, factor, said):
    tifffile.imwrite(tmp_path / "a.tif", factor * np.abs(values((5, 7), np.float64)), photometric="minisblack")
    assert said in refusal(tmp_path / "a.tif")


@pytest.mark.parametrize("lowest", [-3.5, 7.0])
def test_nan_is_a_margin_with_the_lowest_value_of_all_slices(tmp_path, caplog, lowest):
    array = np.abs(values((3, 5, 7), np.float32)) + 10
    array[2, 4, 4] = lowest
    expected = array.copy()
    array[0], array[1, :2], expected[0], expected[1, :2] = np.nan, np.nan, lowest, lowest
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="minisblack", metadata={"axes": "ZYX"})
    image = open_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(image.array(), expected)
    np.testing.assert_array_equal(image.rows(1, 1, 4), expected[1, 1:4])
    assert "margin" in caplog.text


def test_nothing_but_nan_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.full((3, 5, 7), np.nan, np.float32), metadata={"axes": "ZYX"})
    assert "nothing but NaN" in refusal(tmp_path / "a.tif")


def test_complex_values_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.ones((5, 7), np.complex64))
    assert "complex64" in refusal(tmp_path / "a.tif")


def test_damage_inside_a_page_names_the_slice(tmp_path):
    write_ome_tiff(tmp_path / "a.tif", values((3, 50, 70)), "ZYX")
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        offset = tiff.pages[1].dataoffsets[0]
    content = bytearray((tmp_path / "a.tif").read_bytes())
    content[offset : offset + 50] = b"x" * 50
    (tmp_path / "a.tif").write_bytes(content)
    assert "slice 2 of 3 cannot be read" in refusal(tmp_path / "a.tif")


def ome_with_its_description_at_the_end(path, array, axes):
    """As Bio-Formats writes: the pages, and behind them the OME-XML."""
    sizes = " ".join(f'Size{axis}="{dict(zip(axes, array.shape, strict=True)).get(axis, 1)}"' for axis in "XYZCT")
    xml = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0"><Pixels ID="Pixels:0" '
        f'DimensionOrder="XY{axes[1::-1] if len(axes) == 4 else axes[0]}{"".join(a for a in "ZCT" if a not in axes)}" '
        f'Type="uint16" {sizes}><TiffData/></Pixels></Image></OME>'
    ).encode()
    planes = array.reshape(-1, *array.shape[-2:])
    tifffile.imwrite(path, planes, description=b"x" * len(xml), metadata=None, photometric="minisblack")
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        tag = tiff.pages[0].tags[270]
        content[tag.offset + 8 : tag.offset + 12] = len(content).to_bytes(4, "little")
    path.write_bytes(content + xml + b"\0")
    return len(content), len(xml)


@pytest.mark.parametrize(("axes", "shape"), [("CYX", (3, 5, 7)), ("ZCYX", (5, 2, 5, 7))])
def test_a_description_that_is_cut_off_is_damage_and_no_stack_of_unknown_pages(tmp_path, axes, shape):
    path, array = tmp_path / "a.ome.tif", values(shape)
    start, length = ome_with_its_description_at_the_end(path, array, axes)
    np.testing.assert_array_equal(open_image(path, channel=1).array(), np.take(array, 1, axes.index("C")))
    whole = path.read_bytes()
    for kept in (start - 2, start, start + 5, start + length // 2, len(whole) - 1):
        path.write_bytes(whole[:kept])
        assert "truncated" in refusal(path, channel=1)


@pytest.mark.parametrize("damage", [(b"<OME", b"<0ME"), (b"</Pixels>", b"</Pixel5>"), (b'SizeC="3"', b'SizeC="x"')])
def test_pages_whose_ome_xml_is_damaged_are_read_only_if_their_axes_are_stated(tmp_path, damage):
    path, array = tmp_path / "a.ome.tif", values((3, 5, 7))
    ome_with_its_description_at_the_end(path, array, "CYX")
    path.write_bytes(path.read_bytes().replace(*damage))
    assert "state what its 3 planes are with --axes" in refusal(path)
    np.testing.assert_array_equal(open_image(path, axes="CYX", channel=2).array(), array[2])


# files that belong together


def ome_pair(folder):
    """Write a stack of four slices as two OME-TIFF files; return its values."""
    data = "".join(
        f'<TiffData FirstZ="{z}" IFD="{z % 2}" PlaneCount="1"><UUID FileName="{name}">urn:uuid:{name}</UUID></TiffData>'
        for z, name in enumerate(["a.ome.tif", "a.ome.tif", "b.ome.tif", "b.ome.tif"])
    )
    sizes = 'SizeZ="4" SizeC="1" SizeT="1"'
    write_ome(folder / "a.ome.tif", "", data, 'UUID="urn:uuid:a.ome.tif"', sizes, planes=2)
    return write_ome(folder / "b.ome.tif", "", data, 'UUID="urn:uuid:b.ome.tif"', sizes, planes=2)


def test_an_ome_stack_in_two_files_is_one_stack(tmp_path):
    half = ome_pair(tmp_path)
    image = open_image(tmp_path / "a.ome.tif")
    assert image.shape == (4, 5, 7)
    np.testing.assert_array_equal(image.array(), np.concatenate([half, half]))


def test_a_missing_file_of_an_ome_stack_is_named(tmp_path):
    ome_pair(tmp_path)
    (tmp_path / "b.ome.tif").unlink()
    assert "b.ome.tif, which is missing" in refusal(tmp_path / "a.ome.tif")


def test_a_renamed_ome_file_is_still_itself(tmp_path):
    data = '<TiffData IFD="0" PlaneCount="1"><UUID FileName="old.ome.tif">urn:uuid:1</UUID></TiffData>'
    array = write_ome(tmp_path / "new.ome.tif", "", data, 'UUID="urn:uuid:1"')
    np.testing.assert_array_equal(open_image(tmp_path / "new.ome.tif").array(), array[0])


@real_data
def test_planes_in_single_files_are_read_by_their_companion(tmp_path):
    source = FORMATS / "ometiff" / "viv_multifile"
    folder = shutil.copytree(source, tmp_path / "set")
    array = np.stack([tifffile.imread(folder / f"multifile-Z{z}.ome.tiff") for z in range(1, 6)])
    assert list_images([folder]) == [folder / "multifile.companion.ome"]
    for name in ("multifile.companion.ome", "multifile-Z3.ome.tiff"):
        image = open_image(folder / name)
        assert image.axes == "ZYX"
        np.testing.assert_array_equal(image.array(), array)
    (folder / "multifile-Z4.ome.tiff").unlink()
    assert "multifile-Z4.ome.tiff, which is missing" in refusal(folder / "multifile.companion.ome")
    (folder / "multifile.companion.ome").unlink()
    assert "multifile.companion.ome, which is missing" in refusal(folder / "multifile-Z3.ome.tiff")


# FluoView


def write_oif(path, array, step=(840, "nm")):
    """Write a FluoView z-stack ``[C, Z, Y, X]`` as the microscope does: settings, and a file for every plane."""
    channels, slices, height, width = array.shape
    axes = [("X", width, 0, 0, "um"), ("Y", height, 0, 0, "um"), ("C", channels, 1, channels, "Ch")]
    axes.append(("Z", slices, 1000.0, 1000.0 - step[0] * (slices - 1), step[1]))
    lines = ["[Axis Parameter Common]", "AxisCount=4", 'AxisOrder="XYCZ"']
    for i in range(8):
        code, size, start, end, unit = axes[i] if i < 4 else ("TALP"[i - 4], 0, 0, 0, "ms")
        lines += [f"[Axis {i} Parameters Common]", f'AxisCode="{code}"', f"MaxSize={size}", f'UnitName="{unit}"']
        lines += [f"StartPosition={start}", f"EndPosition={end}"] + ([f"Interval={step[0]}"] if code == "Z" else [])
    for i in range(channels):
        lines += [f"[Channel {i + 1} Parameters]", f'CH Name="CH{i + 1}"']
    lines += [
        "[ProfileSaveInfo]",
        'Name="OIF"',
        'Version="2.0.0.0"',
        "[Reference Image Parameter]",
        "ValidBitCounts=12",
    ]
    for side, length in (("Width", 0.25), ("Height", 0.5)):
        lines += [f"{side}ConvertValue={length}", f'{side}Unit="um"']
    path.write_bytes(("\ufeff" + "\r\n".join(lines) + "\r\n").encode("utf-16-le"))
    folder = path.with_name(f"{path.name}.files")
    folder.mkdir()
    for channel, slice_ in np.ndindex(channels, slices):
        tifffile.imwrite(folder / f"s_C{channel + 1:03}Z{slice_ + 1:03}.tif", array[channel, slice_], metadata=None)


def test_a_fluoview_stack_is_read_slice_by_slice_with_its_z_step(tmp_path):
    array = values((2, 12, 5, 7))
    write_oif(tmp_path / "a stack.oif", array)
    image = open_image(tmp_path / "a stack.oif", channel="CH2")
    assert (image.axes, image.shape, image.channel_names) == ("ZYX", (12, 5, 7), ("CH1", "CH2"))
    assert image.spacing == pytest.approx((0.84, 0.5, 0.25), rel=1e-12)
    np.testing.assert_array_equal(image.array(), array[1])
    assert "(0 CH1, 1 CH2)" in refusal(tmp_path / "a stack.oif")
    # only the slice that is asked for is touched
    (tmp_path / "a stack.oif.files" / "s_C002Z003.tif").write_bytes(b"")
    np.testing.assert_array_equal(image.plane(3), array[1, 3])
    with pytest.raises(InputError, match="slice 3 of 12"):
        image.plane(2)


def test_a_phantom_as_fluoview_stores_it_is_the_phantom_again_one_plane_in_memory_at_a_time(tmp_path):
    phantom = make_phantom((40, 256, 256), (2, 0.5, 0.25), seed=3)
    write_oif(tmp_path / "a.oif", phantom.stack[None], step=(2000, "nm"))
    tracemalloc.start()
    image = open_image(tmp_path / "a.oif")
    for plane, truth in zip(image.planes(), phantom.stack, strict=True):
        np.testing.assert_array_equal(plane, truth)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert image.spacing == pytest.approx(phantom.spacing)
    assert peak < phantom.stack.nbytes / 4


def test_a_fluoview_z_step_of_nothing_is_dropped_and_said_once(tmp_path, caplog):
    array = values((1, 4, 5, 7))
    write_oif(tmp_path / "a.oif", array, step=(0, "nm"))
    assert [open_image(tmp_path / "a.oif").spacing for _ in range(2)] == [None, None]
    assert ["impossible pixel size (Z 0 µm)" in record.getMessage() for record in caplog.records] == [True]
    np.testing.assert_array_equal(open_image(tmp_path / "a.oif").array(), array[0])
    assert open_image(tmp_path / "a.oif", spacing=(1, 0.5, 0.25)).spacing == (1, 0.5, 0.25)


def test_a_fluoview_stack_of_one_slice_is_an_image(tmp_path):
    array = values((1, 1, 5, 7))
    write_oif(tmp_path / "a.oif", array)
    image = open_image(tmp_path / "a.oif")
    assert (image.axes, image.spacing) == ("YX", (0.5, 0.25))
    np.testing.assert_array_equal(image.array(), array[0, 0])


def test_a_fluoview_plane_of_another_size_or_cut_off_is_refused_where_it_is(tmp_path):
    write_oif(tmp_path / "a.oif", values((1, 4, 5, 7)))
    plane = tmp_path / "a.oif.files" / "s_C001Z003.tif"
    whole = plane.read_bytes()
    plane.write_bytes(whole[: len(whole) // 2])
    assert "slice 3 of 4" in refusal(tmp_path / "a.oif") or "truncated" in refusal(tmp_path / "a.oif")
    tifffile.imwrite(plane, values((5, 8)), metadata=None)
    assert "slice 3 of 4 is 5 × 8 pixels, where 5 × 7 are declared" in refusal(tmp_path / "a.oif")


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.float32, np.float64])
def test_signed_and_float_values_keep_their_sign_and_type(tmp_path, dtype):
    array = values((3, 5, 7), dtype)
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="minisblack", metadata={"axes": "ZYX"})
    image = open_image(tmp_path / "a.tif")
    assert array.min() < 0 and image.dtype == dtype
    np.testing.assert_array_equal(image.array(), array, strict=True)


@pytest.mark.parametrize("step", [0.0, -1.0])
def test_a_nifti_step_of_nothing_is_dropped_and_said(tmp_path, caplog, step):
    array = values((4, 5, 7), np.int16)
    image = nibabel.Nifti1Image(array.T, np.diag([0.25, 0.5, 2, 1]))
    image.header.set_xyzt_units("micron")
    content = bytearray(image.to_bytes())
    content[88:92] = np.float32(step).tobytes()  # pixdim[3], the step along Z
    (tmp_path / "a.nii").write_bytes(content)
    assert open_image(tmp_path / "a.nii").spacing is None
    assert len([record for record in caplog.records if record.name.startswith("bundle")]) == 1
    np.testing.assert_array_equal(open_image(tmp_path / "a.nii").array(), array)


def test_a_fluoview_stack_with_missing_parts_says_which(tmp_path):
    write_oif(tmp_path / "a.oif", values((1, 4, 5, 7)))
    (tmp_path / "a.oif.files" / "s_C001Z003.tif").unlink()
    assert "lacks 1 of its planes, the first at Z 3, C 1" in refusal(tmp_path / "a.oif")
    shutil.rmtree(tmp_path / "a.oif.files")
    assert "a.oif.files, which is missing" in refusal(tmp_path / "a.oif")


@real_data
def test_a_truncated_oib_is_refused_or_read_whole(tmp_path):
    whole = (FORMATS / "oib" / "test.oib").read_bytes()
    path = tmp_path / "a.oib"
    for kept in np.linspace(0.02, 0.99, 12):
        path.write_bytes(whole[: int(kept * len(whole))])
        try:  # its last bytes are no plane's
            planes = [open_image(path, channel=channel).array() for channel in range(3)]
        except InputError:
            continue
        np.testing.assert_array_equal(planes, oiffile.imread(FORMATS / "oib" / "test.oib"))


# NIfTI


@pytest.mark.parametrize("suffix", ["nii", "nii.gz"])
def test_nifti_is_read_as_zyx_with_its_units(tmp_path, suffix):
    array = values((4, 5, 7), np.int16)  # Z, Y, X
    path = tmp_path / f"a.{suffix}"
    image = nibabel.Nifti1Image(array.T, np.diag([0.25, 0.5, 2, 1]))
    for unit, factor in [("micron", 1), ("mm", 1000), ("unknown", None)]:
        image.header.set_xyzt_units(unit)
        nibabel.save(image, path)
        read = open_image(path)
        assert read.axes == "ZYX"
        assert read.spacing == (None if factor is None else (2 * factor, 0.5 * factor, 0.25 * factor))
        np.testing.assert_array_equal(read.array(), array)
        assert read.array().dtype == np.int16


def test_nifti_of_one_plane_is_an_image(tmp_path):
    array = values((5, 7), np.uint8)
    nibabel.save(nibabel.Nifti1Image(array.T[..., None], np.eye(4)), tmp_path / "a.nii")
    assert open_image(tmp_path / "a.nii").axes == "YX"
    np.testing.assert_array_equal(open_image(tmp_path / "a.nii").array(), array)


# names and lists


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("a.tif", "a"),
        ("a.ome.tif", "a"),
        ("a.OME.TIFF", "a"),
        ("a.nii.gz", "a"),
        ("356.png", "356"),
        ("1e5.tif", "1e5"),
        ("a #6.tif", "a #6"),
        ("x@y.z.tif", "x@y.z"),
        ("ome.tif", "ome"),
    ],
)
def test_the_name_of_an_input_is_its_file_name_without_suffix(file, name):
    assert image_name(Path("folder.tif") / file) == name


def touch(folder, *names):
    for name in names:
        (folder / name).write_bytes(b"x")


def test_a_folder_means_its_readable_files(tmp_path):
    touch(tmp_path, "b.tif", "a.png", ".hidden.tif", "notes.txt", "a_mask.tif")
    (tmp_path / "sub").mkdir()
    touch(tmp_path / "sub", "c.tif")
    assert [path.name for path in list_images([tmp_path])] == ["a.png", "a_mask.tif", "b.tif"]


def test_names_arrive_as_typed_and_what_exists_wins_over_a_pattern(tmp_path):
    names = ["[1].tif", "1.tif", "a #6 @2.tif", "x*.tif"] if os.name != "nt" else ["[1].tif", "1.tif", "a #6 @2.tif"]
    touch(tmp_path, *names)
    for name in names:
        assert list_images([str(tmp_path / name)]) == [tmp_path / name]
    assert list_images([str(tmp_path / "[2-9 1].tif")]) == [tmp_path / "1.tif"]
    assert list_images([str(tmp_path / "a*.tif"), tmp_path / "1.tif", tmp_path / "1.tif"]) == [
        tmp_path / "a #6 @2.tif",
        tmp_path / "1.tif",
    ]


def test_two_files_of_one_name_are_refused_naming_both(tmp_path):
    touch(tmp_path, "a.tif", "a.ome.tif", "b.tif")
    with pytest.raises(InputError) as caught:
        list_images([tmp_path])
    assert str(tmp_path / "a.tif") in str(caught.value)
    assert str(tmp_path / "a.ome.tif") in str(caught.value)


def test_nothing_found_is_an_error(tmp_path):
    (tmp_path / "empty").mkdir()
    for given in ([tmp_path / "empty"], [tmp_path / "nope.tif"], [tmp_path / "*.tif"], []):
        with pytest.raises(InputError):
            list_images(given)


def test_single_images_of_a_folder_are_one_stack_in_the_order_of_their_numbers(tmp_path):
    array = values((12, 5, 7))
    for z, plane in enumerate(array):
        write_ome_tiff(tmp_path / "mouse" / f"s_z{z + 1}.tif", plane, "YX", (0.5, 0.25))
    image = open_image(tmp_path / "mouse")
    assert (image.axes, image.spacing) == ("ZYX", None)
    assert open_image(tmp_path / "mouse", spacing=(2, 0.5, 0.25)).spacing == (2, 0.5, 0.25)
    np.testing.assert_array_equal(image.array(), array)
    np.testing.assert_array_equal(image.rows(9, 1, 4), array[9, 1:4])
    words = ["--spacing", "2", "0.5", "0.25", "--output", str(tmp_path / "out"), "--method", "maximum"]
    assert main(["fuse", "--stack-from", str(tmp_path / "mouse"), *words]) == 0
    fused = open_image(tmp_path / "out" / "mouse_fused.tif")
    np.testing.assert_array_equal(fused.array(), array.max(axis=0))
    assert fused.spacing == (0.5, 0.25)
    write_ome_tiff(tmp_path / "mouse" / "s_z9.tif", values((5, 8)), "YX")
    with pytest.raises(InputError, match=r"s_z9\.tif: is 5 × 8 uint16, the first slice 5 × 7 uint16"):
        open_image(tmp_path / "mouse").array()


# MONAI


@pytest.mark.parametrize(
    ("axes", "spacing"), [("YX", (0.5, 0.25)), ("ZYX", (2, 0.5, 0.25)), ("YX", None), ("ZYX", None)]
)
@pytest.mark.parametrize("reader", [MicroscopyReader(), "bundle.io.MicroscopyReader", MicroscopyReader])
def test_rows_and_columns_survive_monai(tmp_path, axes, spacing, reader):
    array = values((3, 5, 7)[-len(axes) :])
    path = tmp_path / "a.tif"
    write_ome_tiff(path, array, axes, spacing)
    image = LoadImaged("image", reader=reader, ensure_channel_first=True)({"image": path})["image"]
    assert image.shape == (1, *array.T.shape)
    assert image[0, -1, 0].max() == array.max()
    assert image.dtype == torch.float32
    assert image.meta.get("spacing") == spacing
    assert image.meta["original_dtype"] == "uint16"
    assert torch.equal(
        image.affine.diagonal()[: len(axes)], torch.tensor((spacing or (1,) * 3)[::-1][: len(axes)]).double()
    )
    SaveImage(
        tmp_path / "out", "mask", ".tif", np.uint16, writer=OMETiffWriter, separate_folder=False, print_log=False
    )(image)
    written = open_image(tmp_path / "out" / "a_mask.tif")
    assert (written.axes, written.spacing, written.dtype) == (axes, spacing, np.uint16)
    np.testing.assert_array_equal(written.array(), array)


@pytest.mark.parametrize("shape", [(2, 5, 7), (2, 3, 5, 7), (1, 1, 5, 7), (3, 1, 5, 7)])
def test_channels_and_single_slices_keep_their_place(tmp_path, shape):
    array = values(shape, np.float32)
    writer = OMETiffWriter()
    writer.set_data_array(torch.from_numpy(np.swapaxes(array, 1, -1).copy()))
    writer.set_metadata({})
    writer.write(tmp_path / "a.tif")
    expected = array[0] if shape[0] == 1 else array
    np.testing.assert_array_equal(np.squeeze(tifffile.imread(tmp_path / "a.tif")), np.squeeze(expected))
    if shape[0] > 1:
        np.testing.assert_array_equal(open_image(tmp_path / "a.tif", channel=1).array(), np.squeeze(array[1]))


def test_what_was_flipped_and_inverted_is_saved_as_it_was(tmp_path):
    array = values((5, 7), np.uint8)
    write_ome_tiff(tmp_path / "a.tif", array, "YX", (0.5, 0.25))
    load = Compose([LoadImaged("image", reader=MicroscopyReader(), ensure_channel_first=True), Flipd("image", 0)])
    options = {"output_ext": ".tif", "output_dtype": np.uint8, "writer": "bundle.io.OMETiffWriter", "print_log": False}
    back = Compose(
        [
            Invertd("image", load, nearest_interp=True),
            SaveImaged("image", output_dir=tmp_path / "out", output_postfix="", separate_folder=False, **options),
        ]
    )
    loaded = load({"image": tmp_path / "a.tif"})
    assert loaded["image"][0, 0, 0] == 255
    back(loaded)
    image = open_image(tmp_path / "out" / "a.tif")
    np.testing.assert_array_equal(image.array(), array)
    assert image.spacing == (0.5, 0.25)


def test_values_of_0_to_1_are_scaled_on_request(tmp_path):
    writer = OMETiffWriter(scale=255)
    writer.set_data_array(np.array([[[0, 0.5], [1, 2]]]))
    writer.set_metadata(None)
    writer.write(tmp_path / "a.tif")
    np.testing.assert_array_equal(open_image(tmp_path / "a.tif").array(), [[0, 255], [128, 255]])


def test_a_refused_file_is_not_read_by_another_reader(tmp_path):
    """Pillow would give the first page of this stack."""
    array = values((4, 5, 7), np.uint8)
    array = np.concatenate([array[:1]] * 4)
    write_ome_tiff(tmp_path / "a.tif", array, "CZYX"[:1] + "YX")
    for reader in (MicroscopyReader(), "bundle.io.MicroscopyReader"):
        with pytest.raises(InputError, match="--channel"):
            LoadImaged("image", reader=reader)({"image": tmp_path / "a.tif"})
    with pytest.raises(InputError, match="one file at a time"):
        LoadImaged("image", reader=MicroscopyReader(channel=0))({"image": [tmp_path / "a.tif"] * 2})


def test_the_reader_goes_to_workers_that_are_spawned_and_batches_collate(tmp_path):
    arrays = [values((5, 7), np.uint8, seed) for seed in range(2)]
    write_ome_tiff(tmp_path / "0.tif", arrays[0], "YX")
    write_ome_tiff(tmp_path / "1.tif", arrays[1], "YX", (0.5, 0.25))
    load = LoadImaged("image", reader=MicroscopyReader(channel=0), ensure_channel_first=True)
    dataset = Dataset([{"image": tmp_path / f"{i}.tif"} for i in range(2)], load)
    spawn = multiprocessing.get_context("spawn")
    batch = next(iter(DataLoader(dataset, batch_size=2, num_workers=1, multiprocessing_context=spawn)))["image"]
    np.testing.assert_array_equal(batch[:, 0].numpy(), [array.T for array in arrays])


# python -m bundle info


def test_info_describes_files_and_goes_on_after_a_bad_one(tmp_path, capsys):
    write_ome_tiff(tmp_path / "a.tif", values((2, 3, 5, 7)), "CZYX", (2, 0.5, 0.25), ["CD31", "DAPI"])
    tifffile.imwrite(tmp_path / "b.tif", values((3, 5, 7), np.uint8), metadata=None, photometric="minisblack")
    touch(tmp_path, "c.tif")
    assert main(["info", str(tmp_path)]) == 1
    out, err = capsys.readouterr()
    assert str(tmp_path / "c.tif") in err
    a, b = out.split(f"{tmp_path / 'b.tif'}")
    for text in ("CZYX", "2 × 3 × 5 × 7", "uint16", "Z 2 µm, Y 0.5 µm, X 0.25 µm", "2 (0 CD31, 1 DAPI)", "--channel"):
        assert text in a
    for text in ("3 × 5 × 7", "uint8", "not stated: lengths will be in pixels"):
        assert text in b
    assert "µm" not in b


def test_info_tells_what_the_options_choose(tmp_path, capsys):
    write_ome_tiff(tmp_path / "a.tif", values((2, 3, 5, 7)), "CZYX", (2, 0.5, 0.25))
    assert main(["info", str(tmp_path / "a.tif"), "--channel", "1"]) == 0
    assert "ZYX 3 × 5 × 7" in capsys.readouterr().out
    assert main(["info", str(tmp_path / "a.tif"), "--channel", "2"]) == 1
    assert "no channel 2" in capsys.readouterr().err


# the images of the datasets; those of many microscopes are in test_formats.py


@pytest.mark.skipif(not (DATA / "vessmap").is_dir(), reason="VessMAP is not here (VESSEL_DATA)")
def test_vessmap_is_read_as_pillow_reads_it(caplog):
    images = list_images([DATA / "vessmap" / "images"])
    assert len(images) == 80
    for path in [
        *images[:3],
        *list_images([DATA / "vessmap" / "masks"])[:3],
        *list_images([DATA / "vessmap_fields"])[:3],
    ]:
        image = open_image(path)
        assert (image.axes, image.spacing) == ("YX", None)
        np.testing.assert_array_equal(image.array(), np.asarray(PIL.Image.open(path)))
    assert not caplog.records


@pytest.mark.skipif(not (DATA / "vesselnn").is_dir(), reason="vesselNN is not here (VESSEL_DATA)")
@pytest.mark.parametrize("folder", ["denoised", "labels"])
def test_vesselnn_stacks_have_slices_rows_columns_and_no_spacing(folder):
    for path in list_images([DATA / "vesselnn" / folder]):
        image = open_image(path)
        with tifffile.TiffFile(path) as tiff:
            assert image.shape == (len(tiff.pages), *tiff.pages[0].shape)
            np.testing.assert_array_equal(image.plane(7), tiff.pages[7].asarray())
        assert (image.axes, image.spacing) == ("ZYX", None)
        if folder == "labels":
            assert set(np.unique(image.plane(7))) <= {0, 254, 255}
