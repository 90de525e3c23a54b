"""Training seeds of a params file, the folder of kept seeds, and their report."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from experiments import seeds as command
from experiments import tracking
from experiments.compare import runs, seed_runs
from experiments.settings import seeds
from experiments.settings.params import load
from imaging.io.config import read_yaml

CONTENT = {
    "split": {"seed": 3},
    "classification": {"seed": 1, "variants": {"b": {"seed": 1000}, "c": {"lr": 0.1}}},
    "segmentation": {"phases": [{"epochs": 1}, {"seed": 7}]},
}


def test_a_seed_number_changes_the_trainings_alone() -> None:
    changed = seeds.with_seed(CONTENT, 2)
    assert changed["split"] == {"seed": 3}
    assert changed["classification"] == {
        "seed": 20_001,
        "variants": {"b": {"seed": 21_000}, "c": {"lr": 0.1}},
    }
    assert changed["segmentation"] == {"phases": [{"epochs": 1}, {"seed": 20_007}], "seed": 20_000}
    assert seeds.seeds_of(changed) == "20001/20000"


def test_trainings_of_one_recipe_have_one_fingerprint() -> None:
    plain = load(Path(__file__).parents[2] / "params.yaml").model_dump(mode="json")
    assert seeds.recipe_fingerprint(plain) == seeds.recipe_fingerprint(seeds.with_seed(plain, 1))
    other = plain | {"segmentation": plain["segmentation"] | {"lr": 0.5}}
    assert seeds.recipe_fingerprint(plain) != seeds.recipe_fingerprint(other)


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(Path(__file__).parents[2] / "params.yaml", tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "params.yaml"


def test_params_are_the_users_again_after_each_seed(params: Path) -> None:
    text = params.read_bytes()
    with seeds.in_place(1):
        assert load().classification.seed == 10_000
    assert params.read_bytes() == text
    assert not seeds.BACKUP.exists()


def test_params_are_recovered_after_a_kill_unless_they_were_edited(params: Path) -> None:
    text, context = params.read_text(), seeds.in_place(2)
    context.__enter__()  # killed here
    assert load().segmentation.seed == 20_000
    seeds.recover()
    assert params.read_text() == text
    seeds.in_place(2).__enter__()
    params.write_text(text.replace("seed: 0", "seed: 5"))
    seeds.recover()
    assert params.read_text() == text.replace("seed: 0", "seed: 5")


def pipeline(dice: list[float]) -> None:
    """The outputs that a pipeline run leaves."""
    label = [1, 1, 0, 0]
    table = pd.DataFrame(
        {"image_id": list("abcd"), "patient_id": list("pqrs"), "label": label, "dice": dice, "prob": dice}
    )
    score = {"value": sum(dice) / 4, "low": 0.1, "high": 0.9}
    for path in seed_runs.FILES.values():
        path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(seed_runs.FILES["per_image.csv"], index=False)
    table.to_csv(seed_runs.FILES["out_of_fold.csv"], index=False)
    seed_runs.FILES["metrics.json"].write_text(json.dumps({"kaggle_dice": score}))
    seed_runs.FILES["decision.json"].write_text(json.dumps({"fitted": {"nested_score": score}}))


def test_the_report_has_mean_and_variance_over_seeds(
    params: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(empty_database, "mlflow.db")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("EXPERIMENT", "wide")
    for number, dice in [(2, [0.1] * 4), (1, [0.5, 0.7, 1.0, 0.0]), (0, [0.9, 0.7, 1.0, 1.0])]:
        pipeline(dice)
        seed_runs.keep(number)
    text = command.report(2)  # the third is of an earlier call with three
    assert "# wide: 2 seeds" in text
    assert "| Kaggle Dice | 0.725 (" in text
    assert "| seed0 | 0.9000 | 0.9000 |" in text
    rows = pd.read_csv("reports/seeds/seeds.csv").set_index("measure")
    assert rows.loc["kaggle_dice", "between_seeds"] == pytest.approx(0.35 / 2**0.5, abs=1e-6)
    assert Path("reports/seeds/report.html").is_file()
    assert not Path("reports/seeds/seed2").exists()
    # The folder's evaluation is seed 0: compare finds the other seed beside it, and none once another run took its place.
    client = MlflowClient(tracking_uri=tracking.tracking_uri())
    found = runs.from_folder(Path(), client)
    assert [one.seeds for one in found.trainings] == ["seed0", "seed1"]
    pipeline([0.3, 0.3, 1.0, 1.0])
    assert runs.from_folder(Path(), client).others == []


def test_evaluations_of_one_recipe_in_mlflow_are_one_experiment(
    params: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(empty_database, "mlflow.db")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("EXPERIMENT", "wide")

    def evaluate(dice: list[float]) -> None:
        pipeline(dice)
        with tracking.start("evaluate", {"stage": "evaluate"}, {}) as run:
            for path in seed_runs.FILES.values():
                run.file(path)

    for number in (1, 0):
        with seeds.in_place(number):
            evaluate([0.5, 0.7, 1.0, number])
    evaluate([0.9, 0.7, 1.0, 0.0])  # seed 0 once more: the newer counts
    monkeypatch.setenv("EXPERIMENT", "narrow")
    evaluate([0.1, 0.1, 1.0, 1.0])
    client = MlflowClient(tracking_uri=tracking.tracking_uri())
    for names in ([], ["wide", "narrow"]):
        found, single = runs.select(client, names, {}, "")
        assert [(one.name, len(one.trainings)) for one in found] == [("wide", 2), ("narrow", 1)]
        assert sorted(one.images["dice"].iloc[0] for one in found[0].trainings) == [0.5, 0.9]
        assert single == []


@pytest.mark.parametrize("count", ["1", "0"])
def test_one_seed_is_no_study(count: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["seeds", count])
    with pytest.raises(ValueError, match="give at least 2"):
        command.main()


def test_the_params_of_a_seed_are_valid(params: Path) -> None:
    with seeds.in_place(1):
        assert read_yaml()["classification"]["seed"] == 10_000
        load()
