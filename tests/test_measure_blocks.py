"""Masks measured by blocks, on one machine and on many workers: the numbers are those of the whole."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import tifffile
from scipy.ndimage import distance_transform_edt, gaussian_filter
from stored import stored, whole
from test_cluster import InSlabs

from bundle.__main__ import main
from bundle.commands import measure as command
from bundle.io import write_image
from bundle.measurements import Blocks, crofton_length_density, measure, tissue_distances
from bundle.measurements.boxes import box_sides, fractal_dimension, lacunarity
from bundle.measurements.grids import Grid
from bundle.measurements.intervals import replicate_masks
from bundle.volumes import HERE
from bundle.volumes.blocks import StoredVolume


def worms(shape, seed=0, share=0.25):
    """Vessels, loops and pinholes; S, |L - N| and grey values."""
    rng = np.random.default_rng(seed)
    field = gaussian_filter(rng.random(shape), 1.5)
    field = field.ravel().argsort().argsort().reshape(shape) / field.size
    probability = np.clip(1.3 * (field - 1 + 1.6 * share) / (1.6 * share), 0, 1).astype(np.float32)
    disagreement = (0.3 * rng.random(shape)).astype(np.float32)
    grey = (200 * field + rng.normal(0, 5, shape)).clip(0, 255).astype(np.uint8)
    return list(replicate_masks(probability, disagreement))[1], probability, disagreement, grey


def same(found, expected):
    """Whether rows of numbers are the same to the last bit, NaN as well."""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == value or (value != value and found[name] != found[name]), name


@pytest.mark.parametrize("spacing", [(2.0, 0.5, 0.5), None])
def test_all_numbers_of_a_stack_by_blocks_are_those_of_the_whole(tmp_path, spacing):
    """With grey values, intervals, a region and a margin; by workers that are done in no order."""
    shape = (9, 30, 28)
    mask, probability, disagreement, grey = worms(shape)
    region = np.ones(shape, bool)
    region[:, :6, :9] = region[0] = False
    visible = np.ones(shape[1:], bool)
    visible[-5:] = False
    arrays = {"image": grey, "probability": probability, "disagreement": disagreement, "region": region}
    expected = measure(mask, spacing, visible=visible, **arrays)
    assert expected.image["interval"].startswith("90 %") and expected.image["branch_points"] > 2
    assert {segment["diameter_source"] for segment in expected.segments} >= {"profile", "section"}
    volumes = {name: stored(tmp_path / name, array, 11) for name, array in {"mask": mask, **arrays}.items()}
    options = {"visible": visible, "work": tmp_path, "brick": mask.size // 3}
    found = measure(volumes.pop("mask"), spacing, workers=InSlabs(4), **volumes, **options)
    same(found.image, expected.image)
    for rows, others in ((found.segments, expected.segments), (found.nodes, expected.nodes)):
        assert len(rows) == len(others)
        for row, other in zip(rows, others, strict=True):
            same(row, other)
    assert found.graph.as_dict() == expected.graph.as_dict() and found.remarks == expected.remarks


@pytest.mark.parametrize("depth", [1, 6])
@pytest.mark.parametrize("empty", [True, False])
def test_an_empty_mask_and_one_of_one_slice_are_measured_by_blocks_as_whole(tmp_path, depth, empty):
    """Within a region, beside a margin; of one slice holes are an image's."""
    shape = (depth, 30, 28)
    mask = worms((30, 28))[0][None].repeat(depth, 0) & (not empty)
    mask[:, 10:20, 10:20] = not empty
    mask[:, 14, 14] = False
    region, visible = np.ones(shape, bool), np.ones(shape[1:], bool)
    region[:, :4] = visible[-4:] = False
    for options in ({"region": region}, {"visible": visible}, {}):
        expected = measure(mask, (2.0, 0.5, 0.5), **options)
        volumes = {name: stored(tmp_path / name, array, 11) for name, array in options.items() if name == "region"}
        volume = stored(tmp_path / "mask", mask, 11)
        found = measure(volume, (2.0, 0.5, 0.5), work=tmp_path, brick=300, **{**options, **volumes})
        same(found.image, expected.image)
        assert found.graph.as_dict() == expected.graph.as_dict()


@pytest.mark.parametrize("seed", range(8))
def test_distances_of_bricks_are_those_of_the_whole_however_far_the_vessels_are(tmp_path, seed):
    """A few vessels far apart, in a region, beside a margin; against one distance transform of everything."""
    rng = np.random.default_rng(seed)
    shape = tuple(int(side) for side in rng.integers(1, (40, 90, 60)))[(seed == 7) :]
    mask = np.zeros(shape, bool)
    mask[tuple(rng.integers(0, shape, (rng.integers(1, 5), len(shape))).T)] = True
    spacing = tuple(rng.choice([0.37, 1.0, 2.5], len(shape)))
    visible = gaussian_filter(rng.random(shape[-2:]), 8, mode="wrap") > (0.49 if seed % 2 else 0)
    region = None if seed % 3 else rng.random(shape) < 0.8
    edges = np.meshgrid(
        *[
            (np.minimum(np.arange(n), n - 1 - np.arange(n)) + 0.5) * step if n > 1 else np.full(1, np.inf)
            for n, step in zip(shape, spacing, strict=True)
        ],
        indexing="ij",
    )
    border = np.minimum.reduce(edges)
    if not visible.all():
        everywhere = np.broadcast_to(visible, shape)
        border = np.minimum(border, distance_transform_edt(everywhere, sampling=spacing) - min(spacing) / 2)
    tissue = ~mask & visible & (True if region is None else region)
    centre = distance_transform_edt(~mask, sampling=spacing)
    for voxels in (mask.size // 7 + 1, mask.size):
        found = tissue_distances(Grid(mask, voxels), spacing, region, visible, InSlabs(1))
        if voxels != mask.size:
            first = found
        same(found._asdict(), first._asdict())
    # the wall is before the centre by a third of a pixel, whichever way that is turned
    certain = tissue & (centre <= border)
    if math.isnan(found.maximum):
        assert not certain.any()
    else:
        assert found.maximum <= centre[tissue].max()
        assert found.maximum >= centre[certain].max(initial=0) - max(spacing) / 3 - 1e-5
        assert found.left_out <= 1 - np.count_nonzero(certain) / np.count_nonzero(tissue) + 1e-9


@pytest.mark.parametrize("shape", [(17, 60, 50), (1, 40, 48), (70, 65)])
def test_sections_and_boxes_of_bricks_are_those_of_the_whole(shape):
    """The boxes are counted again, one after the other."""
    rng = np.random.default_rng(0)
    mask = gaussian_filter(rng.random(shape), 1) > 0.52
    spacing = (2.0, 1.0, 1.0)[-len(shape) :]
    region = rng.random(shape) < 0.9
    for inside in (None, region):
        numbers = {
            (
                crofton_length_density(Grid(mask, voxels), spacing, inside, InSlabs(2)),
                fractal_dimension(Grid(mask, voxels), spacing, inside, InSlabs(2)),
                lacunarity(Grid(mask, voxels), spacing, inside, InSlabs(2)),
            )
            for voxels in (mask.size // 9, mask.size // 4, mask.size)
        }
        (numbers,) = [n for n in numbers if n[0] == n[0]] or [n for n in numbers if n[0] != n[0]][:1]
        shown = mask if inside is None else mask & inside
        held, ratios = [], []
        for side in box_sides(shape, spacing):
            lower = tuple(min(n, size) for n, size in zip(side, shape, strict=True))
            boxes = np.lib.stride_tricks.sliding_window_view(shown, lower)
            mass = boxes.reshape(*boxes.shape[: len(shape)], -1).sum(axis=-1).astype(float)
            ratios.append((mass**2).mean() / mass.mean() ** 2)
            padded = np.pad(shown, [(0, -size % n) for n, size in zip(side, shape, strict=True)])
            split = [part for n, size in zip(side, padded.shape, strict=True) for part in (size // n, n)]
            held.append(np.count_nonzero(padded.reshape(split).any(axis=tuple(range(1, 2 * len(shape), 2)))))
        assert numbers[2] == pytest.approx(np.mean(ratios), rel=1e-12)
        slope = np.polyfit(np.log(2.0 ** np.arange(1, len(held) + 1)), np.log(held), 1)[0]
        assert numbers[1] == pytest.approx(-slope, rel=1e-12)


def files(folder: Path) -> dict[str, bytes]:
    """All files of a folder, hidden ones as well."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """A stack as segment leaves it, but for the cascades' disagreement, with grey values and a region."""
    folder = tmp_path_factory.mktemp("stack")
    mask, probability, _, grey = worms((17, 40, 36), seed=1)
    spacing = (2.0, 0.5, 0.5)
    for kind, array in (("mask", mask), ("probability", probability)):
        write_image(folder / f"a_{kind}.ome.zarr", array, "ZYX", spacing)
    write_image(folder / "images" / "a.ome.tif", grey, "ZYX", spacing)
    region = np.zeros(mask.shape, np.uint8)
    region[2:, 5:, :30] = 1
    write_image(folder / "roi" / "a.tif", region, "ZYX", spacing)
    return folder


def ran(stack, output, *words):
    """The files that the command writes."""
    given = [stack / "a_mask.ome.zarr", "--images", stack / "images", "--roi", stack / "roi", "--output", output]
    assert main(["measure", *map(str, given), *words]) == 0
    return files(output)


def test_the_command_on_two_processes_and_by_blocks_writes_the_files_that_it_writes_in_memory(
    stack, tmp_path, monkeypatch, capsys
):
    expected = ran(stack, tmp_path / "memory")
    assert b"none: only a mask" in expected["images.csv"] and b"profile" in expected["segments.csv"]
    capsys.readouterr()
    assert ran(stack, tmp_path / "many", "--cluster", "local", "--workers", "2") == expected
    assert "cluster: local, 2 workers" in (said := capsys.readouterr().out) and "dashboard http" in said
    monkeypatch.setattr(command, "IN_MEMORY", 1000)
    assert ran(stack, tmp_path / "blocks") == expected


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--workers", "2"), "say one of them"),
        (("--cluster", "nonsense"), "no cluster at nonsense, which is no address"),
    ],
)
def test_words_that_go_with_no_cluster_are_refused_before_any_work(stack, tmp_path, capsys, words, said):
    assert main(["measure", str(stack / "a_mask.ome.zarr"), "--output", str(tmp_path / "out"), *words]) == 1
    assert said in capsys.readouterr().err
    assert not list(tmp_path.glob("out/*"))


def labels(*, plain: bool) -> np.ndarray:
    """Of classes, in slices that do not all hold each; plain ones are 0 and 255."""
    array = np.zeros((3, 6, 7), np.uint16)
    array[0, 1:3, 2] = array[2, 4] = 255
    if not plain:
        array[1, 2] = 1
        array[1, 3] = 2
    return array


def test_a_mask_in_blocks_is_told_from_labels_as_in_memory(tmp_path):
    """Whether a file holds labels is seen only when all slices were."""
    for plain in (True, False):
        tifffile.imwrite(path := tmp_path / f"{plain}.tif", array := labels(plain=plain), metadata={"axes": "ZYX"})
        for foreground, expected in ((1, array != 0 if plain else array == 1), ("any", array != 0)):
            blocks = Blocks(tmp_path / f"{plain} {foreground}", HERE)
            mask, shadow = blocks.mask(path, {}, foreground)
            assert isinstance(mask, StoredVolume)
            np.testing.assert_array_equal(whole(mask), expected)
            np.testing.assert_array_equal(shadow, expected.any(axis=0))
    blocks = Blocks(tmp_path / "refused", InSlabs(1))
    for foreground, said in ((None, "not a binary mask"), (7, "has no label 7")):
        with pytest.raises(ValueError, match=said):
            blocks.mask(path, {}, foreground)
    tifffile.imwrite(path, np.where(np.arange(3)[:, None, None] == 1, 9, labels(plain=True)), metadata={"axes": "ZYX"})
    with pytest.raises(ValueError, match="it holds 0, 9, 255"):
        blocks.mask(path, {})
