"""Workers of a study as processes, and what they have left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial

from experiments.tuning.storage import open_storage
from experiments.tuning.trials import counted

WORKER = Path(__file__).with_name("study_worker.py")


def start(
    count: int,
    place: str,
    trials: int,
    seconds: float,
    log: Path,
    environment: Mapping[str, str] | None = None,
) -> list[subprocess.Popen[str]]:
    """Worker processes that begin together, or the first one to be ready might leave nothing for the others."""
    log.parent.mkdir(exist_ok=True)
    command = [sys.executable, str(WORKER), place, str(trials), str(seconds), str(log)]
    surrounding = {**os.environ, "PYTHONPATH": str(Path.cwd()), **(environment or {})}
    workers = [
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=surrounding
        )
        for _ in range(count)
    ]
    wait_for(lambda: all(log.with_name(f"ready{worker.pid}").exists() for worker in workers), workers)
    log.with_name("go").touch()
    return workers


def wait_for(happened: Callable[[], bool], workers: list[subprocess.Popen[str]]) -> None:
    """Wait up to two minutes; no worker may end before."""
    until = time.monotonic() + 120
    while not happened():
        for worker in workers:
            assert worker.poll() is None, worker.communicate()[0]
        assert time.monotonic() < until, "nothing happened in two minutes"
        time.sleep(0.02)


def begun(log: Path) -> list[tuple[int, int]]:
    """(process id, trial) of every trial that a worker began, in that order."""
    lines = log.read_text().splitlines() if log.exists() else []
    return [(int(line.split()[0]), int(line.split()[1])) for line in lines]


def kill_in_trial(worker: subprocess.Popen[str], log: Path, after: int) -> int:
    """Kill -9 a worker while it sleeps in its trial number `after` (counted from 1); the trial's number."""
    wait_for(lambda: sum(pid == worker.pid for pid, _ in begun(log)) >= after, [worker])
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    return [trial for pid, trial in begun(log) if pid == worker.pid][-1]


def finish(*workers: subprocess.Popen[str]) -> None:
    """Wait for workers to end well."""
    for worker in workers:
        output = worker.communicate(timeout=120)[0]
        assert worker.returncode == 0, output


def trials_of(place: str) -> list[FrozenTrial]:
    """The trials of the cheap study that count, each in its last start."""
    return counted(optuna.load_study(study_name="cheap", storage=open_storage(place, heartbeat=2)))
