"""`dvc repro` on several sources by one command: masks from one, labels alone from another, a third for evaluation alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import pandas as pd
import pytest
import yaml

from imaging.decoding.radiograph import to_uint8
from imaging.formats import reader
from imaging.io.walk import walk
from imaging.phantom.dataset import write
from imaging.settings import PhantomSettings
from tests.pipeline.tiny import TINY, Repository

pytestmark = pytest.mark.slow

MIXED: dict[str, Any] = {
    **TINY,
    "data": {
        "source": "several",
        "folder": "data/studies",
        "patients": "data/studies",
        "image_size": 64,
        "sources": [
            {"name": "masks", "source": "siim", "folder": "masks"},
            {"name": "labels", "source": "table", "folder": "labels", "table": "labels.csv", "weight": 0.5},
            {"name": "elsewhere", "source": "siim", "folder": "elsewhere", "role": "external"},
        ],
    },
    "split": {"scheme": "patient", "folds": 2, "holdout": 0.3},
    "tune_segmentation": {"trials": 0},
    "submit": {"images": "data/studies", "sample": "data/studies"},
}
COPIES = 3
"""Pictures of the external source that the labels' source has too, resized."""


def phantoms(folder: Path, count: int, seed: int) -> None:
    made = {"train": count, "test": 2, "prevalence": 0.5, "difficulty": 0.0, "least_area": 8000, "seed": seed}
    write(folder, PhantomSettings(**made), workers=1)


def label_only(folder: Path, source: Path, copies: Path) -> None:
    """The studies of a SIIM folder as PNG files of 256 px with labels in a CSV, and the first pictures of another folder."""
    codes = (
        pd.read_csv(source / "train-rle.csv", skipinitialspace=True)
        .groupby("ImageId")["EncodedPixels"]
        .first()
    )
    patient = (
        pd.read_csv(source / "patients.csv", dtype=str)
        .set_axis(["id", "name"], axis=1)
        .set_index("id")["name"]
    )
    (folder / "images").mkdir(parents=True)
    rows = []
    studies = [(path, True) for path in files(source) if path.stem in codes] + [
        (path, False) for path in files(copies)[:COPIES]
    ]
    for number, (path, own) in enumerate(studies):
        small = cv2.resize(to_uint8(reader.read(path).pixels), (256, 256), interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(folder / "images" / f"{number:04}.png"), small)
        label = int(str(codes[path.stem]).strip() != "-1") if own else 0
        rows.append((f"images/{number:04}.png", label, patient[path.stem][:8] if own else f"copy{number}"))
    pd.DataFrame(rows, columns=["path", "label", "patient_id"]).to_csv(folder / "labels.csv", index=False)


def files(folder: Path) -> list[Path]:
    return [Path(entry.path) for entry in walk(folder / "dicom-images-train") if entry.path.endswith(".dcm")]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    made = Repository.copy(tmp_path_factory.mktemp("several"))
    studies = made.root / "data" / "studies"
    phantoms(studies / "masks", 60, 1)
    phantoms(studies / "elsewhere", 24, 2)
    raw = tmp_path_factory.mktemp("raw") / "phantoms"
    phantoms(raw, 60, 3)
    label_only(studies / "labels", raw, studies / "elsewhere")
    (made.root / "params.yaml").write_text(yaml.safe_dump(MIXED, sort_keys=False))
    made.run("dvc", "repro")
    return made


def test_the_report_has_a_row_for_each_source_and_a_section_for_the_external_one(mixed):
    report = (mixed.root / "reports/evaluation/report/report.md").read_text()
    groups = pd.read_csv(mixed.root / "reports/evaluation/report/subgroups.csv")
    assert set(groups.loc[groups["kind"] == "source", "group"]) == {"labels", "masks"}
    assert "## External sources" in report
    outside = pd.read_csv(mixed.root / "reports/evaluation/report/external.csv")
    row = outside[outside["kind"] == "source"].iloc[0]
    assert (row["group"], row["images"]) == ("elsewhere", 24)


def test_copies_of_external_pictures_are_not_trained_on(mixed):
    index = pd.read_parquet(mixed.root / "data/prepared/index.parquet").set_index("image_id")
    folds = pd.read_csv(mixed.root / "data/prepared/folds.csv").set_index("image_id")["fold"]
    assert (index["role"] == "excluded").sum() == COPIES
    assert (folds == "excluded").sum() == COPIES
    assert (folds == "external").sum() == 24
    listed = pd.read_csv(mixed.root / "data/prepared/rejected.csv")["reason"]
    assert listed.str.startswith("OVERLAP: the same picture as elsewhere-").sum() == COPIES


def test_the_card_and_the_folds_name_the_sources(mixed):
    card = (mixed.root / "reports/data/dataset_card.md").read_text()
    folds = (mixed.root / "reports/data/folds.md").read_text()
    assert f"{COPIES} training images overlap" in card
    for source in ("masks", "labels", "elsewhere"):
        assert f"| {source} |" in card
        assert f"| {source} |" in folds
