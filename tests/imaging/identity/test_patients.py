from __future__ import annotations

import csv

import pytest

from benchmarks.siim_patients import build
from imaging.identity import patients, siim_patients
from imaging.identity.patients import assign, look_up


def write(tmp_path, text):
    path = tmp_path / "patients.csv"
    path.write_text(text)
    return path


ENDINGS = {
    "as it should be": ("image,patient\n", "{},{}", []),
    "ids with an ending": ("image,patient\n", "{}.dcm,{}", []),
    "ids as paths": ("image,patient\n", "images/{}.png,{}", []),
    "columns exchanged": (
        "patient,image\n",
        "{1},{0}",
        ["patients.csv has the image ids in its second column."],
    ),
    "no header": ("", "{},{}", ["patients.csv has no header line."]),
    "both": (
        "",
        "{1},{0}.DCM",
        ["patients.csv has no header line.", "patients.csv has the image ids in its second column."],
    ),
}
OWNERS = {"1.2.3": "00028864_007.png", "1.2.4": "00028864_012.png", "1.2.5": "0028864_007.png", "a.b": "Kim"}


@pytest.mark.parametrize("form", ENDINGS)
def test_files_are_recognised_whatever_their_form(tmp_path, form):
    header, line, notes = ENDINGS[form]
    rows = [line.format(*row) for row in OWNERS.items()]
    known = look_up(write(tmp_path, header + "\n".join([*rows, rows[-1]]) + "\n"), set(OWNERS))
    assert known.patient == {
        "1.2.3": "00028864",
        "1.2.4": "00028864",
        "1.2.5": "0028864_007.png",
        "a.b": "Kim",
    }
    assert (known.source, known.notes) == ("patients.csv", notes)


def test_a_file_with_some_of_the_images_is_told_with_counts(tmp_path):
    path = write(tmp_path, "image,patient\na,p\nz,q\n")
    known = look_up(path, ["a", "b", "c"])
    assert known.patient == {"a": "p", "z": "q"}
    assert known.notes == ["patients.csv has 1 of 3 images."]
    assert look_up(None, ["a"]).patient == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b,c\n1,2,3\n", "expected two columns"),
        ("a,b\n1,x\n1,y\n", "image '1' has two different patients"),
        ("a,b\n1,\n", "no patient for image '1'"),
        ("a,b\n7,x\n8,y\n", "has none of the 2 images; the data's first id is '1', the file's first is '7'"),
        ("a,b\n", "has none of the 2 images"),
    ],
)
def test_what_is_refused(tmp_path, text, message):
    with pytest.raises(ValueError, match=r"patients\.csv") as caught:
        look_up(write(tmp_path, text), ["1", "2"])
    assert message in str(caught.value)


SIIM = {
    "1.2.276.0.7230010.3.1.4.8323329.5597.1517875188.959090": "00028864",
    "1.2.276.0.7230010.3.1.4.8323329.12515.1517875239.501137": "00015606",
}


def test_the_patients_of_siim_are_built_in(tmp_path):
    known = look_up(None, [*SIIM, "1.2.276.0.7230010.3.1.4.8323329.0.0.0"])
    assert known.patient == SIIM
    assert known.source == "the built-in table of SIIM-ACR's ids"
    assert known.notes == ["2 of 3 images have their patient from the built-in table of SIIM-ACR's ids."]
    first, second = SIIM
    given = look_up(write(tmp_path, f"image,patient\n{first},Kim\n"), list(SIIM))
    assert given.patient == {first: "Kim", second: SIIM[second]}
    assert given.source == "patients.csv and the built-in table of SIIM-ACR's ids"


def test_the_built_in_table_is_the_published_one(tmp_path, monkeypatch):
    table = siim_patients.table()
    assert (len(table), len(set(table.values()))) == (12_047, 6_171)
    assert siim_patients.TABLE.stat().st_size < 250_000
    damaged = tmp_path / "table.csv"
    damaged.write_bytes(siim_patients.TABLE.read_bytes().replace(b"1", b"2", 1))
    monkeypatch.setattr(siim_patients, "TABLE", damaged)
    siim_patients.table.cache_clear()
    with pytest.raises(ValueError, match="damaged or changed"):
        siim_patients.table()
    siim_patients.table.cache_clear()


def test_the_built_in_table_against_its_source(real_siim):
    source = real_siim / "labels" / "patients.csv"
    assert build(source) == siim_patients.TABLE.read_text()
    with source.open() as file:
        _, *rows = csv.reader(file)
    assert {name: siim_patients.patient_of(name) for name, _ in rows} == {
        name: image.split("_")[0] for name, image in rows
    }


IDS = ["a", "b", "c", "d"]
NONE = [None] * 4


def test_patients_csv_comes_first_and_gaps_are_told():
    found = assign(IDS, ["p", "p", None, "q"], ["x", "x", "x", "y"], [])
    assert found.ids == ["p", "p", "image:c", "q"]
    assert (found.source, found.known) == ("patients.csv", [True, True, False, True])
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
    assert (found.source, found.known) == ("image clusters", [False] * 4)
    assert reason in found.notes[0]
    assert "anonymous" not in " ".join(found.notes)  # a PatientID may be a name


def test_duplicates_join_patients_in_chains():
    found = assign(IDS, NONE, NONE, [(2, 3), (1, 2)])
    assert found.ids == ["image:a", "image:b", "image:b", "image:b"]
    found = assign(IDS, ["p", "q", "q", "r"], NONE, [(0, 1), (0, 2)])
    assert found.ids == ["p", "p", "p", "r"]
    assert found.notes == ["1 pairs of equal pictures had different patients, which were joined."]


def found(ids: list[str], known: list[bool]) -> patients.Patients:
    return patients.Patients(ids, known, "DICOM PatientID", [])


def test_images_of_one_study_are_of_one_patient():
    before = found(["image:a", "p", "image:c", "image:d", "q"], [False, True, False, False, True])
    after = patients.joined_by_study(before, ["1.1", "1.1", "1.2", "1.2", None])
    assert after.ids == ["p", "p", "image:c", "image:c", "q"]
    assert after.known == [True, True, False, False, True]
    assert after.notes == [
        "2 studies have several images, 2 at most; images are counted and measured, not studies. Images of one study are of one"
        " patient: 2 patients were joined."
    ]


@pytest.mark.parametrize(
    "studies", [[None] * 3, ["1.1"] * 3, ["1.1", "1.2", "1.3"]], ids=["none", "one for all", "alone"]
)
def test_studies_that_tell_nothing_join_nothing(studies):
    before = found(["a", "b", "c"], [True] * 3)
    assert patients.joined_by_study(before, studies) == before
