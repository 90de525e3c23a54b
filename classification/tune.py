"""The study of the classification settings: `python -m classification.tune`; `--join` adds this process to a running study.

Space, trials and proxy are the params section `tune_classification`. A trial's score is what the classifier's gate would earn
in the competition with masks of a given quality (docs/decisions/tuning-objective.md).
"""

from __future__ import annotations

from experiments.settings.training import ClassificationSettings
from experiments.settings.tuning import TuneSettings
from experiments.training import tuned_params
from imaging.io import command
from imaging.io.config import load_section


def main() -> None:
    """The DVC stage tune_classification."""
    join = tuned_params.joins("classification")
    study = load_section("tune_classification", TuneSettings)
    if study.trials == 0:
        return tuned_params.pass_through("classification")
    # Imported here: without trials, the ten seconds for importing torch are saved.
    from classification.model import build
    from classification.objective import Objective
    from experiments.tuning import study as tuning

    settings = load_section("classification", ClassificationSettings)
    return tuning.tune("classification", settings, study, build, Objective, join)


if __name__ == "__main__":
    command.run(main)
