from __future__ import annotations

import gzip
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from imaging import prepare, rle
from imaging.prepared import Prepared
from imaging.settings import DataSettings
from imaging.sources import list_studies
from imaging.sources.tables import preset, values


def picture(path: Path, shape=(64, 48), deep: bool = False) -> None:
    """A grey PNG of noise that differs by its path; deep: 16 bits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(sum(map(ord, str(path.name) + str(path.parent.name))))
    pixels = rng.integers(0, 60000 if deep else 256, shape).astype(np.uint16 if deep else np.uint8)
    ending = ".png" if path.suffix not in (".png", ".jpg") else path.suffix
    path.write_bytes(cv2.imencode(ending, pixels)[1].tobytes())


def mask_file(path: Path, shape=(64, 48), inside: bool = True) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.zeros(shape, np.uint8)
    mask[:32, :24] = 255 * inside
    cv2.imwrite(str(path), mask)


def settings(root: Path, **changes) -> DataSettings:
    return DataSettings(
        **{"source": "table", "folder": str(root), "table": "labels.csv", "image_size": 32, **changes}
    )


def write(root: Path, text: str, name: str = "labels.csv") -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


def prepared(root: Path, **changes) -> Prepared:
    folder = root.parent / "prepared"
    prepare.run(settings(root, **changes), folder, root.parent / "reports")
    return Prepared(folder)


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "data"
    for number in range(8):
        picture(folder / f"im{number}.png")
    return folder


@pytest.mark.parametrize(
    ("text", "label"),
    [("1", 1), ("1.0", 1), ("True", 1), ("positive", 1), ("0", 0), ("0.0", 0), ("no", 0), ("", None), ("nan", None),
     ("-1", None), ("-1.0", None), ("Pneumothorax", 1), ("Effusion|Pneumothorax", 1), ("Effusion", 0),
     ("['pleural effusion', 'pneumothorax']", 1), ("['hydropneumothorax']", 0), ("['unchanged']", None),
     ("No Finding", 0)],
)  # fmt: skip
def test_labels_are_read_in_the_forms_that_data_sets_have(text, label):
    assert values.Labels(word="Pneumothorax", unknown=frozenset({"unchanged"}))(text) == label


def test_uncertain_and_blank_labels_follow_the_settings():
    assert values.Labels(uncertain=1)("-1") == 1
    assert values.Labels(uncertain=0)("-1.0") == 0
    assert values.Labels(blank=0)("") == 0


@pytest.mark.parametrize(
    ("call", "code", "words"),
    [(lambda: values.Labels()("2"), "TABLE-LABEL", "label is '2'; write 0, 1"),
     (lambda: values.Labels()("maybe"), "TABLE-LABEL", "data.word"),
     (lambda: values.boxes("1 2 3", "xywh"), "TABLE-BOX", "not four numbers"),
     (lambda: values.boxes("5 5 2 9", "xyxy"), "TABLE-BOX", "no area as xyxy"),
     (lambda: values.boxes("1 2 nan 3", "xywh"), "TABLE-BOX", "not four numbers"),
     (lambda: values.boxes("{}", "xywh"), "TABLE-BOX", "not four numbers"),
     (lambda: values.split("fold 3"), "TABLE-SPLIT", "write train, val"),
     (lambda: values.mask("5 0 0 3"), "TABLE-MASK", "no run-length code")],
)  # fmt: skip
def test_a_cell_without_meaning_is_refused_with_its_value_and_the_fix(call, code, words):
    with pytest.raises(values.CellError, match=words) as caught:
        call()
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("text", "form", "found"),
    [("1 2 3 4", "xywh", [(1, 2, 3, 4)]), ("1 2 3 4; 5,6,7,8", "xywh", [(1, 2, 3, 4), (5, 6, 7, 8)]),
     ("[[1, 2, 4, 6]]", "xyxy", [(1, 2, 3, 4)]), ("[1, 2, 3, 4]", "xywh", [(1, 2, 3, 4)]), ("", "xywh", []), ("[]", "xywh", [])],
)  # fmt: skip
def test_boxes_are_read_in_both_forms(text, form, found):
    assert values.boxes(text, form) == found


@pytest.mark.parametrize(
    ("text", "years"),
    [("45", 45), ("058Y", 58), ("45.0", 45), ("018M", 1), ("", None), ("old", None), ("411", None)],
)
def test_ages(text, years):
    assert values.age(text) == years


def test_labels_masks_and_boxes_in_one_table(root):
    mask_file(root / "masks/im1.png")
    code = rle.encode(np.pad(np.ones((4, 6), np.uint8), ((0, 60), (0, 42))))
    write(
        root,
        "path,label,mask,boxes,patient_id,sex,age,view,split\n"
        "im0.png,0,,,a,F,45,PA,train\n"
        "im1.png,1,masks/im1.png,,b,Male,058Y,AP,\n"
        f"im2.png,1,{code},,c,,,,\n"
        "im3.png,1,,8 16 20 10,c,,,,val\n"
        "im4.png,1.0,,,d,,,,\n"
        "im5.png,,,,e,,,,\n"
        "im6.png,,-1,,f,,,,\n"
        "im7.png,,,,g,,,,test\n",
    )
    data = prepared(root)
    index = data.index.set_index("image_id")
    assert index["label"].tolist() == [0, 1, 1, 1, 1, pd.NA, 0]
    assert index["area_px"].tolist() == [0, 32 * 24, 24, pd.NA, pd.NA, pd.NA, 0]
    assert index["mask_row"].tolist() == [-1, 0, 1, 2, -1, -1, -1]
    assert data.has_mask.tolist() == [True, True, True, False, False, False, True]
    assert data.is_located.tolist() == [True, True, True, True, False, False, True]
    assert data.truth.index.tolist() == ["im0", "im1", "im2", "im6"]
    box = rle.decode(data.boxes["im3"], (64, 48))
    assert (np.argwhere(box).min(axis=0).tolist(), np.argwhere(box).max(axis=0).tolist()) == (
        [16, 8],
        [25, 27],
    )
    assert data.mask(3)[8:13, 6:18].all()  # 64 x 48 became 32 x 32
    assert not data.mask(4).any()
    assert index.loc["im1", ["sex", "age", "view", "patient_id"]].tolist() == ["M", 58, "AP", "b"]
    assert index.loc["im3", "split"] == "val"
    assert data.patients.source == "the table"
    assert data.masks_missing == "2 of 4 positives have no mask: figures of masks are of the others"
    card = (root.parent / "reports/dataset_card.md").read_text()
    assert "| train | of these without a mask | 2 | 28.6% | – |" in card
    assert "| train | of these with boxes | 1 | 14.3% | – |" in card
    assert "| test | unknown | 1 |" in card


def test_a_label_only_table_has_a_card_that_says_so(root):
    write(root, "Image Index;Pneumothorax\n" + "".join(f"im{n}.png;{n % 2}\n" for n in range(8)))
    data = prepared(root, columns={"path": "Image Index", "label": "Pneumothorax"})
    assert data.index["label"].tolist() == [0, 1] * 4
    assert data.masks_missing == "no positive has a mask: nothing is said of masks"
    reports = root.parent / "reports"
    assert "No positive image has a mask" in (reports / "dataset_card.md").read_text()
    for name in ("class_pie", "area_histogram", "mask_heatmap", "overlay_sheet"):
        assert (reports / f"{name}.png").stat().st_size > 1000


def test_rows_that_cannot_be_used_are_listed_with_line_and_fix(root, tmp_path):
    mask_file(root / "masks/im1.png")
    write(
        root,
        "path,label,mask,boxes\n"
        "im0.png,0,,\n"
        "gone.png,1,,\n"
        "im1.png,maybe,,\n"
        "im2.png,0,,1 2 3 4\n"
        "im0.png,0,,\n"
        "im3.png,1,,\n"
        "im3.png,0,,\n"
        "im4.png,1,masks/none.png,\n"
        ",1,,\n"
        "im5.png,1,-1,\n"
        "im6.png,1,,5 5 1\n"
        "im7.png,1,,500 500 10 10\n",
    )
    with pytest.raises(ValueError, match="refused") as caught:
        prepared(root)
    assert "labels.csv row 3: TABLE-FILE: 'gone.png': no such file" in str(caught.value)
    prepared(root, refused_share=0.99)
    listed = pd.read_csv(tmp_path / "prepared/rejected.csv")
    codes = {
        name.rpartition(" ")[2]: reason.split(":")[0]
        for name, reason in zip(listed["input"], listed["reason"], strict=True)
    }
    assert codes == {
        "3": "TABLE-FILE", "4": "TABLE-LABEL", "5": "TABLE-CONTRADICTION", "6": "TABLE-DUPLICATE", "7": "TABLE-CONTRADICTION",
        "8": "TABLE-CONTRADICTION", "9": "TABLE-MASK", "10": "TABLE-FILE", "11": "TABLE-CONTRADICTION", "12": "TABLE-BOX",
        str(root / "im7.png"): "TABLE-BOX",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "changes", "words"),
    [("file,label\nim0.png,1\n", {}, "no column 'path'; name it in data.columns.path. The file has 'file', 'label'"),
     ("path,sex\nim0.png,F\n", {}, "no column 'label', 'mask' or 'boxes'"),
     ("path,label\nim0.png,1\n", {"columns": {"label": "Finding"}}, "column 'Finding' is missing"),
     ("path,label\nim0.png,1\n", {"columns": {"lable": "label"}}, "data.columns names lable"),
     ("path,label\n", {}, "no rows"),
     ("path,label\ngone.png,1\n", {}, "no row that can be used for training. The first refusal: labels.csv row 2"),
     ("path,label\nim0.png,1\n", {"table": "x.csv"}, "data.table 'x.csv': no such file")],
)  # fmt: skip
def test_a_table_that_cannot_be_read_names_the_fault(root, text, changes, words):
    write(root, text)
    with pytest.raises(ValueError, match=words):
        list_studies(settings(root, **changes))


def test_settings_of_tables_belong_to_tables():
    with pytest.raises(ValueError, match="preset 'nih' has no effect with source 'siim'"):
        DataSettings(source="siim", preset="nih")
    with pytest.raises(ValueError, match="needs table"):
        DataSettings(source="table")


def test_parquet_and_gzip_are_read_as_csv(root):
    frame = pd.DataFrame({"path": ["im0.png", "im1.png"], "label": [1.0, np.nan], "age": [45, 46]})
    frame.to_parquet(root / "labels.parquet")
    frame.to_csv(root / "labels.csv.gz", index=False)
    one, other = (
        list_studies(settings(root, table=name)).records for name in ("labels.parquet", "labels.csv.gz")
    )
    assert one["label"].tolist() == other["label"].tolist() == [1, pd.NA]
    pd.testing.assert_frame_equal(one, other)


def test_several_annotations_of_an_image_are_united(root):
    write(
        root,
        "path,mask,boxes\nim0.png,0 2,\nim0.png,10 3,\nim1.png,,1 1 2 2\nim1.png,,5 5 2 2\nim2.png,-1,\n",
    )
    records = list_studies(settings(root)).records.set_index("image_id")
    assert records.loc["im0", "rle"] == "0 2 8 3"
    assert records.loc["im1", "boxes"] == "1 1 2 2;5 5 2 2"
    assert records["label"].tolist() == [1, 1, 0]


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
    assert rows["patient_id"].tolist() == ["1", "1", "2", "3"]
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


def test_a_preset_names_the_file_that_is_missing(tmp_path):
    tmp_path.joinpath("data").mkdir()
    with pytest.raises(ValueError, match=r"holds none of Data_Entry_2017_v2020\.csv, Data_Entry"):
        list_studies(settings(tmp_path / "data", preset="nih", table=None))
