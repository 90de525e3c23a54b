"""Greys worked out by hand from the formulas of PS3.3 C.11."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.uid import ExplicitVRLittleEndian

from imaging import dicom
from imaging.dicom import RefusedFile
from imaging.dicom.header import tag_of
from imaging.dicom.windowing import window
from tests.imaging import dicom_files as files

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's, over the table of 65,536 entries


def shown(tmp_path, values, kind=np.uint8, stored=None, **elements):
    """Write one row of stored values and read the greys back."""
    path = files.write(tmp_path / "a.dcm", np.array([values], kind), stored=stored, **elements)
    return dicom.read(path)


def lut(entries, first=0, depth=16, data=None):
    item = Dataset()
    item.LUTDescriptor = [len(entries) % 65536, first, depth]
    item["LUTDescriptor"].VR = "US"
    item.LUTData = data if data is not None else entries
    item["LUTData"].VR = "OW" if data is not None else "US"
    item.ModalityLUTType = "US"
    return [item]


CASES = {
    "as stored": ([0, 1, 255], {}, [0, 1, 255]),
    "MONOCHROME1": ([0, 1, 255], {"PhotometricInterpretation": "MONOCHROME1"}, [255, 254, 0]),
    "shape INVERSE": ([0, 1, 255], {"PresentationLUTShape": "INVERSE"}, [255, 254, 0]),
    "both say inverse once": (
        [0, 1, 255],
        {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"},
        [255, 254, 0],
    ),
    "shape IDENTITY": ([0, 1, 255], {"PresentationLUTShape": "IDENTITY"}, [0, 1, 255]),
    "negative slope": ([0, 1, 255], {"RescaleSlope": -1, "RescaleIntercept": 255}, [255, 254, 0]),
    # LINEAR: (x - 99.5) / 100 + 0.5
    "window": ([49, 50, 99, 150, 200], {"WindowCenter": 100, "WindowWidth": 101}, [0, 1, 126, 255, 255]),
    "full window": ([0, 7, 255], {"WindowCenter": 128, "WindowWidth": 256}, [0, 7, 255]),
    "first of two windows": (
        [49, 150],
        {"WindowCenter": [100, 10], "WindowWidth": [101, 2]},
        [0, 255],
    ),
    "window after rescale": (
        [0, 100, 200],
        {"RescaleSlope": 2, "RescaleIntercept": -100, "WindowCenter": 100.5, "WindowWidth": 201},
        [0, 128, 255],
    ),
    "step": ([99, 100, 101], {"WindowCenter": 100.5, "WindowWidth": 1}, [0, 0, 255]),
    "LINEAR_EXACT": (
        [50, 100, 150],
        {"WindowCenter": 100, "WindowWidth": 100, "VOILUTFunction": "LINEAR_EXACT"},
        [0, 128, 255],
    ),
    "MONOCHROME1 after the window": (
        [49, 150],
        {"WindowCenter": 100, "WindowWidth": 101, "PhotometricInterpretation": "MONOCHROME1"},
        [255, 0],
    ),
    "padding": ([0, 1, 255], {"PixelPaddingValue": 255}, [0, 1, 0]),
    "padding of MONOCHROME1": (
        [0, 1, 255],
        {"PixelPaddingValue": 0, "PhotometricInterpretation": "MONOCHROME1"},
        [0, 254, 0],
    ),
    "padding range": ([3, 4, 6, 7], {"PixelPaddingValue": 6, "PixelPaddingRangeLimit": 4}, [3, 0, 0, 7]),
}


@pytest.mark.parametrize(("values", "elements", "greys"), CASES.values(), ids=CASES.keys())
def test_8_bits(tmp_path, values, elements, greys):
    radiograph = shown(tmp_path, values, **elements)
    assert radiograph.pixels.dtype == np.uint8
    assert radiograph.pixels[0].tolist() == greys
    assert radiograph.facts.notes == ()


WIDE = {
    # without a window the values that occur span black to white
    "range": ([1000, 1500, 2000], np.uint16, 12, {}, [0, 32768, 65535]),
    "signed": ([-1000, 0, 1000], np.int16, 16, {}, [0, 32768, 65535]),
    "12 bits signed": ([-2048, 2047], np.int16, 12, {}, [0, 65535]),
    "padding does not stretch": (
        [-2000, 100, 300],
        np.int16,
        16,
        {"PixelPaddingValue": -2000},
        [0, 0, 65535],
    ),
    "one value": ([700, 700], np.uint16, 12, {}, [0, 0]),
    "one value inverted": (
        [7, 7],
        np.uint16,
        12,
        {"PhotometricInterpretation": "MONOCHROME1"},
        [65535, 65535],
    ),
    # x / 4095
    "window of 12 bits": (
        [0, 1, 4095],
        np.uint16,
        12,
        {"WindowCenter": 2048, "WindowWidth": 4096},
        [0, 16, 65535],
    ),
    "window in Hounsfield units": (
        [0, 1024, 2048],
        np.uint16,
        12,
        {"RescaleIntercept": -1024, "RescaleSlope": 1, "WindowCenter": 0.5, "WindowWidth": 1025},
        [0, 32768, 65535],
    ),
    "SIGMOID": (
        [0, 2048, 4095],
        np.uint16,
        12,
        {"WindowCenter": 2048, "WindowWidth": 1024, "VOILUTFunction": "SIGMOID"},
        [22, 32768, 65513],
    ),
}


@pytest.mark.parametrize(("values", "kind", "stored", "elements", "greys"), WIDE.values(), ids=WIDE.keys())
def test_more_than_8_bits(tmp_path, values, kind, stored, elements, greys):
    radiograph = shown(tmp_path, values, kind, stored, **elements)
    assert radiograph.pixels.dtype == np.uint16
    np.testing.assert_allclose(radiograph.pixels[0], greys, atol=0)


def test_tables(tmp_path):
    entries = [0, 10, 100, 1000]
    table = lut(entries, first=5, depth=10)
    voi = shown(tmp_path, [0, 5, 6, 7, 8, 255], VOILUTSequence=table)
    np.testing.assert_array_equal(
        voi.pixels[0], np.rint(np.array([0, 0, 10, 100, 1000, 1000]) / 1023 * 65535)
    )
    modality = shown(
        tmp_path, [0, 6, 8], ModalityLUTSequence=table, WindowCenter=500.5, WindowWidth=1001
    )  # the window counts in the table's output: x / 1000
    np.testing.assert_array_equal(modality.pixels[0], [0, np.rint(0.01 * 65535), 65535])


def test_a_table_wins_over_a_window(tmp_path):
    radiograph = shown(tmp_path, [0, 1], VOILUTSequence=lut([65535, 0]), WindowCenter=1, WindowWidth=2)
    assert radiograph.pixels[0].tolist() == [65535, 0]


def test_a_table_of_packed_8_bit_entries(tmp_path):
    packed = lut(list(range(256)), depth=8, data=bytes(range(255, -1, -1)))
    assert shown(tmp_path, [0, 255], VOILUTSequence=packed).pixels[0].tolist() == [65535, 0]


def test_a_table_of_65536_entries(tmp_path):
    table = lut(list(range(65535, -1, -1)))
    assert shown(tmp_path, [0, 65535], np.uint16, VOILUTSequence=table).pixels[0].tolist() == [65535, 0]


@pytest.mark.parametrize("descriptor", [[4, 0, 99], [4, 0], [9, 0, 16]])
def test_a_table_that_contradicts_itself(tmp_path, descriptor):
    table = lut([1, 2, 3, 4])
    table[0].LUTDescriptor = descriptor
    with pytest.raises(RefusedFile, match="look-up table"):
        shown(tmp_path, [0, 1], VOILUTSequence=table)


@pytest.mark.parametrize(
    ("elements", "note"),
    [
        ({"WindowCenter": 9, "WindowWidth": 0}, "window width 0"),
        ({"WindowCenter": 9, "WindowWidth": -5, "VOILUTFunction": "SIGMOID"}, "window width -5"),
    ],
)
def test_a_window_that_is_none_is_left_out_and_noted(tmp_path, elements, note):
    radiograph = shown(tmp_path, [0, 9, 255], **elements)
    assert radiograph.pixels[0].tolist() == [0, 9, 255]
    assert note in radiograph.facts.notes[0]


def test_an_unknown_window_function_is_linear_and_noted(tmp_path):
    radiograph = shown(tmp_path, [49, 150], WindowCenter=100, WindowWidth=101, VOILUTFunction="CUBIC")
    assert radiograph.pixels[0].tolist() == [0, 255]
    assert "CUBIC" in radiograph.facts.notes[0]


def test_an_unknown_function_does_not_invert(tmp_path):
    """Taken as LINEAR, whose width is at least 1: below it the formula turns the greys round."""
    radiograph = shown(tmp_path, [0, 9, 255], WindowCenter=9, WindowWidth="0.5", VOILUTFunction="CUBIC")
    assert radiograph.pixels[0].tolist() == [0, 9, 255]
    assert any("width 0.5" in note for note in radiograph.facts.notes)


def stored_text(tmp_path, values, kind=np.uint8, stored=None, syntax=ExplicitVRLittleEndian, **elements):
    """As `shown`, with values of any form as bytes, or a pair of representation and bytes."""
    path = files.write(tmp_path / "a.dcm", np.array([values], kind), syntax, stored=stored)
    head, data = dcmread(path).file_meta, path.read_bytes()
    place = data.index(b"\xe0\x7f\x10\0")
    added = b""
    for keyword, value in sorted(elements.items(), key=lambda pair: tag_of(pair[0])):
        vr, value = value if isinstance(value, tuple) else (b"DS", value)
        value += b" " * (len(value) % 2)
        tag = tag_of(keyword)
        added += struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value
    assert head.TransferSyntaxUID == syntax
    path.write_bytes(data[:place] + added + data[place:])
    return dicom.read(path)


# the window 100, 101: (x - 99.5) / 100 + 0.5
WINDOWED, PLAIN = [1, 126, 255], [50, 99, 150]
NUMBERS = {
    "decimal comma": ({"WindowCenter": b"100,0", "WindowWidth": b"101,0"}, WINDOWED, "comma"),
    "several values": ({"WindowCenter": b"100\\oops", "WindowWidth": b"101\\"}, WINDOWED, None),
    "exponent and blanks": ({"WindowCenter": b" 1.00E+2", "WindowWidth": b"+101.\0"}, WINDOWED, None),
    "FD": ({"WindowCenter": (b"FD", struct.pack("<d", 100)), "WindowWidth": (b"FD", struct.pack("<d", 101))}, WINDOWED, None),
    "US": ({"WindowCenter": (b"US", struct.pack("<H", 100)), "WindowWidth": (b"US", struct.pack("<H", 101))}, WINDOWED, None),
    "FL": ({"WindowCenter": (b"FL", struct.pack("<f", 100)), "WindowWidth": (b"SL", struct.pack("<l", 101))}, WINDOWED, None),
    "units": ({"WindowCenter": b"100 HU", "WindowWidth": b"101 HU"}, PLAIN, "not a number"),
    "infinite": ({"WindowCenter": b"100", "WindowWidth": b"1e999"}, PLAIN, "not a number"),
    "not a number": ({"WindowCenter": b"nan", "WindowWidth": b"101"}, PLAIN, "not a number"),
    "underscore": ({"WindowCenter": b"1_00", "WindowWidth": b"101"}, PLAIN, "not a number"),
    "width alone": ({"WindowWidth": b"101"}, PLAIN, "lacks"),
    "slope 0": ({"RescaleSlope": b"0", "RescaleIntercept": b"-9"}, PLAIN, "RescaleSlope is 0"),
    "inversion": ({"RescaleSlope": b"-1\\", "RescaleIntercept": b"255,"  b"0"}, [205, 156, 105], "comma"),
}  # fmt: skip


@pytest.mark.parametrize(("elements", "greys", "note"), NUMBERS.values(), ids=NUMBERS.keys())
def test_numbers_as_devices_write_them(tmp_path, elements, greys, note):
    radiograph = stored_text(tmp_path, PLAIN, **elements)
    assert radiograph.pixels[0].tolist() == greys
    assert (note is None and radiograph.facts.notes == ()) or any(
        note in text for text in radiograph.facts.notes
    )


@pytest.mark.parametrize(
    "elements",
    [
        {"RescaleSlope": b"-1 HU"},
        {"RescaleSlope": b"\\-1"},
        {"RescaleSlope": b"nan"},
        {"RescaleIntercept": b"-1.024,0"},
        {"RescaleSlope": b"1e307"},
    ],
)
def test_a_rescale_that_cannot_be_read_is_refused(tmp_path, elements):
    """It may invert the picture."""
    with pytest.raises(RefusedFile) as caught:
        stored_text(tmp_path, PLAIN, **elements)
    assert caught.value.code == "DICOM-NUMBER"


@pytest.mark.parametrize("keyword", ["VOILUTSequence", "ModalityLUTSequence"])
def test_a_table_without_descriptor_is_left_out_and_noted(tmp_path, keyword):
    table = lut([1, 2])
    table[0].LUTDescriptor = None
    radiograph = shown(tmp_path, PLAIN, WindowCenter=100, WindowWidth=101, **{keyword: table})
    assert radiograph.pixels[0].tolist() == WINDOWED
    assert radiograph.facts.notes == (f"{keyword} has no descriptor and is left out",)


def test_letter_case_does_not_matter(tmp_path):
    assert shown(tmp_path, [0, 9], PhotometricInterpretation="monochrome2").pixels[0].tolist() == [0, 9]
    assert shown(tmp_path, [0, 9], PhotometricInterpretation="Monochrome1").pixels[0].tolist() == [255, 246]


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_windows_agree_with_pydicom(function):
    dataset = files.dataset(np.zeros((1, 1), np.uint16), stored=12)
    dataset.RescaleSlope, dataset.RescaleIntercept = 1.5, -300
    dataset.WindowCenter, dataset.WindowWidth, dataset.VOILUTFunction = 1234, 777, function
    values = apply_modality_lut(np.arange(4096, dtype=np.uint16), dataset)
    theirs = apply_voi_lut(values, dataset)
    low, high = values.min(), -300 + 1.5 * 4095
    np.testing.assert_allclose(window(values, 1234, 777, function), (theirs - low) / (high - low), atol=1e-9)
