"""The files of many microscopes: each is read with the values of its source, or one line says why not."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import oiffile
import pytest
import tifffile
import zarr

from bundle.__main__ import main
from bundle.errors import InputError
from bundle.io import open_image, open_recordings, write_image
from bundle.io.czi import _unpacked
from scripts.benchmarks import format_table
from scripts.tables import results

DATA = Path(os.environ.get("VESSEL_DATA", Path(__file__).parents[2] / "shared" / "data"))
FORMATS = DATA / "formats"
real_data = pytest.mark.skipif(not FORMATS.is_dir(), reason="the real files are not here (VESSEL_DATA)")

CELLS = "czi/CellDivision_T3_Z5_CH2_X240_Y170"
CONFOCAL = (0.32, 0.09057667, 0.09057667)
# of every scene: its axes and sizes, type, and micrometres along Z, Y and X as far as it has them, as SOURCE.md and the
# files' own headers give them; a text is part of the line that says why a scene or file is not read
EXPECTED = {
    f"{CELLS}.czi": [("TCZYX", (3, 2, 5, 170, 240), "uint16", CONFOCAL)],
    f"{CELLS}_comp1.czi": [("TCZYX", (3, 2, 5, 170, 240), "uint16", None)],
    f"{CELLS}_comp2.czi": [("TCZYX", (3, 2, 5, 170, 240), "uint16", None)],
    "czi/CellDivision_T3_Z6_CH1_X300_Y200_DCV_ZSTD.czi": [("TZYX", (3, 6, 200, 300), "uint16", CONFOCAL)],
    "czi/LSM880_AiryScan.czi": ["raw data of 32 phases"],
    "czi/RGB-multichannel.czi": [("CYXS", (7, 81, 147, 3), "uint8", (2.95849, 2.95849))],
    "czi/tiles_z.czi": [("CZYX", (2, 2, 512, 510), "uint8", (4, 0.8302658, 0.8302658))],
    "czi/xyz__multiple_images.czi": [("ZYX", (2, 251, 251), "uint16", (0.3, 0.1956444, 0.1956444))] * 2,
    "lif/LeicaLASX_wavelength-sweep_example.lif": [
        ("CYX", (20, 64, 64), "uint8", (0.1048144, 0.1048144)),
        ("CYX", (15, 64, 64), "uint8", (0.1048144, 0.1048144)),
        ("TCZYX", (2, 10, 11, 64, 64), "uint8", (0.5002, 0.1048144, 0.1048144)),
    ],
    "lif/xz-example.lif": ["planes of Z and X"] * 3,
    "nd2/cluster.nd2": [("TZCYX", (3, 10, 2, 31, 38), "uint16", (0.5, 0.168, 0.168))],
    "oib/test.oib": [("CYX", (3, 256, 256), "uint16", (0.177, 0.177))],
    "oif_converted/Cell 1 mitoEGFP.oif": [("CYX", (3, 256, 256), "uint16", (0.177, 0.177))],
    "ometiff/multi-channel.ome.tif": [("CYX", (3, 167, 439), "int8", None)],
    "ometiff/viv_multifile/multifile.companion.ome": [("ZYX", (5, 24, 18), "uint8", None)],
    **{f"ometiff/viv_multifile/multifile-Z{z}.ome.tiff": [("ZYX", (5, 24, 18), "uint8", None)] for z in range(1, 6)},
    "ometiff/ome-types_ome.tiff": [("CYX", (2, 6, 6), "uint8", None)],
    "ometiff/FOV7_HV110_P0500510000.ome.tiff": [("YX", (512, 512), "uint8", None)],
    "imagej_tiff/xyzc_16bit__dna_conf_wf.tif": [("ZCYX", (45, 2, 130, 133), "uint16", (0.4994, 0.5119, 0.5119))],
    "imagej_tiff/xyzc_16bit__spots.tif": [("ZCYX", (17, 2, 88, 89), "uint16", (0.4, 0.09413, 0.09413))],
    "imagej_tiff/xyzc_8bit_spheres.tif": [("ZCYX", (25, 2, 50, 50), "uint8", (2, 1, 1))],
    "imagej_tiff/xyz_8bit__mitotic_plate_calibrated.tif": [("ZYX", (6, 263, 263), "uint8", (3, 0.0852, 0.0852))],
    "imagej_tiff/xyz_8bit__mitotic_plate_badZcalibrated.tif": [("ZYX", (6, 263, 263), "uint8", (1, 0.0852, 0.0852))],
    "imagej_tiff/xyz_calibrated_16bit__golgi_bfa.tif": [("ZYX", (25, 137, 147), "uint16", (0.3876, 0.3514, 0.3514))],
    "imagej_tiff/xyz_nuclear_envelope_drosophila.tif": [("ZYX", (14, 224, 305), "uint8", (1, 0.24165, 0.24165))],
    "imagej_tiff/FluorescentCells_3channel.tif": [("CYX", (3, 512, 512), "uint8", None)],
    "tiff_misc/CH1_16bit.tif": [("YX", (408, 406), "uint16", None)],
    "tiff_misc/CH3_Fluorescence_8bit.tif": [("CYX", (3, 272, 275), "uint8", None)],
    "tiff_misc/Fluorescence_RGB.tif": [("YXS", (272, 275, 3), "uint8", None)],
    **{f"tiff_misc/multi_tiff_channels/Channel_{c}.tif": [("YX", (167, 439), "uint8", None)] for c in range(3)},
    "zarr/bioformats-zarr/METADATA.ome.xml": "files ending in .xml are not read",
    "zarr/bioformats-zarr/data.zarr": [("CYX", (3, 167, 439), "int8", None)],
    "zarr/ome-zarr/blobs_image_v04.ome.zarr": [("CYX", (3, 12, 12), "float64", None)],
    "zarr/ome-zarr/blobs_image_v05.ome.zarr": [("CYX", (3, 12, 12), "float64", None)],
    "zarr/ome-zarr/blobs_image_v04.ome.zarr.json": "files ending in .json are not read",
    "zarr/ome-zarr/blobs_image_v05.ome.zarr.json": "files ending in .json are not read",
}
COLOURS = ("red", "green", "blue")


def independent(path: Path, scene: int) -> np.ndarray | None:
    """What another library gives for the scene, whole: its axes of length 1 left out, colours last."""
    if path.suffix == ".czi":
        import czifile

        if "_comp" in path.name:  # which czifile cannot decode: the same recording, not compressed
            path = path.with_name(re.sub("_comp.", "", path.name))
        elif "ZSTD" in path.name:
            return None
        with czifile.CziFile(path) as file:
            array, axes = file.asarray(), file.axes
        return np.squeeze(array.take(scene, axes.index("S")) if "S" in axes else array)
    if path.suffix == ".lif":
        import liffile

        with liffile.LifFile(path) as file:
            return file.images[scene].asarray()
    if path.suffix == ".nd2":
        import nd2

        return nd2.imread(path)
    if path.suffix == ".zarr":
        group = zarr.open_group(path, mode="r")
        return np.squeeze(group["0" if "0" in group.array_keys() else "0/0"][:])
    if path.suffix in (".oib", ".oif"):
        return np.squeeze(oiffile.imread(path))
    if "viv_multifile" in str(path):
        return None  # test_io.py
    return tifffile.imread(path)


def options(axes: str, scenes: int, scene: int):
    """Every choice of channel, colour and time, and where it lies in the whole."""
    size = dict(axes)
    for place in np.ndindex(size.get("T", 1), size.get("C", 1), size.get("S", 1)):
        time, channel, colour = place
        chosen = f"{channel} {COLOURS[colour]}" if "C" in size and "S" in size else channel if "C" in size else colour
        index = {"T": time, "C": channel, "S": colour}
        where = tuple(index[axis] if axis in index else slice(None) for axis, _ in axes)
        yield {"time": time, "channel": chosen, "scene": scene if scenes > 1 else None}, where


@real_data
@pytest.mark.parametrize("name", EXPECTED)
def test_every_real_file_is_read_with_the_values_of_its_source_or_refused_in_one_line(name):
    path, expected = FORMATS / name, EXPECTED[name]
    if isinstance(expected, str):
        with pytest.raises(InputError, match=expected):
            open_recordings(path)
        return
    scenes = open_recordings(path)
    assert len(scenes) == len(expected)
    for number, (_, wanted) in enumerate(zip(scenes, expected, strict=True)):
        if isinstance(wanted, str):
            with pytest.raises(InputError, match=wanted) as caught:
                open_image(path, scene=number, channel=0, time=0)
            assert "\n" not in str(caught.value)
            continue
        axes, shape, dtype, spacing = wanted
        size = list(zip(axes, shape, strict=True))
        if {"T", "C", "S"} & set(axes) or len(scenes) > 1:
            with pytest.raises(InputError, match="choose one with --"):
                open_image(path).array()
        whole = independent(path, number)
        for choice, where in options(size, len(scenes), number):
            image = open_image(path, **choice)
            assert image.axes == "".join(axis for axis in axes if axis in "ZYX")
            assert image.shape == tuple(n for axis, n in size if axis in "ZYX")
            assert image.dtype == image.array().dtype == dtype
            assert image.spacing == (None if spacing is None else pytest.approx(spacing, rel=2e-3))
            if whole is not None:
                np.testing.assert_array_equal(image.array(), whole[where])


@real_data
def test_the_table_has_every_file_and_the_page_says_what_is_read():
    assert {path.relative_to(FORMATS).as_posix() for path in format_table.files(FORMATS)} == set(EXPECTED)
    assert format_table.rows(FORMATS) == results.read("formats.csv")


def test_the_page_holds_the_table():
    assert results.TABLES["formats"]() in (results.DOCS / "stacks.md").read_text(encoding="utf-8")


@real_data
def test_planes_that_zen_compressed_are_images():
    """No library here decodes this file; its neighbouring pixels are alike, as those of noise are not."""
    array = open_image(FORMATS / "czi" / "CellDivision_T3_Z6_CH1_X300_Y200_DCV_ZSTD.czi", time=2).array().astype(float)
    assert np.abs(np.diff(array, axis=2)).mean() < array.std() / 4
    assert np.abs(np.diff(array, axis=0)).mean() < array.std()


def test_low_and_high_bytes_that_were_packed_apart_come_together():
    import imagecodecs

    pixels = np.array([0x0102, 0x0304, 0xFFFE], "<u2")
    plain, apart = pixels.tobytes(), bytes([0x02, 0x04, 0xFE, 0x01, 0x03, 0xFF])
    for header, content in [(b"\x01", plain), (b"\x03\x01\x00", plain), (b"\x03\x01\x01", apart)]:
        packed = header + imagecodecs.zstd_encode(content)
        np.testing.assert_array_equal(_unpacked(packed, np.dtype("<u2")), pixels)


@real_data
@pytest.mark.parametrize(
    ("name", "choice"),
    [
        (f"{CELLS}.czi", {"channel": 1, "time": 2}),
        (f"{CELLS}_comp1.czi", {"channel": 1, "time": 2}),
        ("nd2/cluster.nd2", {"channel": 1, "time": 2}),
        ("lif/LeicaLASX_wavelength-sweep_example.lif", {"scene": "x_y_z_t_lambdaEmi", "channel": "555 nm", "time": 1}),
    ],
)
def test_only_the_plane_that_is_asked_for_is_read(name, choice):
    image = open_image(FORMATS / name, **choice)
    last = image.array()[-1]
    read = []
    original = image._recording.read
    object.__setattr__(image._recording, "read", lambda index: read.append(dict(index)) or original(index))
    np.testing.assert_array_equal(image.plane(len(image) - 1), last)
    assert len(read) == 1
    import tracemalloc

    tracemalloc.start()
    image.plane(0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 * last.nbytes + 60_000


@real_data
@pytest.mark.parametrize("name", [f"{CELLS}_comp2.czi", f"{CELLS}.czi", "lif/xz-example.lif", "nd2/cluster.nd2"])
def test_a_truncated_file_is_refused_wherever_it_breaks_off(tmp_path, name):
    whole = (FORMATS / name).read_bytes()
    path = tmp_path / Path(name).name
    for kept in (0.001, 0.02, 0.3, 0.6, 0.9, 0.99):
        path.write_bytes(whole[: int(kept * len(whole))])
        with pytest.raises(InputError) as caught:
            open_image(path, scene=0, channel=0, time=0, axes="TCYX" if path.suffix == ".lif" else None).array()
        assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


@real_data
def test_planes_of_depth_and_width_are_images_only_if_that_is_said():
    import liffile

    path = FORMATS / "lif" / "xz-example.lif"
    image = open_image(path, scene="xzt", axes="TCYX", time=3, channel=1)
    with liffile.LifFile(path) as file:
        np.testing.assert_array_equal(image.array(), file.images["xzt$"].asarray()[3, 1])
    assert image.spacing is None  # the file tells no step along what is now Y
    with pytest.raises(InputError, match="scanned in planes of Z and X"):
        open_image(path, scene="xz", channel=0)


BLOCKED = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"zarr", "numcodecs", "czifile", "liffile", "nd2", "h5py"}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Blocked())
import numpy as np
from bundle.errors import InputError
from bundle.io import open_image, write_image
for name in sys.argv[1:]:
    try:
        open_image(name)
    except InputError as error:
        print(error)
write_image(sys.argv[1] + ".tif", np.zeros((5, 7), np.uint8), "YX")
try:
    write_image(sys.argv[1] + ".zarr", np.zeros((5, 7), np.uint8), "YX")
except InputError as error:
    print(error)
"""


def test_without_the_libraries_of_the_extra_each_format_says_how_to_get_them(tmp_path):
    paths = [tmp_path / f"a.{suffix}" for suffix in ("czi", "lif", "nd2", "ims", "zarr")]
    for path in paths[:4]:
        path.write_bytes(b"x")
    paths[4].mkdir()
    words = [sys.executable, "-W", "error", "-c", BLOCKED, *map(str, paths)]
    done = subprocess.run(words, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    lines = done.stdout.splitlines()
    assert len(lines) == 6, done.stderr
    libraries = ["czifile", "liffile", "nd2", "h5py", "zarr", "zarr"]
    for line, library, path in zip(lines, libraries, [*paths, f"{paths[0]}.zarr"], strict=True):
        assert line.startswith(f"{path}: ")
        assert f"needs the package {library}; pip install -c constraints.txt -e '.[formats]'" in line


# OME-Zarr that other programs write


def multiscales(axes, scale, **more):
    level = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": scale}]}
    return {"multiscales": [{"version": "0.4", "axes": axes, "datasets": [level], **more}]}


def space(names, unit):
    return [{"name": name, "type": "space", "unit": unit} for name in names]


def write_zarr(path, array, attributes, version=2, **options):
    group = zarr.open_group(path, mode="w", zarr_format=version)
    group.create_array("0", data=array, chunks=(1,) * (array.ndim - 2) + array.shape[-2:], **options)
    group.attrs.update(attributes)
    return array


def numbers(shape):
    return np.random.default_rng(0).integers(1, 60_000, shape, np.uint16)


@pytest.mark.parametrize("version", [2, 3])
def test_zarr_units_become_micrometres_and_scales_of_the_whole_count(tmp_path, version):
    path = tmp_path / "a.zarr"
    about = multiscales(
        space("zyx", "nanometer"),
        [1000, 500, 250],
        coordinateTransformations=[{"type": "scale", "scale": [2, 1, 1]}],
    )
    array = write_zarr(path, numbers((3, 5, 7)), {"ome": about} if version == 3 else about, version)
    image = open_image(path)
    assert image.spacing == pytest.approx((2, 0.5, 0.25))
    np.testing.assert_array_equal(image.array(), array)


def test_zarr_without_unit_has_no_spacing(tmp_path):
    axes = [{"name": name, "type": "space"} for name in "yx"]
    write_zarr(tmp_path / "a.zarr", numbers((5, 7)), multiscales(axes, [0.5, 0.25]))
    assert open_image(tmp_path / "a.zarr").spacing is None


def test_zarr_axes_that_contradict_are_refused(tmp_path):
    for axes, said in [("zyx", "3 axes of an array of 2"), ("xy", "the axes x, y"), ("qx", "the axes q, x")]:
        write_zarr(tmp_path / f"{axes}.zarr", numbers((5, 7)), multiscales(space(axes, "micrometer"), [1] * len(axes)))
        with pytest.raises(InputError, match=said):
            open_image(tmp_path / f"{axes}.zarr")


def test_zarr_folders_that_are_no_image_say_what_they_are(tmp_path):
    (tmp_path / "a.zarr").mkdir()
    zarr.open_group(tmp_path / "b.zarr", mode="w", zarr_format=2)
    zarr.open_group(tmp_path / "c.zarr", mode="w", zarr_format=2).attrs["plate"] = {}
    zarr.create_array(tmp_path / "d.zarr", data=numbers((5, 7)), zarr_format=2)
    for name, said in [
        ("a", "no OME-Zarr"),
        ("b", "without the metadata"),
        ("c", "plate or well"),
        ("d", "no OME-Zarr"),
    ]:
        with pytest.raises(InputError, match=said):
            open_image(tmp_path / f"{name}.zarr")


def test_a_chunk_that_is_cut_off_is_refused_and_the_others_are_read(tmp_path):
    array = numbers((3, 50, 70))
    write_image(tmp_path / "a.zarr", array, "ZYX")
    (chunk,) = (path for path in (tmp_path / "a.zarr" / "0" / "1").rglob("*") if path.is_file())
    chunk.write_bytes(chunk.read_bytes()[:-20])
    image = open_image(tmp_path / "a.zarr")
    np.testing.assert_array_equal(image.plane(2), array[2])
    with pytest.raises(InputError, match="slice 2 of 3"):
        image.plane(1)


def test_images_of_a_collection_are_scenes_described_by_their_ome_xml(tmp_path):
    path = tmp_path / "a.zarr"
    zarr.open_group(path, mode="w", zarr_format=2).attrs["bioformats2raw.layout"] = 3
    arrays = []
    for number in range(2):
        axes = [{"name": "c", "type": "channel"}, *space("yx", "micrometer")]
        arrays.append(write_zarr(path / str(number), numbers((2, 5, 7 + number)), multiscales(axes, [1, 0.5, 0.25])))
    images = "".join(
        f'<Image ID="Image:{i}" Name="scene {i}"><Pixels DimensionOrder="XYZCT" Type="uint16" SizeX="{7 + i}" '
        'SizeY="5" SizeZ="1" SizeC="2" SizeT="1"><Channel Name="CD31"/><Channel Name="DAPI"/></Pixels></Image>'
        for i in range(2)
    )
    (path / "OME").mkdir()
    xml = f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">{images}</OME>'
    (path / "OME" / "METADATA.ome.xml").write_text(xml)
    with pytest.raises(InputError, match="0 scene 0, 1 scene 1"):
        open_image(path)
    image = open_image(path, scene="scene 1", channel="dapi")
    np.testing.assert_array_equal(image.array(), arrays[1][1])
    assert image.spacing == (0.5, 0.25)
    np.testing.assert_array_equal(open_image(path / "0", channel=1).array(), arrays[0][1])


@real_data
def test_info_tells_axes_shape_type_spacing_and_channels_of_every_format(capsys):
    names = ["nd2/cluster.nd2", "lif/xz-example.lif", f"{CELLS}.czi", "zarr/bioformats-zarr/data.zarr"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert main(["info", *(str(FORMATS / name) for name in names)]) == 0
    out = capsys.readouterr().out
    for text in (
        "3 × 10 × 2 × 31 × 38",
        "Z 0.5 µm, Y 0.167809 µm, X 0.167809 µm",
        "0 5-FAM/pH 9.0",
        "scene 1: xzy",
        "was scanned in planes of Z and X",
        "2 (0 LED555, 1 LED470)",
        "int8",
    ):
        assert text in out
