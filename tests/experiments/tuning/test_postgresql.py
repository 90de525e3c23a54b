"""Four workers on a real PostgreSQL, one of them killed in mid-trial: no trial lost, none doubled, no password printed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from optuna.trial import TrialState

from experiments.settings.tuning import TuneSettings
from experiments.tuning.storage import ENVIRONMENT, open_storage, place_of
from experiments.tuning.trials import starts
from tests.experiments.tuning import postgresql, studies
from tests.experiments.tuning.postgresql import PASSWORD


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The URL, with its password, of a server on the loopback address."""
    with postgresql.running() as url:
        yield url


def test_four_workers_one_killed(server: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    workers = studies.start(4, server, 24, 0.4, log)
    killed = studies.kill_in_trial(workers[0], log, after=2)
    studies.finish(*workers[1:])
    trials = studies.trials_of(server)
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 24
    assert len({trial.params["x"] for trial in trials}) == 24
    assert Counter(number for _, number in studies.begun(log)) == {
        number: 2 if number == killed else 1 for number in range(24)
    }
    assert [starts(trial) for trial in trials] == [2 if number == killed else 1 for number in range(24)]
    assert {pid for pid, _ in studies.begun(log)} == {worker.pid for worker in workers}


def test_the_environment_stands_above_the_params(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = TuneSettings(storage="postgresql://me@elsewhere/studies")
    assert place_of("segmentation", settings) == "postgresql://me@elsewhere/studies"
    monkeypatch.setenv(ENVIRONMENT, server)
    assert place_of("segmentation", settings) == server


def test_the_password_may_come_from_the_surroundings(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    open_storage(server.replace(f":{PASSWORD}@", "@"), heartbeat=1)


@pytest.mark.parametrize(("old", "new"), [(PASSWORD, "not-the-password"), ("/postgres", "/nobodys")])
def test_a_server_that_refuses_is_named_without_its_password(server: str, old: str, new: str) -> None:
    with pytest.raises(
        ValueError, match=r"storage postgresql://me:\*\*\*@127\.0\.0\.1.* does not answer"
    ) as error:
        open_storage(server.replace(old, new), heartbeat=1)
    assert PASSWORD not in str(error.value)
    assert "not-the-password" not in str(error.value)
