from __future__ import annotations

import struct
import tracemalloc
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image
from pydicom.data import get_testdata_file

from imaging import dicom
from imaging.decoding import pillow
from imaging.decoding.radiograph import MAX_SIDE, RefusedFile
from imaging.formats import reader
from tests.imaging import dicom_files as files
from tests.imaging.dicom.test_read import smooth_picture

GREY = np.random.default_rng(0).integers(0, 256, (24, 30), dtype=np.uint8)
GREY16 = np.random.default_rng(0).integers(0, 65536, (24, 30), dtype=np.uint16)


def saved(tmp_path, picture, name="a.png", **options):
    picture = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture
    picture.save(tmp_path / name, **options)
    return tmp_path / name


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_8_bit_grey(tmp_path, suffix):
    radiograph = reader.read(saved(tmp_path, GREY, f"a.{suffix}"))
    np.testing.assert_array_equal(radiograph.pixels, GREY)
    assert radiograph.spacing_mm is None
    assert (radiograph.facts.height, radiograph.facts.width, radiograph.facts.bits) == (24, 30, 8)
    assert radiograph.facts.notes == ()


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_grey(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    assert cv2.imwrite(str(path), GREY16)
    radiograph = reader.read(path)
    assert radiograph.pixels.dtype == np.uint16
    np.testing.assert_array_equal(radiograph.pixels, GREY16)
    np.testing.assert_array_equal(reader.read(path, 5).pixels, np.rint(GREY16 / 257).astype(np.uint8))


@pytest.mark.parametrize(("pixels", "mode"), [(GREY, "L"), (GREY16, "I;16")])
def test_tiff_that_counts_from_white(tmp_path, pixels, mode):
    path = saved(tmp_path, Image.fromarray(pixels), "a.tif", tiffinfo={262: 0})
    stored = Image.open(path)
    assert stored.mode == mode
    assert stored.tag_v2[262] == 0  # type: ignore[attr-defined]
    raw = path.read_bytes()
    meaning = pixels if raw.find((~pixels).tobytes()) >= 0 else ~pixels  # whether the writer turned it round
    np.testing.assert_array_equal(reader.read(path).pixels, meaning)


@pytest.mark.parametrize("side", [24, 12, 6])
def test_grey_jpeg_is_reduced(tmp_path, side):
    (tmp_path / "a.jpg").write_bytes(files.jpeg(smooth_picture()))
    found = reader.read(tmp_path / "a.jpg", side)
    pixels, facts = found.pixels, found.facts
    assert min(pixels.shape) == max(12, side)
    assert (facts.height, facts.width) == (96, 120)


@pytest.mark.parametrize(("name", "options"), [("a.png", {}), ("a.jpg", {"quality": 90}), ("a.bmp", {})])
def test_grey_in_three_channels_is_not_called_colour(tmp_path, name, options):
    picture = smooth_picture()
    radiograph = reader.read(saved(tmp_path, np.dstack([picture] * 3), name, **options))
    assert np.abs(radiograph.pixels.astype(int) - picture).max() < 8
    assert radiograph.facts.notes == ()


def test_colour_becomes_luma_with_a_note(tmp_path):
    colours = np.zeros((4, 5, 3), np.uint8)
    colours[:] = 200, 100, 50
    radiograph = reader.read(saved(tmp_path, colours))
    assert np.unique(radiograph.pixels).tolist() == [round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)]
    assert "differ by up to 150" in radiograph.facts.notes[0]


def test_palettes(tmp_path):
    palette = Image.fromarray(GREY).convert("P")
    np.testing.assert_array_equal(reader.read(saved(tmp_path, palette)).pixels, GREY)
    colours = Image.fromarray(np.dstack([GREY, GREY // 2, GREY // 4])).quantize(16)
    assert "colour" in reader.read(saved(tmp_path, colours)).facts.notes[0]


@pytest.mark.parametrize("channels", [2, 4])
def test_transparency_is_ignored_with_a_note(tmp_path, channels):
    layers = np.dstack([GREY] * (channels - 1) + [GREY // 2])
    radiograph = reader.read(saved(tmp_path, layers))
    np.testing.assert_array_equal(radiograph.pixels, GREY)
    assert radiograph.facts.notes == ("transparency is ignored",)


def test_one_bit(tmp_path):
    path = saved(tmp_path, Image.fromarray(GREY > 127))
    np.testing.assert_array_equal(reader.read(path).pixels, np.where(GREY > 127, 255, 0))


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_ignored(tmp_path, suffix, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = smooth_picture()
    path = saved(tmp_path, picture, f"a.{suffix}", exif=exif)
    assert Image.open(path).getexif()[0x0112] == orientation
    radiograph = reader.read(path)
    pixels = radiograph.pixels
    assert [
        note.startswith(f"EXIF orientation {orientation} is ignored") for note in radiograph.facts.notes
    ] == ([True] if orientation > 1 else [])
    assert pixels.shape == picture.shape
    assert np.abs(pixels.astype(int) - picture).max() < (8 if suffix == "jpg" else 1)
    assert reader.read(path, 48).pixels.shape in ((48, 60), (96, 120))


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("bits", [10, 12, 14, 15])
def test_fewer_bits_in_16_are_stretched_as_dicoms_are(tmp_path, suffix, bits):
    """0.1 to 0.95 of the bits' range become 0 to 1, as imaging.dicom displays 10 to 16 bits without a window."""
    values = np.rint(np.linspace(0.1, 0.95, 720) * (2**bits - 1)).astype(np.uint16).reshape(24, 30)
    radiograph = reader.read(saved(tmp_path, values, f"a.{suffix}"))
    low, high = int(values.min()), int(values.max())
    np.testing.assert_array_equal(
        radiograph.pixels, np.rint((values.astype(float) - low) / (high - low) * 65535)
    )
    assert radiograph.facts.notes == (
        f"a 16-bit file that uses {bits} bits: greys are stretched to the full range",
    )
    study = files.write(tmp_path / "a.dcm", values, stored=bits)
    np.testing.assert_array_equal(radiograph.pixels, dicom.read(study).pixels)


def test_a_12_bit_tiff(tmp_path):
    """Twelve bits a pixel, packed."""
    values = np.array([[0xFFF, 0x800], [0x400, 0x000]])
    packed = bytes([0xFF, 0xF8, 0x00, 0x40, 0x00, 0x00])
    entries = [(256, 3, 1, 2), (257, 3, 1, 2), (258, 3, 1, 12), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8), (277, 3, 1, 1),
               (278, 3, 1, 2), (279, 4, 1, 6)]  # fmt: skip
    table = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    head = b"II*\0" + struct.pack("<I", 14) + packed + struct.pack("<H", len(entries)) + table + bytes(4)
    (tmp_path / "a.tif").write_bytes(head)
    radiograph = reader.read(tmp_path / "a.tif")
    np.testing.assert_array_equal(radiograph.pixels, np.rint(values / 4095 * 65535))
    assert "12 bits" in radiograph.facts.notes[0]


def test_a_turned_tiff_that_counts_from_white(tmp_path):
    path = saved(tmp_path, GREY16, "a.tif", tiffinfo={262: 0, 274: 6})
    np.testing.assert_array_equal(reader.read(path).pixels, ~GREY16)


def refused(path, reason):
    for read in (reader.read, lambda path: reader.read(path, 8)):
        with pytest.raises(RefusedFile, match=reason) as caught:
            read(path)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_several_frames(tmp_path, suffix):
    second = Image.fromarray(~GREY)
    refused(saved(tmp_path, GREY, f"a.{suffix}", save_all=True, append_images=[second]), "2 pages or frames")


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (GREY.astype(np.float32), "mode F"),
        (GREY16.astype(np.int32) * 9, "0 to 65535"),
        (GREY16.astype(np.int32) - 9, "0 to"),
    ],
)
def test_values_that_do_not_fit(tmp_path, picture, reason):
    refused(saved(tmp_path, picture, "a.tif"), reason)


def test_cmyk(tmp_path):
    refused(saved(tmp_path, Image.fromarray(np.dstack([GREY] * 4), "CMYK"), "a.jpg"), "mode CMYK")


@pytest.mark.parametrize("name", ["a.png", "grey.jpg", "colour.jpg", "a.tif", "a.bmp"])
def test_cut_files(tmp_path, name):
    picture = smooth_picture()
    path = saved(tmp_path, np.dstack([picture] * 3) if name == "colour.jpg" else picture, name)
    data = path.read_bytes()
    for share in (0.1, 0.5, 0.9):
        path.write_bytes(data[: int(len(data) * share)])
        refused(path, ".")
    if name.endswith("jpg"):
        path.write_bytes(data[:-2])
        refused(path, "end marker")


def test_a_changed_byte_breaks_the_checksum(tmp_path):
    path = saved(tmp_path, smooth_picture())
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)
    refused(path, "damaged")


def png_claiming(width, height):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("width", "height"), [(MAX_SIDE + 1, 10), (10, MAX_SIDE + 1), (2**31 - 1, 2**31 - 1)]
)
def test_claimed_sizes(tmp_path, width, height):
    (tmp_path / "a.png").write_bytes(png_claiming(width, height))
    refused(tmp_path / "a.png", "at most 12000 per side|exceeds limit")


@pytest.mark.parametrize(
    "content", [b"GIF89a" + b"\0" * 50, b"RIFF\0\0\0\0WEBPVP8 ", b"hello", b"BM", b"\xff\xd8\xff"]
)
def test_what_is_no_picture_of_ours(tmp_path, content):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    refused(path, ".")


def test_content_decides_and_not_the_name(tmp_path):
    path = saved(tmp_path, GREY, "a.png").rename(tmp_path / "a.dcm")
    np.testing.assert_array_equal(reader.read(path).pixels, GREY)
    path = files.write(tmp_path / "b.png", GREY)
    np.testing.assert_array_equal(reader.read(path).pixels, GREY)
    np.testing.assert_array_equal(reader.read(path, 5).pixels, GREY)
    assert reader.read(path).facts.transfer_syntax is not None


def test_a_dicom_file_that_begins_as_a_tiff():
    path = get_testdata_file("MR_small.dcm", download=False)
    assert pillow.kind(open(path, "rb").read()) == "TIFF"  # noqa: SIM115
    np.testing.assert_array_equal(reader.read(path).pixels, dicom.read(path).pixels)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P"])
def test_greys_are_made_without_a_second_picture(mode):
    """Colours took 10 bytes a pixel beside Pillow's own 4."""
    picture = Image.new(mode, (1000, 8000))
    picture.load()
    tracemalloc.start()
    try:
        assert pillow.grey(picture)[0].shape == (8000, 1000)
        assert tracemalloc.get_traced_memory()[1] < 2 * 8000 * 1000
    finally:
        tracemalloc.stop()


def test_one_pixel_of_colour_in_the_last_rows_is_noted():
    colours = np.full((600, 3, 3), 90, np.uint8)
    colours[599, 2] = 90, 120, 90
    pixels, notes = pillow.grey(Image.fromarray(colours))
    np.testing.assert_array_equal(pixels, cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY))
    assert notes == ("colour (channels differ by up to 30) is converted to luma",)
