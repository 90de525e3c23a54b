"""Train the same recipe with several seeds and report the variance by seed and by patient.

    python -m experiments.seeds COUNT       (or: make repro SEEDS=COUNT)

Runs `dvc repro` once for each seed, number 0 last, with the seeds of params.yaml changed for the duration of the run: the
folder ends with the results of params.yaml. What was trained before is restored from DVC's cache. Each seed's results are kept
in reports/seeds/seed<n>/; reports/seeds/report.html has the mean over seeds with its interval. docs/seeds.md explains it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from dataclasses import replace

from experiments import environment, tracking
from experiments.compare import runs, seed_report, seed_runs
from experiments.compare.seed_runs import FOLDER
from experiments.monitoring import html_report
from experiments.settings import seeds
from imaging.io import command
from imaging.io.files import atomic, write_text

LEAST = 2


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.seeds",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "count", type=int, metavar="COUNT", help="number of seeds, at least 2; 3 or more to compare recipes"
    )
    given = parser.parse_args()
    if given.count < LEAST:
        raise ValueError(f"{given.count} seeds: give at least {LEAST}; one seed is `dvc repro`")
    seeds.recover()
    os.environ["EXPERIMENT"] = environment.names()[
        "experiment"
    ]  # before params.yaml differs from the committed one
    train(given.count)
    print(report(given.count), flush=True)


def train(count: int) -> None:
    """Run the pipeline with each seed, number 0 last, and keep its results."""
    for number in reversed(range(count)):
        print(f"Seed {number} ({count - number} of {count})", flush=True)
        with seeds.in_place(number):
            done = subprocess.run([sys.executable, "-m", "dvc", "repro"], check=False)
            if done.returncode:
                raise ValueError(
                    f"`dvc repro` for seed {number} ended with status {done.returncode}; see the messages above"
                )
            seed_runs.keep(number)


def report(count: int) -> str:
    """Write the report and its table, log them to MLflow; returns the report as Markdown."""
    first, *others = [runs.from_seed(one, os.environ["EXPERIMENT"]) for one in seed_runs.write_index(count)]
    found = replace(first, others=others)
    rows = seed_report.table(found)
    text = seed_report.describe(found, rows, f"python -m experiments.seeds {count}")
    with atomic(FOLDER / "seeds.csv") as temporary:
        rows.to_csv(temporary, index=False, float_format="%.6f", lineterminator="\n")
    write_text(FOLDER / "report.md", text)
    write_text(FOLDER / "report.html", html_report.page(FOLDER / "report.md"))
    group = tracking.pipeline_run()
    if group is not None:
        group.file(FOLDER / "report.html", "seeds")
        group.file(FOLDER / "seeds.csv", "seeds")
    return text


if __name__ == "__main__":
    command.run(main)
