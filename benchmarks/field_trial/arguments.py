"""The command line of the field trial."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from benchmarks.field_trial import report
from benchmarks.field_trial.cohorts import TRIALS
from benchmarks.field_trial.methods import METHODS, ORDINARY


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.field_trial",
        description="Train methods at one budget and judge them on the same real studies. Finished runs are not repeated.",
    )
    add = parser.add_argument
    add(
        "--train",
        type=Path,
        required=True,
        help="studies to learn from, in SIIM-ACR's form, with patients.csv",
    )
    add("--real", type=Path, required=True, help="real labelled studies to be judged on, in the same form")
    add("--phantoms", type=Path, help="for T0: generated studies in the same form")
    add(
        "--weights",
        type=Path,
        help="ImageNet weights of tf_efficientnet_lite0 (docs/pretrained.md); none: random in all trials",
    )
    add(
        "--trials",
        nargs="+",
        choices=TRIALS,
        default=["T1", "T2", "T3"],
        help="T3 goes on from T2, T1P from T0",
    )
    add(
        "--methods",
        nargs="+",
        choices=[ORDINARY, *METHODS],
        default=[ORDINARY, "ours"],
        help="what is compared",
    )
    add(
        "--set",
        nargs="*",
        default=[],
        metavar="KEY=VALUE",
        help="settings of the recipe changed, such as segmentation.ema=0.99",
    )
    add("--name", help="name of the changed method in the report (default: method and changes)")
    _budget(parser)
    return parser.parse_args()


def _budget(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--seeds", type=int, default=3, help="number of seeds (default: 3)")
    add("--first-seed", type=int, default=0, help="the first of them (default: 0)")
    add("--folds", type=int, default=5, help="folds of the real studies in T3 (default: 5)")
    add(
        "--images",
        type=int,
        default=2500,
        help="budget: images that the ordinary loop is shown (default: 2500)",
    )
    add("--tune-images", type=int, default=800, help="the same of each fold's training in T3 (default: 800)")
    add("--size", type=int, default=256, help="side of the images in pixels (default: 256)")
    add(
        "--mix",
        type=float,
        default=0.15,
        help="recipes in T3: share of the other images that an epoch draws from (default: .15)",
    )
    add(
        "--fitted",
        type=int,
        default=240,
        help="out-of-fold images for the decision in T0 to T2 (default: 240)",
    )
    add(
        "--output",
        type=Path,
        default=Path("field-trial"),
        help="folder for data, weights and results (default: field-trial)",
    )
    add("--peer", default=ORDINARY, help="method that the others are compared with")
    add("--draws", type=int, default=report.DRAWS, help="bootstrap draws")
    add("--threads", type=int, default=torch.get_num_threads(), help="processor threads")
    add("--no-report", action="store_true", help="train only")
