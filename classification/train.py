"""Train one classifier on one fold: `python -m classification.train MODEL FOLD`."""

from __future__ import annotations

from classification.model import build
from classification.objective import Objective
from experiments.settings.training import ClassificationSettings
from experiments.training import train_fold
from imaging.io import command
from imaging.io.config import load_section


def main() -> None:
    """The DVC stage train_classification."""
    model, number, again = train_fold.arguments("classification")
    settings = load_section("classification", ClassificationSettings)
    train_fold.train("classification", model, number, settings, build, Objective, again=again)


if __name__ == "__main__":
    command.run(main)
