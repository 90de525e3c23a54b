from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from imaging.decoding import jpeg, jpeg_scan
from imaging.decoding.radiograph import RefusedFile
from tests.imaging import dicom_files as files
from tests.imaging.dicom.test_read import smooth_picture


def encoded(tmp_path, pixels, **options):
    Image.fromarray(pixels).save(tmp_path / "a.jpg", **options)
    return (tmp_path / "a.jpg").read_bytes()


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
@pytest.mark.parametrize("noise", [True, False])
def test_blocks_are_counted(tmp_path, size, options, noise):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, size, dtype=np.uint8) if noise else np.full(size, 128, np.uint8)
    expected = -(-size[0] // 8) * -(-size[1] // 8)
    assert jpeg_scan.count_blocks(encoded(tmp_path, pixels, **options)) == expected


def test_every_lost_byte_loses_blocks():
    data = files.jpeg(smooth_picture())
    counts = [jpeg_scan.count_blocks(data[: -2 - lost] + b"\xff\xd9") for lost in range(0, 2000, 50)]
    assert counts[0] == 12 * 15
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] < 90
    assert jpeg_scan.count_blocks(data[:-5] + b"\xff\xd9") == 12 * 15 - 1  # three bytes of the last block


@pytest.mark.parametrize("side", [None, 48, 24, 12])
@pytest.mark.parametrize("lost", [20, 500, 1500])
def test_a_cut_scan_that_was_closed_again_is_refused(side, lost, capfd):
    """Decoders fill the missing rows with grey and report success."""
    data = files.jpeg(smooth_picture())
    closed = data[: -2 - lost] + b"\xff\xd9"
    filled = cv2.imdecode(np.frombuffer(closed, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert filled.shape == (96, 120)
    with pytest.raises(RefusedFile, match="last rows are missing"):
        jpeg.decode(closed, side)


@pytest.mark.parametrize("side", [None, 20])
def test_a_whole_grey_picture_is_not_taken_for_a_cut_one(side):
    grey = np.full((96, 120), 128, np.uint8)
    assert (jpeg.decode(files.jpeg(grey), side) == 128).all()


def test_missing_tables():
    data = files.jpeg(np.full((16, 16), 128, np.uint8))
    start = data.index(b"\xff\xc4")
    without = data[:start] + data[jpeg.frame(data).scan - 10 :]
    assert b"\xff\xc4" not in without
    with pytest.raises(RefusedFile, match="Huffman"):
        jpeg_scan.count_blocks(without)
