"""Some rows of a plane: the same as of the whole, and read without it."""

from __future__ import annotations

import tracemalloc

import numpy as np
import PIL.Image
import pytest
import tifffile

from bundle.io import open_image, write_image

PARTS = [(0, 1), (0, 53), (10, 20), (15, 17), (31, 53), (52, 53), (40, 99), (-5, 53), (7, 7), (9, 3)]
KINDS = {
    "strips": {"rowsperstrip": 8},
    "one strip": {},
    "zlib strips": {"rowsperstrip": 8, "compression": "zlib"},
    "lzw, predictor": {"rowsperstrip": 8, "compression": "lzw", "predictor": True},
    "tiles": {"tile": (16, 32)},
    "zstd tiles, predictor": {"tile": (32, 16), "compression": "zstd", "predictor": True},
    "tiles of the page's width": {"tile": (16, 80)},
}


def values(shape, dtype="uint16"):
    return np.random.default_rng(0).integers(0, 200, shape).astype(dtype)


def assert_rows(image, array):
    for z in range(len(image)):
        plane = array[z] if array.ndim == 3 else array
        for start, stop in PARTS:
            np.testing.assert_array_equal(image.rows(z, start, stop), plane[start:stop], strict=True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("order", "<>")
def test_rows_of_a_tiff_are_those_of_the_plane(tmp_path, kind, dtype, order):
    array = values((3, 53, 80), dtype)
    with tifffile.TiffWriter(tmp_path / "a.tif", byteorder=order) as tiff:
        for plane in array:
            tiff.write(plane, photometric="minisblack", metadata=None, contiguous=False, **KINDS[kind])
    assert_rows(open_image(tmp_path / "a.tif"), array)
    assert_rows(open_image(tmp_path / "a.tif", axes="TYX", time=1), array[1])


@pytest.mark.parametrize("options", [{}, {"rowsperstrip": 8, "compression": "lzw"}, {"tile": (16, 16)}])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_rows_of_colours_are_those_of_the_chosen_one(tmp_path, options, planar):
    array = values((53, 80, 3), "uint8")
    stored = array if planar == "contig" else np.moveaxis(array, -1, 0)
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", planarconfig=planar, **options)
    assert_rows(open_image(tmp_path / "a.tif", channel="green"), array[..., 1])


def test_rows_of_jpeg_strips_are_those_of_the_plane(tmp_path):
    array = np.add.outer(np.arange(53), np.arange(80)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", array, compression="jpeg", tile=(16, 16))
    assert_rows(open_image(tmp_path / "a.tif"), tifffile.imread(tmp_path / "a.tif"))


@pytest.mark.parametrize("imagej", [True, False])
def test_rows_of_planes_in_one_block_are_those_of_the_plane(tmp_path, imagej):
    array = values((4, 53, 80))
    tifffile.imwrite(tmp_path / "a.tif", array, imagej=imagej, photometric="minisblack", metadata={"axes": "ZYX"})
    assert_rows(open_image(tmp_path / "a.tif"), array)


@pytest.mark.parametrize("suffix", [".tif", ".nii", ".nii.gz", ".zarr"])
def test_rows_of_what_is_written_are_those_of_the_plane(tmp_path, suffix):
    array = values((2, 3, 53, 80))
    write_image(tmp_path / f"a{suffix}", array, "CZYX")
    assert_rows(open_image(tmp_path / f"a{suffix}", channel=1), array[1])


def test_a_format_without_parts_is_read_whole(tmp_path):
    array = values((53, 80), "uint8")
    PIL.Image.fromarray(array).save(tmp_path / "a.png")
    assert_rows(open_image(tmp_path / "a.png"), array)


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"tile": (64, 1024)}, None])
def test_rows_of_a_page_of_60000_columns_are_read_without_the_rest(tmp_path, options):
    array = np.broadcast_to((np.arange(60_000) % 251).astype(np.uint8), (1200, 60_000)).copy()
    array[1100] = 255
    path = tmp_path / ("wide.zarr" if options is None else "wide.tif")
    if options is None:
        write_image(path, array, "YX")
    else:
        tifffile.imwrite(path, array, photometric="minisblack", **options)
    image = open_image(path)
    tracemalloc.start()
    part = image.rows(0, 1090, 1110)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(part, array[1090:1110])
    assert peak < array.nbytes / 4
