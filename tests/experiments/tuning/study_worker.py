"""One worker of a study with a cheap objective, as a process that a test can kill:
python study_worker.py PLACE TRIALS SECONDS LOG.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import optuna

from experiments.settings.tuning import SearchRange, TuneSettings
from experiments.tuning.engine import Values, open_study, work
from experiments.tuning.sampling import make_pruner
from experiments.tuning.storage import open_storage
from experiments.tuning.trials import frozen, position

SPACE = {
    "x": SearchRange(low=0, high=1),
    "y": SearchRange(low=1e-3, high=1, log=True),
    "z": SearchRange(choices=["a", "b"]),
}


def settings(trials: int) -> TuneSettings:
    return TuneSettings(trials=trials, space=SPACE, heartbeat=2)


def score(values: Values) -> float:
    return -((values["x"] - 0.3) ** 2) - values["y"] + 0.1 * (values["z"] == "a")


def main() -> None:
    place, trials, seconds, log = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), Path(sys.argv[4])

    def evaluate(trial: optuna.Trial, values: Values) -> float:
        with log.open("a") as lines:
            lines.write(f"{os.getpid()} {position(study, frozen(study, trial))}\n")
        time.sleep(seconds)
        return score(values)

    storage = open_storage(place, heartbeat=2)
    study = open_study(storage, "cheap", make_pruner(settings(trials), 1))
    log.with_name(f"ready{os.getpid()}").touch()
    while not log.with_name("go").exists():
        time.sleep(0.01)
    work(study, settings(trials), evaluate)


if __name__ == "__main__":
    main()
