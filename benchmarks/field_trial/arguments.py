"""The command line of the field trial."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from benchmarks.field_trial import report
from benchmarks.field_trial.cohorts import STARTS, TRIALS
from benchmarks.field_trial.methods import METHODS, ORDINARY, PEERS, plan
from benchmarks.field_trial.ordinary import BATCH
from experiments.networks import pretrained
from imaging.io import command
from imaging.sources.discovery import first
from imaging.sources.siim import LABEL_FILES

STRIDE, LARGEST = 32, 2048
"""The side of the images is a multiple of the first, up to the second."""
MOST_FOLDS = 20
LEAST = {
    "seeds": 1,
    "first_seed": 0,
    "folds": 3,
    "images": BATCH,
    "tune_images": BATCH,
    "fitted": 1,
    "draws": 1,
    "threads": 1,
}
"""Least value of each number."""


def arguments() -> argparse.Namespace:
    """The command line; ValueError for a value that a run could not be made with, before anything is written."""
    given = _parsed()
    _check_numbers(given)
    _check_folders(given)
    _check_methods(given)
    _check_start(given)
    return given


def run_name(given: argparse.Namespace, method: str) -> str:
    """The method's name in the report and in the names of folders: with the settings that are changed."""
    if method in PEERS:
        return method
    return given.name or "+".join([method, *given.set]).replace("/", "_")


def start_folder(given: argparse.Namespace, trial: str, method: str, seed: int) -> Path:
    """Of the run whose networks a trial goes on from."""
    return given.output / "results" / f"{STARTS[trial]}-{given.start_from or run_name(given, method)}-{seed}"


def _check_numbers(given: argparse.Namespace) -> None:
    for key, least in LEAST.items():
        if getattr(given, key) < least:
            raise ValueError(f"--{key.replace('_', '-')} {getattr(given, key)}: at least {least}")
    if given.folds > MOST_FOLDS:
        raise ValueError(f"--folds {given.folds}: at most {MOST_FOLDS}")
    if given.size % STRIDE or not STRIDE <= given.size <= LARGEST:
        near = min(max(round(given.size / STRIDE) * STRIDE, STRIDE), LARGEST)
        raise ValueError(f"--size {given.size}: a multiple of {STRIDE} up to {LARGEST}, such as {near}")
    if not 0 < given.mix <= 1:
        raise ValueError(f"--mix {given.mix}: a share above 0, at most 1")


def _check_folders(given: argparse.Namespace) -> None:
    for key in ("train", "real", "phantoms"):
        folder = getattr(given, key)
        if folder is None:
            continue
        if not folder.is_dir():
            fault = "a file, not a folder" if folder.is_file() else "no such folder"
            raise ValueError(f"--{key} {folder}: {fault}; it holds studies in SIIM-ACR's form")
        if first(folder, LABEL_FILES) is None:
            raise ValueError(
                f"--{key} {folder}: holds neither {' nor '.join(LABEL_FILES)}, which has the labels"
            )
    if given.train.resolve() == given.real.resolve():
        raise ValueError(
            f"--train and --real are both {given.real}: networks would be judged on what they learn from"
        )
    needing = [trial for trial in given.trials if "T0" in (trial, STARTS.get(trial))]
    if needing and given.phantoms is None:
        raise ValueError(
            f"--trials {needing[0]}: give --phantoms FOLDER, made by `python -m imaging.phantom`"
        )
    if given.weights is not None:
        pretrained.find(str(given.weights), "--weights")
    if given.output.exists() and not given.output.is_dir():
        raise ValueError(f"--output {given.output}: is a file; name a folder")
    own = given.output.resolve()
    for key in ("train", "real", "phantoms"):
        folder = getattr(given, key)
        if folder is not None and folder.resolve() in (own, *own.parents):
            raise ValueError(f"--output {given.output}: is or lies in --{key} {folder}; name another folder")


def _check_methods(given: argparse.Namespace) -> None:
    chosen = [method for method in given.methods if method not in PEERS]
    if given.name is not None:
        if not given.name or "/" in given.name or given.name in {*PEERS, *METHODS} - set(chosen):
            raise ValueError(f"--name {given.name!r}: a name without a slash that no other method has")
        if len(chosen) != 1:
            raise ValueError(f"--name {given.name}: names one recipe, and --methods has {len(chosen)}")
    if given.set and not chosen:
        raise ValueError(f"--set {' '.join(given.set)}: changes recipes, and --methods names none")
    for method in chosen:
        for trial in given.trials:
            plan(method, given.weights, given.size, tuple(given.set), trial)
    names = {ORDINARY, *(run_name(given, method) for method in given.methods)}
    if given.peer not in names:
        names |= {method for _, method in report.read(given.output / "results")}
        if given.peer not in names:
            raise ValueError(f"--peer {given.peer}: no such method; there are {', '.join(sorted(names))}")


def _check_start(given: argparse.Namespace) -> None:
    if given.start_from is None:
        return
    alone = sorted(set(given.trials) - set(STARTS))
    if alone:
        raise ValueError(
            f"--start-from {given.start_from}: {alone[0]} goes on from no other trial; --trials {' or '.join(STARTS)}"
        )
    for method in given.methods:
        if method in PEERS:
            raise ValueError(f"--start-from {given.start_from}: {method} is no recipe; name one in --methods")
        for trial in given.trials:
            for seed in range(given.first_seed, given.first_seed + given.seeds):
                folder = start_folder(given, trial, method, seed)
                if not (folder / "facts.json").is_file():
                    raise ValueError(
                        f"--start-from {given.start_from}: {folder} is no finished run; train it first, without --start-from"
                    )
                last = len(METHODS[method].contrasts) - 1
                if not (folder / (f"network{last}" if last else "") / "segmentation0.safetensors").is_file():
                    raise ValueError(
                        f"--start-from {given.start_from}: {folder} has not the {last + 1} networks that {method} goes on from"
                    )


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.field_trial",
        description="Train methods at one budget and judge them on the same real studies. Finished runs are not repeated.",
    )
    add = parser.add_argument
    add(
        "--train",
        type=command.place,
        required=True,
        help="studies to learn from, in SIIM-ACR's form, with patients.csv",
    )
    add(
        "--real",
        type=command.place,
        required=True,
        help="real labelled studies to be judged on, in the same form",
    )
    add("--phantoms", type=command.place, help="for T0: generated studies in the same form")
    add(
        "--weights",
        type=command.place,
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
        choices=[*PEERS, *METHODS],
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
    add(
        "--start-from",
        metavar="NAME",
        help="method whose networks of the earlier trial T3 and T1P go on from (default: the method's own)",
    )
    _budget(parser)
    return parser.parse_args()


def _budget(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--seeds", type=int, default=3, help="number of seeds (default: 3)")
    add("--first-seed", type=int, default=0, help="the first of them (default: 0)")
    add("--folds", type=int, default=5, help="folds of the real studies in T3 and T4 (default: 5)")
    add(
        "--images",
        type=int,
        default=2500,
        help="budget: images that the ordinary loop is shown (default: 2500)",
    )
    add(
        "--tune-images",
        type=int,
        default=1500,
        help="the same of each fold's training in T3, and as many more in T4 (default: 1500)",
    )
    add("--size", type=int, default=256, help="side of the images in pixels (default: 256)")
    add(
        "--mix",
        type=float,
        default=0.08,
        help="recipes in T3: share of the simulated images that an epoch draws from (default: .08)",
    )
    add(
        "--fitted",
        type=int,
        default=240,
        help="out-of-fold images for the decision in T0 to T2 (default: 240)",
    )
    add(
        "--output",
        type=command.place,
        default=Path("field-trial"),
        help="folder for data, weights and results (default: field-trial)",
    )
    add("--peer", default=ORDINARY, help="method that the others are compared with")
    add("--draws", type=int, default=report.DRAWS, help="bootstrap draws")
    add("--threads", type=int, default=torch.get_num_threads(), help="processor threads")
    add("--no-report", action="store_true", help="train only")
