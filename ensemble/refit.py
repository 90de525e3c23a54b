"""Train the evaluated run's networks once more on all labelled images, the hold-out included, for a submission.

    python -m ensemble.refit

Repeats every training of the finished run with the hold-out among its training images, applies the decision that was fitted out
of fold, and writes models/refit/ (networks, decision, bundle) and submission-refit.csv. The evaluated run's files are not
changed. **No hold-out result exists for these networks**: quote the evaluated run's. A killed command resumes; networks that
are done are not trained again.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from ensemble.decision import refit as decisions
from ensemble.decision.decision import Decision
from experiments.networks import refit, weights
from imaging.io import command
from imaging.io.files import write_text

MEASURED = Path("reports/evaluation/metrics.json")
REPORT = Path("reports/refit/report.md")


def main() -> None:
    """Train what is missing, then write decision, bundle and submission."""
    argparse.ArgumentParser(
        prog="python -m ensemble.refit",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args()
    if not MEASURED.is_file():
        raise ValueError(
            f"{MEASURED}: missing; a refit follows a finished run, whose hold-out was evaluated: run `dvc repro`"
        )
    decision = Decision.load()
    networks = decisions.networks(decision)
    for stage, model, fold in networks:
        if not refit.is_done(stage, model, fold):
            run(f"{stage}.train", model, str(fold), "--refit")
    decisions.applied(decision).save(decisions.PATH)
    write_text(REPORT, describe(networks))
    run("ensemble.export", "--refit")
    run("ensemble.submit", "--refit")


def run(module: str, *arguments: str) -> None:
    """Run a command of the project; exits with its status when it fails, after its own message."""
    done = subprocess.run([sys.executable, "-m", module, *arguments], check=False)
    if done.returncode:
        sys.exit(done.returncode)


def describe(networks: list[tuple[str, str, int]]) -> str:
    """Report in Markdown: the validation score of each network before and after, on the same images."""
    lines = [
        "# Refit on all labelled images",
        "",
        f"**{refit.NO_HOLDOUT}** The scores below are those of each network's validation fold during training, on the "
        "same images before and after:"
        " they show whether a training went wrong, and are no measure of performance.",
        "",
        "| stage | model | fold | evaluated run | refit |",
        "|---|---|---:|---:|---:|",
    ]
    for stage, model, fold in networks:
        before, after = (
            weights.load_facts(weights.path_of(stage, model, fold, folder))["metrics"].get(
                "score", float("nan")
            )
            for folder in (weights.MODELS, refit.FOLDER)
        )
        lines.append(f"| {stage} | {model} | {fold} | {before:.4f} | {after:.4f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    command.run(main)
