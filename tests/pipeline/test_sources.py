"""`dvc repro` on head CT in ct-ich's form, and on its export in mmsegmentation's layout, each at the smallest size."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

from imaging import rle
from tests.pipeline.tiny import TINY, Repository

pytestmark = pytest.mark.slow

SMALL: dict[str, Any] = {
    **TINY,
    "phantom": {"kind": "head_ct", "train": 110, "prevalence": 0.45, "difficulty": 0.0, "least_area": 2000},
    "split": {"scheme": "patient", "folds": 2, "holdout": 0.3},
    "tune_segmentation": {"trials": 0},
}


@pytest.fixture(scope="module")
def head_ct(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    made = Repository.copy(tmp_path_factory.mktemp("head_ct"))
    made.params(SMALL)
    made.run("dvc", "repro")
    return made


@pytest.fixture(scope="module")
def folder(head_ct: Repository, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """The same slices as pictures, with two of them for testing, one in 16 bits."""
    made = Repository.copy(tmp_path_factory.mktemp("folder"))
    data = made.root / "data" / "heads"
    head_ct.run("python", "-m", "imaging.export", "mmsegmentation", "--output", str(data))
    (data / "images/test").mkdir()
    for number, path in enumerate(sorted((data / "images/val").iterdir())[:2]):
        image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        deep = image.astype(np.uint16) * 257 if number else image
        cv2.imwrite(str(data / f"images/test/new{number}.png"), deep)
    made.params(
        {
            **SMALL,
            "data": {"source": "folder", "folder": "data/heads", "patients": "data/heads", "image_size": 64},
            "submit": {"images": "data/heads", "sample": "data/heads", "masks": True},
        }
    )
    made.run("dvc", "repro")
    return made


def table(repository: Repository, name: str) -> pd.DataFrame:
    return pd.read_csv(repository.root / name, dtype=str, keep_default_na=False)


def test_head_ct_runs_to_its_evaluation_and_an_empty_submission(head_ct: Repository) -> None:
    metrics = json.loads((head_ct.root / "reports/evaluation/metrics.json").read_text())
    assert 0 < metrics["prevalence"]["value"] < 1
    assert "haemorrhage" in (head_ct.root / "reports/data/dataset_card.md").read_text()
    assert "No patient is in two parts." in (head_ct.root / "reports/data/folds.md").read_text()
    assert (head_ct.root / "submission.csv").read_text() == "ImageId,EncodedPixels\n"
    assert "0 studies" in (head_ct.root / "reports/summary.md").read_text()


def test_the_truth_is_at_the_slices_own_size(head_ct: Repository) -> None:
    index = pd.read_parquet(head_ct.root / "data/prepared/index.parquet").set_index("image_id")
    truth = table(head_ct, "data/prepared/truth.csv")
    assert set(index["height"]) == set(index["width"]) == {512}
    for image_id, code in truth.itertuples(index=False):
        assert rle.decode(code, (512, 512)).sum() == index.loc[image_id, "area_px"]


def test_a_folder_has_the_same_holdout_and_truth(head_ct: Repository, folder: Repository) -> None:
    pd.testing.assert_frame_equal(
        table(folder, "data/prepared/truth.csv"), table(head_ct, "data/prepared/truth.csv")
    )
    holdouts = [
        set(folds.loc[folds["fold"] == "holdout", "image_id"])
        for folds in (table(repository, "data/prepared/folds.csv") for repository in (head_ct, folder))
    ]
    assert holdouts[0] == holdouts[1]
    assert "the source's own validation set" in (folder.root / "reports/data/folds.md").read_text()


def test_a_folders_test_images_are_scored_with_masks_as_pictures(folder: Repository) -> None:
    found = table(folder, "submission.csv").set_index("ImageId")["EncodedPixels"]
    assert sorted(found.index) == ["new0", "new1"]
    for name, code in found.items():
        mask = cv2.imread(str(folder.root / f"reports/submission/masks/{name}.png"), cv2.IMREAD_UNCHANGED)
        assert mask.shape == (512, 512)
        assert set(np.unique(mask)) <= {0, 255}
        np.testing.assert_array_equal(mask > 0, rle.decode(code, (512, 512)))


def test_a_second_run_only_lists_the_inputs(folder: Repository) -> None:
    assert folder.executed() == ["inputs"]


def test_one_named_folder_of_head_ct_is_scored(head_ct: Repository, tmp_path: Path) -> None:
    slices = sorted((head_ct.root / "data/phantom/Patients_CT/049/brain").glob("[0-9].jpg"))
    for path in slices:
        shutil.copy(path, tmp_path)
    out, masks = tmp_path / "out.csv", tmp_path / "masks"
    head_ct.run(
        "python",
        "-m",
        "ensemble.submit",
        "--images",
        str(tmp_path),
        "--output",
        str(out),
        "--masks",
        str(masks),
    )
    assert sorted(pd.read_csv(out, dtype=str)["ImageId"]) == [path.stem for path in slices]
    assert sorted(path.stem for path in masks.iterdir()) == [path.stem for path in slices]


def test_unknown_patients_are_told_in_every_report(tmp_path: Path) -> None:
    """Phantoms in SIIM's form without their patients.csv."""
    made = Repository.copy(tmp_path)
    made.params({**TINY, "split": {**TINY["split"], "unknown_patients": "by_image"}})
    made.run("dvc", "repro", "phantom")
    data = shutil.copytree(made.root / "data/phantom", made.root / "data/siim")
    (data / "patients.csv").unlink()
    places = {"source": "siim", "folder": "data/siim", "patients": None, "image_size": 64}
    params = {**TINY, "data": places, "submit": {}, "tune_segmentation": {"trials": 0}}
    made.params(params)
    refused = made.attempt("dvc", "repro", "split")
    assert refused.returncode != 0
    assert "split.unknown_patients: by_image" in refused.stderr
    made.params({**params, "split": {**TINY["split"], "unknown_patients": "by_image"}})
    made.run("dvc", "repro")
    warning = "patients unknown: split and intervals are by image"
    for report in (
        "reports/data/dataset_card.md", "reports/data/folds.md", "reports/evaluation/report/report.md",
        "reports/summary.md", "models/bundle/README.md", "reports/evaluation/metrics.json",
    ):  # fmt: skip
        assert warning in (made.root / report).read_text(), report
