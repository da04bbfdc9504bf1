"""What Fiji and QuPath are given: outlines of exactly the mask's area, read back by their own reader's rules."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import roifile
import shapely
import tifffile
from shapely.geometry import shape as geometry_of

from bundle.__main__ import main
from bundle.exchange import fiji_rois, outlines, qupath_features
from bundle.io import write_image
from bundle.measurements import measure

SPACING = (0.8, 0.5)


def masks() -> list[np.ndarray]:
    """Noise, which has every way in which pixels can touch, and shapes whose outline is known."""
    rng = np.random.default_rng(0)
    found = [rng.random((23, 31)) < share for share in (0.1, 0.4, 0.6, 0.9)]
    ring = np.zeros((9, 9), bool)
    ring[2:7, 2:7] = True
    ring[3:6, 3:6] = False
    diagonal = ring.copy()
    diagonal[2, 2] = False  # the ring closes at a corner alone
    return [*found, ring, diagonal, np.ones((4, 5), bool), np.zeros((4, 5), bool)]


@pytest.mark.parametrize("mask", masks())
def test_outlines_are_valid_polygons_of_the_area_and_the_pixels_of_the_mask(mask):
    found = outlines(mask)
    assert sum(outline.pixels for outline in found) == mask.sum()
    drawn = np.zeros(mask.shape, bool)
    centres = np.argwhere(np.ones(mask.shape, bool))
    for outline in found:
        area = 0.0
        for outer, holes in outline.parts:
            polygon = shapely.Polygon(outer, holes)
            assert polygon.is_valid and polygon.exterior.is_ccw
            assert not any(hole.is_ccw for hole in polygon.interiors)
            area += polygon.area
            inside = shapely.contains_xy(polygon, centres[:, 1] + 0.5, centres[:, 0] + 0.5)
            drawn[tuple(centres[inside].T)] = True
        assert area == outline.pixels
    assert np.array_equal(drawn, mask)


def test_pieces_are_those_of_the_bundle_whose_pixels_touch_at_corners():
    assert len(outlines(np.eye(4, dtype=bool))) == 1 and len(outlines(np.eye(4, dtype=bool))[0].parts) == 4


def area_in_fiji(roi: roifile.ImagejRoi) -> float:
    """As ImageJ counts it: rings of a composite selection by the even-odd rule."""
    rings = roi.coordinates(multi=True)
    rings = rings if isinstance(rings, list) else [rings]
    total = shapely.Polygon()
    for ring in rings:
        total = total.symmetric_difference(shapely.Polygon(ring))
    return total.area


@pytest.mark.parametrize("mask", masks()[:6])
def test_rois_that_are_read_back_have_the_area_of_the_mask(mask):
    rois = [roifile.ImagejRoi.frombytes(roi.tobytes()) for roi in fiji_rois(mask)]
    assert sum(map(area_in_fiji, rois)) == mask.sum()
    assert all(roi.name for roi in rois) and all(roi.position == 0 for roi in rois)


def network() -> np.ndarray:
    """Two slices: a vessel along X through both, and one along Y in the second."""
    mask = np.zeros((2, 40, 60), bool)
    mask[:, 18:23] = True
    mask[1, :, 30:35] = True
    return mask


def test_of_a_stack_each_slice_has_its_outlines_and_centre_lines_lie_where_they_are():
    mask = network()
    graph = measure(mask, (2, *SPACING)).graph
    rois = [roifile.ImagejRoi.frombytes(roi.tobytes()) for roi in fiji_rois(mask, (2, *SPACING), graph)]
    areas = [roi for roi in rois if "vessel" in roi.name]
    for z in (0, 1):
        assert sum(area_in_fiji(roi) for roi in areas if roi.position == z + 1) == mask[z].sum()
    lines = [roi for roi in rois if "line" in roi.name]
    assert len(lines) == len(graph.paths)
    for roi, path in zip(lines, graph.paths, strict=True):
        assert roi.roitype == roifile.ROI_TYPE.POLYLINE
        np.testing.assert_allclose(roi.coordinates(), path[:, :0:-1] / SPACING[::-1] + 0.5, atol=1e-3)
    for feature in qupath_features(mask, (2, *SPACING), graph):
        assert feature["geometry"]["plane"]["z"] in (0, 1)


@pytest.fixture
def exported(tmp_path) -> Path:
    mask = network()[1]
    write_image(tmp_path / "masks" / "a_mask.tif", mask, "YX", SPACING)
    write_image(tmp_path / "masks" / "a_fused.tif", mask * np.uint16(900), "YX", SPACING)
    assert main(["measure", str(tmp_path / "masks"), "--output", str(tmp_path / "measured")]) == 0
    words = ["--measured", str(tmp_path / "measured"), "--output", str(tmp_path / "out")]
    assert main(["export", str(tmp_path / "masks"), *words]) == 0
    return tmp_path


def test_the_command_writes_what_fiji_opens_with_its_pixel_size(exported):
    with tifffile.TiffFile(exported / "out" / "a_fiji.tif") as tiff:
        assert tiff.is_imagej and tiff.imagej_metadata["unit"] == "um"
        tags = tiff.pages[0].tags
        (over, under), (up, down) = tags["XResolution"].value, tags["YResolution"].value
        assert (under / over, down / up) == pytest.approx(SPACING[::-1])
        assert tiff.asarray().max() == 900
        shown = [roifile.ImagejRoi.frombytes(data).name for data in tiff.imagej_metadata["Overlays"]]
    with zipfile.ZipFile(exported / "out" / "a_rois.zip") as archive:
        names = [name.removesuffix(".roi") for name in archive.namelist()]
        assert all(roifile.ImagejRoi.frombytes(archive.read(f"{name}.roi")).name == name for name in names)
    assert shown == names and sum("line" in name for name in names) == 4
    assert len(roifile.roiread(exported / "out" / "a_rois.zip")) == len(names)


def test_qupath_gets_annotations_with_their_area_and_centre_lines_with_their_lengths(exported):
    found = json.loads((exported / "out" / "a_vessels.geojson").read_text(encoding="utf-8"))
    assert found["type"] == "FeatureCollection"
    kinds: dict[str, list[dict]] = {}
    for feature in found["features"]:
        assert geometry_of(feature["geometry"]).is_valid
        kinds.setdefault(feature["properties"]["objectType"], []).append(feature)
    (vessel,) = kinds["annotation"]
    pixels = network()[1].sum()
    assert geometry_of(vessel["geometry"]).area == pixels
    assert vessel["properties"]["measurements"]["Area µm^2"] == pytest.approx(pixels * SPACING[0] * SPACING[1])
    for line in kinds["detection"]:
        points = np.array(line["geometry"]["coordinates"]) * SPACING[::-1]
        length = np.linalg.norm(np.diff(points, axis=0), axis=1).sum()
        assert line["properties"]["measurements"]["Length µm"] == pytest.approx(length, rel=0.01)
    assert len(kinds["detection"]) == 4


def test_what_is_written_is_kept_and_another_mask_s_is_not_taken_for_it(exported, capsys):
    words = ["export", str(exported / "masks"), "--measured", str(exported / "measured")]
    words += ["--output", str(exported / "out")]
    before = (exported / "out" / "a_rois.zip").read_bytes()
    assert main(words) == 0 and "1 kept" in capsys.readouterr().out
    assert main([*words, "--overwrite"]) == 0 and (exported / "out" / "a_rois.zip").read_bytes() == before
    write_image(exported / "masks" / "a_mask.tif", network()[0], "YX", SPACING)
    assert main(words) == 1 and "--overwrite" in capsys.readouterr().err
    write_image(exported / "masks" / "b_mask.tif", np.arange(30).reshape(5, 6).astype(np.uint8), "YX")
    assert main(["export", str(exported / "masks" / "b_mask.tif"), "--output", str(exported / "out")]) == 1
    assert "b_mask.tif" in capsys.readouterr().err
