from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from pydicom import uid

from imaging import prepare, split
from imaging.formats import masks, reader
from imaging.phantom import __main__ as stage
from imaging.phantom.head import HeadSlice, dataset, render
from imaging.phantom.head.haemorrhage import KINDS
from imaging.phantom.head.slices import cases
from imaging.prepared import Prepared
from imaging.settings import DataSettings, PhantomSettings, SplitSettings
from imaging.sources import list_studies
from tests.imaging import dicom_files

PHANTOM = PhantomSettings(kind="head_ct", train=32, prevalence=0.5, difficulty=0.0)


@pytest.fixture(scope="module")
def phantom(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("head_ct") / "phantom"
    dataset.write(folder, PHANTOM, workers=1)
    return folder


@pytest.fixture(scope="module")
def made() -> list[HeadSlice]:
    return [render(PHANTOM, index) for index in range(len(cases(PHANTOM)))]


def settings(folder: Path, **changes) -> DataSettings:
    return DataSettings(**{"source": "ct_ich", "folder": str(folder), "image_size": 64, **changes})


def slices(root: Path, patient: str, number: int, mask: np.ndarray | None = None) -> None:
    """One slice in ct-ich's form, 30 x 20 px."""
    folder = root / "Patients_CT" / patient / "brain"
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((30, 20), 8 * number, np.uint8)).save(folder / f"{number}.jpg")
    if mask is not None:
        Image.fromarray(mask).save(folder / f"{number}_HGE_Seg.jpg")


BLOOD = np.zeros((30, 20), np.uint8)
BLOOD[8:16, 8:16] = 255


def test_slices_patients_and_masks(tmp_path):
    slices(tmp_path, "049", 2, BLOOD)
    slices(tmp_path, "049", 10)
    slices(tmp_path, "050", 1)
    bone = tmp_path / "Patients_CT/049/bone"
    bone.mkdir()
    Image.fromarray(BLOOD).save(bone / "2.jpg")
    listing = list_studies(settings(tmp_path))
    records = listing.records.set_index("image_id")
    assert records.index.tolist() == ["049_10", "049_2", "050_1"]
    assert records["patient_id"].tolist() == ["049", "049", "050"]
    assert records["rle"].fillna("none").tolist() == ["-1", "none", "-1"]
    assert records.loc["049_2", "mask"].endswith("2_HGE_Seg.jpg")
    assert (listing.patients, listing.finding) == ("the folders", "haemorrhage")
    assert listing.notes == ["3 slices of 2 patients; 2 have no mask and are negative."]


def test_the_archives_own_folder_is_found(tmp_path):
    slices(tmp_path / "computed-tomography-images-1.0.0", "049", 1)
    assert len(list_studies(settings(tmp_path)).records) == 1


def test_the_table_is_compared_with_the_masks(tmp_path):
    slices(tmp_path, "049", 1, BLOOD)
    slices(tmp_path, "049", 2)
    rows = ["PatientNumber,SliceNumber,Subdural,No_Hemorrhage,Fracture_Yes_No", "49,1,1,0,0", "49,2,1,0,0"]
    (tmp_path / "hemorrhage_diagnosis.csv").write_text("\n".join(rows) + "\n")
    prepare.run(settings(tmp_path), tmp_path / "prepared", tmp_path / "reports")
    data = Prepared(tmp_path / "prepared")
    assert data.index["label"].tolist() == [1, 0]
    assert data.index["area_px"].tolist() == [64, 0]
    card = (tmp_path / "reports/dataset_card.md").read_text()
    assert "1 files: the label table says 1, the mask 0" in card
    assert "| train | haemorrhage | 1 |" in card
    assert "from: the folders" in card


def test_a_mask_without_its_slice_is_rejected(tmp_path):
    slices(tmp_path, "049", 1, BLOOD)
    (tmp_path / "Patients_CT/049/brain/1.jpg").rename(tmp_path / "Patients_CT/049/brain/2.jpg")
    assert list_studies(settings(tmp_path)).rejected["reason"].tolist() == ["a mask without a slice"]


def test_equal_slices_of_two_patients_do_not_join_them(tmp_path):
    for patient in ("049", "050"):
        slices(tmp_path, patient, 0)  # black, as above every head
    prepare.run(settings(tmp_path), tmp_path / "prepared", tmp_path / "reports")
    assert Prepared(tmp_path / "prepared").index["patient_id"].tolist() == ["049", "050"]


def test_dicom_slices_are_seen_in_the_brain_window(tmp_path):
    folder = tmp_path / "Patients_CT/049/brain"
    folder.mkdir(parents=True)
    stored = np.array([[-1000, -20, 10, 40, 99, 1000]], np.int16) + 1024
    dicom_files.write(
        folder / "1.dcm", stored.astype(np.uint16), SOPClassUID=uid.CTImageStorage,
        RescaleSlope=1, RescaleIntercept=-1024, WindowCenter=700, WindowWidth=3000,
    )  # fmt: skip
    record = list_studies(settings(tmp_path)).records.iloc[0]
    assert reader.read(record["path"], 64).pixels.tolist() == [[0, 0, 64, 129, 255, 255]]


def test_volumes(tmp_path):
    nibabel = pytest.importorskip("nibabel", reason="the extra `ct` is not installed")
    for folder in ("ct_scans", "masks"):
        (tmp_path / folder).mkdir()
    affine = np.diag([0.5, 0.5, 5, 1])
    labels = np.zeros((8, 8, 3), np.uint8)
    labels[1:3, 1:3, 1] = 1
    for patient, depth in (("049", 3), ("050", 2), ("051", 3)):
        values = np.zeros((8, 8, depth), np.int16)
        nibabel.save(nibabel.Nifti1Image(values, affine), tmp_path / f"ct_scans/{patient}.nii")
    for patient in ("049", "050"):
        nibabel.save(nibabel.Nifti1Image(labels, affine), tmp_path / f"masks/{patient}.nii.gz")
    listing = list_studies(settings(tmp_path))
    assert listing.records["image_id"].tolist() == ["049_1", "049_2", "049_3", "051_1", "051_2", "051_3"]
    assert "NIFTI-MASK: 8 x 8 x 2 voxels, but its mask" in listing.rejected["reason"][0]
    assert "051.nii has no matching mask; its slices are unlabelled." in listing.notes
    prepare.run(settings(tmp_path, refused_share=0.5), tmp_path / "prepared", tmp_path / "reports")
    data = Prepared(tmp_path / "prepared")
    assert data.index["label"].fillna(9).tolist() == [0, 1, 0, 9, 9, 9]
    assert data.index["area_px"].sum() == 4
    assert data.index["sha256"].nunique() == 1  # all slices are alike


def test_no_such_form(tmp_path):
    with pytest.raises(ValueError, match=r"holds neither Patients_CT \(slices by patient\) nor ct_scans"):
        list_studies(settings(tmp_path))
    (tmp_path / "Patients_CT/049").mkdir(parents=True)
    with pytest.raises(ValueError, match="no slice was found"):
        list_studies(settings(tmp_path))


def test_a_phantoms_files_are_of_ct_ichs_form(phantom):
    names = {path.relative_to(phantom).as_posix() for path in phantom.rglob("*") if path.is_file()}
    plan = cases(PHANTOM)
    assert {f"Patients_CT/049/{window}/1.jpg" for window in ("brain", "bone")} <= names
    assert sum("/brain/" in name and "HGE" not in name for name in names) == len(plan) == 32
    with (phantom / "hemorrhage_diagnosis.csv").open() as table:
        rows = list(csv.DictReader(table))
    for row in rows:
        mask = f"Patients_CT/{int(row['PatientNumber']):03d}/brain/{row['SliceNumber']}_HGE_Seg.jpg"
        kinds = [kind for kind in KINDS if row[kind.capitalize()] == "1"]
        assert (mask in names) == bool(kinds) == (row["No_Hemorrhage"] == "0")


def test_a_phantoms_masks_survive_jpeg(phantom, made):
    for case, one in zip(cases(PHANTOM), made, strict=True):
        path = phantom / f"Patients_CT/{case.patient + 49:03d}/brain/{case.number}_HGE_Seg.jpg"
        assert path.is_file() == bool(one.mask.any())
        if path.is_file():
            assert (masks.read(path) != one.mask).sum() <= 0.01 * one.mask.sum()


def test_a_phantom_is_anatomical(made):
    for one, case in zip(made, cases(PHANTOM), strict=True):
        assert one.brain.shape == one.bone.shape == one.mask.shape == (512, 512)
        skull = one.brain == 255
        closed = cv2.morphologyEx(skull.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((9, 9)))
        contours, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        head = cv2.drawContours(np.zeros_like(closed), contours, -1, 1, -1)
        assert 0.05 < head.mean() < 0.6
        assert head[one.mask].all()  # blood is inside the head
        brain = (head > 0) & ~skull & ~one.mask
        assert 90 < np.median(one.brain[brain]) < 125  # 22 to 39 HU
        if one.mask.sum() > 300:
            assert np.median(one.brain[one.mask]) > np.median(one.brain[brain]) + 40
        assert not one.kinds or case.bleedings


def test_the_same_seed_makes_the_same_phantom_and_another_another():
    first, again = render(PHANTOM, 5), render(PHANTOM, 5)
    np.testing.assert_array_equal(first.brain, again.brain)
    other = render(PHANTOM.model_copy(update={"seed": 1}), 5)
    assert (first.brain != other.brain).mean() > 0.1
    with pytest.raises(ValueError, match="slices 0 to 31"):
        render(PHANTOM, 32)


def test_prevalence_kinds_and_sizes_follow_the_settings(made):
    plan = PhantomSettings(kind="head_ct", train=300, prevalence=0.2, seed=3)
    sick = [case for case in cases(plan) if case.bleedings]
    assert {one.kind for case in sick for one in case.bleedings} == set(KINDS)
    areas = [one.mask.sum() for one in made]
    assert np.mean(np.array(areas) > 0) == pytest.approx(0.5, abs=0.1)
    large = PHANTOM.model_copy(update={"least_area": 8000})
    small = [index for index, area in enumerate(areas) if 0 < area < 8000 / 4][:3]
    assert small
    assert all(area == 0 or area >= 8000 / 4 for area in (render(large, index).mask.sum() for index in small))


def test_the_phantom_goes_through_prepare_and_split(phantom, tmp_path):
    data = DataSettings(source="phantom", folder=str(phantom), image_size=64)
    prepare.run(data, tmp_path / "prepared", tmp_path / "reports")
    split.run(SplitSettings(folds=2, holdout=0.25), tmp_path / "prepared", tmp_path / "reports")
    found = Prepared(tmp_path / "prepared")
    parts = found.folds.groupby(found.index.set_index("image_id")["patient_id"]).nunique()
    assert (parts == 1).all()
    assert "No patient is in two parts." in (tmp_path / "reports/folds.md").read_text()


def test_the_stage_writes_the_kind_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("data: {source: phantom}\nphantom: {kind: head_ct, train: 20}\n")
    monkeypatch.setattr(dataset, "in_order", lambda make, jobs, workers: map(make, jobs))
    stage.main()
    assert len(list((tmp_path / "data/phantom/Patients_CT").rglob("brain/[0-9].jpg"))) >= 9
    assert list_studies(DataSettings()).finding == "haemorrhage"


def test_a_mask_whose_affine_contradicts_its_scan_is_rejected(tmp_path):
    nibabel = pytest.importorskip("nibabel", reason="the extra `ct` is not installed")
    for folder in ("ct_scans", "masks"):
        (tmp_path / folder).mkdir()
    labels = np.zeros((8, 8, 3), np.uint8)
    labels[1:3, 1:3, 1] = 1
    scan = np.diag([-0.5, -0.5, 5, 1])
    for patient, affine in (("049", scan), ("050", np.diag([0.5, -0.5, 5, 1]))):
        nibabel.save(nibabel.Nifti1Image(labels.astype(np.int16), scan), tmp_path / f"ct_scans/{patient}.nii")
        nibabel.save(nibabel.Nifti1Image(labels, affine), tmp_path / f"masks/{patient}.nii")
    listing = list_studies(settings(tmp_path))
    assert listing.records["mask"].notna().tolist() == [True] * 3 + [False] * 3
    assert listing.records["rle"].isna().all()  # unlabelled, not negative
    assert listing.rejected["reason"][0].startswith("NIFTI-GRID: ")
    assert listing.rejected["input"].tolist() == [str(tmp_path / "masks/050.nii")]


@pytest.mark.parametrize("ending", ["_HGE_Seg", "_hge_seg", "_HGE_SEG"])
def test_a_mask_is_known_by_its_ending_in_any_case(tmp_path, ending):
    slices(tmp_path, "049", 1)
    slices(tmp_path, "049", 2, BLOOD)
    folder = next((tmp_path / "Patients_CT").rglob("2_HGE_Seg.*")).parent
    mask = next(folder.glob("2_HGE_Seg.*"))
    mask.rename(folder / f"2{ending}{mask.suffix}")
    (folder / f"2 segmented{mask.suffix}").write_bytes(b"")
    listing = list_studies(settings(tmp_path))
    assert listing.records["image_id"].tolist() == ["049_1", "049_2"]
    assert listing.records["mask"].notna().tolist() == [False, True]
    assert listing.rejected["reason"].tolist() == ["named like a mask, but not <slice>_HGE_Seg"]
