from __future__ import annotations

import pytest

from imaging.preparation.patients import assign, read


def write(tmp_path, text):
    path = tmp_path / "patients.csv"
    path.write_text(text)
    return path


def test_read_knows_nih_names_and_takes_others_as_they_are(tmp_path):
    path = write(tmp_path, "a,b\n1,00028864_007.png\n2,00028864_012.png\n3,0028864_007.png\n4,Kim\n4,Kim\n")
    assert read(path) == {"1": "00028864", "2": "00028864", "3": "0028864_007.png", "4": "Kim"}
    assert read(None) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b,c\n1,2,3\n", "expected two columns"),
        ("a,b\n1,x\n1,y\n", "image '1' has two different patients"),
        ("a,b\n1,\n", "no patient for image '1'"),
    ],
)
def test_read_refuses(tmp_path, text, message):
    with pytest.raises(ValueError, match=r"patients\.csv") as caught:
        read(write(tmp_path, text))
    assert message in str(caught.value)


IDS = ["a", "b", "c", "d"]
NONE = [None] * 4


def test_patients_csv_comes_first_and_gaps_are_told():
    found = assign(IDS, ["p", "p", None, "q"], ["x", "x", "x", "y"], [])
    assert found.ids == ["p", "p", "image:c", "q"]
    assert found.source == "patients.csv"
    assert found.notes == ["1 images have no patient in patients.csv; each counts as a patient of its own."]


def test_dicom_id_counts_when_it_repeats():
    found = assign(IDS, NONE, ["x", "x", "", "y"], [])
    assert (found.ids, found.source) == (["x", "x", "image:c", "y"], "DICOM PatientID")


@pytest.mark.parametrize(
    ("dicom", "reason"),
    [
        (["1", "2", "3", "4"], "never repeats"),
        (["", None, "", ""], "never repeats"),
        (["anonymous"] * 4, "all files have the same"),
    ],
)
def test_a_useless_dicom_id_leaves_every_image_alone(dicom, reason):
    found = assign(IDS, NONE, dicom, [])
    assert found.ids == [f"image:{name}" for name in IDS]
    assert found.source == "image clusters"
    assert reason in found.notes[0]
    assert "anonymous" not in " ".join(found.notes)  # a PatientID may be a name


def test_twins_join_patients_in_chains():
    found = assign(IDS, NONE, NONE, [(2, 3), (1, 2)])
    assert found.ids == ["image:a", "image:b", "image:b", "image:b"]
    found = assign(IDS, ["p", "q", "q", "r"], NONE, [(0, 1), (0, 2)])
    assert found.ids == ["p", "p", "p", "r"]
    assert found.notes == [
        "1 pairs of equal pictures under different patients: their patients are taken as one."
    ]
