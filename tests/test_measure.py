"""From masks to tables, graph files and pictures, by the command and from Python."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import shapes
import tifffile
from PIL import Image

from bundle.__main__ import main
from bundle.graphs import VascularGraph
from bundle.io import write_ome_tiff
from bundle.measurements import IMAGES, NODES, SEGMENTS, columns, measure, write_swc, write_vtp
from bundle.measurements.intervals import INTERVALS, Replicates, add_intervals, replicate, replicate_masks
from bundle.measurements.profiles import blurred_cylinder


def bar(shape=(60, 120), rows=slice(25, 34), columns=slice(20, 100)) -> np.ndarray:
    mask = np.zeros(shape, dtype=bool)
    mask[rows, columns] = True
    return mask


def ladder() -> np.ndarray:
    """Two rails and two rungs: a loop, four branch points, four ends."""
    mask = np.zeros((90, 140), dtype=bool)
    mask[20:25, 10:130] = mask[60:65, 10:130] = True
    mask[20:65, 40:45] = mask[20:65, 90:95] = True
    return mask


def ran(folder: Path, *words: object) -> int:
    return main(["measure", *map(str, words), "--output", str(folder)])


def table(path: Path) -> list[dict]:
    with open(path, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_a_bar_is_as_long_and_as_wide_as_it_was_drawn():
    found = measure(bar(), (0.5, 0.5)).image
    assert found["length"] == pytest.approx(40, rel=0.01) and found["diameter_mean"] == pytest.approx(4.5, abs=0.05)
    assert found["field"] == 60 * 120 / 4 and found["length_density"] == pytest.approx(40 / 1800 * 1e3, rel=0.01)
    assert found["fraction"] == pytest.approx(100 * 9 * 80 / (60 * 120))
    assert (found["segments"], found["end_points"], found["branch_points"], found["loops"]) == (1, 2, 0, 0)
    assert found["volume"] == pytest.approx(np.pi * 2.25**2 * 40, rel=0.02)


def test_a_region_cuts_vessels_and_their_density_is_per_its_area():
    region = np.zeros((60, 120), dtype=bool)
    region[10:50, 30:70] = True
    found = measure(bar(), region=region)
    assert found.image["length"] == pytest.approx(40, abs=0.6) and found.image["field"] == 1600
    assert found.image["length_density"] == pytest.approx(40 / 1600, rel=0.02)
    assert found.image["border_points"] == 2 and found.image["end_points"] == 0
    assert found.segments[0]["cut_by_border"] and found.unit == "pixel"


def test_a_ladder_has_a_loop_right_angles_and_the_graph_s_counts():
    found = measure(ladder(), (1, 1))
    row = found.image
    assert (row["branch_points"], row["loops"], row["pieces"], row["end_points"]) == (4, 1, 1, 4)
    assert row["loops"] == row["segments"] - len(found.nodes) + row["pieces"]
    angles = [float(angle) for node in found.nodes if node["degree"] == 3 for angle in node["angles"].split(";")]
    assert sorted(angles)[0] == pytest.approx(90, abs=12) and sorted(angles)[-1] == pytest.approx(180, abs=12)


@pytest.mark.parametrize(
    "mask", [np.zeros((40, 50)), np.ones((40, 50)), np.ones((1, 1)), np.zeros((3, 4, 5)), np.ones((2, 3, 4)), np.eye(9)]
)
def test_empty_full_and_tiny_masks_give_numbers_or_nan(mask):
    found = measure(mask)
    assert found.image["length"] >= 0 and 0 <= found.image["fraction"] <= 100
    if not mask.any():
        assert found.image["length"] == 0 and math.isnan(found.image["diameter_mean"])
        assert any("no vessel" in line for line in found.remarks)


def test_arrays_that_do_not_fit_are_refused():
    for options in ({"image": np.zeros((3, 3))}, {"spacing": (1, 1, 1)}, {"spacing": (0, 1)}):
        with pytest.raises(ValueError, match="shape|spacing"):
            measure(bar(), **options)


def test_grey_values_tell_a_width_that_the_mask_has_too_large():
    """A blurred vessel of 6 pixels in a mask that was drawn two pixels too wide."""
    y = np.arange(80)[:, None] * np.ones((1, 160))
    rng = np.random.default_rng(0)
    image = 20 + 150 * blurred_cylinder(y - 40.3, 3, 1.2) + rng.normal(0, 2, y.shape)
    mask = np.abs(y - 40) <= 4
    by_mask, by_grey = measure(mask).image, measure(mask, image=image)
    assert by_mask["diameter_mean"] == pytest.approx(9, abs=0.1)
    assert by_grey.image["diameter_mean"] == pytest.approx(6, abs=0.3)
    assert by_grey.segments[0]["diameter_source"] == "profile"


def test_the_command_writes_tables_graphs_and_a_picture(tmp_path, capsys):
    write_ome_tiff(tmp_path / "a_mask.tif", ladder(), "YX", (0.5, 0.5))
    write_ome_tiff(tmp_path / "a.tif", (ladder() * 180 + 20).astype(np.uint8), "YX", (0.5, 0.5))
    write_ome_tiff(tmp_path / "a_probability.tif", (ladder() * 0.9).astype(np.float32), "YX", (0.5, 0.5))
    Image.fromarray(np.uint8(bar()) * 255).save(tmp_path / "b_mask.png")
    out = tmp_path / "out"
    assert ran(out, tmp_path, "--swc") == 0
    said = capsys.readouterr()
    assert "2 measured, 0 kept, 0 failed" in said.out and "no pixel size" in said.err
    images = table(out / "images.csv")
    assert list(images[0]) == columns(IMAGES) and [row["image"] for row in images] == ["a", "b"]
    assert [row["unit"] for row in images] == ["micrometer", "pixel"]
    assert float(images[0]["expected_fraction"]) == pytest.approx(0.9 * float(images[0]["fraction"]), rel=1e-5)
    assert float(images[1]["length"]) == pytest.approx(80, rel=0.01) and images[1]["length_low"] == ""
    assert list(table(out / "segments.csv")[0]) == columns(SEGMENTS)
    assert list(table(out / "nodes.csv")[0]) == columns(NODES)
    defined = {(row["table"], row["column"]) for row in table(out / "definitions.csv")}
    assert {("images.csv", name) for name in columns(IMAGES)} <= defined
    assert (out / "images.csv").read_bytes().isascii() and (out / "definitions.csv").read_bytes().isascii()
    assert len(pd.read_csv(out / "segments.csv")) == sum(int(row["segments"]) for row in images)
    graph = VascularGraph.from_dict(json.loads((out / "a_graph.json").read_text(encoding="utf-8")))
    assert graph.cycle_rank == 1 and len(graph.edges) == int(images[0]["segments"])
    network = nx.read_graphml(out / "a_graph.graphml")
    assert network.number_of_edges() == len(graph.edges) and network.number_of_nodes() == len(graph.nodes)
    picture = np.asarray(Image.open(out / "a_diameters.png"))
    assert picture.shape[1] > 800 and picture.std() > 10


def test_what_is_measured_is_kept_and_what_differs_is_not_taken_for_it(tmp_path, capsys):
    tifffile.imwrite(tmp_path / "a.tif", np.uint8(bar()) * 255)
    out = tmp_path / "out"
    assert ran(out, tmp_path / "a.tif") == 0
    before = (out / "images.csv").read_bytes()
    stamp = (out / "a_graph.json").stat().st_mtime_ns
    assert ran(out, tmp_path / "a.tif") == 0
    assert "0 measured, 1 kept" in capsys.readouterr().out and (out / "images.csv").read_bytes() == before
    assert (out / "a_graph.json").stat().st_mtime_ns == stamp
    tifffile.imwrite(tmp_path / "b.tif", np.uint8(ladder()))
    assert ran(out, tmp_path / "b.tif") == 0
    assert [row["image"] for row in table(out / "images.csv")] == ["a", "b"]
    tifffile.imwrite(tmp_path / "a.tif", np.uint8(bar(columns=slice(20, 60))))
    assert ran(out, tmp_path / "a.tif") == 1 and "--overwrite" in capsys.readouterr().err
    assert ran(out, tmp_path / "a.tif", "--overwrite") == 0
    assert float(table(out / "images.csv")[0]["length"]) == pytest.approx(40, rel=0.02)


def test_bad_inputs_are_a_line_each_and_the_others_go_on(tmp_path, capsys):
    tifffile.imwrite(tmp_path / "good.tif", np.uint8(bar()))
    tifffile.imwrite(tmp_path / "grey.tif", np.arange(100, dtype=np.uint8).reshape(10, 10))
    (tmp_path / "broken.tif").write_bytes(b"no image")
    out = tmp_path / "out"
    words = [tmp_path / f"{name}.tif" for name in ("good", "grey", "broken", "absent")]
    assert ran(out, *words) == 1
    said = capsys.readouterr()
    assert "1 measured, 0 kept, 3 failed" in said.out
    assert "grey.tif: not a binary mask" in said.err and "absent.tif" in said.err
    assert [row["image"] for row in table(out / "images.csv")] == ["good"]


def test_a_region_s_file_is_found_by_name(tmp_path):
    tifffile.imwrite(tmp_path / "a_mask.tif", np.uint8(bar()))
    region = np.zeros((60, 120), dtype=np.uint8)
    region[:, 40:80] = 1
    (tmp_path / "regions").mkdir()
    tifffile.imwrite(tmp_path / "regions" / "a.tif", region)
    assert ran(tmp_path / "out", tmp_path / "a_mask.tif", "--roi", tmp_path / "regions", "--spacing", 1, 2, 2) == 0
    (row,) = table(tmp_path / "out" / "images.csv")
    assert float(row["length"]) == pytest.approx(80, rel=0.02) and float(row["field"]) == 60 * 40 * 4
    assert ran(tmp_path / "other", tmp_path / "a_mask.tif", "--roi", tmp_path / "a_mask.tif") == 0


def test_vtk_reads_the_centre_lines_back(tmp_path):
    vtk = pytest.importorskip("vtk")
    found = measure(ladder(), (0.5, 0.5))
    write_vtp(tmp_path / "a.vtp", found)
    reader = vtk.vtkXMLPolyDataReader()
    reader.SetFileName(str(tmp_path / "a.vtp"))
    reader.Update()
    lines = reader.GetOutput()
    assert lines.GetNumberOfLines() == len(found.graph.edges)
    points = np.array([lines.GetPoint(n) for n in range(lines.GetNumberOfPoints())])
    np.testing.assert_allclose(points[:, ::-1], np.concatenate(found.graph.paths))
    radii = lines.GetPointData().GetArray("Radius")
    np.testing.assert_allclose(
        [radii.GetValue(n) for n in range(radii.GetNumberOfTuples())], np.concatenate(found.graph.path_radii)
    )
    cell = lines.GetCell(0)
    assert cell.GetNumberOfPoints() == len(found.graph.paths[0])


def test_swc_is_a_tree_of_all_samples_with_its_loops_cut(tmp_path):
    found = measure(ladder(), (0.5, 0.5))
    assert write_swc(tmp_path / "a.swc", found) == 1
    lines = (tmp_path / "a.swc").read_text(encoding="utf-8").splitlines()
    assert any("1 loops cut" in line for line in lines if line.startswith("#"))
    samples = np.array([[float(cell) for cell in line.split()] for line in lines if not line.startswith("#")])
    assert samples.shape[1] == 7 and (samples[:, 1] == 0).all() and (samples[:, 5] > 0).all()
    assert (samples[:, 0] == np.arange(1, len(samples) + 1)).all()
    assert (samples[:, 6] < samples[:, 0]).all() and (samples[:, 6] == -1).sum() == found.image["pieces"]
    joined = samples[samples[:, 6] > 0]
    parents = samples[joined[:, 6].astype(int) - 1]
    steps = np.sqrt(((joined[:, 2:5] - parents[:, 2:5]) ** 2).sum(1))
    assert steps.sum() == pytest.approx(found.image["length"], abs=2)


@pytest.mark.filterwarnings("ignore")
def test_morphio_reads_the_trees_back(tmp_path):
    morphio = pytest.importorskip("morphio")
    tee, apart = np.zeros((2, 30, 40, 40), dtype=bool)
    tee[14:18, 5:35, 18:22] = tee[14:18, 18:22, 20:38] = True
    apart[3:6, 3:6, 5:35] = True
    found = measure(tee | apart, (2.0, 1.0, 1.0))
    assert write_swc(tmp_path / "a.swc", found) == 0
    read = morphio.Morphology(tmp_path / "a.swc")
    assert len(read.root_sections) == found.image["pieces"] == 2
    steps = [np.linalg.norm(np.diff(section.points, axis=0), axis=1).sum() for section in read.iter()]
    assert sum(steps) == pytest.approx(found.image["length"], rel=1e-4)
    radii = np.concatenate(found.graph.path_radii)
    assert read.diameters.min() == pytest.approx(2 * radii.min(), rel=1e-4)
    assert read.diameters.max() == pytest.approx(2 * radii.max(), rel=1e-4)


def unsure() -> tuple[np.ndarray, np.ndarray]:
    """S and |L - N| of a bar of whose ends the cascades are less and less sure."""
    y, x = np.mgrid[:60, :120]
    across = 1 / (1 + np.exp(np.abs(y - 29.5) - 5))
    sure = np.clip(1.2 - np.abs(x - 60) / 60, 0, 1)
    return across * sure, 0.4 * across * (1 - sure)


def test_replicates_grow_with_lower_thresholds_and_hold_the_mask_itself():
    masks = list(replicate_masks(*unsure()))
    assert len(masks) == 15
    for first in range(0, 15, 5):
        sizes = [np.count_nonzero(mask) for mask in masks[first : first + 5]]
        assert sizes == sorted(sizes, reverse=True) and sizes[0] > sizes[-1]
    assert all((low <= high).all() for low, high in zip(masks[10:], masks[5:10], strict=True))


def test_intervals_come_of_the_replicates_and_of_what_was_calibrated():
    probability, disagreement = unsure()
    mask = list(replicate_masks(probability, disagreement))[2]
    found = measure(mask, (1, 1))
    replicates = replicate(found, mask, probability, disagreement)
    assert replicates.agreement == 1 and replicates.image["length"].max() > found.image["length"]
    constant = {"bias": 0.0, "floor": 0.01, "factor": 1.6}
    known = {"bottleneck": [0.0, 1.0], "share": [0.0, 1.0]}
    of = {"image": dict.fromkeys(INTERVALS, constant), "segments": {"length": constant}, "exists": known}
    row = add_intervals(found, replicates, {"YX": of}).image
    spread = np.log(replicates.image["length"]).std()
    assert row["length_high"] == pytest.approx(row["length"] * np.exp(1.6 * (spread + 0.01)))
    assert row["length_low"] == pytest.approx(row["length"] * np.exp(-1.6 * (spread + 0.01)))
    assert row["fraction_low"] < row["fraction"] < row["fraction_high"] <= 100
    assert row["length_density_high"] / row["length_density"] == pytest.approx(row["length_high"] / row["length"])
    assert row["branch_points_low"] == 0
    assert row["interval"] == "90 %; none of curvature_mean"  # of a straight bar it is 0, which has no logarithm
    assert 0 < row["expected_length"] < row["length"]
    assert "length_low" not in add_intervals(found, replicates, {}).image
    of_another = Replicates(replicates.image, replicates.segments, replicates.bottleneck, 0.5)
    refused = add_intervals(found, of_another, {"YX": of})
    assert "length_low" not in refused.image and "differ" in refused.image["interval"] and refused.remarks


def test_segment_and_measure_in_one_run(tmp_path, capsys):
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:72, :80]
    grey = 30 + 150 * blurred_cylinder((y - 36 - 5 * np.sin(x / 12)).astype(float), 3.5, 1) + rng.normal(0, 5, y.shape)
    write_ome_tiff(tmp_path / "vessel.tif", np.clip(grey, 0, 255).astype(np.uint8), "YX", (0.8, 0.8))
    out = tmp_path / "out"
    words = ["segment", str(tmp_path / "vessel.tif"), "--output", str(out), "--measure", "--device", "cpu"]
    assert main(words) == 0
    (row,) = table(out / "images.csv")
    assert row["image"] == "vessel" and row["unit"] == "micrometer"
    assert 60 <= float(row["length"]) <= 85 and float(row["expected_fraction"]) > 0
    assert main(words) == 0 and "1 kept" in capsys.readouterr().out


def test_a_coil_s_curvature_leaves_out_the_ends_that_are_drawn_straight():
    mask = shapes.curve((101, 60, 60), shapes.helix((10.3, 30, 30), 20, 40, 2), 3.5)
    assert measure(mask, (1, 1, 1)).image["curvature_mean"] == pytest.approx(
        20 / (20**2 + (40 / (2 * np.pi)) ** 2), rel=0.01
    )
