"""`python -m bundle fuse`, from files to files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from bundle.__main__ import main
from bundle.io import OUTPUT_SUFFIXES, open_image, write_ome_tiff
from bundle.transforms.focus import METHODS, fuse

SPACING = (2.0, 0.5, 0.25)


def stack(dtype: type = np.uint8, seed: int = 0) -> np.ndarray:
    """`[Z, Y, X]`, every size another."""
    return np.random.default_rng(seed).integers(0, 200, (4, 30, 20)).astype(dtype)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder with the stack `a.ome.tif`."""
    write_ome_tiff(tmp_path / "a.ome.tif", stack(), "ZYX", SPACING)
    return tmp_path


def run(*words: str | Path) -> int:
    return main(["fuse", *map(str, words)])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
def test_the_files_hold_what_fusion_gives_with_type_rows_columns_and_spacing(tmp_path: Path, method: str, dtype: type):
    write_ome_tiff(tmp_path / "a.ome.tif", stack(dtype), "ZYX", SPACING)
    assert run(tmp_path / "a.ome.tif", "--output", tmp_path / "out", "--method", method) == 0
    assert names(tmp_path / "out") == ["a_depth.tif", "a_fused.tif", "a_provenance.json"]
    for name, expected in zip(("fused", "depth"), fuse(lambda: stack(dtype), method), strict=True):
        image = open_image(tmp_path / "out" / f"a_{name}.tif")
        assert (image.axes, image.spacing, image.dtype) == ("YX", SPACING[1:], expected.dtype)
        np.testing.assert_array_equal(image.array(), expected)


@pytest.mark.parametrize(("format", "suffix"), OUTPUT_SUFFIXES.items())
def test_every_format_holds_the_same(tmp_path: Path, format: str, suffix: str):
    if format == "ome-zarr":
        pytest.importorskip("zarr", reason="the extra of OME-Zarr is not installed")
    write_ome_tiff(tmp_path / "a.ome.tif", stack(), "ZYX", SPACING)
    assert run(tmp_path / "a.ome.tif", "--output", tmp_path / "out", "--format", format) == 0
    assert names(tmp_path / "out") == [f"a_depth{suffix}", f"a_fused{suffix}", "a_provenance.json"]
    for name, expected in zip(("fused", "depth"), fuse(lambda: stack()), strict=True):
        image = open_image(tmp_path / "out" / f"a_{name}{suffix}")
        assert image.spacing == pytest.approx(SPACING[1:]) and image.dtype == expected.dtype
        np.testing.assert_array_equal(image.array(), expected)
    # the depth map serves in any of the formats
    along = ["--channel", "0", "--depth", tmp_path / "out" / f"a_depth{suffix}", "--output", tmp_path / "out"]
    assert run(tmp_path / "a.ome.tif", *along) == 0


class TestAlong:
    @pytest.fixture
    def two(self, tmp_path: Path) -> np.ndarray:
        """Two channels of `c.tif`, the first fused to `out`."""
        two = np.stack([stack(seed=1), stack(seed=2)])
        write_ome_tiff(tmp_path / "c.tif", two, "CZYX", SPACING, channels=["red", "far/red"])
        options = ["--channel", "0", "--method", "hessian", "--output", tmp_path / "out"]
        assert run(tmp_path / "c.tif", *options) == 0
        return two

    def test_another_channel_is_read_in_the_slices_of_the_first(self, tmp_path: Path, two: np.ndarray):
        before = (tmp_path / "out/c_fused.tif").read_bytes()
        depth = open_image(tmp_path / "out/c_depth.tif").array()
        options = ["--depth", tmp_path / "out/c_depth.tif", "--output", tmp_path / "out"]
        assert run(tmp_path / "c.tif", "--channel", "1", *options) == 0
        image = open_image(tmp_path / "out/c_channel-1_fused.tif")
        expected = np.take_along_axis(two[1], np.rint(depth)[None].astype(int), 0)[0]
        np.testing.assert_array_equal(image.array(), expected)
        assert image.spacing == SPACING[1:] and image.dtype == np.uint8
        assert (tmp_path / "out/c_fused.tif").read_bytes() == before
        # a channel's name may hold what no file name can; a folder holds the depth map of each stack
        assert run(tmp_path / "c.tif", "--channel", "far/red", "--depth", tmp_path / "out", *options[2:]) == 0
        named = open_image(tmp_path / "out/c_channel-far-red_fused.tif")
        np.testing.assert_array_equal(named.array(), expected)

    def test_what_is_there_is_kept(self, tmp_path: Path, two: np.ndarray, capsys: pytest.CaptureFixture):
        words = [tmp_path / "c.tif", "--channel", "1", "--depth", tmp_path / "out", "--output", tmp_path / "out"]
        run(*words)
        capsys.readouterr()
        assert run(*words) == 0
        assert "0 fused, 1 kept, 0 failed" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("depth", "axes", "said"),
        [
            (np.zeros((20, 30), np.float32), "YX", "20 × 30"),
            (np.full((30, 20), 4, np.float32), "YX", "ends at 3"),
            (np.full((30, 20), -2, np.float32), "YX", "no slice's index"),
            (np.zeros((2, 30, 20), np.float32), "ZYX", "no depth map"),
        ],
    )
    def test_a_map_that_does_not_fit_is_refused(
        self, folder: Path, capsys: pytest.CaptureFixture, depth: np.ndarray, axes: str, said: str
    ):
        write_ome_tiff(folder / "map.tif", depth, axes)
        assert run(folder / "a.ome.tif", "--depth", folder / "map.tif", "--output", folder / "out") == 1
        error = capsys.readouterr().err
        assert said in error and "map.tif" in error and len(error.splitlines()) == 1
        assert not (folder / "out").exists()

    def test_a_folder_without_its_map_is_said(self, folder: Path, capsys: pytest.CaptureFixture):
        assert run(folder / "a.ome.tif", "--depth", folder, "--output", folder / "out") == 1
        assert "no depth map of it" in capsys.readouterr().err


def test_the_network_weights_the_slices(folder: Path, capsys: pytest.CaptureFixture):
    assert run(folder / "a.ome.tif", "--method", "network", "--output", folder / "out") == 0
    fused, depth = (open_image(folder / f"out/a_{kind}.tif").array() for kind in ("fused", "depth"))
    assert fused.dtype == np.uint8 and depth.max() <= 3
    assert (fused >= stack().min(0)).all() and (fused <= stack().max(0)).all()
    capsys.readouterr()
    with pytest.raises(SystemExit):
        run(folder / "a.ome.tif", "--method", "network", "--depth", folder / "x.tif", "--output", folder / "out")
    assert run(folder / "a.ome.tif", "--weights", folder / "x.pt", "--output", folder / "other") == 1
    assert "--method network" in capsys.readouterr().err


def test_the_maximum_is_the_default_and_the_depth_counts_slices_from_zero(tmp_path: Path):
    slices = np.zeros((3, 8, 8), np.uint8)
    slices[2, :, :4] = slices[1, :, 4:] = 9
    tifffile.imwrite(tmp_path / "b.tif", slices, imagej=True, metadata={"axes": "ZYX"})
    assert run(tmp_path / "b.tif", "--output", tmp_path / "out") == 0
    assert (tifffile.imread(tmp_path / "out/b_fused.tif") == 9).all()
    np.testing.assert_array_equal(np.rint(tifffile.imread(tmp_path / "out/b_depth.tif")), [[2] * 4 + [1] * 4] * 8)


def test_without_spacing_none_is_written_and_with_it_by_option_that_one(tmp_path: Path):
    write_ome_tiff(tmp_path / "a.tif", stack(), "ZYX")
    run(tmp_path / "a.tif", "--output", tmp_path / "unknown")
    run(tmp_path / "a.tif", "--output", tmp_path / "given", "--spacing", "3", "0.5", "0.25")
    assert open_image(tmp_path / "unknown/a_fused.tif").spacing is None
    assert open_image(tmp_path / "given/a_depth.tif").spacing == (0.5, 0.25)


def test_a_channel_is_chosen_and_the_choice_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture):
    two = np.stack([stack(seed=1), stack(seed=2)])
    write_ome_tiff(tmp_path / "c.tif", two, "CZYX", SPACING)
    assert run(tmp_path / "c.tif", "--output", tmp_path / "out") == 1
    assert "--channel" in capsys.readouterr().err and not (tmp_path / "out").exists()
    assert run(tmp_path / "c.tif", "--output", tmp_path / "out", "--channel", "1") == 0
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out/c_fused.tif"), two[1].max(0))


def test_what_is_there_is_kept_and_said_unless_overwritten(folder: Path, capsys: pytest.CaptureFixture):
    out = folder / "out"
    run(folder / "a.ome.tif", "--output", out)
    first = {name: (out / name).read_bytes() for name in names(out)}
    (out / "a_fused.tif").write_text("mine")
    (out / "a_depth.tif").unlink()
    capsys.readouterr()

    assert run(folder / "a.ome.tif", "--output", out) == 0
    assert (out / "a_fused.tif").read_text() == "mine"
    assert (out / "a_depth.tif").read_bytes() == first["a_depth.tif"]
    assert "kept" in capsys.readouterr().out

    assert run(folder / "a.ome.tif", "--output", out) == 0
    assert "0 fused, 1 kept, 0 failed" in capsys.readouterr().out

    assert run(folder / "a.ome.tif", "--output", out, "--overwrite") == 0
    assert {name: (out / name).read_bytes() for name in names(out)} == first


def test_bad_inputs_get_a_line_each_and_the_others_go_on(folder: Path, capsys: pytest.CaptureFixture):
    write_ome_tiff(folder / "flat.tif", stack()[0], "YX")
    (folder / "text.tif").write_text("no image")
    (folder / "empty.tif").touch()
    infinite = stack(np.float32)
    infinite[2, 3, 4] = np.inf
    write_ome_tiff(folder / "infinite.tif", infinite, "ZYX")
    tifffile.imwrite(
        folder / "half.tif", stack(np.float16), metadata={"axes": "ZYX"}, ome=False, photometric="minisblack"
    )
    bad = ["flat.tif", "text.tif", "empty.tif", "infinite.tif", "half.tif", "missing.tif"]

    assert run(*(folder / name for name in [*bad, "a.ome.tif"]), "--output", folder / "out") == 1
    output = capsys.readouterr()
    for name in bad:
        lines = [line for line in output.err.splitlines() if line.startswith(f"{folder / name}: ") and ";" in line]
        assert len(lines) == 1, output.err
    assert "is a single image, there is nothing to fuse" in output.err
    assert "1 fused, 0 kept, 6 failed" in output.out
    assert names(folder / "out") == ["a_depth.tif", "a_fused.tif", "a_provenance.json"]


def test_a_stack_of_one_slice_is_fused_to_that_slice(tmp_path: Path):
    write_ome_tiff(tmp_path / "a.tif", stack()[:1], "ZYX", SPACING)
    assert run(tmp_path / "a.tif", "--output", tmp_path / "out", "--axes", "ZYX") == 0
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out/a_fused.tif"), stack()[0])


def test_two_inputs_of_one_name_are_refused_before_anything_runs(folder: Path, capsys: pytest.CaptureFixture):
    write_ome_tiff(folder / "a.tif", stack(), "ZYX")
    assert run(folder / "a.ome.tif", folder / "a.tif", "--output", folder / "out") == 1
    assert "same name" in capsys.readouterr().err and not (folder / "out").exists()


def test_a_folder_is_fused_whole_and_nothing_is_written_beside_the_output(tmp_path: Path):
    for name in ("a", "b #6", "356"):
        write_ome_tiff(tmp_path / "in" / f"{name}.tif", stack(), "ZYX", SPACING)
    assert run(tmp_path / "in", "--output", tmp_path / "out") == 0
    assert names(tmp_path / "in") == ["356.tif", "a.tif", "b #6.tif"]
    assert names(tmp_path / "out") == [
        f"{n}_{k}" for n in ("356", "a", "b #6") for k in ("depth.tif", "fused.tif", "provenance.json")
    ]


def test_an_output_folder_that_cannot_be_made_is_said(folder: Path, capsys: pytest.CaptureFixture):
    (folder / "file").touch()
    assert run(folder / "a.ome.tif", "--output", folder / "file") == 1
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1 and str(folder / "file") in error
