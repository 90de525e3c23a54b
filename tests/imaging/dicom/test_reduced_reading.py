"""Reading at reduced size: the JPEG decoder scales, and inversion and windowing stay as they are."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from pydicom import uid

from imaging import dicom
from tests.imaging import dicom_files as files
from tests.imaging.dicom.test_read import SHAPE, random_pixels, smooth_picture


@pytest.mark.parametrize(
    ("height", "width", "side", "expected"),
    [
        (96, 120, 96, (96, 120)),
        (96, 120, 49, (96, 120)),
        (96, 120, 48, (48, 60)),
        (96, 120, 25, (48, 60)),
        (96, 120, 24, (24, 30)),
        (96, 120, 12, (12, 15)),
        (96, 120, 1, (12, 15)),
        (97, 121, 49, (49, 61)),
        (96, 120, 500, (96, 120)),
    ],
)
def test_reduced_reading(tmp_path, height, width, side, expected):
    picture = smooth_picture(height, width)
    path = files.write_frame(tmp_path / "a.dcm", files.jpeg(picture), uid.JPEGBaseline8Bit, picture)
    radiograph = dicom.read(path, side)
    pixels, facts = radiograph.pixels, radiograph.facts
    assert pixels.shape == expected
    assert pixels.dtype == np.uint8
    assert (facts.height, facts.width) == (height, width)
    factor = round(height / expected[0])
    rows, columns = height // factor, width // factor  # the blocks that are whole
    full = dicom.read(path).pixels[: rows * factor, : columns * factor]
    average = cv2.resize(full, (columns, rows), interpolation=cv2.INTER_AREA)
    assert np.abs(pixels[:rows, :columns].astype(int) - average).max() <= 3


def test_reduced_reading_of_inverted_and_of_windowed_pictures(tmp_path):
    picture = smooth_picture()
    frame = files.jpeg(picture)
    plain, inverted, windowed = (
        files.write_frame(tmp_path / f"{i}.dcm", frame, uid.JPEGBaseline8Bit, picture, **changes)
        for i, changes in enumerate(
            [
                {"RescaleSlope": 1, "RescaleIntercept": 0},
                {"PhotometricInterpretation": "MONOCHROME1"},
                {"WindowCenter": 100, "WindowWidth": 50},
            ]
        )
    )
    np.testing.assert_array_equal(dicom.read(inverted, 48).pixels, 255 - dicom.read(plain, 48).pixels)
    np.testing.assert_array_equal(dicom.read(windowed, 48).pixels, dicom.read(windowed).pixels)


def test_reduced_reading_of_16_bits(tmp_path):
    pixels = random_pixels(np.uint16, 16)
    radiograph = dicom.read(files.write(tmp_path / "a.dcm", pixels), 10)
    reduced, facts = radiograph.pixels, radiograph.facts
    np.testing.assert_array_equal(reduced, np.rint(pixels / 257).astype(np.uint8))
    assert (facts.height, facts.width) == SHAPE
