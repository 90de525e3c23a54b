"""Presets: files of the form of each public data set are prepared."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from imaging.sources import list_studies
from imaging.sources.tables import preset
from tests.imaging.sources.table_files import mask_file, picture, prepared, settings, write


def row_of(header: str, **cells: str) -> str:
    return ",".join(cells.get(name, "") for name in header.split(","))


NIH = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)

CHEXPERT = (
    "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,Lung Lesion,Edema,"
    "Consolidation,Pneumonia,Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,Support Devices"
)

MIMIC_LABELS = (
    "subject_id,study_id,Atelectasis,Cardiomegaly,Consolidation,Edema,Enlarged Cardiomediastinum,Fracture,Lung Lesion,"
    "Lung Opacity,No Finding,Pleural Effusion,Pleural Other,Pneumonia,Pneumothorax,Support Devices"
)

MIMIC_FACTS = (
    "dicom_id,subject_id,study_id,PerformedProcedureStepDescription,ViewPosition,Rows,Columns,StudyDate,StudyTime,"
    "ProcedureCodeSequence_CodeMeaning,ViewCodeSequence_CodeMeaning,PatientOrientationCodeSequence_CodeMeaning"
)

PADCHEST = (
    ",ImageID,ImageDir,StudyDate_DICOM,StudyID,PatientID,PatientBirth,PatientSex_DICOM,ViewPosition_DICOM,Projection,"
    "MethodProjection,Pediatric,Modality_DICOM,Labels"
)


def nih(root: Path) -> None:
    lines = [
        "00000001_000.png,Cardiomegaly,0,1,58,M,PA,2682,2749,0.143,0.143",
        "00000001_001.png,Cardiomegaly|Pneumothorax,1,1,58,M,AP,2894,2729,0.143,0.143",
        "00000002_000.png,No Finding,0,2,80,F,PA,2500,2048,0.171,0.171",
        "00000003_000.png,Pneumothorax,0,3,45,F,PA,2500,2048,0.171,0.171",
    ]
    for place, line in enumerate(lines):
        picture(root / f"images_00{place + 1}/images/{line.split(',')[0]}", (64, 64))
    write(root, "\n".join([NIH, *lines]) + "\n", "Data_Entry_2017_v2020.csv")
    boxes = ["00000001_001.png,Pneumothorax,10.5,20.2,8,12,,,", "00000001_001.png,Cardiomegaly,1,2,3,4,,,"]
    write(
        root, "\n".join(["Image Index,Finding Label,Bbox [x,y,w,h],,,", *boxes]) + "\n", "BBox_List_2017.csv"
    )


def chexpert(root: Path) -> None:
    rows = [("patient00001/study1/view1_frontal", "Frontal", "1.0"), ("patient00001/study1/view2_lateral", "Lateral", "1.0"),
            ("patient00002/study1/view1_frontal", "Frontal", "0.0"), ("patient00002/study2/view1_frontal", "Frontal", "-1.0"),
            ("patient00003/study1/view1_frontal", "Frontal", "")]  # fmt: skip
    lines = []
    for name, side, label in rows:
        picture(root / f"train/{name}.jpg")
        cells = {"Path": f"CheXpert-v1.0-small/train/{name}.jpg", "Sex": "Female", "Age": "68", "AP/PA": "AP"}
        lines.append(row_of(CHEXPERT, **cells, **{"Frontal/Lateral": side, "Pneumothorax": label}))
    write(root, "\n".join([CHEXPERT, *lines]) + "\n", "train.csv")


def mimic(root: Path) -> None:
    rows = [("aa-1", "10000032", "50414267", "AP", "1.0", "train"), ("aa-2", "10000032", "50414267", "LATERAL", "1.0", "train"),
            ("bb-1", "10000764", "57375967", "PA", "0.0", "validate"), ("cc-1", "11000011", "51029426", "PA", "", "test"),
            ("dd-1", "11000012", "51029427", "PA", "0.0", "test")]  # fmt: skip
    facts, labels, split = [MIMIC_FACTS], {MIMIC_LABELS: None}, ["dicom_id,study_id,subject_id,split"]
    for dicom, subject, study, view, label, part in rows:
        picture(root / f"files/p{subject[:2]}/p{subject}/s{study}/{dicom}.jpg")
        facts.append(
            row_of(MIMIC_FACTS, dicom_id=dicom, subject_id=subject, study_id=study, ViewPosition=view)
        )
        labels[row_of(MIMIC_LABELS, subject_id=subject, study_id=study, Pneumothorax=label)] = None
        split.append(f"{dicom},{study},{subject},{part}")
    for name, lines in (("metadata", facts), ("chexpert", labels), ("split", split)):
        (root / f"mimic-cxr-2.0.0-{name}.csv.gz").write_bytes(
            gzip.compress(("\n".join(lines) + "\n").encode())
        )


def padchest(root: Path) -> None:
    rows = [("1_a.png", "0", "\"['normal']\"", "PA"),
            ("1_b.png", "0", "\"['pneumothorax', 'chest drain tube']\"", "AP_horizontal"),
            ("2_a.png", "1", "\"['pneumothorax']\"", "L"), ("3_a.png", "1", "\"['unchanged']\"", "PA")]  # fmt: skip
    lines = []
    for place, (image, folder, labels, side) in enumerate(rows):
        picture(root / folder / image, deep=True)
        cells = {"ImageID": image, "ImageDir": folder, "PatientID": f"p{place}", "PatientSex_DICOM": "M"}
        lines.append(row_of(PADCHEST, **cells, Projection=side, Labels=labels))
    write(root, "\n".join([PADCHEST, *lines]) + "\n", "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv")


def vindr(root: Path) -> None:
    from tests.imaging.conftest import write_dicom

    labels, boxes = (
        ["image_id,rad_id,Aortic enlargement,Pneumothorax,No finding"],
        ["image_id,rad_id,class_name,x_min,y_min,x_max,y_max"],
    )
    for image, votes in {"aa": "110", "bb": "000", "cc": "100"}.items():
        pixels = np.random.default_rng(ord(image[0])).integers(0, 256, (64, 64), np.uint8)
        (root / "train").mkdir(parents=True, exist_ok=True)
        write_dicom(root / f"train/{image}.dicom", image, pixels)
        for reader, vote in enumerate(votes):
            labels.append(f"{image},R{reader},0,{vote},{1 - int(vote)}")
            boxes.append(f"{image},R{reader},{'Pneumothorax,5,6,20,30' if vote == '1' else 'No finding,,,,'}")
    write(root, "\n".join(labels) + "\n", "annotations/image_labels_train.csv")
    write(root, "\n".join(boxes) + "\n", "annotations/annotations_train.csv")


def candid(root: Path) -> None:
    rows = [("1.2.3", "P0001_s1.dcm", "0 2 8 3"), ("1.2.3", "P0001_s1.dcm", "20 2"), ("1.2.4", "P0001_s2.dcm", "-1"),
            ("1.2.5", "P0002_s1.dcm", "-1")]  # fmt: skip
    for uid in {row[0] for row in rows}:
        picture(root / "dataset" / uid)
    lines = [f"{uid},{name},{code},a report" for uid, name, code in rows]
    write(
        root,
        "\n".join(["SOPInstanceUID,filename,EncodedPixels,Report", *lines]) + "\n",
        "Pneumothorax_reports.csv",
    )


def ptx498(root: Path) -> None:
    for site in ("SiteA", "SiteB"):
        picture(root / f"{site}/1.1.img.png")
        mask_file(root / f"{site}/1.2.mask.png")
        picture(root / f"{site}/1.3.merge.png")


def siim_png(root: Path) -> None:
    rows = ["0_train_1_.png,1.2.276.1,1", "1_train_0_.png,1.2.276.2,0"]
    for row in rows:
        picture(root / "png_images" / row.split(",")[0])
        mask_file(root / "png_masks" / row.split(",")[0], inside=row.endswith("1"))
    write(root, "\n".join(["new_filename,ImageId,has_pneumo", *rows]) + "\n", "stage_1_train_images.csv")


FORMS: dict = {
    # image id -> (label, area, has a coarse or exact mask), of the images that are prepared
    "nih": (nih, {"00000001_000": (0, 0), "00000001_001": (1, None), "00000002_000": (0, 0), "00000003_000": (1, None)}),
    "chexpert": (chexpert, {"train_patient00001_study1_view1_frontal": (1, None),
                            "train_patient00002_study1_view1_frontal": (0, 0),
                            "train_patient00002_study2_view1_frontal": (None, None),
                            "train_patient00003_study1_view1_frontal": (None, None)}),
    "mimic": (mimic, {"aa-1": (1, None), "bb-1": (0, 0), "cc-1": (None, None), "dd-1": (0, 0)}),
    "padchest": (padchest, {"1_a": (0, 0), "1_b": (1, None), "3_a": (None, None)}),
    "vindr": (vindr, {"aa": (1, None), "bb": (0, 0), "cc": (0, 0)}),
    "candid": (candid, {"1.2.3": (1, 7), "1.2.4": (0, 0), "1.2.5": (0, 0)}),
    "ptx498": (ptx498, {"SiteA_1": (1, 768), "SiteB_1": (1, 768)}),
    "siim_png": (siim_png, {"1.2.276.1": (1, 768), "1.2.276.2": (0, 0)}),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_a_preset_prepares_files_of_its_data_sets_form(tmp_path, name):
    make, expected = FORMS[name]
    make(tmp_path / "data")
    data = prepared(tmp_path / "data", preset=name, table=None)
    index = data.index.set_index("image_id")
    found = {
        image: tuple(
            None if pd.isna(index.loc[image, key]) else int(index.loc[image, key])
            for key in ("label", "area_px")
        )
        for image in index.index
    }
    assert found == expected
    card = (tmp_path / "reports/dataset_card.md").read_text()
    known = preset.load(name)
    assert known.licence in card
    assert known.citation in card
    assert known.noise in card


def test_presets_take_patients_boxes_views_and_splits(tmp_path):
    nih(tmp_path / "nih")
    rows = list_studies(settings(tmp_path / "nih", preset="nih", table=None)).records.set_index("image_id")
    assert rows["patient_id"].tolist() == ["00000001", "00000001", "00000002", "00000003"]
    assert rows["height_mm"].tolist() == pytest.approx(
        [2749 * 0.143, 2729 * 0.143, 2048 * 0.171, 2048 * 0.171]
    )
    assert rows.loc["00000001_001", ["boxes", "sex", "age", "view"]].tolist() == [
        "10.5 20.2 8 12",
        "M",
        58,
        "AP",
    ]
    chexpert(tmp_path / "chexpert")
    listing = list_studies(
        settings(tmp_path / "chexpert", preset="chexpert", table=None, uncertain="positive", blank="negative")
    )
    assert listing.records["label"].tolist() == [1, 0, 1, 0]
    assert listing.records["patient_id"].tolist() == [
        "patient00001",
        "patient00002",
        "patient00002",
        "patient00003",
    ]
    assert listing.skipped.values.tolist() == [
        ["train.csv row 3", "Frontal/Lateral is 'Lateral'; used: Frontal"]
    ]
    mimic(tmp_path / "mimic")
    rows = list_studies(settings(tmp_path / "mimic", preset="mimic", table=None)).records.set_index(
        "image_id"
    )
    assert rows["split"].to_dict() == {"aa-1": "train", "bb-1": "train", "cc-1": "val", "dd-1": "val"}
    vindr(tmp_path / "vindr")
    rows = list_studies(settings(tmp_path / "vindr", preset="vindr", table=None)).records.set_index(
        "image_id"
    )
    assert rows["boxes"].tolist() == ["5 6 15 24", pd.NA, pd.NA]
    candid(tmp_path / "candid")
    rows = list_studies(settings(tmp_path / "candid", preset="candid", table=None)).records
    assert rows["patient_id"].tolist() == ["P0001", "P0001", "P0002"]


def test_nih_without_its_columns_of_the_original_size_is_read(tmp_path):
    nih(tmp_path / "nih")
    table = tmp_path / "nih/Data_Entry_2017_v2020.csv"
    table.write_text("\n".join(line.rsplit(",", 4)[0] for line in table.read_text().splitlines()))
    rows = list_studies(settings(tmp_path / "nih", preset="nih", table=None)).records
    assert rows["height_mm"].isna().all()


def test_a_preset_names_the_file_that_is_missing(tmp_path):
    tmp_path.joinpath("data").mkdir()
    with pytest.raises(ValueError, match=r"holds none of Data_Entry_2017_v2020\.csv, Data_Entry"):
        list_studies(settings(tmp_path / "data", preset="nih", table=None))
