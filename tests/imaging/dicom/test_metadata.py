from __future__ import annotations

import pytest

from imaging import dicom
from imaging.dicom import metadata
from tests.imaging import dicom_files as files
from tests.imaging.dicom.test_read import SHAPE, random_pixels

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's, while irregular files are written

AGES = {
    "029Y": 29, "29": 29, "29Y": 29, "018M": 1, "011M": 0, "104W": 2, "003D": 0, "": None, "Y": None,
    "413": None, "abc": None, "-04": None, "2 9": None, "029y": 29,
}  # fmt: skip


@pytest.mark.parametrize(("text", "years"), AGES.items())
def test_ages(text, years):
    assert metadata.age_in_years(text) == years


def test_facts(tmp_path):
    path = files.write(
        tmp_path / "a.dcm",
        random_pixels(),
        PatientID="NIH 7",
        PatientSex="f",
        PatientAge="029Y",
        ViewPosition="ap",
        PixelSpacing=[0.2, 0.15],
        ImagerPixelSpacing=[9, 9],
        StudyInstanceUID="1.2.3",
        SeriesInstanceUID="1.2.4",
    )
    radiograph = dicom.read(path)
    facts = radiograph.facts
    assert radiograph.spacing_mm == facts.spacing_mm == (0.2, 0.15)
    assert (facts.patient_id, facts.sex, facts.age, facts.view) == ("NIH 7", "F", 29, "AP")
    assert (facts.study_uid, facts.series_uid, facts.photometric) == ("1.2.3", "1.2.4", "MONOCHROME2")
    assert (facts.height, facts.width, facts.bits, facts.notes) == (*SHAPE, 8, ())


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({"ImagerPixelSpacing": [0.14, 0.14]}, (0.14, 0.14)),
        ({"PixelSpacing": [0, 0], "ImagerPixelSpacing": [0.14, 0.14]}, (0.14, 0.14)),
        ({"PixelSpacing": [-1, 1]}, None),
        ({"PixelSpacing": ""}, None),
        ({}, None),
    ],
)
def test_spacing(tmp_path, elements, expected):
    assert dicom.read(files.write(tmp_path / "a.dcm", random_pixels(), **elements)).spacing_mm == expected


def test_an_impossible_age_is_left_out_and_noted(tmp_path):
    facts = dicom.read(files.write(tmp_path / "a.dcm", random_pixels(), PatientAge="413Y")).facts
    assert facts.age is None
    assert "age" in facts.notes[0]
