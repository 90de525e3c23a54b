"""Studies of a cheap objective in real storages: the same trials each time, after real kills too, and each counted once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from experiments.tuning import engine
from experiments.tuning.engine import given_out, make_pruner, open_study, work
from experiments.tuning.storage import Files, open_storage
from tests.experiments.tuning import studies
from tests.experiments.tuning.study_worker import score, settings


def place_of(kind: str, folder: Path) -> str:
    return {"sqlite": f"sqlite:///{folder / 's.db'}", "journal": str(folder / "s.journal")}[kind]


def opened(place: str, name: str = "cheap", trials: int = 6) -> tuple[optuna.Study, Files]:
    storage = open_storage(place, heartbeat=1)
    assert isinstance(storage, Files)
    return open_study(storage, name, make_pruner(settings(trials), 1)), storage


def numbers(study_trials: list) -> list[tuple]:
    return [(t.number, t.params, t.value, t.state) for t in study_trials]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> list[tuple]:
    """Twelve trials in one go: eight random ones, then TPE."""
    study, storage = opened(place_of("sqlite", tmp_path_factory.mktemp("whole")))
    work(study, storage, settings(12), lambda trial, values: score(values))
    return numbers(study.get_trials())


def test_a_study_in_one_process_has_the_same_trials_each_time(
    uninterrupted: list[tuple], tmp_path: Path
) -> None:
    study, storage = opened(place_of("journal", tmp_path))
    for trials in (5, 12):  # in two sittings, and in another storage
        work(study, storage, settings(trials), lambda trial, values: score(values))
    assert numbers(study.get_trials()) == uninterrupted
    assert len({params["x"] for _, params, *_ in uninterrupted}) == 12


@pytest.mark.parametrize("kind", ["sqlite", "journal"])
def test_a_killed_study_goes_on_with_the_very_trial(
    uninterrupted: list[tuple], kind: str, tmp_path: Path
) -> None:
    place, log = place_of(kind, tmp_path), tmp_path / "log"
    killed = studies.kill_in_trial(*studies.start(1, place, 12, 0.15, log), log, after=4)
    assert killed == 3
    studies.finish(*studies.start(1, place, 12, 0.0, log))
    trials = studies.trials_of(place)
    assert numbers(trials) == uninterrupted
    assert [trial.user_attrs.get("starts", 1) for trial in trials] == [1, 1, 1, 2] + [1] * 8
    assert [number for _, number in studies.begun(log)] == [0, 1, 2, 3, *range(3, 12)]


def test_two_workers_and_a_killed_third_share_a_journal(tmp_path: Path) -> None:
    place, log = place_of("journal", tmp_path), tmp_path / "log"
    workers = studies.start(3, place, 14, 0.3, log)
    killed = studies.kill_in_trial(workers[0], log, after=2)
    studies.finish(*workers[1:])
    trials = studies.trials_of(place)
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 14
    counted = Counter(number for _, number in studies.begun(log))
    assert counted == {number: 2 if number == killed else 1 for number in range(14)}
    assert {pid for pid, _ in studies.begun(log)} == {worker.pid for worker in workers}


def test_a_killed_process_cannot_leave_half_a_number_behind(
    uninterrupted: list[tuple], tmp_path: Path
) -> None:
    study, storage = opened(place_of("sqlite", tmp_path))
    with storage.alone():  # dies after the first of three numbers
        study.sampler = engine.make_sampler(settings(12), 0, 0)
        study.ask().suggest_float("x", 0, 1)
    work(*opened(place_of("sqlite", tmp_path)), settings(12), lambda trial, values: score(values))
    assert numbers(studies.trials_of(place_of("sqlite", tmp_path))) == uninterrupted


def test_a_trial_that_kills_its_process_again_and_again_is_given_up(tmp_path: Path) -> None:
    place = place_of("sqlite", tmp_path)

    class Died(BaseException):
        pass

    def deadly(trial: optuna.Trial, values: dict) -> float:
        if trial.number == 1:
            raise Died
        return score(values)

    for _ in range(engine.MOST_STARTS):
        with pytest.raises(Died):
            work(*opened(place), settings(4), deadly)
    work(*opened(place), settings(4), deadly)
    failed = studies.trials_of(place)[1]
    assert failed.state == TrialState.FAIL
    assert failed.user_attrs["reason"] == "its process died 3 times"
    assert len(studies.trials_of(place)) == 4


def test_a_trial_that_cannot_be_judged_fails_with_its_reason_and_the_study_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study, storage = opened(place_of("sqlite", tmp_path))

    def evaluate(trial: optuna.Trial, values: dict) -> float:
        if trial.number == 1:
            raise FloatingPointError("the loss is not a number")
        if trial.number == 2:
            trial.report(0.5, 1)
            raise optuna.TrialPruned
        return score(values)

    work(study, storage, settings(4), evaluate)
    states = [trial.state for trial in study.get_trials()]
    assert states == [TrialState.COMPLETE, TrialState.FAIL, TrialState.PRUNED, TrialState.COMPLETE]
    assert study.get_trials()[1].user_attrs["reason"] == "FloatingPointError: the loss is not a number"
    assert given_out(study) == 4
    said = capsys.readouterr().out
    assert "trial 1  failed" in said
    assert "trial 2  score 0.5  pruned" in said


def test_a_fault_of_the_program_ends_the_study(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        work(*opened(place_of("sqlite", tmp_path)), settings(2), lambda trial, values: values["w"])


def test_only_a_begun_study_can_be_joined(tmp_path: Path) -> None:
    _, storage = opened(place_of("sqlite", tmp_path), "segmentation-old")
    with pytest.raises(
        ValueError, match=r"no study segmentation-new \(but segmentation-old\).*without --join"
    ):
        open_study(storage, "segmentation-new", optuna.pruners.NopPruner(), join=True)
    assert open_study(storage, "segmentation-old", optuna.pruners.NopPruner(), join=True)


def test_old_studies_stay_readable(tmp_path: Path) -> None:
    for name in ("one", "two"):
        study, storage = opened(place_of("sqlite", tmp_path), name)
        work(study, storage, settings(2), lambda trial, values: score(values))
    old = optuna.load_study(study_name="one", storage=place_of("sqlite", tmp_path))
    assert len(old.trials) == 2


def test_a_torn_last_line_of_a_journal_is_dropped(tmp_path: Path) -> None:
    place = place_of("journal", tmp_path)
    work(*opened(place), settings(2), lambda trial, values: score(values))
    with Path(place).open("a") as journal:
        journal.write('{"op_code": 4, "wor')
    work(*opened(place), settings(4), lambda trial, values: score(values))
    assert len(studies.trials_of(place)) == 4


@pytest.mark.parametrize(("sampler", "trials"), [("gp", 9), ("random", 3)])
def test_samplers_by_name_are_seeded(sampler: str, trials: int, tmp_path: Path) -> None:
    found = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        chosen = settings(trials).model_copy(update={"sampler": sampler})
        study, storage = opened(place_of("journal", tmp_path / folder))
        work(study, storage, chosen, lambda trial, values: score(values))
        found.append([trial.params for trial in study.get_trials()])
    assert found[0] == found[1]


def test_hyperband_stops_a_trial_that_falls_behind() -> None:
    chosen = settings(1).model_copy(update={"pruner": "hyperband"})
    study = optuna.create_study(direction="maximize", pruner=make_pruner(chosen, 9))
    pruned = 0
    for number in range(20):
        trial = study.ask()
        for epoch in range(1, 10):
            trial.report(float(number % 5), epoch)
            if trial.should_prune():
                pruned += 1
                study.tell(trial, state=TrialState.PRUNED)
                break
        else:
            study.tell(trial, float(number % 5))
    assert 0 < pruned < 20
