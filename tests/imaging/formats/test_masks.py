from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from imaging.decoding.radiograph import RefusedFile
from imaging.formats import masks

INSIDE = np.zeros((60, 80), bool)
INSIDE[10:40, 20:70] = True
INSIDE[50:53, 5:9] = True
ONE, FULL = INSIDE.astype(np.uint8), INSIDE.astype(np.uint8) * np.uint8(255)


def png(array: np.ndarray | Image.Image, kind: str = "PNG", **options) -> bytes:
    stream = io.BytesIO()
    picture = array if isinstance(array, Image.Image) else Image.fromarray(array)
    picture.save(stream, kind, **options)
    return stream.getvalue()


def palette(indices: np.ndarray, *colours: tuple[int, int, int]) -> Image.Image:
    picture = Image.fromarray(indices)
    picture.putpalette([part for colour in colours for part in colour])
    return picture


def rgb(grey: np.ndarray, alpha: np.ndarray | None = None) -> np.ndarray:
    return np.dstack([grey] * 3 + ([] if alpha is None else [alpha]))


OPAQUE = np.full_like(FULL, 255)
READ = {
    "0 and 1": png(ONE),
    "0 and 255": png(FULL),
    "16 bits, 0 and 65535": png(FULL.astype(np.uint16) * 257),
    "16 bits, 0 and 1": png(ONE.astype(np.uint16)),
    "16 bits, 0 and 255": png(FULL.astype(np.uint16)),
    "1 bit": png(Image.fromarray(FULL).convert("1")),
    "RGB": png(rgb(FULL)),
    "RGBA, opaque": png(rgb(FULL, OPAQUE)),
    "grey and alpha": png(np.dstack([FULL, OPAQUE])),
    "TIFF": png(FULL, "TIFF"),
    "palette by index, as mmsegmentation draws it": png(palette(ONE, (120, 120, 120), (180, 120, 120))),
    "palette of black and white": png(palette(ONE, (0, 0, 0), (255, 255, 255))),
    "palette of white and black": png(palette(1 - ONE, (255, 255, 255), (0, 0, 0))),
    "palette of greys with 256 entries": png(palette(FULL, *[(v, v, v) for v in range(256)])),
    "JPEG 100": png(FULL, "JPEG", quality=100),
    "JPEG 75": png(FULL, "JPEG", quality=75),
    "JPEG 30": png(FULL, "JPEG", quality=30),
    "JPEG in colour": png(Image.fromarray(rgb(FULL)), "JPEG", quality=75),
    "PNG made of a JPEG": png(cv2.imdecode(cv2.imencode(".jpg", FULL, [1, 75])[1], cv2.IMREAD_GRAYSCALE)),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_every_form_gives_the_same_mask(name):
    mask = masks.decode(READ[name])
    assert mask.dtype == np.bool_
    np.testing.assert_array_equal(mask, INSIDE)


def test_a_low_quality_jpeg_is_off_at_its_edges_alone():
    disc = cv2.circle(np.zeros((60, 80), np.uint8), (40, 30), 18, 255, -1)
    mask = masks.decode(png(disc, "JPEG", quality=5))
    wrong = mask != (disc > 0)
    assert 0 < wrong.sum() < 60
    assert not wrong[cv2.erode(disc, np.ones((7, 7))) > 0].any()
    assert not wrong[cv2.dilate(disc, np.ones((7, 7))) == 0].any()


@pytest.mark.parametrize("value", [0, 1, 255])
def test_masks_of_one_value(value):
    assert masks.decode(png(np.full((9, 7), value, np.uint8))).all() == (value > 0)
    assert masks.decode(png(np.full((9, 7), value, np.uint8))).any() == (value > 0)


def test_blurred_edges_are_halved():
    alone = FULL * (np.arange(60) < 45)[:, None].astype(np.uint8)
    mask = masks.decode(png(cv2.GaussianBlur(alone, (7, 7), 1.5)))
    assert (mask != (alone > 0)).sum() == 4  # the corners


def labels(*values: int) -> np.ndarray:
    """A mask whose columns are bands of these values, 20 px wide."""
    return np.repeat(np.array(values, np.uint8)[None], 20, axis=1).repeat(30, axis=0)


BORDERED = np.zeros((30, 30), np.uint8)
BORDERED[9:18, 9:18] = 255
BORDERED[11:16, 11:16] = 1
RAMP = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (20, 1))
RED = np.dstack([FULL, 0 * FULL, 0 * FULL])
REFUSED = {
    "classes": (png(labels(0, 1, 2)), "values 0, 1, 2;"),
    "one class of several": (png(labels(0, 2)), "values 0, 2;"),
    "a class and the border to ignore": (png(labels(0, 1, 255)), "values 0, 1, 255;"),
    "such a border, thin": (png(cv2.copyMakeBorder(ONE, 2, 2, 2, 2, cv2.BORDER_CONSTANT, value=255)), "values 0, 1, 255;"),
    "such a border, around little": (png(BORDERED), "values 0, 1, 255;"),
    "a trimap with a thin edge": (png(np.repeat(labels(0, 128, 255)[:, ::20], [20, 4, 20], axis=1)), "values 0, 128, 255;"),
    "a trimap": (png(labels(0, 128, 255)), "values 0, 128, 255;"),
    "half as bright": (png(labels(0, 128)), "values 0, 128;"),
    "a heat map": (png(RAMP), "values 0, 4, 8, 12, 16, 20, 24, 28 …"),
    "a heat map as JPEG": (png(np.tile(RAMP, (4, 4)), "JPEG", quality=95), "a mask with the values"),
    "a radiograph": (png(np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)), "a mask with the values"),
    "0 and 1 as JPEG": (png(labels(0, 1), "JPEG", quality=100), "values 0, 1;"),
    "16 bits, 0 and 4095": (png(ONE.astype(np.uint16) * 4095), "values 0, 4095;"),
    "classes by palette": (png(palette(labels(0, 1, 2), (0, 0, 0), (9, 0, 0), (0, 9, 0))), "values 0, 1, 2;"),
    "red on black": (png(RED), r"colours, \(0, 0, 0\), \(255, 0, 0\), with no telling which"),
    "drawn in the alpha": (png(rgb(0 * FULL, FULL)), "alpha from 0 to 255"),
    "floats": (png(Image.fromarray(FULL.astype(np.float32) / 255), "TIFF"), "mode F"),
    "two pages": (png(Image.fromarray(FULL), "TIFF", save_all=True, append_images=[Image.fromarray(FULL)]), "2 pages"),
    "cut short": (png(np.random.default_rng(0).integers(0, 2, (64, 64), np.uint8))[:200], "damaged"),
    "no picture": (b"mask", "neither DICOM nor"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_could_mean_two_things_is_refused_with_the_values(name):
    data, words = REFUSED[name]
    with pytest.raises(RefusedFile, match=words):
        masks.decode(data)


def test_a_turned_tiff_is_read_as_stored(tmp_path):
    path = tmp_path / "m.tif"
    info = TiffImagePlugin.ImageFileDirectory_v2()
    info[274] = 6
    Image.fromarray(FULL).save(path, tiffinfo=info)
    np.testing.assert_array_equal(masks.read(path), INSIDE)


def test_the_file_is_named(tmp_path):
    path = tmp_path / "odd.png"
    path.write_bytes(png(labels(0, 3)))
    with pytest.raises(RefusedFile, match=r"odd\.png: MASK-VALUES: a mask with the values 0, 3"):
        masks.read(path)
