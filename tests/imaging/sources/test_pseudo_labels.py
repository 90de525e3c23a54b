"""Pseudo-labels train the network of one fold each, in the folds of the run that made them, and are never evaluated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

from experiments.training.train_fold import training_rows
from imaging import prepare, split
from imaging.io.files import write_json
from imaging.prepared import Prepared
from imaging.settings import DataSettings, SplitSettings
from tests.imaging.conftest import SiimFolder, picture, square

SPLIT = SplitSettings(folds=2, holdout=0.25, seed=3)
SOURCES: list[dict[str, Any]] = [
    {"name": "siim", "source": "siim", "folder": "siim"},
    {"name": "pseudo", "source": "table", "table": "labels.csv", "folder": "pseudo", "role": "train-only", "weight": 0.5},
]  # fmt: skip


def made(folder: Path, sources: list[dict[str, Any]] | None = None) -> Prepared:
    """Prepare and split: SIIM-ACR's form alone, or with other sources."""
    if sources is None:
        settings = DataSettings(source="siim", folder=str(folder / "siim"), image_size=64)
    else:
        settings = DataSettings(source="several", folder=str(folder), image_size=64, sources=sources)
    out = folder / ("alone" if sources is None else "together")
    prepare.run(settings, out, out / "reports")
    split.run(SPLIT, out, out / "reports")
    return Prepared(out)


@pytest.fixture
def run(tmp_path: Path) -> Prepared:
    """A run on 24 pictures, beside the pseudo-labels that its networks gave six others and a copy of one of its own."""
    siim = SiimFolder(tmp_path / "siim")
    for number in range(24):
        siim.add(f"i{number:02}", square(number % 2 == 1), pixels=picture(number), patient=f"p{number}")
    siim.write_labels()
    prepared = made(tmp_path)
    pseudo = tmp_path / "pseudo"
    (pseudo / "studies").mkdir(parents=True)
    own = prepared.folds.index[prepared.folds == "0"][0]
    rows = []
    for number in (100, 101, 102, 103, 104, 105, int(own[1:])):
        cv2.imwrite(str(pseudo / "studies" / f"{number}.png"), picture(number))
        label = number % 2
        rows.append((f"u{number}", f"studies/{number}.png", label, square(True) if label else "", number % 2))
    table = pd.DataFrame(rows, columns=["image_id", "path", "label", "mask", "fold"])
    table.to_csv(pseudo / "labels.csv", index=False)
    prepared.folds.rename_axis("image_id").reset_index(name="fold").to_csv(pseudo / "folds.csv", index=False)
    write_json(
        pseudo / "pseudo_labels.json",
        {"decision_sha256": "ab" * 32, "thresholds": {"positive": 0.9, "negative": 0.1}},
    )
    return prepared


def test_the_folds_stay_those_of_the_run(run: Prepared, tmp_path: Path) -> None:
    found = made(tmp_path, SOURCES)
    assert {f"siim-{name}": fold for name, fold in run.folds.items()} == found.folds.to_dict()
    card = (tmp_path / "together" / "reports" / "dataset_card.md").read_text()
    assert "pseudo: labels are predictions, not readings: from decision abababababab" in card
    assert (
        "the run that made the pseudo-labels, whose folds are kept"
        in (tmp_path / "together/reports/folds.md").read_text()
    )
    assert not found.patients.warning  # nothing is split by the patients of pseudo-labelled studies


def test_a_network_is_trained_on_the_labels_of_its_own_folds_networks_alone(
    run: Prepared, tmp_path: Path
) -> None:
    found = made(tmp_path, SOURCES)
    ids = found.index["image_id"].to_numpy(object)
    trained = [set(ids[training_rows(found, fold)]) for fold in (0, 1)]
    assert {name for name in trained[0] if name.startswith("pseudo")} == {
        "pseudo-u100",
        "pseudo-u102",
        "pseudo-u104",
    }
    assert {name for name in trained[1] if name.startswith("pseudo")} == {
        "pseudo-u101",
        "pseudo-u103",
        "pseudo-u105",
    }
    judged = set(ids[np.concatenate([found.fold_rows(part) for part in ("holdout", 0, 1)])])
    assert not any(name.startswith("pseudo") for name in judged)
    assert {name for name in trained[0] if name.startswith("siim")} == {
        f"siim-{n}" for n in run.folds.index[run.folds == "1"]
    }
    assert found.has_mask[found.rows(["pseudo-u101", "pseudo-u100"])].all()


def test_a_copy_of_a_labelled_picture_is_left_out(run: Prepared, tmp_path: Path) -> None:
    own = run.folds.index[run.folds == "0"][0]
    found = made(tmp_path, SOURCES)
    listed = pd.read_csv(tmp_path / "together" / "rejected.csv").set_index("input")["reason"]
    name = f"pseudo-u{int(own[1:])}"
    assert listed[name] == f"OVERLAP: the same picture as siim-{own} of the labelled training data"
    assert name not in set(found.index["image_id"].to_numpy(object)[found.train_only_rows()])
    assert len(found.train_only_rows()) == 6


@pytest.mark.parametrize("role", ["train", "hold-out", "external"])
def test_pseudo_labels_are_never_evaluated(run: Prepared, tmp_path: Path, role: str) -> None:
    with pytest.raises(ValueError, match="set its role to train-only"):
        made(tmp_path, [SOURCES[0], {**SOURCES[1], "role": role}])


def test_an_image_that_the_run_did_not_have_is_refused(run: Prepared, tmp_path: Path) -> None:
    folds = tmp_path / "pseudo" / "folds.csv"
    folds.write_text(
        "".join(line for line in folds.read_text().splitlines(True) if not line.startswith("i07"))
    )
    with pytest.raises(ValueError, match="such as siim-i07, were not in the run that made the pseudo-labels"):
        made(tmp_path, SOURCES)


def test_another_number_of_folds_is_refused(run: Prepared, tmp_path: Path) -> None:
    made(tmp_path, SOURCES)
    with pytest.raises(ValueError, match=r"split\.folds 3: .* had 2 folds"):
        split.run(SPLIT.model_copy(update={"folds": 3}), tmp_path / "together", tmp_path / "reports")


def test_a_train_only_source_without_pseudo_labels_trains_every_network(
    run: Prepared, tmp_path: Path
) -> None:
    (tmp_path / "pseudo" / "pseudo_labels.json").unlink()
    found = made(tmp_path, SOURCES)
    assert len(found.train_only_rows(0)) == len(found.train_only_rows(1)) == 6
