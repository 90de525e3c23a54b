"""Every transfer syntax and every refusal, on generated files whose pixel values are known."""

from __future__ import annotations

import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydicom import dcmread, uid
from pydicom.data import get_testdata_file, get_testdata_files
from pydicom.encaps import generate_frames

from imaging import dicom
from imaging.dicom import RefusedFile, to_uint8
from tests.imaging import dicom_files as files

SHAPE = (40, 44)
NATIVE = [
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
]
LOSSLESS = [uid.RLELossless, uid.JPEGLSLossless, uid.JPEG2000Lossless]
KINDS = [(np.uint8, 8), (np.uint16, 16), (np.uint16, 12), (np.int16, 16), (np.int16, 12), (np.int8, 8)]


pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's, while irregular files are written


def random_pixels(kind=np.uint8, stored=8):
    """Noise over the whole stored range, both ends included."""
    low = -(2 ** (stored - 1)) if np.issubdtype(kind, np.signedinteger) else 0
    pixels = np.random.default_rng(0).integers(low, low + 2**stored, SHAPE).astype(kind)
    pixels[0, :2] = low, low + 2**stored - 1
    return pixels


def full_range(pixels, stored, low):
    """The greys that a file without a window should give."""
    top = 255 if stored <= 8 else 65535
    kind = np.uint8 if stored <= 8 else np.uint16
    return np.rint((pixels.astype(float) - low) / (2**stored - 1) * top).astype(kind)


def smooth_picture(height=96, width=120):
    noise = np.random.default_rng(1).integers(0, 256, (height, width), dtype=np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 4), None, 0, 255, cv2.NORM_MINMAX)


@pytest.mark.parametrize("syntax", NATIVE + LOSSLESS, ids=lambda syntax: syntax.name)
@pytest.mark.parametrize(("kind", "stored"), KINDS)
def test_lossless_syntaxes_give_the_stored_pixels(tmp_path, syntax, kind, stored):
    pixels = random_pixels(kind, stored)
    radiograph = dicom.read(files.write(tmp_path / "a.dcm", pixels, syntax, stored=stored))
    np.testing.assert_array_equal(radiograph.pixels, full_range(pixels, stored, int(pixels.min())))
    assert radiograph.pixels.flags.writeable
    assert radiograph.facts.transfer_syntax == syntax
    assert radiograph.facts.bits == stored


@pytest.mark.parametrize("syntax", [uid.JPEGLossless, uid.JPEGLosslessSV1])
@pytest.mark.parametrize(("kind", "stored"), KINDS)
def test_lossless_jpeg_gives_the_stored_pixels(tmp_path, syntax, kind, stored):
    pixels = random_pixels(kind, stored)
    unsigned = pixels.view(f"u{pixels.dtype.itemsize}") & (2**stored - 1)
    frame = files.jpeg_lossless(unsigned, stored)
    radiograph = dicom.read(files.write_frame(tmp_path / "a.dcm", frame, syntax, pixels, stored=stored))
    np.testing.assert_array_equal(radiograph.pixels, full_range(pixels, stored, int(pixels.min())))


@pytest.mark.parametrize("syntax", [uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit])
def test_8_bit_jpeg_is_what_the_decoder_gives(tmp_path, syntax):
    picture = smooth_picture()
    frame = files.jpeg(picture)
    radiograph = dicom.read(files.write_frame(tmp_path / "a.dcm", frame, syntax, picture))
    np.testing.assert_array_equal(radiograph.pixels, cv2.imdecode(np.frombuffer(frame, np.uint8), 0))
    assert np.abs(radiograph.pixels.astype(int) - picture).max() < 8


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("JPEGLSNearLossless_08.dcm", 0, 255), ("JPGExtended.dcm", 0, 65535), ("JPEG2000.dcm", 0, 65535)],
)
def test_lossy_files_of_other_makers(name, low, high):
    """Near-lossless JPEG-LS, 12-bit JPEG and lossy JPEG 2000, as pydicom itself decodes them."""
    path = get_testdata_file(name, download=False)
    radiograph = dicom.read(path)
    dataset = dcmread(path)
    values = dataset.pixel_array.astype(float)
    spread = values.max() - values.min()
    assert (radiograph.pixels.min(), radiograph.pixels.max()) == (low, high)
    if "WindowWidth" not in dataset:
        expected = values if high == 255 else (values - values.min()) / spread * high
        assert np.abs(radiograph.pixels - expected).max() <= 0.5


@pytest.mark.parametrize(
    "encoding", ["implicit", "bigendian", "expb", "RLE", "jp2klossless", "jpeg_ls_lossless"]
)
def test_one_picture_of_another_maker_in_all_encodings(encoding):
    expected = dicom.read(get_testdata_file("MR_small.dcm", download=False)).pixels
    np.testing.assert_array_equal(
        dicom.read(get_testdata_file(f"MR_small_{encoding}.dcm", download=False)).pixels, expected
    )


def test_pairs_of_8_bit_pixels_in_big_endian_words(tmp_path):
    pixels = random_pixels()
    path = files.write(tmp_path / "a.dcm", pixels, uid.ExplicitVRBigEndian)
    data = path.read_bytes()
    swapped = pixels.view(np.uint16).byteswap().tobytes()
    assert data.count(pixels.tobytes()) == 1
    path.write_bytes(data.replace(b"OB", b"OW").replace(pixels.tobytes(), swapped))
    np.testing.assert_array_equal(dicom.read(path).pixels, pixels)


def test_bits_outside_the_stored_ones_do_not_show(tmp_path):
    pixels = random_pixels(np.uint16, 12)
    expected = full_range(pixels, 12, 0)
    overlay = pixels | 0x5000
    np.testing.assert_array_equal(
        dicom.read(files.write(tmp_path / "a.dcm", overlay, stored=12)).pixels, expected
    )
    high = files.write(tmp_path / "b.dcm", pixels << 4, stored=12, HighBit=15)
    np.testing.assert_array_equal(dicom.read(high).pixels, expected)


def test_8_bit_jpeg_in_16_bits_allocated(tmp_path):
    picture = smooth_picture()
    wide = picture.astype(np.uint16)
    path = files.write_frame(tmp_path / "a.dcm", files.jpeg(picture), uid.JPEGBaseline8Bit, wide, stored=12)
    radiograph = dicom.read(path)
    assert radiograph.pixels.dtype == np.uint16
    decoded = cv2.imdecode(np.frombuffer(files.jpeg(picture), np.uint8), 0).astype(float)
    spread = decoded.max() - decoded.min()
    np.testing.assert_allclose(radiograph.pixels, (decoded - decoded.min()) / spread * 65535, atol=0.5)
    assert dicom.read(path, 20).pixels.shape == picture.shape


@pytest.mark.parametrize("syntax", LOSSLESS[1:], ids=lambda syntax: syntax.name)
def test_more_bits_in_the_code_stream_than_bits_stored(tmp_path, syntax):
    """As pydicom reads it; its highest bits would be lost by BitsStored, and the picture be noise."""
    pixels = random_pixels(np.uint16, 16)
    frame = next(
        generate_frames(
            dcmread(files.write(tmp_path / "a.dcm", pixels, syntax)).PixelData, number_of_frames=1
        )
    )
    path = files.write_frame(tmp_path / "b.dcm", frame, syntax, pixels, stored=12)
    radiograph = dicom.read(path)
    np.testing.assert_array_equal(radiograph.pixels, pixels)
    assert "BitsStored is 12" in radiograph.facts.notes[0]
    overlay = files.write_frame(tmp_path / "c.dcm", frame, syntax, pixels, stored=12)
    data = overlay.read_bytes()
    place = data.index(b"\xe0\x7f\x10\0")
    overlay.write_bytes(data[:place] + b"\0\x60\2\1US\2\0\x0c\0" + data[place:])
    np.testing.assert_array_equal(dicom.read(overlay).pixels, full_range(pixels & 4095, 12, 0))


def test_a_scan_header_without_its_spectrum():
    """pydicom has the same 12-bit picture as it was and with the scan's parameters put right."""
    wrong, right = (
        dicom.read(get_testdata_file(name, download=False)).pixels
        for name in ("JPEG-lossy.dcm", "JPGExtended.dcm")
    )
    np.testing.assert_array_equal(wrong, right)


def by_pydicom(path):
    """The greys 0..1 of a file without a window, as pydicom has its pixels; None where it cannot read them, or not so."""
    try:
        content = dcmread(path)
        pixels = content.pixel_array.astype(float)
    except Exception:
        return None
    shaped = ("WindowWidth", "ModalityLUTSequence", "VOILUTSequence", "PixelPaddingValue")
    if pixels.ndim != 2 or any(keyword in content for keyword in shaped) or content.get("Modality") == "CT":
        return None
    wide = content.BitsStored > 8
    low, high = (pixels.min(), pixels.max()) if wide else (0, 255)
    greys = (pixels - low) / ((high - low) or 1)
    return 1 - greys if content.PhotometricInterpretation == "MONOCHROME1" else greys


def test_grey_files_of_pydicom_are_read_as_pydicom_reads_them():
    compared = 0
    for path in map(Path, get_testdata_files()):
        greys = by_pydicom(path)
        try:
            ours = dicom.read(path).pixels
        except RefusedFile:
            continue
        if greys is not None:
            np.testing.assert_allclose(ours / np.iinfo(ours.dtype).max, greys, atol=0.003, err_msg=str(path))
            compared += 1
    assert compared >= 5


def test_a_frame_in_several_fragments(tmp_path):
    picture = smooth_picture()
    frame = files.jpeg(picture)
    parts = [frame[:100], frame[100:2000], frame[2000:]]
    whole = files.write_frame(tmp_path / "a.dcm", frame, uid.JPEGBaseline8Bit, picture)
    split = files.write_frame(tmp_path / "b.dcm", parts, uid.JPEGBaseline8Bit, picture)
    np.testing.assert_array_equal(dicom.read(split).pixels, dicom.read(whole).pixels)


def test_a_file_without_preamble_and_meta_information(tmp_path):
    pixels = random_pixels(np.uint16, 16)
    for syntax in NATIVE[:3]:
        data = files.write(tmp_path / "a.dcm", pixels, syntax).read_bytes()
        start = 144 + int.from_bytes(data[140:144], "little")
        (tmp_path / "bare.dcm").write_bytes(data[start:])
        np.testing.assert_array_equal(dicom.read(tmp_path / "bare.dcm").pixels, full_range(pixels, 16, 0))


def test_to_uint8():
    every = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    np.testing.assert_array_equal(to_uint8(every), np.rint(every / 257).astype(np.uint8))
    small = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(to_uint8(small * np.uint16(257)), small)
    np.testing.assert_array_equal(to_uint8(small), small)
    with pytest.raises(ValueError, match="float64"):
        to_uint8(small / 255)


def test_irregular_headers_read_in_silence(tmp_path):
    """As in SIIM's test files: blank study UIDs, a SOPInstanceUID that is none, an age without its unit."""
    picture = smooth_picture()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = files.write_frame(
            tmp_path / "ID_1.dcm",
            files.jpeg(picture),
            uid.JPEGBaseline8Bit,
            picture,
            SOPInstanceUID="ID_0011fe81e",
            StudyInstanceUID="",
            SeriesInstanceUID="",
            PatientID="",
            PatientAge="64",
            PatientOrientation="",
        )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        facts = dicom.read(path).facts
    assert (facts.sop_uid, facts.study_uid, facts.series_uid) == ("ID_0011fe81e", None, None)
    assert (facts.patient_id, facts.age) == (None, 64)


def test_threads_read_side_by_side(tmp_path):
    picture = smooth_picture()
    path = files.write_frame(tmp_path / "a.dcm", files.jpeg(picture), uid.JPEGBaseline8Bit, picture)
    expected = dicom.read(path).pixels
    with ThreadPoolExecutor(4) as pool:
        for radiograph in pool.map(dicom.read, [path] * 40):
            np.testing.assert_array_equal(radiograph.pixels, expected)


def test_real_files_read_in_silence():
    folder = os.environ.get("SIIM_SAMPLE_DIR")
    if not folder:
        pytest.skip("SIIM_SAMPLE_DIR is not set: the folder of real SIIM-ACR studies")
    paths = sorted(Path(folder).rglob("*.dcm"))
    assert len(paths) >= 53
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for path in paths:
            radiograph = dicom.read(path)
            assert radiograph.pixels.shape == (1024, 1024)
            assert radiograph.pixels.std() > 20
            assert 0.1 < radiograph.facts.spacing_mm[0] < 0.25
            assert radiograph.facts.view in ("PA", "AP")
            reduced = dicom.read(path, 512).pixels
            average = cv2.resize(radiograph.pixels, (512, 512), interpolation=cv2.INTER_AREA)
            assert np.abs(reduced.astype(int) - average).mean() < 0.5


def test_refusals_are_value_errors_with_the_path_and_survive_processes(tmp_path):
    import pickle

    (tmp_path / "a.dcm").write_bytes(b"")
    with pytest.raises(ValueError, match=r"a\.dcm: FILE-EMPTY: the file is empty") as caught:
        dicom.read(tmp_path / "a.dcm")
    again = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(again, RefusedFile)
    assert (again.code, again.reason) == ("FILE-EMPTY", "the file is empty")
    assert str(again) == str(caught.value)
