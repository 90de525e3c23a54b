"""A refit repeats exactly the evaluated network's training, or refuses."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from experiments.networks import refit, weights
from experiments.settings.training import ClassificationSettings
from experiments.training.train_fold import training_rows
from imaging.io.files import read_json, write_json
from imaging.prepared import Prepared
from tests.imaging.conftest import make_prepared

SETTINGS = ClassificationSettings(models=["c"], image_size=64, phases=[{"lr": 1e-3}, {"lr": 1e-4}])
DATA: Any = SimpleNamespace(fingerprint="abc")


@pytest.fixture(autouse=True)
def evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """SHA-256 of the weights of an evaluated network whose last phase had the rate 1e-4."""
    monkeypatch.chdir(tmp_path)
    last = {**SETTINGS.model_dump(mode="json"), "phases": [], "seed": 100, "lr": 1e-4}
    path = weights.path_of("classification", "c", 0)
    weights.save(path, {"w": torch.ones(1)}, {"settings": last, "data": {"fingerprint": "abc"}})
    return str(read_json(path.with_suffix(".json"))["weights_sha256"])


def test_the_sidecar_names_the_weights_that_it_repeats(evaluated: str) -> None:
    found = refit.facts("classification", "c", 0, SETTINGS, DATA)
    assert found == {"holdout": refit.NO_HOLDOUT, "repeats_weights": evaluated}


@pytest.mark.parametrize(
    ("changes", "data", "words"),
    [
        ({"phases": [{"lr": 1e-3}, {"lr": 2e-4}]}, "abc", r"classification\.lr of c changed"),
        ({"gamma": 1.0}, "abc", r"classification\.gamma of c changed"),
        ({}, "other", "not trained on the data now in data/prepared"),
    ],
)
def test_other_settings_or_data_are_refused(changes: dict[str, Any], data: str, words: str) -> None:
    settings = SETTINGS.model_copy(update=changes)
    with pytest.raises(ValueError, match=words):
        refit.facts("classification", "c", 0, settings, SimpleNamespace(fingerprint=data))  # type: ignore[arg-type]


def test_other_machines_may_refit() -> None:
    settings = SETTINGS.model_copy(update={"devices": 4, "workers": 2, "micro_batch": 4})
    refit.facts("classification", "c", 0, settings, DATA)


def test_a_setting_younger_than_the_network_had_its_default() -> None:
    side = weights.path_of("classification", "c", 0).with_suffix(".json")
    facts = read_json(side)
    del facts["settings"]["contrast"]
    write_json(side, facts)
    refit.facts("classification", "c", 0, SETTINGS, DATA)
    with pytest.raises(ValueError, match=r"classification\.contrast of c changed"):
        refit.facts("classification", "c", 0, SETTINGS.model_copy(update={"contrast": "clahe"}), DATA)


def test_a_run_must_be_finished() -> None:
    with pytest.raises(ValueError, match="run `dvc repro` first"):
        refit.facts("classification", "c", 1, SETTINGS, DATA)


def test_a_refit_is_done_while_the_evaluated_network_is_the_same(evaluated: str) -> None:
    path = weights.path_of("classification", "c", 0, refit.FOLDER)
    assert not refit.is_done("classification", "c", 0)
    weights.save(path, {"w": torch.zeros(1)}, refit.facts("classification", "c", 0, SETTINGS, DATA))
    assert refit.is_done("classification", "c", 0)
    weights.save(path, {"w": torch.zeros(1)}, {"repeats_weights": "another"})
    assert not refit.is_done("classification", "c", 0)


def test_every_fold_also_trains_on_the_hold_out(tmp_path: Path) -> None:
    prepared = Prepared(make_prepared(tmp_path))
    for fold in (0, 1):
        plain, again = training_rows(prepared, fold), training_rows(prepared, fold, holdout=True)
        assert set(again) - set(plain) == set(prepared.fold_rows("holdout"))
        assert not set(again) & set(prepared.fold_rows(fold))
