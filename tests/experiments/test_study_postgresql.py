"""Four workers on a real PostgreSQL, one of them killed in mid-trial: no trial lost, none doubled, no password told."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from optuna.trial import TrialState

from experiments.study_storage import ENVIRONMENT, open_storage, place_of
from experiments.tuning_settings import TuneSettings
from tests.experiments import studies

PASSWORD = "only-for-this-test"


def programs() -> Path:
    """Debian's folder of PostgreSQL's server programs, or a skip."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("no PostgreSQL server here: apt-get install postgresql")
    return found[-1].parent


def as_server(*command: str | Path) -> None:
    """Run as the user postgres where this is root, whom the server refuses."""
    prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    done = subprocess.run([*prefix, *map(str, command)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL, with its password, of a server on the loopback address."""
    bin_folder = programs()
    folder = (
        Path("/tmp") / f"study-postgresql-{os.getpid()}"
    )  # pytest's own folders are closed to other users
    folder.mkdir()
    secret = folder / "secret"
    secret.write_text(PASSWORD)
    if os.geteuid() == 0:
        for path in (folder, secret):
            shutil.chown(path, "postgres")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = folder / "data"
    options = f"-c listen_addresses=127.0.0.1 -p {port} -k {folder} -c fsync=off"
    try:
        as_server(
            bin_folder / "initdb", "-D", data, "-U", "me", "--auth=scram-sha-256", f"--pwfile={secret}", "-N"
        )
        as_server(bin_folder / "pg_ctl", "-D", data, "-o", options, "-l", folder / "log", "-w", "start")
        try:
            yield f"postgresql://me:{PASSWORD}@127.0.0.1:{port}/postgres"
        finally:
            as_server(bin_folder / "pg_ctl", "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_four_workers_one_killed(server: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    workers = studies.start(4, server, 24, 0.4, log)
    killed = studies.kill_in_trial(workers[0], log, after=2)
    studies.finish(*workers[1:])
    trials = studies.trials_of(server)
    assert [trial.number for trial in trials] == list(range(24))
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 24
    assert len({trial.params["x"] for trial in trials}) == 24
    assert Counter(number for _, number in studies.begun(log)) == {
        number: 2 if number == killed else 1 for number in range(24)
    }
    assert {trial.number: trial.user_attrs["starts"] for trial in trials if "starts" in trial.user_attrs} == {
        killed: 2
    }
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
