"""Which images the words of a command mean, and that ``all`` names each channel, position, scene and field apart."""

from __future__ import annotations

import json

import numpy as np
import PIL.Image
import pytest
import tifffile

from bundle.errors import InputError
from bundle.io import open_image, sources, write_image


def numbers(shape, dtype=np.uint8):
    return np.random.default_rng(0).integers(0, 255, shape, dtype)


def read(found) -> dict[str, np.ndarray]:
    """What each input is, by its NAME."""
    return {source.name: open_image(source.path, **source.choices).array() for source in found}


def plate(folder, zarr):
    """Two wells of two fields, and one of one: their wells and fields are told by the plate's own notes."""
    fields = {}
    wells = {"A/1": 2, "B/3": 1}
    for well, count in wells.items():
        for field in range(count):
            array = numbers((12, 10)) // (len(fields) + 1)
            write_image(folder / f"{well}/{field}.zarr", array, "YX", (0.5, 0.5))
            (folder / f"{well}/{field}.zarr").rename(folder / well / str(field))
            fields[f"{well.replace('/', '-')}-{field}"] = array
        zarr.open_group(folder / well, mode="a").attrs["ome"] = {
            "version": "0.5",
            "well": {"images": [{"path": str(field)} for field in range(count)]},
        }
    about = {"version": "0.5", "plate": {"wells": [{"path": well} for well in wells]}}
    zarr.open_group(folder, mode="a").attrs["ome"] = about
    return fields


def test_all_scenes_of_a_plate_are_its_fields(tmp_path):
    fields = plate(tmp_path / "p.zarr", pytest.importorskip("zarr"))
    found = read(sources([tmp_path / "p.zarr"], {"scene": "all"}))
    assert list(found) == list(fields) == ["A-1-0", "A-1-1", "B-3-0"]
    for name, array in fields.items():
        np.testing.assert_array_equal(found[name], array)
    of_a_well = read(sources([tmp_path / "p.zarr" / "A" / "1"], {"scene": "all"}))
    assert len(of_a_well) == 2 and all(name.endswith(("-0", "-1")) or name in "01" for name in of_a_well)


def test_a_plate_whose_description_is_damaged_is_a_line(tmp_path):
    (tmp_path / "p.zarr").mkdir()
    (tmp_path / "p.zarr" / "zarr.json").write_text(json.dumps({"attributes": {"ome": {"plate": {"wells": [{}]}}}}))
    with pytest.raises(InputError) as refused:
        sources([tmp_path / "p.zarr"], {"scene": "all"})
    assert refused.value.remedy


def test_all_positions_are_named_apart(tmp_path):
    array = numbers((3, 2, 12, 10))
    tifffile.imwrite(tmp_path / "a.tif", array, metadata={"axes": "RZYX"}, photometric="minisblack")
    found = read(sources([tmp_path / "a.tif"], {"position": "all"}))
    assert list(found) == [f"a_position-{number}" for number in range(3)]
    for number in range(3):
        np.testing.assert_array_equal(found[f"a_position-{number}"], array[number])


def test_all_channels_of_a_coloured_image_are_its_colours_and_a_grey_one_has_no_more_than_itself(tmp_path):
    rgb = numbers((12, 10, 3))
    PIL.Image.fromarray(rgb).save(tmp_path / "a.png")
    PIL.Image.fromarray(rgb[..., 0]).save(tmp_path / "b.png")
    found = read(sources([tmp_path], {"channel": "all"}))
    assert list(found) == ["a_channel-0", "a_channel-1", "a_channel-2", "b"]
    for number in range(3):
        np.testing.assert_array_equal(found[f"a_channel-{number}"], rgb[..., number])


def test_all_scenes_of_a_file_are_named_apart_and_one_that_cannot_be_read_is_left_to_its_own_line(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as tiff:
        for array in (numbers((2, 12, 10)), numbers((2, 16, 8))):
            tiff.write(array, metadata={"axes": "ZYX"}, photometric="minisblack")
    (tmp_path / "b.tif").write_bytes(b"II*\0 and no more")
    found = sources([tmp_path], {"scene": "all"})
    assert [source.name for source in found] == ["a_scene-0", "a_scene-1", "b"]
    assert [array.shape for array in read(found[:2]).values()] == [(2, 12, 10), (2, 16, 8)]
