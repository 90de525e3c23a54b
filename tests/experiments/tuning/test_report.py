"""What is left of a study: the table, the pictures, one page without a network, and best.json for the trainings."""

from __future__ import annotations

import json
import re
from pathlib import Path

import optuna
import pandas as pd
import pytest
from optuna.trial import TrialState, create_trial
from PIL import Image

from experiments.training import tuned_params
from experiments.tuning import report
from experiments.tuning.report import importance, log_scaled, space, table
from imaging.io.files import write_json

ROOM = {
    "lr": optuna.distributions.FloatDistribution(1e-5, 1e-2, log=True),
    "gamma": optuna.distributions.FloatDistribution(0, 4),
    "optimiser": optuna.distributions.CategoricalDistribution(["adam", "sgd"]),
}


def study_of(scores: list[float | None], pruned: tuple[int, ...] = ()) -> optuna.Study:
    """A trial for each score; None is one that failed. gamma explains the score, lr does not."""
    study = optuna.create_study(direction="maximize", study_name="segmentation-0123456789abcdef")
    for number, score in enumerate(scores):
        values = {
            "lr": 10.0 ** -(2 + number % 3),
            "gamma": number / 2,
            "optimiser": ("adam", "sgd")[number % 2],
        }
        state = (
            TrialState.FAIL
            if score is None
            else TrialState.PRUNED
            if number in pruned
            else TrialState.COMPLETE
        )
        study.add_trial(
            create_trial(
                state=state,
                value=score,
                params=values,
                distributions=ROOM,
                intermediate_values={} if score is None else {3: score},
                user_attrs={"reason": "MemoryError: too large"} if score is None else {"batch_size": 8},
            )
        )
    return study


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_json("data/prepared/fingerprint.json", {"fingerprint": "abc"})
    return tmp_path / "reports" / "tuning" / "segmentation"


def test_the_table_has_a_row_a_trial_and_says_how_it_ended() -> None:
    study = study_of([0.5, None, 0.9, 0.4], pruned=(3,))
    found = table(study)
    assert found["state"].tolist() == ["complete", "failed", "complete", "pruned"]
    assert found["score"].tolist()[::2] == [0.5, 0.9]
    assert found["gamma"].tolist() == [0.0, 0.5, 1.0, 1.5]
    assert found.loc[1, "reason"] == "MemoryError: too large"
    assert found["epochs"].tolist() == [3, 0, 3, 3]
    assert space(study) == ["lr", "gamma", "optimiser"]
    assert log_scaled(study) == {"lr"}


def test_the_setting_that_matters_is_the_most_important() -> None:
    shares = importance(study_of([0.1 * i for i in range(9)]))
    assert max(shares, key=lambda key: shares[key]) == "gamma"
    assert sum(shares.values()) == pytest.approx(1)
    assert importance(study_of([0.5])) == {}
    assert importance(study_of([0.5, 0.5])) == {}


@pytest.mark.parametrize(
    "scores", [[0.1, 0.7, 0.3, None, 0.4, 0.6], [0.5], [0.5, 0.5]], ids=["study", "one trial", "all equal"]
)
def test_a_report_is_whole(workplace: Path, scores: list[float | None]) -> None:
    report.write(study_of(scores, pruned=(4,)), "segmentation")
    names = {path.name for path in workplace.iterdir()}
    pictures = {"history.png", "importance.png", "parallel.png", "slice.png", "study.png"}
    assert names == pictures | {"best.json", "trials.csv", "study.html"}
    for name in pictures:
        with Image.open(workplace / name) as picture:
            assert min(picture.size) > 200
    assert len(pd.read_csv(workplace / "trials.csv")) == len(scores)


def test_the_trainings_read_the_best_values(workplace: Path) -> None:
    report.write(study_of([0.1, 0.7, 0.3, None, 0.9], pruned=(4,)), "segmentation")
    found = json.loads((workplace / "best.json").read_text())
    assert found == {
        "values": {"lr": 1e-3, "gamma": 0.5, "optimiser": "sgd"},
        "score": 0.7,
        "trial": 1,
        "trials": {"complete": 3, "failed": 1, "pruned": 1},
        "study": "segmentation-0123456789abcdef",
        "data": {"fingerprint": "abc"},
    }
    assert tuned_params.values("segmentation") == found["values"]


def test_the_page_fetches_nothing() -> None:
    page = report.page(study_of([0.1, 0.7, 0.3]))
    assert len(re.findall(r'<div id="picture\d"', page)) == 4
    assert re.findall(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=[^>]*>", page) == []


def test_equal_studies_give_equal_files(workplace: Path) -> None:
    written = []
    for _ in range(2):
        report.write(study_of([0.1, 0.7, 0.3, 0.2]), "segmentation")
        written.append({path.name: path.read_bytes() for path in workplace.glob("*.png")})
        written[-1]["page"] = (workplace / "study.html").read_bytes()
    assert written[0] == written[1]


def test_a_study_without_a_score_says_why(workplace: Path) -> None:
    with pytest.raises(ValueError, match="has a score: 2 x MemoryError: too large"):
        report.write(study_of([None, None]), "segmentation")
    assert not (workplace / "best.json").exists()


def test_no_trials_pass_the_params_through_without_torch(workplace: Path) -> None:
    import subprocess
    import sys

    root = Path(__file__).parents[3]
    Path("params.yaml").write_text("tune_segmentation: {trials: 0}\n")
    code = (
        "import sys, segmentation.tune as t; t.main(); "
        "assert 'torch' not in sys.modules and 'optuna' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": str(root)}
    )
    assert done.returncode == 0, done.stderr
    assert tuned_params.values("segmentation") == {}
