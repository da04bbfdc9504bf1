"""What the numbers of a picture mean: each way to say that they are not what a viewer shows is followed or refused."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest
import tifffile

from bundle.__main__ import main
from bundle.errors import InputError
from bundle.io import open_image

RNG = np.random.default_rng(0)
INDICES = RNG.integers(0, 4, (5, 7), np.uint8)
COLOURS = np.array([(0, 0, 0), (255, 0, 0), (0, 128, 9), (30, 30, 200)], np.uint8)
GREYS = RNG.integers(0, 256, (5, 7), np.uint8)


def refusal(path, **options):
    with pytest.raises(InputError) as caught:
        open_image(path, **options).array()
    return str(caught.value)


def palette_tiff(path, numbers, table):
    whole = np.zeros((3, 1 << 8 * numbers.itemsize), np.uint16)
    whole[:, : len(table)] = table.T.astype(np.uint16) * 257
    tifffile.imwrite(path, numbers, photometric="palette", colormap=whole, metadata=None)


def palette_png(path, numbers, table):
    picture = PIL.Image.fromarray(numbers, "P")
    picture.putpalette(table.ravel().tolist())
    picture.save(path)


@pytest.mark.parametrize("suffix", ["tif", "png", "bmp"])
def test_a_table_of_colours_becomes_the_colours(tmp_path, suffix, capsys):
    path = tmp_path / f"a.{suffix}"
    (palette_tiff if suffix == "tif" else palette_png)(path, INDICES, COLOURS)
    assert "is a colour image; choose one with --channel: red, green, blue or index" in refusal(path)
    for number, name in enumerate(("red", "green", "blue")):
        np.testing.assert_array_equal(open_image(path, channel=name).array(), COLOURS[INDICES, number])
    np.testing.assert_array_equal(open_image(path, channel="index").array(), INDICES)
    np.testing.assert_array_equal(open_image(path, channel="green").rows(0, 1, 4), COLOURS[INDICES, 1][1:4])
    assert main(["info", str(path)]) == 0
    assert "colours: red, green, blue, index" in capsys.readouterr().out


@pytest.mark.parametrize("suffix", ["tif", "png"])
def test_a_table_of_greys_becomes_the_greys(tmp_path, suffix):
    path, greys = tmp_path / f"a.{suffix}", np.array([9, 200, 30, 31], np.uint8)
    (palette_tiff if suffix == "tif" else palette_png)(path, INDICES, np.repeat(greys[:, None], 3, 1))
    np.testing.assert_array_equal(open_image(path).array(), greys[INDICES])


@pytest.mark.parametrize("suffix", ["tif", "png"])
@pytest.mark.parametrize("colour", [(0, 1, 0), (1, 0, 1), (1, 0.5, 0)])
def test_numbers_that_a_table_shows_in_false_colour_stay_as_they_are(tmp_path, suffix, colour):
    """ImageJ and microscopes store so what they show green."""
    path, table = tmp_path / f"a.{suffix}", np.outer(np.arange(256), colour).astype(np.uint8)
    (palette_tiff if suffix == "tif" else palette_png)(path, GREYS, table)
    np.testing.assert_array_equal(open_image(path).array(), GREYS)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, bool])
def test_white_as_0_is_a_choice_between_what_is_shown_and_what_is_stored(tmp_path, dtype):
    numbers = RNG.random((5, 7)) < 0.5 if dtype is bool else RNG.integers(0, np.iinfo(dtype).max, (5, 7), dtype)
    tifffile.imwrite(tmp_path / "a.tif", numbers, photometric="miniswhite", metadata=None)
    assert "stores white as 0" in refusal(tmp_path / "a.tif")
    shown = ~numbers if dtype is bool else np.iinfo(dtype).max - numbers
    np.testing.assert_array_equal(open_image(tmp_path / "a.tif", channel="shown").array(), shown)
    np.testing.assert_array_equal(open_image(tmp_path / "a.tif", channel="stored").array(), numbers)


def test_the_lowest_of_signed_values_as_white_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", GREYS.astype(np.float32), photometric="miniswhite", metadata=None)
    assert "stores white as the lowest of its float32 values; invert it" in refusal(tmp_path / "a.tif")


def with_tag(path, code, value):
    """Change the value of a TIFF's tag."""
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        tiff.pages[0].tags[code].overwrite(value)


@pytest.mark.parametrize(
    ("photometric", "samples", "said"),
    [
        (5, 4, "printing inks (CMYK)"),
        (6, 3, "brightness and differences of colour (YCbCr)"),
        (8, 3, "CIE L*a*b*"),
        (32803, 1, "raw data of a colour sensor"),
        (34892, 3, "raw data of a camera"),
        (32845, 3, "LogLuv"),
    ],
)
def test_other_colours_are_refused_for_what_they_are(tmp_path, photometric, samples, said):
    array = RNG.integers(0, 256, (5, 7, samples), np.uint8) if samples > 1 else GREYS
    photo = {1: "minisblack", 3: "rgb", 4: "separated"}[samples]
    tifffile.imwrite(tmp_path / "a.tif", array, photometric=photo, metadata=None)
    with_tag(tmp_path / "a.tif", 262, photometric)
    assert said in refusal(tmp_path / "a.tif") and "save it as plain grey values" in refusal(tmp_path / "a.tif")


def test_a_jpeg_in_a_tiff_is_the_colours_that_it_was_made_of(tmp_path):
    grey = np.repeat(np.repeat(GREYS, 8, 0), 8, 1)
    tifffile.imwrite(tmp_path / "a.tif", np.dstack([grey] * 3), photometric="rgb", compression="jpeg", metadata=None)
    assert np.abs(open_image(tmp_path / "a.tif").array().astype(int) - grey).mean() < 3


def test_a_tiff_without_a_word_on_its_colours_is_grey(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", GREYS, photometric="minisblack", metadata=None)
    content = (tmp_path / "a.tif").read_bytes()
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        place = tiff.pages[0].tags[262].offset
    (tmp_path / "a.tif").write_bytes(content[:place] + (263).to_bytes(2, "little") + content[place + 2 :])
    np.testing.assert_array_equal(open_image(tmp_path / "a.tif").array(), GREYS)


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_tiff_that_is_to_be_turned_is_refused_and_its_stored_form_can_be_had(tmp_path, orientation):
    tags = [(274, 3, 1, orientation, True)]
    tifffile.imwrite(tmp_path / "a.tif", GREYS, photometric="minisblack", metadata=None, extratags=tags)
    assert f"orientation {orientation}" in refusal(tmp_path / "a.tif")
    np.testing.assert_array_equal(open_image(tmp_path / "a.tif", axes="YX").array(), GREYS)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_as_viewers_turn_it(tmp_path, suffix, orientation):
    numbers = np.zeros((16, 24), np.uint8)
    numbers[:8, :8] = 200  # one corner of blocks that JPEG keeps
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    PIL.Image.fromarray(numbers).save(tmp_path / f"a.{suffix}", exif=exif)
    corner = {1: (0, 0), 2: (0, 1), 3: (1, 1), 4: (1, 0), 5: (0, 0), 6: (0, 1), 7: (1, 1), 8: (1, 0)}[orientation]
    array = open_image(tmp_path / f"a.{suffix}").array()
    assert array.shape == ((16, 24) if orientation < 5 else (24, 16))
    rows, columns = (slice(0, 8) if side == 0 else slice(-8, None) for side in corner)
    assert array[rows, columns].min() > 150 and array.astype(int).sum() == pytest.approx(64 * 200, rel=0.05)


def test_inks_of_a_jpeg_are_refused(tmp_path):
    PIL.Image.fromarray(np.dstack([GREYS] * 4), "CMYK").save(tmp_path / "a.jpg")
    assert "printing inks (CMYK)" in refusal(tmp_path / "a.jpg")


def test_an_animation_is_refused(tmp_path):
    frames = [PIL.Image.fromarray(GREYS), PIL.Image.fromarray(GREYS.T.copy().reshape(5, 7))]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    assert "animation of 2 pictures" in refusal(tmp_path / "a.png")


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits_are_spread_over_the_greys_that_are_shown(tmp_path, bits):
    levels = (1 << bits) - 1
    numbers = RNG.integers(0, levels + 1, (5, 8), np.uint8)
    PIL.Image.fromarray(numbers * np.uint8(255 // levels)).save(tmp_path / "full.png")
    expected = open_image(tmp_path / "full.png").array()
    if bits == 1:
        PIL.Image.fromarray(numbers.astype(bool)).save(tmp_path / "a.png")
        np.testing.assert_array_equal(255 * open_image(tmp_path / "a.png").array().astype(np.uint8), expected)
    else:
        write_png(tmp_path / "a.png", numbers, bits)
        np.testing.assert_array_equal(open_image(tmp_path / "a.png").array(), expected)


def write_png(path, numbers, bits, colour=0, interlaced=False, extra=()):
    """A PNG by the book (ISO 15948), for forms that Pillow does not write."""
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    def scanlines(part):
        if bits < 8:
            rows = [np.packbits(np.unpackbits(row[:, None], axis=1)[:, -bits:].ravel()).tobytes() for row in part]
        else:
            rows = [row.astype(f">u{bits // 8}").tobytes() for row in part]
        return b"".join(b"\0" + row for row in rows)

    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    parts = [numbers[y::dy, x::dx] for y, x, dy, dx in passes] if interlaced else [numbers]
    header = struct.pack(">IIBBBBB", numbers.shape[1], numbers.shape[0], bits, colour, 0, 0, int(interlaced))
    data = zlib.compress(b"".join(scanlines(part) for part in parts if part.size))
    chunks = [chunk(b"IHDR", header), *(chunk(*one) for one in extra), chunk(b"IDAT", data), chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(("colour", "samples"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_interlaced_pictures_are_whole(tmp_path, bits, colour, samples):
    numbers = RNG.integers(0, 1 << bits, (13, 11, samples), np.uint16)
    write_png(tmp_path / "a.png", numbers[..., 0] if samples == 1 else numbers, bits, colour, interlaced=True)
    for number in range(samples):
        found = open_image(tmp_path / "a.png", channel=number if samples > 1 else None).array()
        np.testing.assert_array_equal(found, numbers[..., number])


def test_a_grey_that_means_transparent_is_no_silent_background(tmp_path):
    write_png(tmp_path / "a.png", GREYS, 8, extra=[(b"tRNS", int(GREYS[0, 0]).to_bytes(2, "big"))])
    assert "transparency" in refusal(tmp_path / "a.png")
    np.testing.assert_array_equal(open_image(tmp_path / "a.png", channel="grey").array(), GREYS)


def test_a_gamma_changes_no_number(tmp_path):
    """It tells a screen how bright to show a number; larger ones stay brighter."""
    write_png(tmp_path / "a.png", GREYS, 8, extra=[(b"gAMA", (100_000).to_bytes(4, "big"))])
    np.testing.assert_array_equal(open_image(tmp_path / "a.png").array(), GREYS)


def test_samples_that_are_no_colours_are_not_called_so(tmp_path, capsys):
    array = RNG.integers(0, 256, (5, 7, 2), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="minisblack", planarconfig="contig", metadata=None)
    assert "has 2 samples in each pixel; choose one with --channel: sample 0 or sample 1" in refusal(tmp_path / "a.tif")
    assert main(["info", str(tmp_path / "a.tif")]) == 0
    assert "samples: sample 0, sample 1" in capsys.readouterr().out
    options = {"photometric": "rgb", "extrasamples": ["unspecified"], "metadata": None}
    tifffile.imwrite(tmp_path / "b.tif", np.dstack([array, array]), **options)
    assert "red, green, blue or sample 3" in refusal(tmp_path / "b.tif")
    np.testing.assert_array_equal(open_image(tmp_path / "b.tif", channel="sample 3").array(), array[..., 1])
