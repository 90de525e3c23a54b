"""Files that are refused, each with the reason that a radiology researcher can act on."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress

import numpy as np
import pytest
from pydicom import dcmread, uid
from pydicom.data import get_testdata_file
from pydicom.encaps import generate_frames

from imaging import dicom
from imaging.dicom import RefusedFile
from tests.imaging import dicom_files as files
from tests.imaging.dicom.test_read import random_pixels, smooth_picture

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # pytest undoes the reader's own filter


def refused(path, reason):
    for read in (dicom.read, lambda path: dicom.read(path, 16)):
        with pytest.raises(RefusedFile, match=reason) as caught:
            read(path)
        assert str(path) in str(caught.value)
        assert "Doe" not in str(caught.value)


HEADERS = {
    "several frames": ({"NumberOfFrames": "3"}, "3 frames"),
    "colour": ({"PhotometricInterpretation": "RGB"}, "not a grey picture"),
    "palette": ({"PhotometricInterpretation": "PALETTE COLOR"}, "DICOM-LUT"),
    "no photometric": ({"PhotometricInterpretation": None}, "PhotometricInterpretation is missing"),
    "no rows": ({"Rows": None}, "Rows or Columns"),
    "no height": ({"Rows": 0}, "0 high"),
    "huge": ({"Rows": 65535, "Columns": 65535}, "65535 x 65535"),
    "too many rows": ({"Rows": 41}, "cut off"),
    "too few rows": ({"Rows": 30}, "but the size in the header needs"),
    "one bit": ({"BitsAllocated": 1, "BitsStored": 1}, "1 bits"),
    "32 bits": ({"BitsAllocated": 32, "BitsStored": 32}, "32 bits"),
    "12 bits in 8": ({"BitsStored": 12}, "BitsStored 12"),
    "segmentation": ({"SOPClassUID": uid.SegmentationStorage}, "holds no picture"),
}


@pytest.mark.parametrize(("elements", "reason"), HEADERS.values(), ids=HEADERS.keys())
def test_headers(tmp_path, elements, reason):
    path = files.write(
        tmp_path / "a.dcm", random_pixels(), PatientName="Doe^Jane", PatientID="Doe", **elements
    )
    refused(path, reason)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("reportsi.dcm", r"holds no picture \(Basic Text SR Storage\)"),
        ("rtplan.dcm", "holds no picture"),
        ("DICOMDIR", "holds no picture"),
        ("README.txt", "neither a DICOM file"),
        ("examples_ybr_color.dcm", "30 frames"),
        ("SC_rgb_rle.dcm", "not a grey picture"),
        ("liver_1frame.dcm", "Segmentation"),
        ("rtdose_1frame.dcm", "RT Dose"),
        ("MR_truncated.dcm", "cut off"),
    ],
)
def test_files_of_other_makers(name, reason):
    refused(get_testdata_file(name, download=False), reason)


def test_floating_point_pixels(tmp_path):
    path = files.write(tmp_path / "a.dcm", random_pixels())
    data = path.read_bytes()
    path.write_bytes(data.replace(b"\xe0\x7f\x10\x00OB", b"\xe0\x7f\x08\x00OF"))
    refused(path, "floating-point")


def test_nothing_of_a_header_reaches_the_terminal():
    """pydicom warns about this file's encoding, and quotes what it reads in other warnings."""
    path = get_testdata_file("SC_rgb_jpeg.dcm", download=False)
    code = (
        f"from imaging import dicom\ntry: dicom.read({path!r})\nexcept ValueError as refusal: print(refusal)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "not a grey" in done.stdout
    assert done.stderr == ""


def test_what_is_no_file(tmp_path):
    refused(tmp_path, "a folder")
    refused(tmp_path / "absent.dcm", "no such file")
    refused("/dev/null", "not a file")
    (tmp_path / "empty").touch()
    refused(tmp_path / "empty", "empty")


@pytest.mark.parametrize(
    "content", [b"\0", b"hello", b"\0" * 200, b"\0" * 128 + b"DICM", b"{}" * 500, b"\xff" * 999]
)
def test_bytes_that_are_no_dicom(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    refused(tmp_path / "a", "DICOM|picture")


@pytest.mark.parametrize("syntax", [uid.MPEG4HP41, "1.2.840.10008.1.2.4.94", "1.2.3.4.5"])
def test_transfer_syntaxes_we_do_not_read_are_named(tmp_path, syntax):
    path = files.write_frame(tmp_path / "a.dcm", b"\0\0", syntax, random_pixels())
    refused(
        path, f"transfer syntax {uid.UID(syntax).name.replace('(', '.').replace(')', '.')}.* not supported"
    )


def test_a_transfer_syntax_that_contradicts_the_data(tmp_path):
    picture = smooth_picture()
    path = files.write_frame(tmp_path / "a.dcm", files.jpeg(picture), uid.JPEGBaseline8Bit, picture)
    declared = uid.JPEGBaseline8Bit.encode()
    native = uid.ExplicitVRLittleEndian.encode().ljust(len(declared), b"\0")
    path.write_bytes(path.read_bytes().replace(declared, native))
    refused(path, "the pixel data is compressed")


JPEG = uid.JPEGBaseline8Bit


def test_jpeg_of_another_size(tmp_path):
    picture = smooth_picture()
    refused(files.write_frame(tmp_path / "a.dcm", files.jpeg(picture[:-8]), JPEG, picture), "120 x 88")


def test_jpeg_in_colour(tmp_path):
    picture = smooth_picture()
    colours = np.dstack([picture] * 3)
    refused(files.write_frame(tmp_path / "a.dcm", files.jpeg(colours), JPEG, picture), "3 components")


def test_jpeg_that_is_none(tmp_path):
    picture = smooth_picture()
    refused(
        files.write_frame(tmp_path / "a.dcm", b"GIF89a" * 10, JPEG, picture),
        "does not start with a JPEG marker",
    )
    refused(
        files.write_frame(tmp_path / "a.dcm", b"\xff\xd8\xff\xd9", JPEG, picture), "cut off within its header"
    )


def test_several_jpegs_in_one_frame(tmp_path):
    picture = smooth_picture()
    refused(files.write_frame(tmp_path / "a.dcm", [files.jpeg(picture)] * 2, JPEG, picture), "DICOM-FRAMES")


@pytest.mark.parametrize("padding", [64, 1000])
def test_padding_after_the_pixels_is_noted(tmp_path, padding):
    pixels = random_pixels()
    path = files.write(tmp_path / "a.dcm", pixels)
    plain = path.read_bytes()
    place = plain.index(b"\xe0\x7f\x10\0") + 8
    length = int.from_bytes(plain[place : place + 4], "little") + padding
    for filler, readable in ((b"\0", True), (b"\xff", True), (b"\1\2", False)):
        rest = filler * (padding // len(filler))
        path.write_bytes(plain[:place] + length.to_bytes(4, "little") + plain[place + 4 :] + rest)
        if readable:
            radiograph = dicom.read(path)
            np.testing.assert_array_equal(radiograph.pixels, pixels)
            assert "padding" in radiograph.facts.notes[0]
        else:
            refused(path, "DICOM-LENGTH")


@pytest.mark.parametrize("table", [b"", b"\0" * 4, b"\0" * 12, b"\0\0\0\0\x09\x09\0\0\x10", None])
def test_the_offset_table_is_not_believed(tmp_path, table):
    """Devices write tables of several frames for one, and none at all."""
    picture = smooth_picture()
    path = files.write_frame(tmp_path / "a.dcm", files.jpeg(picture), JPEG, picture)
    data, item = path.read_bytes(), b"\xfe\xff\x00\xe0"
    place = data.index(item)
    written = b"" if table is None else item + len(table).to_bytes(4, "little") + table
    odd = tmp_path / "b.dcm"
    odd.write_bytes(data[:place] + written + data[place + 8 :])
    np.testing.assert_array_equal(dicom.read(odd).pixels, dicom.read(path).pixels)


def test_rle_of_twice_the_rows_is_refused(tmp_path):
    picture = smooth_picture()
    frame = encoded_frame(tmp_path / "a.dcm", picture, uid.RLELossless)
    refused(files.write_frame(tmp_path / "b.dcm", frame, uid.RLELossless, picture[:48]), "DICOM-LENGTH")


def test_several_frames_of_rle_in_one(tmp_path):
    picture = smooth_picture()
    frame = encoded_frame(tmp_path / "a.dcm", picture, uid.RLELossless)
    refused(files.write_frame(tmp_path / "b.dcm", [frame] * 2, uid.RLELossless, picture), "DICOM-FRAMES")


@pytest.mark.parametrize("lost", [1, 2, 3, 40, 1000, 2000])
def test_a_cut_jpeg_is_not_filled_with_grey(tmp_path, lost):
    picture = smooth_picture()
    frame = files.jpeg(picture)
    assert len(frame) > 2500
    refused(files.write_frame(tmp_path / "a.dcm", frame[:-lost], JPEG, picture), "cut off")


@pytest.mark.parametrize(
    "syntax", [JPEG, uid.RLELossless, uid.JPEG2000Lossless, uid.JPEGLSLossless], ids=lambda s: s.name
)
def test_a_file_cut_anywhere_is_refused(tmp_path, syntax):
    picture = smooth_picture()
    if syntax == JPEG:
        path = files.write_frame(tmp_path / "a.dcm", files.jpeg(picture), syntax, picture)
    else:
        path = files.write(tmp_path / "a.dcm", picture, syntax)
    data = path.read_bytes()
    picture_starts = data.index(b"\xfe\xff\x00\xe0", data.index(b"\xe0\x7f\x10\x00")) + 16
    for end in range(8, len(data) - 9, max(1, len(data) // 60)):  # the last 8 bytes only close the sequence
        path.write_bytes(data[:end])
        refused(path, "the file is cut off" if end > picture_starts else ".")


def encoded_frame(path, picture, syntax):
    if syntax == uid.JPEGLossless:
        return files.jpeg_lossless(picture, 8)
    data = dcmread(files.write(path, picture, syntax)).PixelData
    return next(generate_frames(data, number_of_frames=1))


@pytest.mark.parametrize(
    ("syntax", "reason"),
    [
        (uid.RLELossless, "cannot be decoded"),
        (uid.JPEG2000Lossless, "end marker is missing"),
        (uid.JPEGLSLossless, "end marker is missing"),
        (uid.JPEGLossless, "end marker is missing"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_cut_frame_in_a_whole_file_is_refused(tmp_path, syntax, reason):
    picture = smooth_picture()
    frame = encoded_frame(tmp_path / "a.dcm", picture, syntax)
    for share in (0.3, 0.7, 0.95):
        cut = frame[: int(len(frame) * share) // 2 * 2]
        refused(files.write_frame(tmp_path / "b.dcm", cut, syntax, picture), reason)


def test_a_jpeg_2000_that_claims_another_size_is_not_decoded(tmp_path):
    picture = smooth_picture()
    data = files.write(tmp_path / "a.dcm", picture, uid.JPEG2000Lossless).read_bytes()
    place = data.index(b"\xff\x4f\xff\x51") + 8
    claim = (60_000).to_bytes(4, "big") * 2
    (tmp_path / "a.dcm").write_bytes(data[:place] + claim + data[place + 8 :])
    refused(tmp_path / "a.dcm", "60000 x 60000")


def test_a_claimed_size_is_refused_before_memory_is_taken(tmp_path):
    """Run under a limit of memory that the claim, 8 GiB, would break."""
    path = files.write(tmp_path / "a.dcm", random_pixels(np.uint16, 16), Rows=65535, Columns=65535)
    code = (
        "import resource, sys; from imaging import dicom\n"
        "used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        f"try: dicom.read({str(path)!r})\n"
        "except ValueError: pass\n"
        "sys.exit((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - used) // 2**16)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_flipped_bytes_never_show_as_anything_but_a_refusal(tmp_path):
    """Damage the header anywhere: the file reads or is refused, no other error comes out."""
    rng = np.random.default_rng(0)
    for syntax in (uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian, uid.JPEGLSLossless, uid.RLELossless):
        data = files.write(
            tmp_path / "a.dcm", random_pixels(np.uint16, 12), syntax, stored=12, WindowCenter=9, WindowWidth=5
        ).read_bytes()
        for _ in range(150):
            damaged = bytearray(data)
            for place in rng.integers(0, min(len(data), 900), 3):
                damaged[place] = rng.integers(256)
            with suppress(RefusedFile):
                dicom.decode(bytes(damaged))


@pytest.mark.parametrize("name", ["nowhere.dcm", "a\0b.dcm", "x.dcm/inside.dcm"])
def test_names_of_no_file(tmp_path, name):
    (tmp_path / "x.dcm").write_bytes(b"a file")
    with pytest.raises(dicom.RefusedFile, match="no such file"):
        dicom.read(f"{tmp_path}/{name}")
