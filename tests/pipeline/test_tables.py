"""`dvc repro` from one CSV: image-level labels alone, and a mixture of masks, boxes and labels, each at the smallest size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from imaging import rle
from imaging.dicom import read as read_dicom
from imaging.phantom import dataset
from imaging.settings import PhantomSettings
from tests.pipeline.tiny import TINY, Repository

pytestmark = pytest.mark.slow

SIDE = 128
ROUNDING = 0.005
"""per_image.csv has six digits: probabilities that differ less are a tie there, of half a pair in some 250."""


def write_pictures(folder: Path, train: int = 120) -> pd.DataFrame:
    """Chest phantoms as PNG, with a table of path, label, mask (as a code), box and patient_id."""
    source = folder.parent / "phantoms"
    dataset.write(source, PhantomSettings(**{**TINY["phantom"], "train": train}))
    codes = (
        pd.read_csv(source / "train-rle.csv", skipinitialspace=True)
        .groupby("ImageId")["EncodedPixels"]
        .apply(list)
    )
    patients = (
        pd.read_csv(source / "patients.csv")
        .set_axis(["image", "patient"], axis=1)
        .set_index("image")["patient"]
    )
    folder.mkdir(parents=True)
    rows = []
    for path in sorted((source / "dicom-images-train").rglob("*.dcm")):
        if path.stem not in codes.index:
            continue
        pixels = read_dicom(path).pixels
        cv2.imwrite(
            str(folder / f"{path.stem}.png"), cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        )
        mask = np.zeros(pixels.shape, bool)
        for code in map(str, codes[path.stem]):
            mask |= rle.decode(code.strip(), pixels.shape) if code.strip() != "-1" else False
        small = cv2.resize(mask.astype(np.uint8), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        x, y, width, height = cv2.boundingRect(small)
        rows.append(
            {
                "path": f"{path.stem}.png",
                "label": int(mask.any()),
                "mask": rle.encode(small),
                "boxes": f"{x} {y} {width} {height}" if mask.any() else "",
                "patient_id": patients[path.stem][:8],
            }
        )
    return pd.DataFrame(rows)


def settings(**changes: Any) -> dict[str, Any]:
    data = {
        "source": "table",
        "folder": "data/pictures",
        "table": "labels.csv",
        "patients": "data/pictures",
        "image_size": 64,
    }
    return {
        **TINY,
        "data": data,
        "classification": {**TINY["classification"], "head": "localising", "epochs": 2, "output_stride": 16},
        "tune_segmentation": {"trials": 0},
        "submit": {"images": "data/pictures", "sample": "data/pictures"},
        **changes,
    }


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    folder = tmp_path_factory.mktemp("pictures") / "pictures"
    return folder, write_pictures(folder)


def run(root: Path, pictures: Path, table: pd.DataFrame, params: dict[str, Any]) -> Repository:
    made = Repository.copy(root)
    (root / "data").mkdir(exist_ok=True)
    (root / "data/pictures").mkdir()
    for path in pictures.iterdir():
        (root / "data/pictures" / path.name).write_bytes(path.read_bytes())
    table.to_csv(root / "data/pictures/labels.csv", index=False)
    made.params(params)
    made.run("dvc", "repro")
    return made


@pytest.fixture(scope="module")
def label_only(pictures, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    folder, table = pictures
    params = settings(segmentation={**TINY["segmentation"], "models": []})
    return run(tmp_path_factory.mktemp("label_only"), folder, table[["path", "label", "patient_id"]], params)


@pytest.fixture(scope="module")
def mixture(pictures, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """Of the positives one in three has no mask, and half of those have a box."""
    folder, table = pictures
    mixed = table.assign(mask=table["mask"].where(table["label"] == 1, ""), boxes="")
    places = mixed.index[mixed["label"] == 1]
    mixed.loc[places[::3], "mask"] = ""
    mixed.loc[places[::6], "boxes"] = table.loc[places[::6], "boxes"]
    return run(tmp_path_factory.mktemp("mixture"), folder, mixed, settings(segmentation=TINY["segmentation"]))


def read(made: Repository, name: str) -> Any:
    return json.loads((made.root / name).read_text())


def test_a_label_only_table_ends_in_a_report_of_what_labels_allow(label_only):
    metrics = read(label_only, "reports/evaluation/metrics.json")
    table = pd.read_csv(label_only.root / "reports/evaluation/report/per_image.csv")
    assert metrics["auroc"]["value"] == pytest.approx(
        roc_auc_score(table["label"], table["prob"]), abs=ROUNDING
    )
    assert metrics["prevalence"]["value"] == pytest.approx(table["label"].mean())
    for name in ("kaggle_dice", "tnr", "dice_positive", "iou_positive", "miou", "mdice", "all_empty"):
        assert metrics[name] == {"value": None, "low": None, "high": None}, name
    assert metrics["masks_missing"]["value"] == 1
    decision = read(label_only, "models/ensemble/decision.json")
    assert decision["rule"]["kind"] == "gate"
    assert decision["masks"]["weights"] == {}
    gate = decision["operating_points"][0]
    assert gate["threshold"] == decision["rule"]["cut"]
    points = pd.read_csv(label_only.root / "reports/evaluation/report/operating_points.csv").iloc[0]
    called = table["prob"] >= gate["threshold"]
    assert (points["tp"], points["fp"]) == (
        (called & (table["label"] == 1)).sum(),
        (called & (table["label"] == 0)).sum(),
    )
    for name, words in {
        "reports/data/dataset_card.md": "No positive image has a mask",
        "reports/ensemble/rules.md": "no positive has a mask",
        "reports/evaluation/report/report.md": "No masks: there is no segmentation network",
        "reports/summary.md": "no positive has a mask",
        "models/bundle/README.md": "No masks: it",
    }.items():
        assert words in (label_only.root / name).read_text(), name
    report = (label_only.root / "reports/evaluation/report/report.md").read_text()
    assert "nan" not in report
    for figure in set(pd.Series(report).str.findall(r"\]\(([a-z_]+\.png)\)")[0]):
        assert (label_only.root / "reports/evaluation/report" / figure).is_file()


def test_a_bundle_without_masks_predicts(label_only):
    label_only.run("python", "-m", "ensemble.predict", "data/pictures", "--output", "out")
    rows = pd.read_csv(label_only.root / "out/triage.csv")
    assert rows["probability"].between(0, 1).all()
    assert rows["area_px"].eq(0).all()


def test_a_mixture_gives_each_study_what_it_allows(mixture):
    metrics = read(mixture, "reports/evaluation/metrics.json")
    table = pd.read_csv(mixture.root / "reports/evaluation/report/per_image.csv")
    positive, masked = table["label"] == 1, table["dice"].notna()
    assert 0 < (positive & ~masked).sum() < positive.sum()
    assert masked[~positive].all()
    assert metrics["auroc"]["value"] == pytest.approx(
        roc_auc_score(table["label"], table["prob"]), abs=ROUNDING
    )
    assert metrics["kaggle_dice"]["value"] == pytest.approx(table["dice"].mean(), abs=1e-6)
    assert metrics["dice_positive"]["value"] == pytest.approx(
        table.loc[positive & masked, "dice"].mean(), abs=1e-6
    )
    assert metrics["prevalence"]["value"] == pytest.approx(positive.mean())
    assert metrics["all_empty"]["value"] == pytest.approx(1 - positive[masked].mean())
    assert metrics["masks_missing"]["value"] == pytest.approx((positive & ~masked).sum() / positive.sum())
    boxes = pd.read_csv(mixture.root / "data/prepared/boxes.csv")["ImageId"]
    assert set(table.loc[table["box_hit"].notna(), "image_id"]) == set(boxes) & set(table["image_id"])
    assert metrics["box_hit_rate"]["value"] == pytest.approx(table["box_hit"].mean())
    report = (mixture.root / "reports/evaluation/report/report.md").read_text()
    assert "positives have no mask: mask figures cover the others" in report
    assert "box hit rate" in report
    folds = (mixture.root / "reports/data/folds.md").read_text()
    assert "| part | images | patients | positive | with a mask |" in folds
    assert "positives have no mask" in (mixture.root / "reports/summary.md").read_text()


def test_segmentation_without_any_mask_is_refused_with_the_fix(pictures, tmp_path):
    folder, table = pictures
    with pytest.raises(AssertionError, match=r"set segmentation\.models to \[\]"):
        run(
            tmp_path,
            folder,
            table[["path", "label", "patient_id"]],
            settings(segmentation=TINY["segmentation"]),
        )
