"""A real `mlflow server` with PostgreSQL behind it: a training is logged there, and outlives the server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from mlflow.tracking import MlflowClient

from classification.objective import Objective
from experiments import tracking
from experiments.settings.training import ClassificationSettings
from experiments.training import train_fold
from experiments.training.loop import fit
from imaging.prepared import Prepared
from tests.experiments.training.test_loop import SETTINGS, network
from tests.experiments.tuning import postgresql
from tests.imaging.conftest import make_prepared

pytestmark = pytest.mark.slow  # half a minute, most of it the server's start


@pytest.fixture
def server(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A tracking server of its own process group; its address is in `args`."""
    with postgresql.running() as database, (tmp_path / "server.log").open("wb") as log:
        port = postgresql.free_port()
        store = database.replace("postgresql://", "postgresql+psycopg://")  # psycopg 3
        command = ["server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
        started = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *command, "--artifacts-destination", str(tmp_path / "kept")],
            env={
                **os.environ,
                "MLFLOW_BACKEND_STORE_URI": store,
            },  # an argument would show the password to all
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            wait_for(f"http://127.0.0.1:{port}", started, tmp_path / "server.log")
            started.args = f"http://127.0.0.1:{port}"
            yield started
        finally:
            kill(started)


def wait_for(address: str, started: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 180
    while True:
        try:
            urllib.request.urlopen(f"{address}/health", timeout=5)
            return
        except OSError:
            assert started.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.2)


def kill(started: subprocess.Popen[bytes]) -> None:
    if started.poll() is None:
        os.killpg(started.pid, signal.SIGKILL)
        started.wait()


def test_a_training_is_logged_and_outlives_the_server(
    server: subprocess.Popen[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = str(server.args)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    prepared, settings = Prepared(make_prepared(tmp_path)), ClassificationSettings(**SETTINGS)
    train, validation = train_fold.datasets(prepared, 0, settings)
    seen: dict[str, float] = {}

    with tracking.start("train", {"stage": "train"}, {"c": settings.model_dump(mode="json")}) as run:

        def report(row: dict[str, float], epoch: int) -> None:
            if epoch == 2:
                client = MlflowClient(tracking_uri=address)
                found = client.get_run(run.run_id)
                seen.update(found.data.metrics)
                assert found.data.params["c.epochs"] == str(settings.epochs)
                assert "config.yaml" in [one.path for one in client.list_artifacts(run.run_id)]
                assert any("overlays" in one.path for one in client.list_artifacts(run.run_id, "images"))
                kill(server)
            run.metrics(row, epoch)
            run.image(np.zeros((4, 4, 3), np.uint8), "overlays", epoch)

        with pytest.warns(UserWarning, match="MLflow cannot log .* the run continues"):
            done = fit(
                network(),
                Objective(settings, np.zeros(len(validation), np.int64)),
                train,
                validation,
                settings,
                title="test",
                resume=tmp_path / "r",
                report=report,
            )
    assert [row["epoch"] for row in done.history] == [0, 1, 2, 3]
    assert seen["train/loss"] == pytest.approx(done.history[1]["train/loss"])
    assert (tmp_path / "kept").is_dir()
