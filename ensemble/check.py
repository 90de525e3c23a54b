"""Stage `check`: build every network and run one real batch through it, before the first study or training begins.

`reports/check.txt` always holds the same words, so that a check which passes makes nothing after it run again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from torch import nn

import classification.model
import classification.objective
import segmentation.architectures
import segmentation.objective
from experiments.hardware import Hardware
from experiments.settings import params
from experiments.settings.common import TrainingSettings
from experiments.training.learner import Objective
from experiments.training.sanity_check import check_model
from experiments.training.train_fold import Groups
from imaging.io import command
from imaging.io.files import write_text
from imaging.prepared import Prepared

T = TypeVar("T", bound=TrainingSettings)
REPORT = "reports/check.txt"
PASSED = "Every network of params.yaml was built and took one batch of the data, forward and backward.\n"


def check(
    stage: str,
    section: T,
    build: Callable[[T], nn.Module],
    objective: Callable[[T, Groups], Objective],
    prepared: Prepared,
    fold: int,
    hardware: Hardware | None = None,
) -> None:
    """Check all models of a stage, and print the number of parameters of each. hardware: this machine's; tests describe another.

    ValueError names the setting to change, for example where a step does not fit into the GPU's memory (`experiments.plan`).
    """
    for model in section.models:
        count = check_model(stage, model, section, build, objective, prepared, fold, hardware)
        print(f"{stage} {model}: {count:,} parameters, one batch went through", flush=True)


def main() -> None:
    """The DVC stage check."""
    settings, prepared = params.load(), Prepared()
    fold = settings.train_folds[0]
    build, objective = classification.model.build, classification.objective.Objective
    check("classification", settings.classification, build, objective, prepared, fold)
    check(
        "segmentation",
        settings.segmentation,
        segmentation.architectures.build,
        segmentation.objective.Objective,
        prepared,
        fold,
    )
    print("`python -m experiments.plan` prints memory, hours and disk of the whole run")
    write_text(REPORT, PASSED)


if __name__ == "__main__":
    command.run(main, __doc__)
