"""What made an output is told with it, and nothing else's output is ever taken for this one's."""

from __future__ import annotations

import json
import os
from pathlib import Path

import nibabel
import numpy as np
import pytest
import tifffile

from bundle.errors import InputError
from bundle.io import Provenance, open_image, read_record, refuse_others, write_image, write_record


@pytest.fixture
def stack(tmp_path) -> Path:
    path = tmp_path / "mouse1" / "stack.tif"
    path.parent.mkdir()
    path.write_bytes(bytes(range(256)) * 8)
    return path


def made(path, **options) -> Provenance:
    return Provenance.of("segment", [path], options or {"channel": 0, "scale": "auto", "spacing": [2, 0.5, 0.5]}, "abc")


@pytest.mark.parametrize("suffix", [".tif", ".nii", ".nii.gz", ".ome.zarr"])
@pytest.mark.parametrize("axes", ["YX", "ZYX"])
def test_an_image_tells_what_made_it_and_holds_the_same_values(stack, tmp_path, suffix, axes):
    record = made(stack).record
    array = np.random.default_rng(0).integers(0, 255, (3, 20, 30)[-len(axes) :], np.uint8)
    path = tmp_path / f"a_mask{suffix}"
    write_image(path, array, axes, (0.5,) * len(axes), record=record)
    assert read_record(path) == record
    read = open_image(path)
    assert read.axes == axes and read.spacing == (0.5,) * len(axes)
    np.testing.assert_array_equal(read.array(), array)
    write_image(tmp_path / f"plain{suffix}", array, axes)
    assert read_record(tmp_path / f"plain{suffix}") is None


def test_other_readers_read_an_image_that_tells_what_made_it(stack, tmp_path):
    array = np.random.default_rng(0).integers(0, 255, (3, 20, 30), np.uint8)
    for suffix in (".tif", ".nii.gz"):
        write_image(tmp_path / f"a{suffix}", array, "ZYX", record=made(stack).record)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), array)
    np.testing.assert_array_equal(np.asarray(nibabel.load(tmp_path / "a.nii.gz").dataobj).T, array)
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        (series,) = tiff.series
        assert series.axes == "ZYX" and "MapAnnotation" in tiff.ome_metadata


def test_what_is_the_same_may_be_kept_and_what_differs_is_refused_with_the_difference(stack, tmp_path):
    path, sidecar = tmp_path / "stack_overlay.png", tmp_path / "stack_provenance.json"
    outputs = {path: made(stack)}
    refuse_others(outputs)  # nothing is there
    write_record(sidecar, outputs)
    path.write_text("a picture")
    refuse_others({path: made(stack)})
    for other, said in [
        (made(stack, channel=1, scale="auto", spacing=[2, 0.5, 0.5]), "with channel 0 instead of 1"),
        (made(stack, channel=0, scale="auto", spacing=None), "with spacing [2, 0.5, 0.5] instead of none"),
        (made(stack, channel=0, scale="auto", spacing=[2, 0.5, 0.5], time=3), "with time none instead of 3"),
        (Provenance("fuse", made(stack).inputs, made(stack).options, "abc"), "made by segment"),
        (Provenance("segment", made(stack).inputs, made(stack).options, "def"), "with other weights"),
        (Provenance("segment", made(stack).inputs, made(stack).options, "abc", "0.0.1"), "by version"),
    ]:
        with pytest.raises(InputError) as refused:
            refuse_others({path: other})
        assert said in refused.value.problem and "--overwrite" in refused.value.remedy
        assert "--output" in refused.value.remedy
        refuse_others({path: other}, overwrite=True)


def test_an_input_is_the_same_by_what_it_holds_and_its_place_or_time(stack, tmp_path):
    path = tmp_path / "stack_mask.png"
    path.write_text("a picture")
    write_record(tmp_path / "stack_provenance.json", {path: made(stack)})
    os.utime(stack, (1, 1))  # touched, and small enough to be known whole
    refuse_others({path: made(stack)})
    write_record(tmp_path / "stack_provenance.json", {path: made(stack)})
    moved = tmp_path / "mouse2" / "stack.tif"
    moved.parent.mkdir()
    stack.rename(moved)  # keeps its time
    refuse_others({path: made(moved)})
    moved.write_bytes(bytes(range(255, -1, -1)) * 8)  # another animal's, of the same size
    os.utime(moved, (1, 1))
    with pytest.raises(InputError, match="mouse1"):
        refuse_others({path: made(moved)})
    stack.write_bytes(bytes(2048))
    with pytest.raises(InputError, match="an earlier state of the input"):
        refuse_others({path: made(stack)})


def test_of_a_large_file_every_part_counts(tmp_path):
    """It is not read whole, so that a change beyond what is read must show by its time."""
    path = tmp_path / "large.tif"
    with path.open("wb") as file:
        file.truncate(40 << 20)
    before = Provenance.of("segment", [path]).inputs[0]
    for place in (0, (40 << 20) - 1, 20 << 20):
        with path.open("r+b") as file:
            file.seek(place)
            file.write(b"x")
        now = Provenance.of("segment", [path]).inputs[0]
        assert now["modified"] != before["modified"] and now["bytes"] == before["bytes"]
        before = now
    with path.open("r+b") as file:
        file.write(b"y")
    assert Provenance.of("segment", [path]).inputs[0]["sha256"] != before["sha256"]


def test_an_input_that_changes_meanwhile_is_noticed(stack):
    provenance = made(stack)
    provenance.confirm()
    with stack.open("ab") as file:
        file.write(b"more")
    with pytest.raises(InputError, match="changed while it was being read"):
        provenance.confirm()
    stack.unlink()
    with pytest.raises(InputError, match="changed"):
        provenance.confirm()


def test_what_nothing_tells_of_is_the_user_s_own(stack, tmp_path):
    own = tmp_path / "stack_probability.tif"
    tifffile.imwrite(own, np.zeros((4, 4), np.uint8))
    (tmp_path / "stack_provenance.json").write_text("{ damaged")
    with pytest.raises(InputError, match="nothing tells what made it"):
        refuse_others({own: made(stack)})
    assert own.exists()


def test_records_of_a_name_are_kept_for_the_outputs_that_are_not_made_again(stack, tmp_path):
    sidecar = tmp_path / "stack_provenance.json"
    fused, mask, gone = (tmp_path / f"stack_{kind}.png" for kind in ("fused", "mask", "depth"))
    for path in (fused, mask):
        path.write_text("a picture")
    write_record(sidecar, {fused: made(stack), gone: made(stack)})
    write_record(sidecar, {mask: made(stack, channel=1)})
    assert read_record(fused)["options"]["channel"] == 0
    assert read_record(mask)["options"] == {"channel": 1}
    assert read_record(gone) is None
    assert [record["outputs"] for record in json.loads(sidecar.read_text())["records"]] == [[fused.name], [mask.name]]
