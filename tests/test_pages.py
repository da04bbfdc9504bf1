"""Planes larger than memory: segmented by bands of rows, to the last bit as whole."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import tifffile
from scipy.ndimage import gaussian_filter

from bundle.__main__ import main
from bundle.io import Reading, as_source, open_image, write_image
from bundle.segmentation import ImageSegmenter, Outputs, Windows, pages
from bundle.segmentation.stacks import reading
from bundle.transforms import Closing, Equalization, EqualizedPlane, Fusing, Hysteresis, Removal, equalizing
from bundle.volumes import StoredVolume, blocks

pytestmark = pytest.mark.usefixtures("one_thread")


def grey(shape: tuple[int, ...], dtype: str = "uint16", seed: int = 0) -> np.ndarray:
    smooth = gaussian_filter(np.random.default_rng(seed).random(shape), (0,) * (len(shape) - 2) + (2, 2))
    return ((smooth - smooth.min()) / np.ptp(smooth) * (250 if dtype == "uint8" else 4000)).astype(dtype)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> list[Path]:
    """A page, and stacks of which the fusion is one; the file of one is a pyramid of tiles."""
    folder = tmp_path_factory.mktemp("inputs")
    write_image(folder / "stack.ome.tif", grey((4, 131, 117)), "ZYX", (2, 0.5, 0.5))
    write_image(folder / "float.ome.tif", grey((3, 131, 117), "float32") / 7, "ZYX")
    page = grey((200, 117), "uint8")
    with tifffile.TiffWriter(folder / "page.tif") as tiff:
        tiff.write(page, tile=(64, 64), subifds=1)
        tiff.write(page[::2, ::2], tile=(64, 64), subfiletype=1)
    return sorted(folder.iterdir())


@pytest.fixture
def segmented(inputs, random_ensemble, tmp_path):
    """Everything written of the inputs, by name, planes of so many pixels in memory."""
    network, reader = random_ensemble([2, 4], 0), Reading()

    def call(out: str, page_pixels: int, scale: float = 1.0) -> dict[str, bytes]:
        fusing = Fusing()
        ImageSegmenter(
            [as_source(path) for path in inputs],
            reader,
            [fusing, Equalization(32)],
            network,
            Windows(window=48, whole_pixels=1000, scale=scale),
            [Hysteresis(0.7, 0.75), Closing(3), Removal(20)],
            Outputs(tmp_path / out, ".tif", True, reader, network, [fusing], {"mode": "fused"}),
            page_pixels=page_pixels,
        ).run()
        return {path.name: path.read_bytes() for path in (tmp_path / out).iterdir()}

    return call


def small_bands(monkeypatch, rows: int) -> None:
    monkeypatch.setattr(blocks, "BLOCK_PIXELS", 117 * rows)
    monkeypatch.setattr(reading, "LEAST_ROWS", rows)
    monkeypatch.setattr(equalizing, "BAND", 2 * rows)


@pytest.mark.parametrize(("rows", "scale"), [(13, 1.0), (40, 0.7)])
def test_a_page_by_bands_is_that_in_memory_to_the_last_bit(segmented, monkeypatch, tmp_path, rows, scale):
    whole = segmented("whole", 10**9, scale)
    small_bands(monkeypatch, rows)
    banded = segmented("banded", 0, scale)
    # what is expected of a mask is a sum over bands, which are cut at other places
    differ = {name for name in whole if whole[name] != banded.get(name)}
    assert banded.keys() == whole.keys() and all(name.endswith((".json", ".csv")) for name in differ)
    if scale == 1.0:
        for name in ("page", "stack", "float"):
            assert 0.001 < (open_image(tmp_path / "banded" / f"{name}_mask.tif").array() > 0).mean() < 0.9


def test_an_interrupted_page_goes_on_with_what_the_network_has_seen(segmented, monkeypatch, tmp_path):
    whole = segmented("out", 10**9)
    small_bands(monkeypatch, 40)
    with monkeypatch.context() as broken:
        broken.setattr(pages.StackWriter, "all_of", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            segmented("banded", 0)
    assert list((tmp_path / "banded" / ".float.parts").glob("*/probability"))
    enhanced = []
    monkeypatch.setattr(
        pages, "EqualizedPlane", lambda *words: enhanced.append(Path(words[-1]).name) or EqualizedPlane(*words)
    )
    again = segmented("banded", 0)
    assert enhanced == ["page.tif", "stack.ome.tif"]
    assert all(again[name] == whole[name] for name in whole if name.endswith((".tif", ".png")))
    assert not list((tmp_path / "banded").glob(".*"))


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_the_command_fuses_large_slices_by_bands_as_small_ones(monkeypatch, tmp_path, dtype):
    write_image(tmp_path / "a.tif", grey((5, 131, 117), dtype), "ZYX", (2, 0.5, 0.5))
    assert main(["fuse", str(tmp_path / "a.tif"), "--output", str(tmp_path / "whole")]) == 0
    monkeypatch.setattr("bundle.commands.fuse.PAGE_PIXELS", 0)
    small_bands(monkeypatch, 40)
    assert main(["fuse", str(tmp_path / "a.tif"), "--output", str(tmp_path / "banded")]) == 0
    whole, banded = (
        {path.name: path.read_bytes() for path in (tmp_path / out).iterdir()} for out in ("whole", "banded")
    )
    assert banded == whole


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (33, 40), (65, 129), (130, 200)])
@pytest.mark.parametrize("kind", ["uint8", "float32", "constant", "broken"])
def test_contrast_is_enhanced_by_bands_as_of_the_whole_plane(monkeypatch, tmp_path, shape, kind):
    plane = np.full(shape, 7, np.uint16)
    if kind in ("uint8", "float32") and np.prod(shape) > 1:
        plane = grey(shape, kind)
    elif kind == "broken":
        plane = np.arange(plane.size, dtype=np.uint16).reshape(shape) % 50
        plane.flat[0] = 65535
    for tile in (64, 15):
        equalization = Equalization(tile)
        expected = equalization.of_plane(plane.astype(np.float32).T).T
        for band, rows in ((64, 7), (512, 1000)):
            monkeypatch.setattr(equalizing, "BAND", band)
            stored = StoredVolume(tmp_path / f"{tile}-{band}", (1, *shape), np.uint16, rows)
            found = EqualizedPlane(lambda start, stop: plane[start:stop], shape, equalization, stored)
            assert found.rows(0, shape[0]).dtype == np.float32
            np.testing.assert_array_equal(found.rows(0, shape[0]), expected)
            np.testing.assert_array_equal(found.rows(shape[0] // 2, shape[0]), expected[shape[0] // 2 :])


def test_a_margin_of_a_page_is_left_out_and_what_is_far_from_it_is_as_whole(monkeypatch, tmp_path):
    plane = grey((300, 260), "uint8") + np.uint8(5)
    plane[:100, :130] = 0
    equalization = Equalization(16)
    expected = equalization.of_plane(plane.astype(np.float32).T).T
    monkeypatch.setattr(equalizing, "BAND", 64)
    monkeypatch.setattr(equalizing, "CHUNK", 64)
    stored = StoredVolume(tmp_path, (1, *plane.shape), np.uint16, 50)
    found = EqualizedPlane(lambda start, stop: plane[start:stop], plane.shape, equalization, stored).rows(0, 300)
    assert not found[:100, :130].any() and not expected[:100, :130].any()
    # filled from near by, and not from all around, the tiles beside the margin have other histograms
    far = np.s_[140:], np.s_[:, 170:]
    for part in far:
        np.testing.assert_allclose(found[part], expected[part], atol=0.01)
    assert np.abs(found - expected).max() < 0.1


def test_memory_of_a_stack_does_not_grow_with_its_depth_where_it_is_fused(random_ensemble, tmp_path):
    network, peaks = random_ensemble([2, 4], 0), []
    for depth in (6, 60):
        path = tmp_path / f"{depth}.tif"
        write_image(path, grey((depth, 128, 128)), "ZYX")
        fusing, reader = Fusing(), Reading()
        outputs = Outputs(tmp_path / "out", ".tif", True, reader, network, [fusing], {"mode": "fused"})
        steps = [Hysteresis(0.5, 0.6), Closing(3), Removal(20)]
        run = ImageSegmenter([as_source(path)], reader, [fusing, Equalization()], network, Windows(), steps, outputs)
        tracemalloc.start()
        run.run()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 20 * 128 * 128 * 4  # in memory, 54 slices more in float32
