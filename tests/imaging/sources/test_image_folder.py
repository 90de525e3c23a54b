from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from imaging import prepare, split
from imaging.preparation.example import Example, read_example
from imaging.prepared import Prepared
from imaging.settings import DataSettings, SplitSettings
from imaging.sources import list_studies

GREY = cv2.resize(np.random.default_rng(3).integers(0, 256, (8, 8), np.uint8), (40, 40))
SQUARE = np.zeros((40, 40), np.uint8)
SQUARE[4:20, 6:30] = 255
EMPTY = np.zeros_like(SQUARE)


def put(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, quality=95)  # of JPEG alone
    return path


def settings(folder: Path, **changes) -> DataSettings:
    return DataSettings(**{"source": "folder", "folder": str(folder), "image_size": 32, **changes})


def prepared(folder: Path, tmp_path: Path, **changes) -> Prepared:
    prepare.run(settings(folder, **changes), tmp_path / "prepared", tmp_path / "reports")
    return Prepared(tmp_path / "prepared")


def refused(folder: Path, tmp_path: Path, **changes) -> str:
    with pytest.raises(ValueError, match="refused") as caught:
        prepared(folder, tmp_path, **changes)
    return str(caught.value)


def mmsegmentation(root: Path, **parts: str) -> Path:
    """images and masks by part, such as train="ab", val="c"; a capital letter is a positive."""
    for part, names in parts.items():
        for name in names:
            put(root / "images" / part / f"{name}.png", np.roll(GREY, ord(name), axis=0))
            if part != "test":
                put(root / "masks" / part / f"{name}.png", SQUARE if name.isupper() else EMPTY)
    return root


def splits(root: Path) -> dict[str, str]:
    records = list_studies(settings(root)).records
    return dict(zip(records["image_id"], records["split"], strict=True))


IMAGES = {
    "grey PNG": ("x.png", GREY),
    "grey JPEG": ("x.jpg", GREY),
    "16-bit PNG": ("x.png", GREY.astype(np.uint16) * 257),
    "16-bit TIFF": ("x.tif", GREY.astype(np.uint16) * 257),
    "RGB PNG": ("x.png", np.dstack([GREY] * 3)),
    "RGBA PNG": ("x.png", np.dstack([GREY] * 3 + [np.full_like(GREY, 200)])),
    "BMP": ("x.BMP", GREY),
}


@pytest.mark.parametrize("kind", IMAGES)
@pytest.mark.parametrize("mask", ["x.png", "x.jpg", "x.tiff"])
def test_any_picture_with_any_mask(tmp_path, kind, mask):
    name, pixels = IMAGES[kind]
    put(tmp_path / "data/images/train" / name, pixels)
    put(tmp_path / "data/masks/train" / mask, SQUARE)
    record = list_studies(settings(tmp_path / "data")).records.to_dict("records")[0]
    example = read_example(record, 40)
    assert isinstance(example, Example)
    assert np.abs(example.image.astype(int) - GREY).max() <= (4 if name.endswith("jpg") else 0)
    assert (example.facts["label"], example.facts["area_px"]) == (1, 16 * 24)
    assert example.code == "244 16" + " 24 16" * 23
    assert (example.mask == SQUARE // 255).all()


def test_parts_by_folder(tmp_path):
    root = mmsegmentation(tmp_path, train="Ab", val="Cd", test="ef")
    assert splits(root) == {"A": "train", "b": "train", "C": "val", "d": "val", "e": "test", "f": "test"}


@pytest.mark.parametrize(
    ("lists", "wanted"),
    [
        ({"train": "train/A\ntrain/b\n", "val": "train/C\ntrain/d\n"}, "tr tr va va"),
        ({"val": "train/C\ntrain/d"}, "tr tr va va"),
        ({"train": "\ufefftrain\\A.png\r\ntrain/b.png\r\n\r\n", "val": "train/C\ntrain/d\n"}, "tr tr va va"),
        ({"train": "train/A\ntrain/b\n", "val": "train/C", "test": "train/d"}, "tr tr va te"),
        ({"test": "train/A"}, "tr tr tr tr"),
    ],
    ids=[
        "both",
        "val alone",
        "Windows, endings, byte-order mark",
        "a test list",
        "a test list alone is none",
    ],
)
def test_lists_decide(tmp_path, lists, wanted):
    root = mmsegmentation(tmp_path, train="AbCd")
    for name, text in lists.items():
        (root / f"{name}.txt").write_bytes(text.encode())
    assert [
        part[:2] for _, part in sorted(splits(root).items(), key=lambda item: item[0].lower())
    ] == wanted.split()


def test_what_the_lists_leave_out_or_invent_is_rejected(tmp_path):
    root = mmsegmentation(tmp_path, train="AbC")
    (root / "train.txt").write_text("train/A\ntrain/b\ntrain/missing\n")
    rejected = dict(list_studies(settings(root)).rejected.itertuples(index=False))
    assert rejected["train/missing"] == "listed in train.txt, but there is no such image"
    assert "not listed in train.txt" in rejected[str(root / "images/train/C.png")]
    (root / "val.txt").write_text("train/A\n")
    with pytest.raises(ValueError, match=r"train/A is listed in train\.txt and in val\.txt"):
        list_studies(settings(root))


def test_names_with_dots_keep_them(tmp_path):
    root = tmp_path / "data"
    for name in ("1.2.276.10", "1.2.276.11"):
        put(root / "images/train" / f"{name}.png", GREY)
        put(root / "masks/train" / f"{name}.png", SQUARE)
    (root / "train.txt").write_text("train/1.2.276.10\ntrain/1.2.276.11.png\n")
    assert splits(root) == {"1.2.276.10": "train", "1.2.276.11": "train"}


def test_a_mask_of_another_size_names_both(tmp_path):
    root = mmsegmentation(tmp_path / "data", train="Ab")
    put(root / "masks/train/A.png", SQUARE[:30, :20])
    text = refused(root, tmp_path)
    assert "images/train/A.png: MASK-SIZE: the image has 40 x 40 pixels, but its mask" in text
    assert "masks/train/A.png has 20 x 30" in text


def test_a_mask_that_could_mean_two_things_names_its_values(tmp_path):
    root = mmsegmentation(tmp_path / "data", train="Ab")
    put(root / "masks/train/A.png", SQUARE // 255 * 3)
    assert "masks/train/A.png: a mask with the values 0, 3;" in refused(root, tmp_path)


def test_odd_files(tmp_path):
    root = mmsegmentation(tmp_path / "data", train="AbCd")
    put(root / "images/train/A.jpg", GREY)
    put(root / "masks/train/alone.png", SQUARE)
    put(root / "images/val/b.png", GREY)
    (root / "images/train/Thumbs.db").write_text("")
    (root / "images/train/.DS_Store").write_text("")
    listing = list_studies(settings(root))
    reasons = {str(Path(row.input).relative_to(root)): row.reason for row in listing.rejected.itertuples()}
    assert (
        reasons["images/train/A.png"]
        == reasons["images/train/A.jpg"]
        == "several files in this folder are named A; keep one"
    )
    assert reasons["masks/train/alone.png"] == "a mask without an image of the same name"
    assert "a second file of the id b; kept:" in reasons["images/val/b.png"]
    assert len(reasons) == 4
    assert any("Thumbs.db" in note for note in listing.notes)
    assert not any("DS_Store" in note for note in listing.notes)
    assert "images/train/A.jpg" in refused(root, tmp_path)


@pytest.mark.parametrize(("choice", "label"), [("unlabelled", None), ("negative", 0)])
def test_an_image_without_a_mask(tmp_path, choice, label):
    root = mmsegmentation(tmp_path / "data", train="Ab")
    put(root / "images/train/bare.png", GREY[::-1].copy())
    data = prepared(root, tmp_path, without_mask=choice)
    found = data.index.set_index("image_id")["label"]
    assert found["A"] == 1
    assert found["bare"] == label if label is not None else found.isna()["bare"]
    assert f"1 images have no mask file: {choice}" in (tmp_path / "reports/dataset_card.md").read_text()


def test_the_rule_for_missing_masks_is_of_this_source_alone():
    with pytest.raises(ValueError, match="without_mask 'negative' has no effect with source 'siim'"):
        DataSettings(source="siim", without_mask="negative")


def kaggle(root: Path, inner: str = "siim-acr-pneumothorax") -> Path:
    base = root / inner
    rows = ["new_filename,ImageId,has_pneumo"]
    for number, positive in enumerate((1, 0, 1)):
        name = f"{number}_train_{positive}_.png"
        put(base / "png_images" / name, np.roll(GREY, 5 * number, axis=1))
        put(base / "png_masks" / name, SQUARE if positive else EMPTY)
        rows.append(f"{name},1.2.276.{number},{positive}")
    (base / "stage_1_train_images.csv").write_text("\n".join(rows) + "\n")
    put(base / "png_images/0_test_0_.png", GREY[:, ::-1].copy())
    put(base / "png_masks/0_test_0_.png", EMPTY)
    (base / "stage_1_test_images.csv").write_text(
        "new_filename,ImageId,has_pneumo\n0_test_0_.png,1.2.276.9,0\n"
    )
    return base


def test_kaggles_copy_takes_siims_ids(tmp_path):
    base = kaggle(tmp_path / "data")
    (base / "patients.csv").write_text("a,b\n1.2.276.0,00000007_000.png\n1.2.276.2,00000007_001.png\n")
    data = prepared(tmp_path / "data", tmp_path)
    assert data.index["image_id"].tolist() == [f"1.2.276.{number}" for number in (0, 1, 2, 9)]
    assert data.index["label"].tolist() == [1, 0, 1, 0]
    owner = data.index["patient_id"]
    assert owner[0] == owner[2] == "00000007"


def test_kaggles_tables_are_checked(tmp_path):
    base = kaggle(tmp_path / "data")
    put(base / "png_masks/2_train_1_.png", EMPTY)
    with (base / "stage_1_train_images.csv").open("a") as table:
        table.write("7_train_1_.png,1.2.276.7,1\n")
    assert "7_train_1_: in the table, but there is no such image" in refused(tmp_path / "data", tmp_path)
    data = prepared(tmp_path / "data", tmp_path, refused_share=0.5)
    assert data.index["label"].tolist() == [1, 0, 0, 0]
    card = (tmp_path / "reports/dataset_card.md").read_text()
    assert "1 files: the label table says 1, the mask 0; the mask is used." in card
    (base / "stage_1_train_images.csv").write_text("new_filename,ImageId,has_pneumo\n0_train_1_.png,a,yes\n")
    with pytest.raises(ValueError, match=r"has_pneumo of 0_train_1_\.png is 'yes'"):
        list_studies(settings(tmp_path / "data"))


def test_nnunets_raw_data(tmp_path):
    for part, name, mask in (("Tr", "a", SQUARE), ("Tr", "b", EMPTY), ("Ts", "c", SQUARE), ("Ts", "d", None)):
        put(tmp_path / f"images{part}" / f"{name}_0000.png", GREY)
        if mask is not None:
            put(tmp_path / f"labels{part}" / f"{name}.png", mask // 255)
    assert splits(tmp_path) == {"a": "train", "b": "train", "c": "val", "d": "test"}
    put(tmp_path / "imagesTr/a_0001.png", GREY)
    with pytest.raises(ValueError, match="only channel 0 is read"):
        list_studies(settings(tmp_path))


@pytest.mark.parametrize("pair", [("images", "masks"), ("image", "mask"), ("images", "labels")])
def test_two_folders_of_the_same_names(tmp_path, pair):
    put(tmp_path / pair[0] / "a.jpg", GREY)
    put(tmp_path / pair[1] / "a.png", SQUARE)
    assert splits(tmp_path) == {"a": "train"}


def test_a_folder_of_no_known_layout_says_what_was_looked_for(tmp_path):
    put(tmp_path / "a.png", GREY)
    with pytest.raises(ValueError, match=r"looked for images/train with masks/train \(mmsegmentation\)"):
        list_studies(settings(tmp_path))
    with pytest.raises(ValueError, match=r"no such folder; set `data\.folder`"):
        list_studies(settings(tmp_path / "none"))
    mmsegmentation(tmp_path, test="a")
    with pytest.raises(ValueError, match="no image for training; the layout is mmsegmentation"):
        list_studies(settings(tmp_path))


def test_the_folders_validation_is_the_holdout(tmp_path):
    root = mmsegmentation(tmp_path / "data", train="ABCDefgh", val="IJmn")
    prepared(root, tmp_path)
    split.run(
        SplitSettings(folds=2, unknown_patients="by_image"), tmp_path / "prepared", tmp_path / "reports"
    )
    folds = Prepared(tmp_path / "prepared").folds
    assert set(folds.index[folds == "holdout"]) == set("IJmn")
    report = (tmp_path / "reports/folds.md").read_text()
    assert "the source's own validation set as hold-out" in report
    split.run(
        SplitSettings(folds=2, given=False, unknown_patients="by_image"),
        tmp_path / "prepared",
        tmp_path / "reports",
    )
    assert set(Prepared(tmp_path / "prepared").folds.value_counts()) != {4}
    assert "a hold-out of 20%" in (tmp_path / "reports/folds.md").read_text()


def test_a_validation_set_of_one_class_is_no_holdout(tmp_path):
    root = mmsegmentation(tmp_path / "data", train="ABCDefgh", val="mn")
    prepared(root, tmp_path)
    with pytest.raises(ValueError, match=r"2 images are set apart as hold-out, with the labels \[0\]"):
        split.run(
            SplitSettings(folds=2, unknown_patients="by_image"), tmp_path / "prepared", tmp_path / "reports"
        )
