from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from imaging import rle
from imaging.settings import DataSettings
from imaging.sources import list_studies
from imaging.sources.tables import values
from tests.imaging.sources.table_files import mask_file, picture, prepared, settings, write


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
     (lambda: values.mask("5 0 0 3"), "TABLE-MASK", "not a run-length code")],
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


def test_a_table_gives_spacing_or_the_size_before_resizing(root):
    """Noise fills the picture, so the body is 48 px wide; plausible are 230 to 600 mm from 14 years on."""
    write(
        root,
        "path,label,spacing_mm,original_height,original_spacing_mm\n"
        "im0.png,0,6.25,,\n"
        "im1.png,1,,3072,0.139\n"
        "im2.png,0,0.139,,\n"
        "im3.png,1,,,\n"
        "im4.png,0,wide,,\n",
    )
    data = prepared(root, refused_share=0.5)
    spacing = data.index.set_index("image_id")["spacing_mm"]
    assert spacing.iloc[:2].tolist() == pytest.approx([6.25, 3072 * 0.139 / 64])
    assert spacing.iloc[2:].isna().all()
    rejected = pd.read_csv(root.parent / "prepared/rejected.csv")
    assert rejected["input"].tolist() == ["labels.csv row 6"]
    assert rejected["reason"].iloc[0].startswith("TABLE-SPACING: spacing_mm is 'wide'")
    card = (root.parent / "reports/dataset_card.md").read_text()
    assert "1 files: implausible pixel spacing in the table, so no areas in mm²." in card


def test_a_drain_that_is_no_number_is_rejected_with_its_row(root):
    write(root, "path,label,drain\nim0.png,0,1\nim1.png,1,\nim2.png,0,maybe\n")
    prepared(root, refused_share=0.5)
    rejected = pd.read_csv(root.parent / "prepared/rejected.csv")
    assert rejected["input"].tolist() == ["labels.csv row 4"]
    assert rejected["reason"].iloc[0].startswith("TABLE-DRAIN: ")


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
    assert data.masks_missing == "2 of 4 positives have no mask: mask figures cover the others"
    card = (root.parent / "reports/dataset_card.md").read_text()
    assert "| train | of these without a mask | 2 | 28.6% | – |" in card
    assert "| train | of these with boxes | 1 | 14.3% | – |" in card
    assert "| test | unknown | 1 |" in card


def test_a_label_only_table_has_a_card_that_says_so(root):
    write(root, "Image Index;Pneumothorax\n" + "".join(f"im{n}.png;{n % 2}\n" for n in range(8)))
    data = prepared(root, columns={"path": "Image Index", "label": "Pneumothorax"})
    assert data.index["label"].tolist() == [0, 1] * 4
    assert data.masks_missing == "no positive has a mask, so there are no mask figures"
    reports = root.parent / "reports"
    card = (reports / "dataset_card.md").read_text()
    assert "No positive image has a mask" in card
    assert "| train | pneumothorax | 4 | 50.0% | – |" in card
    assert "No image has a mask, so there will be no Dice." in card
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
