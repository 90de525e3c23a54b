"""Legal and common headers that the objects must survive: character sets, windows, tables, dates, spacings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread, uid
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from imaging.dicom_objects import all_kinds, reference, values
from tests.imaging.dicom_objects.studies import (
    ALL,
    AUTHOR,
    DX,
    NOTE,
    PREDICTION,
    SHAPE,
    errors,
    lesion,
    needs_dciodvfy,
    write,
)

GREY = np.full(SHAPE, 100, np.uint8)


@pytest.mark.parametrize(
    ("found", "valid"),
    [
        ([], []),
        (["ISO_IR 6"], []),
        (["ISO 2022 IR 6"], []),
        (["ISO_IR 100"], ["ISO_IR 100"]),
        (["ISO 2022 IR 100"], ["ISO_IR 100"]),  # code extensions with one set alone
        (["ISO IR 100"], ["ISO_IR 100"]),
        (["iso_ir 192"], ["ISO_IR 192"]),
        (["gbk"], ["GBK"]),
        (["ISO 2022 IR 87"], ["", "ISO 2022 IR 87"]),
        (["", "ISO 2022 IR 87"], ["", "ISO 2022 IR 87"]),
        (["", "ISO 2022 IR 149"], ["", "ISO 2022 IR 149"]),
        (["", "ISO 2022 IR 58"], ["", "ISO 2022 IR 58"]),
        (["ISO_IR 13", "ISO_IR 87"], ["ISO 2022 IR 13", "ISO 2022 IR 87"]),
        (["ISO_IR 192", "ISO_IR 100"], []),  # UTF-8 takes no extensions
        (["KOI8-R"], []),
        (["ISO_IR 999"], []),
    ],
)
def test_character_sets(found: list[str], valid: list[str]) -> None:
    assert values.character_set(found) == valid


@pytest.mark.parametrize(
    ("representation", "found", "valid"),
    [
        ("DA", ["20240229"], ["20240229"]),
        ("DA", ["1950.01.31"], ["19500131"]),
        ("DA", ["19500100"], None),
        ("DA", ["19000101-19991231"], None),
        ("DA", ["195001"], None),
        ("TM", ["121314.5"], ["121314.5"]),
        ("TM", ["1200-1300"], None),
        ("TM", ["12:13:14"], None),
        ("DS", ["0.14"], ["0.14"]),
        ("DS", ["0.13899999856948853"], ["0.13899999856949"]),
        ("DS", ["0,14"], None),
        ("DS", ["nan"], None),
        ("DS", ["1_0"], None),
        ("AS", ["029Y"], ["029Y"]),
        ("AS", ["29"], None),
        ("PN", ["A^B", "C^D"], ["A^B"]),
        ("LO", ["x" * 80], ["x" * 80]),
    ],
)  # fmt: skip
def test_corrected(representation: str, found: list[str], valid: list[str] | None) -> None:
    assert values.corrected(representation, found) == valid


@pytest.mark.parametrize(
    ("found", "valid"),
    [
        (["0.2", "0.1"], ["0.2", "0.1"]),
        (["0.143"], None),
        (["0", "0.1"], None),
        (["-1", "1"], None),
        (["1", "x"], None),
    ],
)
def test_spacing(found: list[str], valid: list[str] | None) -> None:
    assert values.spacing(found) == valid


def table(entries: np.ndarray, first: int = 0, **more: Any) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries), first, 12])
    item.add_new("LUTData", "OW", entries.astype("<u2").tobytes())
    item.update(more)
    return item


def raw(name: str, vr: str, value: bytes) -> RawDataElement:
    value += b" " * (len(value) % 2)
    return RawDataElement(Tag(name), vr, len(value), value, 0, False, True)


def written(path: Path, elements: dict[str, Any], raws: tuple[RawDataElement, ...] = ()) -> Path:
    """DX as in the other tests, with and without these elements, some as raw bytes."""
    left = {name: value for name, value in (DX | elements).items() if value is not None}
    write(path, left)
    if raws:
        data = dcmread(path)
        for one in raws:
            data._dict[one.tag] = one
        # or pydicom would decode the bytes and encode them again
        data.set_original_encoding(False, True, data._character_set)
        data.save_as(path)
    return path


JAPANESE = b"Yamada^Tarou=" + b"\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B"
KOREAN = b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7"
CASES: dict[str, tuple[dict[str, Any], tuple[RawDataElement, ...]]] = {
    "empty character set": ({}, (raw("SpecificCharacterSet", "CS", b""),)),
    "Japanese": ({}, (raw("SpecificCharacterSet", "CS", b"\\ISO 2022 IR 87"), raw("PatientName", "PN", JAPANESE))),
    "Korean": ({}, (raw("SpecificCharacterSet", "CS", b"\\ISO 2022 IR 149"), raw("PatientName", "PN", KOREAN))),
    "Chinese": ({}, (raw("SpecificCharacterSet", "CS", b"\\ISO 2022 IR 58"),)),
    "UTF-8": ({}, (raw("SpecificCharacterSet", "CS", b"ISO_IR 192"), raw("PatientName", "PN", "Wang^小东".encode()))),
    "ASCII named": ({}, (raw("SpecificCharacterSet", "CS", b"ISO_IR 6"),)),
    "table beside a window": ({"VOILUTSequence": [table(np.arange(4096))]}, ()),
    "window 0/0": ({"WindowCenter": 0, "WindowWidth": 0}, ()),
    "empty window": ({"WindowCenter": "", "WindowWidth": ""}, ()),
    "more windows than explanations": (
        {"WindowCenter": [500, 600], "WindowWidth": [900, 1000], "WindowCenterWidthExplanation": "NORMAL"}, ()),
    "empty function": ({"VOILUTFunction": ""}, ()),
    "slope alone": ({"RescaleIntercept": None, "RescaleSlope": 1}, ()),
    "day 0": ({}, (raw("PatientBirthDate", "DA", b"19500100"),)),
    "birth date as a range": ({}, (raw("PatientBirthDate", "DA", b"19000101-19991231"),)),
    "one spacing": ({}, (raw("PixelSpacing", "DS", b"0.143"),)),
    "long spacing": ({}, (raw("PixelSpacing", "DS", b"0.13899999856948853\\0.13899999856948853"),)),
    "two names": ({}, (raw("PatientName", "PN", b"A^B\\C^D"),)),
    "modality table": ({"ModalityLUTSequence": [table(16 * np.arange(4095, -1, -1), ModalityLUTType="OD")]}, ()),
    "signed table": ({"PixelRepresentation": 1, "VOILUTSequence": [table(np.arange(4096), -2048)]}, ()),
    "frame of reference alone": ({"FrameOfReferenceUID": "1.2.3"}, ()),
}  # fmt: skip


@needs_dciodvfy
@pytest.mark.parametrize("name", CASES)
def test_every_object_is_made_and_valid(name: str, tmp_path: Path) -> None:
    study = reference.read(written(tmp_path / "study.dcm", *CASES[name]))
    made = all_kinds.make(ALL, study, lesion(SHAPE), GREY, PREDICTION, AUTHOR, NOTE)
    assert made.failed == {}
    for kind in ALL:
        made.objects[kind].save_as(tmp_path / f"{kind}.dcm")
        assert errors(tmp_path / f"{kind}.dcm") == [], kind


def state(tmp_path: Path, elements: dict[str, Any], raws: tuple[RawDataElement, ...] = ()) -> Dataset:
    """The presentation state of such a study, read back."""
    study = reference.read(written(tmp_path / "study.dcm", elements, raws))
    made = all_kinds.make(("gsps",), study, lesion(SHAPE), None, PREDICTION, AUTHOR, NOTE)
    made.objects["gsps"].save_as(tmp_path / "gsps.dcm")
    return dcmread(tmp_path / "gsps.dcm")


@pytest.mark.parametrize(
    ("name", "text"), [("Japanese", "山田^太郎"), ("Korean", "洪^吉洞"), ("UTF-8", "Wang^小东")]
)
def test_names_stay_readable(tmp_path: Path, name: str, text: str) -> None:
    assert text in str(state(tmp_path, *CASES[name]).PatientName)


def test_the_state_keeps_the_modality_table(tmp_path: Path) -> None:
    made = state(tmp_path, *CASES["modality table"])
    item = made.ModalityLUTSequence[0]
    assert list(item.LUTDescriptor) == [4096, 0, 16]  # values stay
    assert item.ModalityLUTType == "OD"
    assert item.LUTData == (16 * np.arange(4095, -1, -1)).astype("<u2").tobytes()
    assert "RescaleSlope" not in made


def test_the_state_keeps_slope_and_intercept(tmp_path: Path) -> None:
    made = state(tmp_path, {"RescaleSlope": 2, "RescaleIntercept": -100})
    assert (made.RescaleSlope, made.RescaleIntercept, made.RescaleType) == (2, -100, "US")


def test_the_state_keeps_the_valid_windows(tmp_path: Path) -> None:
    windows = {"WindowCenter": [500, 600, 700], "WindowWidth": [900, 0, 1000]}
    explained = {"WindowCenterWidthExplanation": ["A", "B", "C"], "VOILUTFunction": "SIGMOID"}
    item = state(tmp_path, windows | explained).SoftcopyVOILUTSequence[0]
    assert (list(item.WindowCenter), list(item.WindowWidth)) == ([500, 700], [900, 1000])
    assert (list(item.WindowCenterWidthExplanation), item.VOILUTFunction) == (["A", "C"], "SIGMOID")


def test_the_state_takes_the_table_before_the_window_as_the_reader_does(tmp_path: Path) -> None:
    item = state(tmp_path, *CASES["table beside a window"]).SoftcopyVOILUTSequence[0]
    table = item.VOILUTSequence[0]
    assert list(table.LUTDescriptor) == [4096, 0, 16]
    assert np.frombuffer(table.LUTData, "<u2")[[0, 1, 4095]].tolist() == [
        0,
        16,
        65535,
    ]  # the same share of the range
    assert "WindowCenter" not in item


def test_a_window_of_no_width_is_left_out(tmp_path: Path) -> None:
    assert "SoftcopyVOILUTSequence" not in state(tmp_path, *CASES["window 0/0"])


def test_implicit_tables_are_read(tmp_path: Path) -> None:
    elements = CASES["signed table"][0] | {"syntax": uid.ImplicitVRLittleEndian}
    item = state(tmp_path, elements).SoftcopyVOILUTSequence[0].VOILUTSequence[0]
    assert list(item.LUTDescriptor) == [4096, -2048, 16]


def test_a_long_spacing_is_rounded_and_not_lost(tmp_path: Path) -> None:
    area = state(tmp_path, *CASES["long spacing"]).DisplayedAreaSelectionSequence[0]
    assert list(area.PresentationPixelSpacing) == [0.13899999856949] * 2


def test_the_state_says_that_it_is_for_research(tmp_path: Path) -> None:
    text = state(tmp_path, {}).GraphicAnnotationSequence[0].TextObjectSequence[0].UnformattedTextValue
    assert text == f"AI, research only, not for diagnosis  {NOTE}"
