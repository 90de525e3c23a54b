"""Radiographs stored as colour are read where all channels hold the same grey, and refused where they do not."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom import dcmread, uid

from imaging import dicom
from imaging.dicom import RefusedFile
from tests.imaging import dicom_files as files
from tests.imaging.dicom.test_read import smooth_picture

SYNTAXES = [
    uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian, uid.DeflatedExplicitVRLittleEndian,
    uid.RLELossless, uid.JPEG2000Lossless, uid.JPEGLSLossless,
]  # fmt: skip


def write(path, channels, photometric="RGB", syntax=SYNTAXES[0], planar=0):
    """Write colour pixels (H, W, C)."""
    files.write(path, channels[..., 0])
    content = dcmread(path)
    content.SamplesPerPixel, content.PhotometricInterpretation = 3, photometric
    content.PlanarConfiguration = planar
    ordered = channels.transpose(2, 0, 1) if planar else channels
    big = syntax == uid.ExplicitVRBigEndian
    content.PixelData = ordered.astype(ordered.dtype.newbyteorder(">" if big else "<")).tobytes()
    content["PixelData"].VR = "OW" if channels.dtype.itemsize == 2 else "OB"
    if uid.UID(syntax).is_encapsulated:
        content.compress(syntax, generate_instance_uid=False)
        content.save_as(path)
    else:
        content.file_meta.TransferSyntaxUID = syntax
        content.save_as(path, implicit_vr=syntax == uid.ImplicitVRLittleEndian, little_endian=not big)
    return path


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.name)
def test_equal_channels_are_grey(tmp_path, syntax):
    grey = smooth_picture()
    radiograph = dicom.read(write(tmp_path / "a.dcm", np.dstack([grey] * 3), syntax=syntax))
    np.testing.assert_array_equal(radiograph.pixels, grey)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_planes(tmp_path, kind):
    grey = smooth_picture().astype(kind) * kind(257 if kind == np.uint16 else 1)
    path = write(tmp_path / "a.dcm", np.dstack([grey] * 3), planar=1)
    np.testing.assert_array_equal(dicom.read(path).pixels, grey)
    assert dicom.read(path, 8).pixels.dtype == np.uint8


def test_luma_with_neutral_chroma(tmp_path):
    grey = smooth_picture()
    chroma = np.full_like(grey, 128)
    path = write(tmp_path / "a.dcm", np.dstack([grey, chroma, chroma]), "YBR_FULL")
    np.testing.assert_array_equal(dicom.read(path).pixels, grey)
    pairs = np.dstack([grey[:, ::2], grey[:, 1::2], chroma[:, ::2], chroma[:, ::2]]).reshape(96, 120, 2)
    path = write(tmp_path / "b.dcm", pairs, "YBR_FULL_422")
    np.testing.assert_array_equal(dicom.read(path).pixels, grey)


def test_a_colour_jpeg_of_grey(tmp_path):
    grey = smooth_picture()
    colour = files.jpeg(np.dstack([grey] * 3))
    path = files.write_frame(
        tmp_path / "a.dcm", colour, uid.JPEGBaseline8Bit, grey,
        SamplesPerPixel=3, PhotometricInterpretation="YBR_FULL_422", PlanarConfiguration=0,
    )  # fmt: skip
    assert np.abs(dicom.read(path).pixels.astype(int) - grey).max() < 8


def palette(*channels, first=0, depth=16):
    tables = {}
    for name, entries in zip(("Red", "Green", "Blue"), channels, strict=True):
        tables[f"{name}PaletteColorLookupTableDescriptor"] = [len(entries), first, depth]
        tables[f"{name}PaletteColorLookupTableData"] = np.asarray(entries, "<u2").tobytes()
    return {"PhotometricInterpretation": "PALETTE COLOR", **tables}


def test_a_palette_of_greys(tmp_path):
    tables = palette(*[[0, 500, 65535]] * 3, first=10)
    path = files.write(tmp_path / "a.dcm", np.array([[9, 10, 11, 12, 255]], np.uint8), **tables)
    assert dicom.read(path).pixels[0].tolist() == [0, 0, 500, 65535, 65535]


def test_colours_of_a_palette_that_do_not_occur(tmp_path):
    tables = palette([0, 500, 65535], [0, 500, 65535], [0, 500, 0])
    grey = files.write(tmp_path / "a.dcm", np.array([[0, 1, 0, 1]], np.uint8), **tables)
    assert dicom.read(grey).pixels[0].tolist() == [0, 500, 0, 500]
    refused(files.write(tmp_path / "b.dcm", np.array([[0, 1, 2, 1]], np.uint8), **tables))


def test_real_colour_is_refused(tmp_path):
    grey = smooth_picture()
    refused(write(tmp_path / "a.dcm", np.dstack([grey, grey, 255 - grey])))
    refused(write(tmp_path / "b.dcm", np.dstack([grey, grey, grey]), "YBR_FULL"))
    refused(write(tmp_path / "c.dcm", np.dstack([grey, grey, grey]), "CMYK"))


def refused(path):
    with pytest.raises(RefusedFile) as caught:
        dicom.read(path)
    assert caught.value.code == "DICOM-COLOUR"
