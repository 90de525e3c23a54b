"""The study of the classification settings: `python -m classification.tune`.

Space, trials and proxy are the params section `tune_classification`.
"""

from __future__ import annotations

from experiments import tuned
from experiments.training_settings import ClassificationSettings
from experiments.tuning_settings import TuneSettings
from imaging.settings import load_section


def main() -> None:
    """The DVC stage tune_classification."""
    study = load_section("tune_classification", TuneSettings)
    if study.trials == 0:
        return tuned.pass_through("classification")
    # Imported here, since without trials the ten seconds that torch and its friends take are not needed.
    from classification.model import build
    from classification.train import Objective
    from experiments import tuning

    settings = load_section("classification", ClassificationSettings)
    return tuning.tune("classification", settings, study, build, Objective)


if __name__ == "__main__":
    main()
