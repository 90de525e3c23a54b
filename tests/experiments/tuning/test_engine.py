"""Studies of a cheap objective in real storages: the same trials each time, also after real kills, and each counted once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from experiments.tuning.engine import open_study, reason, work
from experiments.tuning.sampling import SeededSampler, make_pruner
from experiments.tuning.storage import MOST_STARTS, open_storage
from experiments.tuning.trials import PROCESS, SURPLUS, counted, fail_dead, position, starts, this_process
from tests.experiments.tuning import studies
from tests.experiments.tuning.study_worker import score, settings


def place_of(kind: str, folder: Path) -> str:
    return {"sqlite": f"sqlite:///{folder / 's.db'}", "journal": str(folder / "s.journal")}[kind]


def opened(place: str, name: str = "cheap", trials: int = 6) -> optuna.Study:
    return open_study(open_storage(place, heartbeat=1), name, make_pruner(settings(trials), 1))


def results(study_trials: list) -> list[tuple]:
    return [(t.params, t.value, t.state) for t in study_trials]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> list[tuple]:
    """Twelve trials in one go: eight random ones, then TPE."""
    study = opened(place_of("sqlite", tmp_path_factory.mktemp("whole")))
    work(study, settings(12), lambda trial, values: score(values))
    return results(study.get_trials())


def test_a_study_in_one_process_has_the_same_trials_each_time(
    uninterrupted: list[tuple], tmp_path: Path
) -> None:
    study = opened(place_of("journal", tmp_path))
    for trials in (5, 12):  # in two sittings, and in another storage
        work(study, settings(trials), lambda trial, values: score(values))
    assert results(study.get_trials()) == uninterrupted
    assert len({params["x"] for params, *_ in uninterrupted}) == 12


@pytest.mark.parametrize("kind", ["sqlite", "journal"])
def test_a_killed_study_repeats_its_trial_and_has_the_same_trials_in_the_end(
    uninterrupted: list[tuple], kind: str, tmp_path: Path
) -> None:
    place, log = place_of(kind, tmp_path), tmp_path / "log"
    killed = studies.kill_in_trial(*studies.start(1, place, 12, 0.15, log), log, after=4)  # type: ignore[call-arg]
    assert killed == 3
    studies.finish(*studies.start(1, place, 12, 0.0, log))
    trials = studies.trials_of(place)
    assert results(trials) == uninterrupted
    assert [starts(trial) for trial in trials] == [1, 1, 1, 2] + [1] * 8
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


def test_a_trial_keeps_the_values_that_it_had_when_its_process_ended(
    uninterrupted: list[tuple], tmp_path: Path
) -> None:
    place = place_of("sqlite", tmp_path)
    study = opened(place)
    study.sampler = SeededSampler(settings(12))
    trial = study.ask()  # ends after the first of three values
    trial.suggest_float("x", 0, 1)
    trial.set_user_attr(PROCESS, [1, f"{this_process()[:-1]}x"])
    work(opened(place), settings(12), lambda trial, values: score(values))
    assert results(studies.trials_of(place)) == uninterrupted


def test_a_trial_whose_program_fails_is_repeated_and_given_up_after_three_starts(tmp_path: Path) -> None:
    place = place_of("sqlite", tmp_path)

    def deadly(trial: optuna.Trial, values: dict) -> float:
        if position(trial.study, trial.study.get_trials()[trial.number]) == 1:
            raise KeyError("w")
        return score(values)

    for _ in range(MOST_STARTS):
        with pytest.raises(KeyError):
            work(opened(place), settings(4), deadly)
    work(opened(place), settings(4), deadly)
    trials = studies.trials_of(place)
    assert trials[1].state == TrialState.FAIL
    assert reason(trials[1]) == "its process ended 3 times"
    assert [starts(trial) for trial in trials] == [1, MOST_STARTS, 1, 1]


def test_signs_of_life(tmp_path: Path) -> None:
    """Of this process, of none, of one that has ended, of another machine."""
    study = opened(place_of("journal", tmp_path))
    foreign = "elsewhere pid:[1] 7 1.00"
    gone = f"{this_process().rsplit(' ', 1)[0]} 1.00"
    for process in (this_process(), None, gone, foreign):
        trial = study.ask()
        if process:
            trial.set_user_attr(PROCESS, [1, process])
    fail_dead(study, grace=60)
    running, waiting = TrialState.RUNNING, TrialState.WAITING
    assert [trial.state for trial in counted(study)] == [running, running, waiting, running]
    fail_dead(study, grace=0)
    assert [trial.state for trial in counted(study)] == [running, waiting, waiting, running]


def test_a_trial_beyond_the_budget_does_not_count(tmp_path: Path) -> None:
    study = opened(place_of("sqlite", tmp_path))
    for _ in range(3):
        study.ask()
    study.tell(2, state=TrialState.FAIL)
    surplus = study.ask()
    surplus.set_user_attr(SURPLUS, True)
    study.tell(surplus, state=TrialState.FAIL)
    study.ask()
    assert [trial.number for trial in counted(study)] == [0, 1, 2, 4]
    assert position(study, study.get_trials()[4]) == 3


def test_a_trial_without_a_score_fails_with_its_reason_and_the_study_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = opened(place_of("sqlite", tmp_path))

    def evaluate(trial: optuna.Trial, values: dict) -> float:
        if trial.number == 1:
            raise FloatingPointError("the loss is not a number")
        if trial.number == 2:
            trial.report(0.5, 1)
            raise optuna.TrialPruned
        return score(values)

    work(study, settings(4), evaluate)
    states = [trial.state for trial in study.get_trials()]
    assert states == [TrialState.COMPLETE, TrialState.FAIL, TrialState.PRUNED, TrialState.COMPLETE]
    assert study.get_trials()[1].user_attrs["reason"] == "FloatingPointError: the loss is not a number"
    printed = capsys.readouterr().out
    assert "trial 1  failed" in printed
    assert "trial 2  score 0.5  pruned" in printed


def test_only_a_begun_study_can_be_joined(tmp_path: Path) -> None:
    place = place_of("sqlite", tmp_path)
    opened(place, "segmentation-old")
    storage = open_storage(place, heartbeat=1)
    with pytest.raises(
        ValueError, match=r"no study segmentation-new \(found: segmentation-old\).*without --join"
    ):
        open_study(storage, "segmentation-new", optuna.pruners.NopPruner(), join=True)
    assert open_study(storage, "segmentation-old", optuna.pruners.NopPruner(), join=True)


def test_old_studies_stay_readable(tmp_path: Path) -> None:
    for name in ("one", "two"):
        study = opened(place_of("sqlite", tmp_path), name)
        work(study, settings(2), lambda trial, values: score(values))
    old = optuna.load_study(study_name="one", storage=place_of("sqlite", tmp_path))
    assert len(old.trials) == 2


def test_a_torn_last_line_of_a_journal_is_dropped(tmp_path: Path) -> None:
    place = place_of("journal", tmp_path)
    work(opened(place), settings(2), lambda trial, values: score(values))
    with Path(place).open("a") as journal:
        journal.write('{"op_code": 4, "wor')
    work(opened(place), settings(4), lambda trial, values: score(values))
    assert len(studies.trials_of(place)) == 4


@pytest.mark.parametrize(("sampler", "trials"), [("gp", 9), ("random", 3)])
def test_samplers_by_name_are_seeded(sampler: str, trials: int, tmp_path: Path) -> None:
    found = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        chosen = settings(trials).model_copy(update={"sampler": sampler})
        study = opened(place_of("journal", tmp_path / folder))
        work(study, chosen, lambda trial, values: score(values))
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
