"""`kill -9` for `dvc repro` and all that it has started, at a chosen moment or again and again at random ones.

    python -m tests.pipeline.kills [--kills 30] [--seed 0]

runs the smallest pipeline in temporary folders until that many kills have been made in it (it starts over in a new folder
when one has come to its end), prints what was running at each kill, and compares each end with that of an undisturbed run.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil

from imaging.io.files import sha256
from tests.pipeline.tiny import TINY, Repository

PATIENCE = 1200  # seconds until a moment comes
LONGEST = (
    12.0  # seconds from the beginning of a stage to the kill: about as long as most stages take on two cores
)
KEPT = (
    "reports/evaluation/metrics.json",
    "submission.csv",
    "reports/tuning/segmentation/best.json",
    *(f"models/segmentation/unet/fold{fold}.safetensors" for fold in TINY["train_folds"]),
    *(f"models/classification/small/fold{fold}.safetensors" for fold in TINY["train_folds"]),
)
"""What must be the same bit for bit, however often a run was killed."""


def started(repository: Repository) -> subprocess.Popen[bytes]:
    """`dvc repro`, on its own, with its words in dvc.log."""
    with (repository.root / "dvc.log").open("a") as log:
        return subprocess.Popen(
            ["dvc", "repro"],
            cwd=repository.root,
            env=repository.environment(),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def kill(run: subprocess.Popen[bytes]) -> None:
    """Everything at once, as a machine that loses its power does."""
    for process in [*psutil.Process(run.pid).children(recursive=True), psutil.Process(run.pid)]:
        os.kill(process.pid, signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL


def killed(repository: Repository, moment: Callable[[], bool], delay: float) -> None:
    """Start `dvc repro`, and kill it `delay` seconds after the moment."""
    run = started(repository)
    try:
        last = time.monotonic() + PATIENCE
        while not moment():
            assert run.poll() is None, "dvc repro ended before the moment"
            assert time.monotonic() < last, "the moment did not come"
            time.sleep(0.005)
        time.sleep(delay)
    finally:
        if run.poll() is None:
            kill(run)


def hunted(repository: Repository, draw: random.Random, most: int) -> list[str]:
    """Kill a run again and again, each time in the first, second or third stage that it begins or a little later, until it
    ends by itself or has died `most` times and may end in peace.

    Returns the stage that ran at each kill."""
    at: list[str] = []
    while len(at) < most:
        wanted = len(begun(repository)) + draw.randint(1, 3)
        run = started(repository)
        while run.poll() is None and len(begun(repository)) < wanted:
            time.sleep(0.02)
        try:
            code = run.wait(draw.uniform(0, LONGEST))
        except subprocess.TimeoutExpired:
            kill(run)
            at.append(begun(repository)[-1])
        else:
            assert code == 0, (repository.root / "dvc.log").read_text()[-3000:]
            return at
    repository.run("dvc", "repro")
    return at


def begun(repository: Repository) -> list[str]:
    """The stages that DVC has said it begins, over all runs."""
    log = repository.root / "dvc.log"
    return re.findall(r"Running stage '([a-z_]+)", log.read_text()) if log.exists() else []


def ends(repository: Repository) -> dict[str, str]:
    """SHA-256 of what must be the same."""
    return {name: sha256(repository.root / name) for name in KEPT}


def fresh(folder: Path) -> Repository:
    """The smallest pipeline, not yet run."""
    made = Repository.copy(folder)
    made.params(TINY)
    return made


def hunt(folder: Path, reference: dict[str, str], kills: int, seed: int) -> Counter[str]:
    """Kills by stage; AssertionError when a run's end is not the reference's."""
    at: list[str] = []
    draw = random.Random(seed)
    for number in range(kills):
        repository = fresh(folder / f"run{number}")
        at += hunted(repository, draw, kills - len(at))
        assert ends(repository) == reference, f"run {number} ended otherwise after {len(at)} kills"
        print(f"run {number}: the end of an undisturbed run, bit for bit; {len(at)} kills so far", flush=True)
        if len(at) >= kills:
            break
    return Counter(at)


def main() -> None:
    """Register the bundle that the command line names."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.pipeline.kills", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--kills", type=int, default=30, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: %(default)s)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        undisturbed = fresh(Path(folder) / "undisturbed")
        undisturbed.run("dvc", "repro")
        print("undisturbed run: done", flush=True)
        try:
            at = hunt(Path(folder), ends(undisturbed), given.kills, given.seed)
        except AssertionError as error:
            sys.exit(str(error))
    for name, count in at.most_common():
        print(f"{count:4d}  {name}")
    print(f"{at.total()} kills, {len(KEPT)} files compared at each end")


if __name__ == "__main__":
    main()
