"""The study of the segmentation settings: `python -m segmentation.tune`; `--join` adds this process to a running study.

Space, trials and proxy are the params section `tune_segmentation`. A trial's score is what this network's masks alone would
earn in the competition (docs/decisions/tuning-objective.md).
"""

from __future__ import annotations

from experiments.settings.training import SegmentationSettings
from experiments.settings.tuning import TuneSettings
from experiments.training import tuned_params
from imaging.io import command
from imaging.io.config import load_section


def main() -> None:
    """The DVC stage tune_segmentation."""
    join = tuned_params.joins("segmentation")
    study = load_section("tune_segmentation", TuneSettings)
    if study.trials == 0:
        return tuned_params.pass_through("segmentation")
    # Imported here: without trials, the ten seconds for importing torch are saved.
    from experiments.tuning import study as tuning
    from segmentation.architectures import build
    from segmentation.objective import Objective

    settings = load_section("segmentation", SegmentationSettings)
    return tuning.tune("segmentation", settings, study, build, Objective, join)


if __name__ == "__main__":
    command.run(main)
