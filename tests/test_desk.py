"""The desk without its window: files as napari's layers, results as layers, layers as files."""

from __future__ import annotations

import ast
import tomllib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
import yaml
from npe2 import PluginManifest

from bundle.desk import PATTERNS, napari_get_reader, read_layers, sample, write_layer
from bundle.desk.layers import (
    Layout,
    box_layer,
    graph_layers,
    nearest_vessel,
    picture_of,
    result_layers,
    spacing_of,
)
from bundle.desk.saving import file_name, save_for_training, save_tables
from bundle.errors import InputError
from bundle.interface import Segmentation, measure
from bundle.io import open_image, write_ome_tiff
from bundle.measurements import read_table
from bundle.trust import look_into_boxes

DESK = Path(__file__).resolve().parents[1] / "bundle" / "desk"
SPACING = (2.0, 0.8, 0.8)


def layer(data: np.ndarray, layout: Layout, **more: object) -> SimpleNamespace:
    """What the desk asks of a layer of napari."""
    found = {"data": data, "scale": layout.scale, "units": layout.units, "axis_labels": layout.labels}
    return SimpleNamespace(
        **found | {"translate": layout.translate, "name": "a", "rgb": False, "multiscale": False} | more
    )


def movie(path: Path, stack: np.ndarray) -> None:
    """``[T, Z, Y, X]``, as other programs write it."""
    sizes = {f"PhysicalSize{axis}": step for axis, step in zip("ZYX", SPACING, strict=True)}
    units = {f"PhysicalSize{axis}Unit": "µm" for axis in "ZYX"}
    tifffile.imwrite(path, stack, ome=True, metadata={"axes": "TZYX", **sizes, **units})


def test_the_manifest_takes_what_is_read_and_names_what_there_is():
    manifest = yaml.safe_load((DESK / "napari.yaml").read_text(encoding="utf-8"))
    (reader,) = manifest["contributions"]["readers"]
    assert tuple(reader["filename_patterns"]) == PATTERNS
    for command in manifest["contributions"]["commands"]:
        module, name = command["python_name"].split(":")
        path = DESK.parent.parent / Path(*module.split("."))
        text = (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text(encoding="utf-8")
        defined = {node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        assert name in defined or f'"{name}"' in text


def test_napari_and_qt_are_imported_by_what_draws_alone():
    for path in DESK.glob("*.py"):
        needs = {"panel.py", "table.py", "work.py"}
        text = path.read_text(encoding="utf-8")
        assert ("from qtpy" in text or "from napari" in text.split("def ")[0]) == (path.name in needs), path


def test_npe2_takes_the_manifest_to_which_the_package_s_entry_point_leads():
    manifest = PluginManifest.from_file(DESK / "napari.yaml")
    assert [widget.display_name for widget in manifest.contributions.widgets or []] == ["Vessels"]
    project = tomllib.loads((DESK.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["napari.manifest"] == {manifest.name: "bundle.desk:napari.yaml"}


def test_each_channel_is_a_layer_with_its_name_and_its_pixel_size(tmp_path):
    stack = np.random.default_rng(0).integers(0, 255, (2, 3, 20, 30), np.uint8)
    write_ome_tiff(tmp_path / "mouse.ome.tif", stack, "CZYX", SPACING, ["CD31", "red"])
    reader = napari_get_reader(str(tmp_path / "mouse.ome.tif"))
    for number, (data, options, kind) in enumerate(reader(str(tmp_path / "mouse.ome.tif"))):
        assert kind == "image" and np.array_equal(data, stack[number])
        assert options["name"] == ("mouse CD31", "mouse red")[number]
        assert options["scale"] == SPACING and options["units"] == ("micrometer",) * 3
        assert options["axis_labels"] == ("z", "y", "x") and options["blending"] == "additive"
    assert options["colormap"] == "red"


def test_times_stay_an_axis_of_their_own_and_one_of_them_is_segmented(tmp_path):
    stack = np.random.default_rng(0).integers(0, 255, (3, 2, 20, 30), np.uint8)
    movie(tmp_path / "movie.ome.tif", stack)
    ((data, options, _),) = read_layers(tmp_path / "movie.ome.tif")
    assert np.array_equal(data, stack) and options["axis_labels"] == ("time", "z", "y", "x")
    layout = Layout(options["scale"], options["units"], options["axis_labels"], options["translate"])
    image, place = picture_of(layer(data, layout), (2, 0, 0, 0))
    assert np.array_equal(image, stack[2]) and place.scale == SPACING
    assert spacing_of(place.scale, place.units, 3) == SPACING


def test_a_large_file_is_read_slice_by_slice_and_gives_the_same(tmp_path, monkeypatch):
    stack = np.random.default_rng(0).integers(0, 255, (2, 3, 20, 30), np.uint8)
    movie(tmp_path / "movie.ome.tif", stack)
    monkeypatch.setattr("bundle.desk.files.EAGER", 10)
    ((data, _, _),) = read_layers(tmp_path / "movie.ome.tif")
    assert not isinstance(data, np.ndarray) and np.array_equal(np.asarray(data), stack)


def test_colours_that_differ_are_layers_and_equal_ones_are_grey(tmp_path):
    grey = np.random.default_rng(0).integers(0, 255, (20, 30), np.uint8)
    tifffile.imwrite(tmp_path / "grey.tif", np.stack([grey] * 3, -1), photometric="rgb")
    ((data, options, _),) = read_layers(tmp_path / "grey.tif")
    assert np.array_equal(data, grey) and options["units"] == ("pixel", "pixel")
    tifffile.imwrite(tmp_path / "colour.tif", np.stack([grey, grey // 2, grey // 3], -1), photometric="rgb")
    found = read_layers(tmp_path / "colour.tif")
    assert [options["name"] for _, options, _ in found] == ["colour red", "colour green", "colour blue"]
    assert np.array_equal(found[1][0], grey // 2)


def test_what_is_not_read_is_left_to_others_and_what_is_damaged_is_a_line(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "bad.tif").write_bytes(b"II*\0nothing")
    assert napari_get_reader(str(tmp_path / "notes.txt")) is None
    assert napari_get_reader([str(tmp_path / "bad.tif"), str(tmp_path / "notes.txt")]) is None
    with pytest.raises(InputError, match="bad.tif"):
        napari_get_reader(str(tmp_path / "bad.tif"))(str(tmp_path / "bad.tif"))


def test_lengths_of_any_unit_are_micrometres_and_pixels_are_none():
    assert spacing_of((1, 0.002, 800), ("pixel", "millimeter", "nanometer"), 2) == (2.0, 0.8)
    assert spacing_of((2, 0.8), ("pixel", "pixel"), 2) is None and spacing_of((2, 0.8), None, 2) is None


def test_results_lie_on_the_image_and_vessels_on_its_pixels():
    mask = np.zeros((5, 40, 60), bool)
    mask[1:4, 18:23, :] = True
    mask[1:4, :, 30:34] = True
    layout = replace(Layout.of(mask.shape, SPACING), translate=(10.0, 20.0, 30.0))
    share = mask.astype(np.float32)
    found = result_layers("a", Segmentation(mask, share, 0 * share, mask, None, SPACING), layout)
    assert [options["name"] for _, options, _ in found] == ["a probability", "a disagreement", "a mask"]
    assert all(options["scale"] == SPACING and options["translate"] == (10, 20, 30) for _, options, _ in found)
    flat = Segmentation(mask[2], share[2], share[2], mask[2], share[2], SPACING[1:])
    fused = result_layers("a", flat, layout)
    assert [options["scale"] for _, options, _ in fused] == [SPACING[1:]] * 5

    measurement = measure(mask, SPACING)
    (vectors, lines, _), (places, points, _) = graph_layers("a", measurement, mask.shape, layout)
    assert len(measurement.segments) == 4 and points["features"]["kind"].count("branch") == 1
    centre = places[points["features"]["kind"].index("branch")]
    np.testing.assert_allclose(centre, (2, 20, 31.5), atol=1)
    assert mask[tuple(np.round(vectors[:, 0]).astype(int).T)].all()
    owner = lines["features"]["segment"]
    for row, segment in enumerate(measurement.segments):
        steps = vectors[owner == row, 1] * SPACING
        length = np.linalg.norm(steps, axis=1).sum()  # without half a pixel at the border
        assert segment["length"] - 0.5 <= length <= segment["length"] + 1e-6
        (vessel,) = set(lines["features"]["diameter"][owner == row])
        assert vessel == pytest.approx(segment["diameter_mean"])
    assert lines["scale"] == SPACING

    middle = vectors[owner == 2, 0].mean(axis=0)
    beside = middle + (1, 2, 2)
    assert nearest_vessel(vectors, owner, beside, None, (1, 2), 5) == 2  # the next slice shows it too
    assert nearest_vessel(vectors, owner, middle + (4, 0, 0), None, (1, 2), 5) is None
    assert nearest_vessel(vectors, owner, middle + (0, 9, 0), None, (1, 2), 5) is None
    assert nearest_vessel(vectors, owner, middle + (9, 2, 2), np.array((-2.0, 0, 0)), (0, 1, 2), 5) == 2


def test_the_frame_of_a_place_runs_around_its_pixels_in_its_slice():
    share = np.random.default_rng(0).random((3, 40, 64)).astype(np.float32)
    boxes = list(look_into_boxes(share, share, share, share > 0.5, 32))
    assert len(boxes) == 3 * 2 * 2
    for box in boxes:
        ((corners,), _, kind) = box_layer("a", box, Layout.of(share.shape, SPACING))
        assert kind == "shapes" and set(corners[:, 0]) == {box.z}
        area = (
            abs(np.dot(corners[:, 1], np.roll(corners[:, 2], 1)) - np.dot(corners[:, 2], np.roll(corners[:, 1], 1))) / 2
        )
        assert area == (share[0, box.rows].shape[0] - 1) * (share[0, :, box.columns].shape[1] - 1)


def test_nodes_where_a_vessel_leaves_the_field_do_not_move_the_sliders():
    mask = np.zeros((5, 40, 60), bool)
    mask[1:4, 18:23, :] = True
    measurement = measure(mask, SPACING)
    beyond = [row | {"kind": "end", "z": -1.0, "x": 999.0} for row in measurement.nodes]
    places = graph_layers("a", replace(measurement, nodes=beyond), mask.shape, Layout.of(mask.shape, SPACING))[1][0]
    assert len(places) and (places[:, 0] == 0).all() and (places[:, 2] == 59).all()


def test_an_empty_mask_has_no_vessels_to_show():
    empty = np.zeros((20, 30), bool)
    assert graph_layers("a", measure(empty), empty.shape, Layout.of(empty.shape, None)) == []


def test_labels_are_saved_with_the_pixel_size_of_their_layer(tmp_path):
    labels = np.arange(12, dtype=np.int64).reshape(1, 3, 4) * 1000
    path = str(tmp_path / "labels.tif")
    units = ("millimeter",) * 3
    assert write_layer(path, labels, {"scale": (0.002, 0.0008, 0.0008), "units": units}) == [path]
    image = open_image(path, axes="ZYX")
    assert image.spacing == SPACING and np.array_equal(image.array(), labels)
    with pytest.raises(InputError, match="4 axes"):
        write_layer(path, labels[None], {})


def test_the_folder_to_train_on_grows_and_a_mask_is_corrected_in_it_but_no_other_image_replaced(tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (20, 30), np.uint8)
    for mask in (image > 100, image > 50):
        save_for_training(tmp_path, "a", image, mask, SPACING[1:])
        assert np.array_equal(open_image(tmp_path / "masks" / "a.tif").array() > 0, mask)
    assert np.array_equal(open_image(tmp_path / "images" / "a.tif").array(), image)
    with pytest.raises(InputError, match="another image of this name"):
        save_for_training(tmp_path, "a", image.T.reshape(image.shape), image > 50, None)
    with pytest.raises(InputError, match="one kind of pixel"):
        save_for_training(tmp_path, "b", image, image >= 0, None)
    assert file_name("a/b: c [1]") == "a_b_c_[1]"


def test_tables_hold_all_images_that_were_measured(tmp_path):
    mask = np.zeros((40, 60), bool)
    mask[18:23] = True
    save_tables(tmp_path, {"a": measure(mask, SPACING[1:]), "b": measure(mask)})
    rows = read_table(tmp_path / "images.csv")
    assert [(row["image"], row["unit"]) for row in rows] == [("a", "micrometer"), ("b", "pixel")]
    with pytest.raises(InputError, match="measure first"):
        save_tables(tmp_path, {})


def test_the_sample_is_a_stack_with_its_truth():
    (stack, options, _), (truth, _, kind) = sample()
    assert stack.shape == truth.shape and kind == "labels" and options["scale"] == SPACING
    assert stack[truth > 0].mean() > 1.5 * stack[truth == 0].mean()
