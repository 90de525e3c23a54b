from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from imaging.decoding import jpeg
from imaging.decoding.radiograph import RefusedFile
from tests.imaging import dicom_files as files
from tests.imaging.dicom.test_read import smooth_picture


def encoded(tmp_path, pixels, **options):
    Image.fromarray(pixels).save(tmp_path / "a.jpg", **options)
    return (tmp_path / "a.jpg").read_bytes()


def refused(data, *codes):
    with pytest.raises(RefusedFile) as caught:
        jpeg.decode(data)
    assert caught.value.code in codes


def test_the_frame_of_a_baseline_jpeg():
    frame = jpeg.frame(files.jpeg(smooth_picture()))
    assert (frame.process, frame.bits, frame.height, frame.width, frame.components) == (0, 8, 96, 120, 1)
    assert frame.plain


def test_the_frame_behind_comments_and_fill_bytes():
    data = files.jpeg(smooth_picture())
    comment = b"\xff\xfe\x00\x06\xff\xd8\xff\xd9"  # holds the start and end markers of a thumbnail
    longer = data[:2] + b"\xff\xff" + comment + data[2:]
    assert jpeg.frame(longer).width == 120
    np.testing.assert_array_equal(jpeg.decode(longer), jpeg.decode(data))
    with pytest.raises(RefusedFile, match="end marker"):
        jpeg.decode(longer[:-2])


@pytest.mark.parametrize("options", [{"progressive": True}, {}])
def test_what_is_left_to_other_decoders(tmp_path, options):
    pixels = smooth_picture() if options else np.dstack([smooth_picture()] * 3)
    data = encoded(tmp_path, pixels, **options)
    assert not jpeg.frame(data).plain
    with pytest.raises(RefusedFile, match="not an 8-bit grey sequential JPEG"):
        jpeg.decode(data)


def test_a_claimed_size_is_refused_before_it_is_decoded():
    data = bytearray(files.jpeg(smooth_picture()))
    place = data.index(b"\xff\xc0") + 5
    data[place : place + 4] = b"\xff\xff\xff\xff"
    with pytest.raises(RefusedFile, match="65535 x 65535"):
        jpeg.decode(bytes(data))


@pytest.mark.parametrize("size", [(8, 8), (1, 1), (9, 8), (8, 17), (40, 33)])
@pytest.mark.parametrize("options", [{}, {"optimize": True}, {"restart_marker_blocks": 3}, {"quality": 100}])
def test_whole_jpegs_decode_without_a_warning(tmp_path, size, options):
    for pixels in (
        np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8),
        np.full(size, 128, np.uint8),
    ):
        data = encoded(tmp_path, pixels, **options)
        np.testing.assert_array_equal(jpeg.decode(data), np.asarray(Image.open(tmp_path / "a.jpg")))


def test_every_lost_byte_of_the_coded_pixels_is_noticed():
    data = files.jpeg(smooth_picture())
    for lost in range(2, 200):
        refused(data[: -2 - lost] + b"\xff\xd9", "JPEG-CUT")


@pytest.mark.parametrize("quality", [60, 95])
def test_emptied_restart_intervals_are_refused(tmp_path, quality):
    """libjpeg fills the blocks in and warns."""
    data = encoded(tmp_path, smooth_picture(), restart_marker_blocks=15, quality=quality)
    start, end = (data.index(bytes([0xFF, marker])) for marker in (0xD3, 0xD4))
    emptied = data[: start + 2] + data[end:]
    assert cv2.imdecode(np.frombuffer(emptied, np.uint8), cv2.IMREAD_GRAYSCALE).shape == (96, 120)
    refused(emptied, "JPEG-CUT", "JPEG-DAMAGED")


def test_filler_before_the_end_marker_is_ignored():
    data = files.jpeg(smooth_picture())
    np.testing.assert_array_equal(jpeg.decode(data[:-2] + b"\0" * 20 + data[-2:]), jpeg.decode(data))


def test_a_scan_header_without_its_spectrum_is_repaired():
    data = files.jpeg(smooth_picture())
    scan = jpeg.frame(data).scan
    wrong = data[: scan - 3] + b"\0\0\0" + data[scan:]
    np.testing.assert_array_equal(jpeg.decode(wrong), jpeg.decode(data))


def test_lengths_after_restart_markers_in_the_header_hide_no_size():
    """RST has no length: a reader that takes one would skip the real size and believe a smaller one."""
    data = files.jpeg(smooth_picture())
    place = data.index(b"\xff\xc0")
    size = bytearray(data[place : place + 13])
    size[5:9] = b"\x2e\xe0\x2e\xe0"
    trap = b"\xff\xd0" + bytes(size)
    refused(data[:2] + trap + data[2:], "JPEG-DAMAGED")


def test_work_is_limited():
    """As many scans as a bomb has; encoders write about ten."""
    data = files.jpeg(smooth_picture())
    scan = b"\xff\xda\0\x08\x01\x01\0\0\x3f\0"
    refused(data[:-2] + scan * 101 + data[-2:], "JPEG-WORK")


def size_2000(tile=64, components=1):
    numbers = (128, 128, 0, 0, tile, tile, 0, 0)
    return (
        b"\xff\x4f\xff\x51\0\x29\0\0"
        + b"".join(number.to_bytes(4, "big") for number in numbers)
        + components.to_bytes(2, "big")
        + b"\x0b\x01\x01" * components
    )


def test_the_frame_of_a_jpeg_2000_code_stream_and_of_its_file():
    box = (
        (16 + 10).to_bytes(4, "big") + b"xml " + size_2000()[:4] * 4 + b"\0\0"
    )  # a false one before the true one
    for data in (size_2000(), box + (8 + 44).to_bytes(4, "big") + b"jp2c" + size_2000()):
        frame = jpeg.frame_2000(data)
        assert (frame.height, frame.width, frame.bits, frame.components) == (128, 128, 12, 1)


def test_tiles_are_limited():
    with pytest.raises(RefusedFile) as caught:
        jpeg.check_work(b"", jpeg.frame_2000(size_2000(tile=1)))
    assert caught.value.code == "JPEG-WORK"


@pytest.mark.parametrize("side", [None, 48, 24, 12])
@pytest.mark.parametrize("lost", [20, 500, 1500])
def test_a_cut_scan_that_was_closed_again_is_refused(side, lost, capfd):
    """Decoders fill the missing rows with grey and report success."""
    data = files.jpeg(smooth_picture())
    closed = data[: -2 - lost] + b"\xff\xd9"
    filled = cv2.imdecode(np.frombuffer(closed, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert filled.shape == (96, 120)
    with pytest.raises(RefusedFile, match="JPEG-CUT"):
        jpeg.decode(closed, side)


@pytest.mark.parametrize("side", [None, 20])
def test_a_whole_grey_picture_is_not_taken_for_a_cut_one(side):
    grey = np.full((96, 120), 128, np.uint8)
    assert (jpeg.decode(files.jpeg(grey), side) == 128).all()


def test_missing_tables_are_those_of_the_standard():
    data = files.jpeg(np.full((16, 16), 128, np.uint8))
    start = data.index(b"\xff\xc4")
    without = data[:start] + data[jpeg.frame(data).scan - 10 :]
    assert b"\xff\xc4" not in without
    np.testing.assert_array_equal(jpeg.decode(without), jpeg.decode(data))
