"""Images in every format that is written: equal when they are read back, by this package and by others."""

from __future__ import annotations

import gc
import json
import os
import tracemalloc
from pathlib import Path

import nibabel
import numpy as np
import pytest
import tifffile
import torch
import zarr
from monai.transforms import LoadImaged, SaveImage

from bundle.errors import InputError
from bundle.io import (
    OUTPUT_SUFFIXES,
    Layout,
    MicroscopyReader,
    OMETiffWriter,
    image_name,
    open_image,
    write_image,
    write_image_planes,
)

SUFFIXES = [".tif", ".tiff", ".ome.tif", ".nii", ".nii.gz", ".zarr", ".ome.zarr"]
DTYPES = ["uint8", "uint16", "uint32", "int8", "int16", "int32", "float32", "float64", "bool", ">u2"]
LAYOUTS = [("YX", (5, 7), (0.5, 0.25)), ("ZYX", (3, 5, 7), (2, 0.5, 0.25)), ("CZYX", (2, 3, 5, 7), (2, 0.5, 0.25))]
# one way to say it in every format
EACH = list(OUTPUT_SUFFIXES.values())


def values(shape, dtype="uint16", seed=0):
    """Random values over the type's range, no two pixels of a plane in the same place of another."""
    dtype, rng = np.dtype(dtype), np.random.default_rng(seed)
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    if dtype.kind == "f":
        return rng.normal(size=shape).astype(dtype)
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, shape, dtype.newbyteorder("=")).astype(dtype)


def independent(path: Path) -> tuple[np.ndarray, tuple[float, ...] | None]:
    """What tifffile, nibabel or zarr alone give: the array in Z, Y, X, and micrometres along it."""
    if path.suffix == ".zarr":
        group = zarr.open_group(path, mode="r")
        image = group.attrs["multiscales"][0]
        array = group[image["datasets"][0]["path"]][:]
        unit = {axis.get("unit") for axis in image["axes"] if axis["type"] == "space"}
        scale = image["datasets"][0]["coordinateTransformations"][0]["scale"]
        return array, tuple(scale) if unit == {"micrometer"} else None
    if ".nii" in path.suffixes:
        image = nibabel.load(path)
        known = image.header.get_xyzt_units()[0] == "micron"
        steps = tuple(np.diag(image.affine)[: image.ndim][::-1])
        assert (image.affine == np.diag(np.diag(image.affine))).all()
        assert image.header.get_zooms() == steps[::-1]
        return np.asarray(image.dataobj).T, steps if known else None
    with tifffile.TiffFile(path) as tiff:
        pixels = tifffile.xml2dict(tiff.ome_metadata)["OME"]["Image"]["Pixels"]
        axes = tiff.series[0].axes
        lengths = [pixels.get(f"PhysicalSize{axis}") for axis in axes]
        assert tiff.series[0].kind == "ome"
        return tiff.asarray(), None if None in lengths else tuple(lengths)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("axes", "shape", "spacing"), LAYOUTS)
def test_what_is_written_is_read_back_equal(tmp_path, suffix, dtype, axes, shape, spacing):
    array = values(shape, dtype)
    path = tmp_path / "new folder" / f"a{suffix}"
    write_image(path, array, axes, spacing)
    stored = np.where(array, np.uint8(255), np.uint8(0)) if dtype == "bool" else array
    for channel in range(shape[0] if axes[0] == "C" else 1):
        image = open_image(path, channel=channel)
        assert (image.axes, image.spacing) == (axes.replace("C", ""), spacing)
        assert image.dtype == image.array().dtype == stored.dtype.newbyteorder("=")
        np.testing.assert_array_equal(image.array(), stored[channel] if axes[0] == "C" else stored)
    assert os.listdir(path.parent) == [path.name]
    assert image_name(path) == "a"


@pytest.mark.parametrize("suffix", EACH)
@pytest.mark.parametrize("spacing", [True, False])
@pytest.mark.parametrize(("axes", "shape", "lengths"), LAYOUTS[:2])
def test_other_libraries_find_the_same_values_and_scale(tmp_path, suffix, spacing, axes, shape, lengths):
    array = values(shape)
    path = tmp_path / f"a{suffix}"
    write_image(path, array, axes, lengths if spacing else None)
    found, steps = independent(path)
    np.testing.assert_array_equal(found, array)
    assert steps == (lengths if spacing else None)
    assert open_image(path).spacing == steps


@pytest.mark.parametrize("suffix", EACH)
def test_planes_that_come_one_by_one_give_the_same_file(tmp_path, suffix):
    array = values((2, 3, 5, 7))
    for folder, planes in [("a", array.reshape(-1, 5, 7)), ("b", iter(array.reshape(-1, 5, 7)))]:
        write_image_planes(
            tmp_path / folder / f"x{suffix}", planes, Layout(array.shape, array.dtype, "CZYX", (1, 2, 3))
        )
    a, b = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (tmp_path / "a", tmp_path / "b")
    )
    assert a == b and a


@pytest.mark.parametrize("dtype", ["bool", "uint16", "float32"])
@pytest.mark.parametrize("suffix", EACH)
def test_large_planes_in_parts_give_the_same_file_with_a_pyramid(tmp_path, monkeypatch, suffix, dtype):
    monkeypatch.setattr("bundle.io.planes.LARGE", 600)
    array = values((2, 1301, 607), dtype)
    layout = Layout(array.shape, array.dtype, "ZYX", (2, 0.5, 0.25))
    contents = []
    for rows in (5000, 7, 512, 1000):
        path = tmp_path / str(rows) / f"a{suffix}"
        parts = (plane[start : start + rows] for plane in array for start in range(0, 1301, rows))
        write_image_planes(path, parts, layout)
        files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
        contents.append([file.read_bytes() for file in files])
    assert all(content == contents[0] for content in contents)
    stored = np.where(array, np.uint8(255), np.uint8(0)) if dtype == "bool" else array
    image = open_image(path)
    assert (image.shape, image.spacing) == (array.shape, (2, 0.5, 0.25))
    np.testing.assert_array_equal(image.array(), stored)
    np.testing.assert_array_equal(image.rows(1, 500, 700), stored[1, 500:700])
    if suffix == ".tif":
        with tifffile.TiffFile(path) as tiff:
            (series,) = tiff.series
            assert [level.shape for level in series.levels] == [(2, 1301, 607), (2, 651, 304), (2, 326, 152)]
            assert all(level.keyframe.is_tiled for level in series.levels)
            half = series.levels[1].asarray()
        corner = stored[:, :2, :2].astype(np.float64)
        expected = corner.max((1, 2)) if dtype == "bool" else corner.mean((1, 2))
        np.testing.assert_allclose(half[:, 0, 0], expected, atol=0 if dtype == "bool" else 0.5)


@pytest.mark.parametrize("suffix", EACH)
@pytest.mark.parametrize("rows", [[3, 3], [3, 2, 1], [3, 2, 5, 1]])
def test_parts_that_do_not_make_planes_leave_nothing(tmp_path, suffix, rows):
    with pytest.raises(ValueError, match="plane"):
        write_image_planes(
            tmp_path / f"a{suffix}", [np.zeros((n, 7), np.uint8) for n in rows], Layout((2, 5, 7), np.uint8, "ZYX")
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".tif", ".ome.zarr"])
def test_channel_names_are_kept_where_the_format_has_a_place_for_them(tmp_path, suffix):
    write_image(tmp_path / f"a{suffix}", values((2, 5, 7)), "CYX", channels=["CD31", "µ <DAPI>"])
    assert open_image(tmp_path / f"a{suffix}", channel="µ <dapi>").channel_names == ("CD31", "µ <DAPI>")


@pytest.mark.parametrize("suffix", EACH)
def test_memory_does_not_grow_with_depth(tmp_path, suffix):
    plane = values((256, 512), "uint8")
    peaks = []

    def one_by_one(planes):
        for read in planes:
            gc.collect(1)  # what nobody holds any more, and Python would look for at some time
            yield read

    for depth in (8, 64):
        path = tmp_path / f"{depth}{suffix}"
        gc.collect()
        tracemalloc.start()
        write_image_planes(
            path,
            one_by_one(np.roll(plane, z, 1) for z in range(depth)),
            Layout((depth, *plane.shape), np.uint8, "ZYX", (1, 1, 1)),
        )
        sums = [np.roll(plane, -z, 1).sum() for z in range(depth)]
        assert [read.sum() for read in one_by_one(open_image(path).planes())] == sums
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 2 * plane.nbytes


@pytest.mark.parametrize("suffix", EACH)
@pytest.mark.parametrize("count", [2, 4])
def test_a_wrong_number_of_planes_leaves_what_was_there(tmp_path, suffix, count):
    path = tmp_path / f"a{suffix}"
    old = values((3, 5, 7), "uint8", seed=1)
    for _ in range(2):
        with pytest.raises(ValueError, match="3 "):
            write_image_planes(path, [np.zeros((5, 7), np.uint8)] * count, Layout((3, 5, 7), np.uint8, "ZYX"))
        if path.exists():
            np.testing.assert_array_equal(open_image(path).array(), old)
            assert os.listdir(tmp_path) == [path.name]
        else:
            assert os.listdir(tmp_path) == []
            write_image(path, old, "ZYX")


@pytest.mark.parametrize("suffix", EACH)
def test_an_interruption_leaves_nothing(tmp_path, suffix):
    def planes():
        yield np.zeros((5, 7), np.uint8)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_image_planes(tmp_path / f"a{suffix}", planes(), Layout((3, 5, 7), np.uint8, "ZYX"))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("suffix", EACH)
def test_an_image_replaces_the_one_before(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    write_image(path, values((700, 900)), "YX")
    write_image(path, values((3, 5, 7)), "ZYX", (2, 1, 1))
    np.testing.assert_array_equal(open_image(path).array(), values((3, 5, 7)))
    assert os.listdir(tmp_path) == [path.name]
    if path.is_dir():
        assert sorted(path.glob("[0-9]")) == [path / "0"]


@pytest.mark.parametrize("suffix", EACH)
def test_a_place_where_nothing_can_be_written_is_said(tmp_path, suffix):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="cannot write there"):
        write_image(tmp_path / "file" / f"a{suffix}", values((5, 7)), "YX")
    in_the_way = tmp_path / f"b{suffix}"
    if suffix.endswith("zarr"):
        in_the_way.write_text("mine")
    else:
        in_the_way.mkdir()
    with pytest.raises(InputError, match="cannot write there"):
        write_image(in_the_way, values((5, 7)), "YX")
    assert sorted(os.listdir(tmp_path)) == [f"b{suffix}", "file"]


@pytest.mark.parametrize("suffix", EACH)
@pytest.mark.parametrize(
    ("array", "axes", "spacing", "channels"),
    [
        (np.zeros((5, 7), np.int64), "YX", None, ()),
        (np.zeros((5, 7), np.uint8), "ZYX", None, ()),
        (np.zeros((3, 5, 7), np.uint8), "ZCY", None, ()),
        (np.zeros((0, 7), np.uint8), "YX", None, ()),
        (np.zeros((5, 7), np.uint8), "YX", (1, 0), ()),
        (np.zeros((5, 7), np.uint8), "YX", (1, 1, 1), ()),
        (np.zeros((2, 5, 7), np.uint8), "CYX", None, ("one",)),
    ],
)
def test_an_array_that_does_not_fit_is_not_written(tmp_path, suffix, array, axes, spacing, channels):
    with pytest.raises(ValueError):
        write_image(tmp_path / f"a{suffix}", array, axes, spacing, channels)
    assert os.listdir(tmp_path) == []


def test_a_name_of_no_format_is_refused_with_those_that_are_written(tmp_path):
    with pytest.raises(InputError, match=r"\.tif, .*\.nii\.gz, \.zarr"):
        write_image(tmp_path / "a.png", values((5, 7)), "YX")
    assert os.listdir(tmp_path) == []


def test_nifti_counts_beyond_what_its_first_version_can(tmp_path):
    array = values((2, 40_000), "uint8")
    write_image(tmp_path / "a.nii.gz", array, "YX", (0.5, 0.25))
    image = open_image(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(image.array(), array)
    assert image.spacing == (0.5, 0.25)


# turned, mirrored and far from the origin; X, Y, Z in millimetres
PLACE = np.array([[0, -5e-4, 0, 10.0], [-2.5e-4, 0, 0, 20], [0, 0, 2e-3, -5], [0, 0, 0, 1]])


@pytest.mark.parametrize(("axes", "spacing"), [("YX", (0.5, 0.25)), ("ZYX", (2, 0.5, 0.25))])
def test_what_belongs_to_a_nifti_file_lies_where_that_lies(tmp_path, axes, spacing):
    array = values((4, 5, 7)[-len(axes) :])
    write_image(tmp_path / "a.nii.gz", array, axes, spacing, affine=PLACE)
    found = nibabel.load(tmp_path / "a.nii.gz")
    np.testing.assert_allclose(found.affine, PLACE, atol=1e-7)
    np.testing.assert_allclose(found.get_qform(), PLACE, atol=1e-7)
    assert found.header.get_xyzt_units()[0] == "mm"
    image = open_image(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(image.array(), array)
    np.testing.assert_allclose(image.spacing, spacing, rtol=1e-6)
    np.testing.assert_allclose(image.affine, PLACE, atol=1e-7)
    write_image(tmp_path / "b.tif", array, axes, spacing, affine=PLACE)  # where it has no place
    assert open_image(tmp_path / "b.tif").spacing == spacing


def test_another_spacing_overrules_the_place_of_a_nifti_file(tmp_path):
    write_image(tmp_path / "a.nii.gz", values((4, 5, 7)), "ZYX", (2, 0.5, 0.3), affine=PLACE)
    found = nibabel.load(tmp_path / "a.nii.gz")
    np.testing.assert_allclose(found.affine, np.diag([0.3, 0.5, 2, 1]), rtol=1e-6)
    assert found.header.get_xyzt_units()[0] == "micron"


def test_a_pyramid_halves_rows_and_columns_and_says_where_its_pixels_are(tmp_path):
    array = np.arange(2 * 1030 * 600, dtype=np.float64).reshape(2, 1030, 600)
    write_image(tmp_path / "a.zarr", array, "ZYX", (2, 0.5, 0.25))
    group = zarr.open_group(tmp_path / "a.zarr", mode="r", zarr_format=2)
    levels = group.attrs["multiscales"][0]["datasets"]
    assert [group[level["path"]].shape for level in levels] == [(2, 1030, 600), (2, 515, 300), (2, 258, 150)]
    # a slope over the image stays one: the value of a pixel is that of its place, at every level
    for level in levels[:2]:
        steps = level["coordinateTransformations"]
        scale = np.array(steps[0]["scale"])
        shift = np.array(steps[1]["translation"]) if len(steps) > 1 else np.zeros(3)
        z, y, x = (np.indices(group[level["path"]].shape).T * scale + shift).T / np.reshape(
            (2, 0.5, 0.25), (3, 1, 1, 1)
        )
        np.testing.assert_allclose(group[level["path"]][:], (z * 1030 + y) * 600 + x, rtol=1e-12)


def test_thin_vessels_stay_in_the_pyramid_of_a_mask(tmp_path):
    mask = np.zeros((1, 600, 1100), bool)
    mask[0, 301] = True
    write_image(tmp_path / "a.zarr", mask, "ZYX")
    group = zarr.open_group(tmp_path / "a.zarr", mode="r")
    levels = [group[level["path"]][0] for level in group.attrs["multiscales"][0]["datasets"]]
    assert len(levels) == 3
    for level in levels:
        assert set(np.unique(level)) == {0, 255}
        assert (level == 255).any(axis=0).all()


def test_ome_zarr_says_the_version_that_it_is(tmp_path):
    write_image(tmp_path / "a.zarr", values((2, 3, 5, 7)), "CZYX", (2, 0.5, 0.25), ["a", "b"])
    about = json.loads((tmp_path / "a.zarr" / ".zattrs").read_text())
    assert json.loads((tmp_path / "a.zarr" / "0" / ".zarray").read_text())["dimension_separator"] == "/"
    (image,) = about["multiscales"]
    assert image["version"] == "0.4"
    assert [(axis["name"], axis["type"], axis.get("unit")) for axis in image["axes"]] == [
        ("c", "channel", None),
        *((axis, "space", "micrometer") for axis in "zyx"),
    ]
    assert [channel["label"] for channel in about["omero"]["channels"]] == ["a", "b"]


@pytest.mark.parametrize("suffix", EACH)
def test_monai_saves_in_every_format(tmp_path, suffix):
    array = values((3, 5, 7))
    write_image(tmp_path / "a.tif", array, "ZYX", (2, 0.5, 0.25))
    image = LoadImaged("image", reader=MicroscopyReader(), ensure_channel_first=True)({"image": tmp_path / "a.tif"})
    assert image["image"].dtype == torch.float32
    options = {"output_ext": suffix, "output_dtype": np.uint16, "separate_folder": False, "print_log": False}
    SaveImage(tmp_path / "out", "mask", writer=OMETiffWriter, **options)(image["image"])
    written = open_image(tmp_path / "out" / f"a_mask{suffix}")
    assert (written.axes, written.spacing) == ("ZYX", (2, 0.5, 0.25))
    np.testing.assert_array_equal(written.array(), array)
