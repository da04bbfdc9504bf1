"""The report's parts: pictures and lines made small without saying anything else, warnings, methods, one safe page."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import string
from importlib.resources import files
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from bundle.comparison import Assignment, compare, place
from bundle.reporting import (
    Grouping,
    ImageEntry,
    Lines,
    describe_methods,
    diameter_histogram,
    doubts,
    image_content,
    lifted,
    packed_network,
    render_page,
    report_content,
    simplified,
    svg_paths,
)

ROOT = Path(__file__).resolve().parents[1]
HELIX = np.linspace(0, 4 * np.pi, 400)


@pytest.fixture
def lines() -> Lines:
    """A helix that widens, and a straight line of one width; (z, y, x)."""
    helix = np.column_stack([3 * HELIX, 60 + 20 * np.sin(HELIX), 60 + 20 * np.cos(HELIX)])
    straight = np.column_stack([np.full(50, 10.0), np.linspace(5, 105, 50), np.full(50, 30.0)])
    return Lines([helix, straight], [np.linspace(1, 3, 400), np.full(50, 2.0)])


def unpacked(text: str, kind: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), kind)


def picture(uri: str) -> PIL.Image.Image:
    return PIL.Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


def test_packed_lines_are_those_that_were_given(lines):
    packed = packed_network(lines, (40.0, 120.0, 110.0), "µm")
    low, high = np.array(packed["low"]), np.array(packed["high"])
    points = low + unpacked(packed["points"], "<u2").reshape(-1, 3) / 65535 * (high - low)
    np.testing.assert_allclose(points[:, ::-1], np.concatenate(lines.paths), atol=(high - low).max() / 65535)
    radii = unpacked(packed["radii"], "<u2") / 65535 * packed["radius"]
    np.testing.assert_allclose(radii, np.concatenate(lines.radii), atol=3 / 65535)
    assert unpacked(packed["counts"], "<u4").tolist() == [400, 50]
    assert packed["box"] == [110.0, 120.0, 40.0] and packed["depths"] == [0.0, 40.0]


def test_simplified_lines_stay_within_the_tolerance_and_keep_their_ends(lines):
    short = simplified(lines, 0.1)
    assert len(short.paths[1]) == 2 and 20 < len(short.paths[0]) < 130
    for path, radii, few, thin in zip(lines.paths, lines.radii, short.paths, short.radii, strict=True):
        np.testing.assert_array_equal(path[[0, -1]], few[[0, -1]])
        corners = np.column_stack([few, thin])
        along = np.linspace(0, len(few) - 1, 4000)
        dense = np.column_stack([np.interp(along, np.arange(len(few)), corners[:, k]) for k in range(4)])
        away = [np.linalg.norm(point - dense, axis=1).min() for point in np.column_stack([path, radii])]
        assert max(away) < 0.11
    assert short.pieces()[0].sum() == pytest.approx(lines.pieces()[0].sum(), rel=0.01)


def test_lines_of_a_fused_stack_get_the_depth_of_their_slices():
    """Of a plane that slopes along x by a slice every 10 pixels, z is step · slice; lines that meet still do."""
    mask = np.zeros((60, 100), bool)
    mask[28:33], mask[:, 48:53] = True, True
    depth = np.where(mask, np.arange(100) / 10, np.nan)
    across = np.column_stack([np.zeros(80), np.full(80, 30.0), np.linspace(10, 89, 80)]) * (1, 0.5, 0.5)
    down = np.column_stack([np.zeros(31), np.linspace(30, 59, 31), np.full(31, 50.0)]) * (1, 0.5, 0.5)
    found = lifted(Lines([across, down], [np.ones(80), np.ones(31)]), depth, mask, (2.0, 0.5, 0.5))
    np.testing.assert_allclose(found.paths[0][:, 0], 2.0 * np.linspace(10, 89, 80) / 10, atol=0.2)
    np.testing.assert_allclose(found.paths[1][:, 0], 10.0, atol=0.2)
    np.testing.assert_array_equal(found.paths[0][:, 1:], across[:, 1:])
    meeting = lifted(Lines([across[:41], across[40:]], [np.ones(41), np.ones(40)]), depth, mask, (2.0, 0.5, 0.5))
    assert meeting.paths[0][-1, 0] == meeting.paths[1][0, 0]


def test_histogram_holds_all_length_at_its_diameter():
    wide, narrow = np.array([[0, 0, 0], [0, 0, 30.0]]), np.array([[0, 0, 0], [0, 70.0, 0]])
    edges, lengths = diameter_histogram(Lines([wide, narrow], [np.full(2, 4.0), np.full(2, 1.0)]))
    assert lengths.sum() == pytest.approx(100)
    assert lengths[np.searchsorted(edges, 2.0, side="right") - 1] == pytest.approx(70)
    assert lengths[-1] == pytest.approx(30) and edges[-1] == pytest.approx(8.0)


def test_lines_on_the_image_lie_on_its_pixels():
    """The centre of the first pixel is half a pixel from the picture's corner."""
    path = np.array([[0, 0, 0], [0, 4.0, 0], [0, 4.0, 2.0]])
    shades = svg_paths(Lines([path], [np.array([1.0, 1.0, 5.0])]), (2.0, 0.5))
    assert len(shades) == 16
    assert shades[0] == "M0.5 0.5L0.5 2.5" and "".join(shades[1:]) == "M0.5 2.5L4.5 2.5"


def entry(lines: Lines, name: str = "a", **row: str) -> ImageEntry:
    row = {
        "image": name,
        "axes": "ZYX",
        "unit": "micrometer",
        "spacing_z": "2",
        "spacing_y": "0.5",
        "spacing_x": "0.5",
        "length_density": "12.3",
        "length_density_low": "11",
        "length_density_high": "14",
        "diameter_p50": "4",
        "fraction": "8",
        "loops": "nan",
        **row,
    }
    mask = np.zeros((240, 220), bool)
    mask[100:140, 50:90] = True
    grey = np.random.default_rng(0).integers(0, 4096, mask.shape).astype(np.uint16)
    return ImageEntry(name, row, grey, "maximum projection", mask, lines, (40.0, 120.0, 110.0))


def test_pictures_are_cut_to_the_bytes_that_they_may_have_and_the_outline_fits(lines):
    random = np.random.default_rng(0)
    noise = random.integers(0, 255, (1500, 1400)).astype(np.uint8)  # which no format makes small
    mask = np.zeros(noise.shape, bool)
    mask[300:900, 200:500] = True
    one = entry(lines)
    large = ImageEntry("a", one.row, noise, "image", mask, lines, one.extent)
    part, _ = image_content(large, 300_000, "h.csv")
    assert len(json.dumps(part)) < 320_000
    grey, outline = picture(part["picture"]["grey"]), picture(part["picture"]["outline"]).convert("RGBA")
    assert grey.size == outline.size and grey.width / grey.height == pytest.approx(1400 / 1500, rel=0.01)
    drawn = np.asarray(outline)[..., 3] > 0
    scale = grey.width / 1400
    rows, columns = np.nonzero(drawn)
    for found, (first, last) in ((rows, (300, 900)), (columns, (200, 500))):
        assert found.min() == pytest.approx(first * scale, abs=2) and found.max() == pytest.approx(last * scale, abs=2)
    small, _ = image_content(entry(lines), 900_000, "h.csv")
    assert picture(small["picture"]["grey"]).size == (220, 240)


def test_lines_get_coarser_where_they_would_take_too_many_bytes():
    random = np.random.default_rng(0)
    paths = [np.cumsum(random.normal(0, 0.4, (60, 3)), axis=0) + random.uniform(20, 90, 3) for _ in range(400)]
    crowd = Lines(paths, [random.uniform(1, 2, 60) for _ in paths])
    sizes = []
    for most in (2_000_000, 200_000):
        part, _ = image_content(entry(crowd), most, "h.csv")
        sizes.append(len(unpacked(part["network"]["radii"], "<u2")))
        assert len(json.dumps(part)) < most
        assert len(unpacked(part["network"]["counts"], "<u4")) == 400
    assert sizes[1] < sizes[0] / 2


@pytest.mark.slow
def test_ten_stacks_of_what_no_format_makes_small_are_a_page_below_fifteen_megabytes():
    random = np.random.default_rng(0)
    paths = [np.cumsum(random.normal(0, 0.4, (60, 3)), axis=0) + random.uniform(20, 90, 3) for _ in range(1500)]
    crowd = Lines(paths, [random.uniform(1, 2, 60) for _ in paths])
    noise = random.integers(0, 255, (1000, 1000)).astype(np.uint8)
    one = entry(crowd)
    worst = [ImageEntry(f"s{n}", one.row, noise, "image", noise > 200, crowd, one.extent) for n in range(10)]
    page = render_page(report_content(worst, describe_methods([], {}, []), ""))
    assert 5e6 < len(page.encode()) < 15e6


def test_an_image_without_vessels_has_a_section_without_plots():
    part, offered = image_content(entry(Lines([], []), fraction="0"), 900_000, "h.csv")
    assert part["network"] is None and part["histogram"] is None and not offered


@pytest.mark.parametrize(
    ("row", "disagreement", "said"),
    [
        ({"unit": "pixel", "diameter_p50": "13"}, 0.05, "about 13.0 pixels wide"),
        ({"fraction": "75"}, 0.05, "75 % of the image is taken for vessel"),
        ({"diameter_p50": "9"}, 0.05, "about 18.0 pixels wide, the shipped weights are at home from 2.5 to 12"),
        ({}, 0.2, "the two cascades disagree on its vessels (0.20 on average"),
    ],
)
def test_doubtful_images_are_said(row, disagreement, said):
    plain = {"unit": "micrometer", "spacing_x": "0.5", "fraction": "8", "diameter_p50": "3"}
    assert doubts(plain, 0.05) == [] and doubts(plain) == []
    first, line = doubts({**plain, **row}, disagreement, ["no pixel size"])
    assert first == "no pixel size" and said in line


def test_disagreement_is_doubtful_above_that_of_every_labelled_image():
    """And of images alone: the logits of slices are doubled."""
    tables = (ROOT / "docs" / "results" / "disagreement").glob("*.csv")
    known = [float(row["on_mask"]) for table in tables for row in csv.DictReader(table.open(encoding="utf-8"))]
    row = {"unit": "pixel", "fraction": "8", "diameter_p50": "6"}
    assert doubts(row, max(known)) == [] and len(doubts(row, max(known) + 0.01)) == 1
    assert doubts({**row, "axes": "ZYX"}, 0.5) == []


def test_widths_are_judged_at_the_scale_that_the_network_saw():
    row = {"fraction": "10", "unit": "pixel", "diameter_p50": "20"}
    assert len(doubts(row)) == 1 and doubts(row, scale=0.5) == [] and doubts(row, scale=None) == []
    assert "20.0 pixels wide, 30.0 at scale 1.5" in doubts(row, scale=1.5)[0]


def test_every_passage_of_the_methods_cites_references_that_are_listed_in_order():
    text = (files("bundle.reporting") / "methods.txt").read_text(encoding="utf-8")
    names = re.findall(r"^\[(\w+)\]$", text, re.M)
    values = {name: f"<{name}>" for name in string.Template(text).get_identifiers()}
    methods = describe_methods([names], values, [])
    numbers = [int(number) for number in re.findall(r"\[(\d+)\]", methods.paragraphs[0])]
    assert list(dict.fromkeys(numbers)) == list(range(1, len(methods.references) + 1))
    assert "{" not in methods.paragraphs[0] and all(f"<{name}>" in methods.paragraphs[0] for name in values)
    with pytest.raises(KeyError):
        describe_methods([["measure"]], {}, [])
    odd = describe_methods([["segment"]], {**values, "weights": "{wang} $x.pt"}, [])
    assert "{wang} $x.pt" in odd.paragraphs[0]


def reported(lines: Lines, names: list[str], grouped: bool = True) -> dict:
    entries = [entry(lines, name, length_density=str(10 + k)) for k, name in enumerate(names)]
    rows = [dict(one.row) for one in entries]
    assignments = [Assignment(name, f"m{k}", ("control", "<b>")[k % 2]) for k, name in enumerate(names)]
    grouping = None
    if grouped:
        placed = place(rows, assignments, "groups.csv")
        grouping = Grouping(placed, compare(placed, ["length_density"]), 0.95)
    methods = describe_methods([["measure"]], {"images": len(names)}, [("--low", "0.45")])
    return report_content(
        entries, methods, "Made today.", ["b.tif: is damaged"], grouping, {"images.csv": "image\na\n"}
    )


def test_page_holds_what_was_given_whatever_the_names_and_asks_nobody_for_anything(lines):
    names = ["</script><script>alert(1)</script>", "<!--<script>", "a & b", "{{style}}"]
    content = reported(lines, names)
    page = render_page(content)
    embedded = re.findall(r'<script type="application/json" id="report">(.*?)</script>', page, re.S)
    assert len(embedded) == 1
    found = json.loads(embedded[0])
    assert [one["name"] for one in found["images"]] == names
    assert found["images"][0]["values"]["loops"] == [None, None, None]
    assert found["images"][1]["values"]["length_density"] == [11.0, 11.0, 14.0]
    assert found["comparison"]["rows"][0]["p_smallest"] == pytest.approx(2 / 6)
    assert len(found["comparison"]["plots"]) == 1 and "<b>" not in found["comparison"]["plots"][0]["svg"]
    assert found["warnings"][0] == "b.tif: is damaged"
    outside = page.replace(embedded[0], "")
    assert "default-src 'none'" in outside
    assert not re.findall(r"""(?:src|href|action|data)\s*=\s*["']?\s*(?:https?:)?//""", outside)
    assert "@import" not in outside and "url(" not in outside


def test_warnings_that_differ_only_by_the_image_are_one_line(lines):
    entries = [entry(lines, name) for name in "abc"]
    for one in entries:
        one.warnings.append("no pixel size")
    methods = describe_methods([], {}, [])
    assert report_content(entries, methods, "")["warnings"] == ["a, b, c: no pixel size"]


def test_a_report_without_groups_has_no_comparison(lines):
    content = reported(lines, ["a"], grouped=False)
    assert content["comparison"] is None and "animals.csv" not in content["files"]
